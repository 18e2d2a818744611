# SPDX-License-Identifier: Apache-2.0
"""What the processes of a run take from the host, sampled while it goes on."""

import time
from typing import Dict, Optional

import psutil

from harness.records import Load

INTERVAL_S = 1.0
LEAST_S = 8.0   # in less, the clock ticks of /proc say too little about others


class Sampler:
    """Memory and CPU of process trees, and what others take meanwhile; it keeps its own pace."""

    def __init__(self):
        self._peak_bytes = 0
        self._cpu_s: Dict[int, float] = {}   # by process: those that have ended count too
        self._started = time.monotonic()
        self._next = self._started
        self._last = self._started
        self._busy_s, self._own_s = _busy_s(), _own_s()
        self._foreign_s: Optional[float] = None

    def sample(self, *pids: int):
        """Look at the trees below these processes, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._last = now + INTERVAL_S, now
        resident = 0
        for process in (p for pid in pids for p in _tree(pid)):
            try:
                with process.oneshot():
                    resident += process.memory_info().rss
                    times = process.cpu_times()
                    # Its children that have ended are in it; those that live count for themselves.
                    self._cpu_s[process.pid] = times.user + times.system
            except psutil.Error:  # it has just ended
                continue
        self._peak_bytes = max(self._peak_bytes, resident)
        if now - self._started >= LEAST_S:
            self._foreign_s = max(0.0, _busy_s() - self._busy_s - sum(self._cpu_s.values())
                                  - (_own_s() - self._own_s))

    def load(self) -> Optional[Load]:
        """What was seen; None where nothing was."""
        wall_s = self._last - self._started
        if not self._peak_bytes or wall_s <= 0:
            return None
        foreign = self._foreign_s
        return Load(self._peak_bytes, 100 * sum(self._cpu_s.values()) / wall_s,
                    None if foreign is None else 100 * foreign / wall_s)


def _busy_s() -> float:
    """CPU seconds that this machine has spent so far, the hypervisor's on others included."""
    t = psutil.cpu_times()
    return (t.user + t.system + getattr(t, 'nice', 0.0) + getattr(t, 'irq', 0.0)
            + getattr(t, 'softirq', 0.0) + getattr(t, 'steal', 0.0))


def _own_s() -> float:
    """CPU seconds of the harness itself."""
    t = psutil.Process().cpu_times()
    return t.user + t.system


def _tree(pid: int):
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
