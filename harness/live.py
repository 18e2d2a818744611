# SPDX-License-Identifier: Apache-2.0
"""Where words go: the answer to standard output, all else to standard error.

On a terminal a few lines that stay in place show how far all is; elsewhere it is a plain line now
and then.
"""

import dataclasses
import io
import math
import sys
import time
from typing import Dict, List, Optional

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.outlook import Outlook
from harness.records import Moment, PlannedRun, Progress
from harness.scene import Running, Scene, block, plain_line

INTERVAL_S = 10.0        # between two plain lines
REFRESH_PER_S = 2
WIDEST = 72              # a wider block says no more


class View:
    """What is said meanwhile; use it as a context."""

    def __init__(self, console: Optional[Console] = None, quiet: bool = False):
        """quiet: only what warn() says."""
        self.console = console or _Console()
        self.scene = Scene()
        self._quiet = quiet
        self._said_at = -INTERVAL_S
        self._said_phase: Dict[str, str] = {}
        self._drawn: List[int] = []       # columns of each line of the block
        self._width = self.console.width
        self._live: Optional[Live] = None
        if self.console.is_interactive and not quiet:
            self._live = Live(console=self.console, transient=True, get_renderable=self._draw,
                              refresh_per_second=REFRESH_PER_S, redirect_stdout=False)

    def __enter__(self) -> 'View':
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_):
        if self._live:
            self._live.stop()

    def expect(self, outlook: Outlook):
        """This may still come."""
        self.scene = dataclasses.replace(self.scene, outlook=outlook)

    def doing(self, line: str):
        """Something else than runs goes on for a while; on a terminal it is shown as long."""
        self.scene = Scene(self.scene.outlook, line)
        if not self._live:
            self.say(line)

    def begin(self, *runs: PlannedRun):
        """The next run starts, or both arms of a pair that take turns."""
        self.scene = Scene(self.scene.outlook, runs=tuple(map(Running, runs)),
                           began_s=time.monotonic())

    def update(self, planned: PlannedRun, progress: Progress, moment: Optional[Moment] = None):
        """The run is as far as this, and the machine like that."""
        now_s = time.monotonic()
        runs = tuple(run.seen(progress, now_s) if run.planned == planned else run
                     for run in self.scene.runs)
        self.scene = dataclasses.replace(self.scene, runs=runs,
                                         moment=moment or self.scene.moment)
        if not self._live and self._is_time(planned.id, progress.phase):
            left = self.scene.left(now_s)
            self.say(next(plain_line(r, left) for r in runs if r.planned == planned))

    def say(self, line: str):
        """One line that stays."""
        if not self._quiet:
            self.warn(line)

    def warn(self, line: str):
        """One line that stays, and is said even to those who want it quiet."""
        self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    def _is_time(self, run: str, phase: str) -> bool:
        """At each change of a run's phase, and now and then."""
        now = time.monotonic()
        if phase == self._said_phase.get(run) and now - self._said_at < INTERVAL_S:
            return False
        self._said_at, self._said_phase[run] = now, phase
        return True

    def _draw(self) -> Group:
        """The block as it is now; it does not get lower, so that nothing jumps."""
        width = self.console.width
        if self._live and self._drawn and width < self._width:
            # The terminal has broken what no longer fits; rich must wipe that many lines.
            self._live._live_render._shape = (
                width, sum(max(1, math.ceil(columns / width)) for columns in self._drawn))
        lines = block(self.scene, time.monotonic(), min(width, WIDEST))
        lines += [Text()] * (len(self._drawn) - len(lines))
        self._drawn, self._width = [line.cell_len for line in lines], width
        return Group(*lines)


class _Console(Console):
    def __init__(self):
        # Else rich takes FORCE_COLOR, which CI systems set, for a terminal.
        super().__init__(stderr=True,
                         force_terminal=bool(sys.stderr) and sys.stderr.isatty())

    def on_broken_pipe(self):
        """Whoever listened is gone; rich would exit, but there is something to be measured."""
        self.quiet = True
        sys.stderr = io.StringIO()   # or Python's own exit fails to flush it


def answer(text: str):
    """Say what was asked for, on standard output; a reader that is gone changes no exit status."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = io.StringIO()   # or Python's own exit fails to flush it
