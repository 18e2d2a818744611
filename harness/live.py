# SPDX-License-Identifier: Apache-2.0
"""What the terminal shows meanwhile: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from typing import Dict, Optional

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from harness.records import PlannedRun, Progress

INTERVAL_S = 10.0


class View:
    """One line of progress; use it as a context."""

    def __init__(self, console: Optional[Console] = None):
        self.console = console or Console(file=sys.stderr)
        self._said_at = -INTERVAL_S
        self._said_phase: Dict[str, str] = {}
        self._bar = Bar(
            TextColumn('{task.description}', markup=False), BarColumn(bar_width=None),
            TextColumn('{task.completed:.0f}/{task.total:.0f} steps'),
            TextColumn('{task.fields[figures]}'),
            TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal)

    def __enter__(self) -> 'View':
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def begin(self, planned: PlannedRun):
        """The next run starts."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(self._title(planned), total=1, figures='')

    def update(self, planned: PlannedRun, progress: Progress):
        """The run is as far as this."""
        for task in self._bar.task_ids:
            self._bar.update(task, total=progress.max_step or 1, completed=progress.step,
                             description=f'{self._title(planned)}: {progress.phase}',
                             figures=figures(progress))
        if not self.console.is_terminal and self._is_time(planned.id, progress.phase):
            steps = f' step {progress.step}/{progress.max_step}' if progress.max_step else ''
            self.say(f'{self._title(planned)}: {progress.phase}{steps} {figures(progress)}')

    def say(self, line: str):
        """One line that stays."""
        self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)

    def _title(self, planned: PlannedRun) -> str:
        arm = f' {planned.arm.value}' if planned.arm.value else ''
        return f'{planned.case.name} {planned.index}{arm}'

    def _is_time(self, run: str, phase: str) -> bool:
        """At each change of a run's phase, and now and then."""
        now = time.monotonic()
        if phase == self._said_phase.get(run) and now - self._said_at < INTERVAL_S:
            return False
        self._said_at, self._said_phase[run] = now, phase
        return True


def figures(progress: Progress) -> str:
    """Loss and speed, as far as they are known."""
    loss = '' if progress.loss is None else f'loss {progress.loss:.3f} '
    speed = '' if progress.images_per_s is None else f'{progress.images_per_s:.1f} images/s'
    return loss + speed
