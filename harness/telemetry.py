# SPDX-License-Identifier: Apache-2.0
"""What the processes of a run take from the host, sampled while it goes on."""

import time
from typing import Dict, Optional

import psutil

from harness.records import Load

INTERVAL_S = 1.0


class Sampler:
    """Memory and CPU of a process and all below it; call sample() often, it keeps its own pace."""

    def __init__(self):
        self._peak_bytes = 0
        self._cpu_s: Dict[int, float] = {}   # by process: those that have ended count too
        self._started = time.monotonic()
        self._next = self._started
        self._last = self._started

    def sample(self, pid: int):
        """Look at the process tree, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._last = now + INTERVAL_S, now
        resident = 0
        for process in _tree(pid):
            try:
                with process.oneshot():
                    resident += process.memory_info().rss
                    times = process.cpu_times()
                    self._cpu_s[process.pid] = times.user + times.system
            except psutil.Error:  # it has just ended
                continue
        self._peak_bytes = max(self._peak_bytes, resident)

    def load(self) -> Optional[Load]:
        """What was seen; None where nothing was."""
        wall_s = self._last - self._started
        if not self._peak_bytes or wall_s <= 0:
            return None
        return Load(self._peak_bytes, 100 * sum(self._cpu_s.values()) / wall_s)


def _tree(pid: int):
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
