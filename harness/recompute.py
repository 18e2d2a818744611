# SPDX-License-Identifier: Apache-2.0
"""A model's logs, read by its rules -> speed, loss and accuracy (pure)."""

import fnmatch
import math
import re
import statistics
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Pattern, Sequence, Tuple

from harness.rules import Rules, Speed

LONGEST_LINE = 4096      # characters; what is longer is no line of a training
POSSIBLE = (1e-9, 1e12)  # what a number of a step may be, in whatever unit
WIDENED = 0.02           # of a speed: scripts round, and take differences of clocks
ROUNDED = 0.005          # items/s: many scripts print two decimals

# The seconds of a step, or of an item, by what is logged.
SECONDS: Dict[str, Callable[[float], float]] = {
    's/step': lambda s: s, 'ms/step': lambda ms: ms / 1000, 'step/s': lambda rate: 1 / rate,
    'item/s': lambda rate: 1 / rate}
AGGREGATES: Dict[str, Callable[[Sequence[float]], float]] = {
    'median': statistics.median, 'mean': lambda values: sum(values) / len(values),
    'last': lambda values: values[-1], 'max': max}


class Recomputed(NamedTuple):
    """What the logs say; None or empty: nothing."""

    step_seconds: Tuple[float, ...] = ()
    warmup: int = 0                       # so many of them are left out of the speed
    losses: Tuple[float, ...] = ()
    items_per_s: Optional[float] = None
    bounds_items_per_s: Optional[Tuple[float, float]] = None   # see disagreement()
    accuracy: Optional[float] = None
    fault: str = ''                       # why this is no measurement


class Recompute:
    """The numbers of the logs of one run, as far as they have been read."""

    def __init__(self, rules: Rules, batch_size: Optional[int] = None):
        self._rules = rules
        self._batch_size = rules.batch_size or batch_size
        self._speeds: List[float] = []
        self._losses: List[float] = []
        self._accuracies: List[float] = []

    def feed(self, log_name: str, lines: Iterable[str]) -> 'Recompute':
        """Read more lines of a log; log_name: without its folder.

        Whatever no section names is the training's own log.
        """
        wanted = [(s.pattern, numbers) for s, numbers in (
            (self._rules.speed, self._speeds), (self._rules.loss, self._losses),
            (self._rules.accuracy, self._accuracies)) if s and self._is_of(s.log, log_name)]
        for line in lines:
            # Progress bars write all of an epoch into one line, with \r or backspaces between.
            for part in re.split('[\r\n\b\0]+', line):
                for pattern, numbers in wanted if len(part) <= LONGEST_LINE else ():
                    numbers.extend(_numbers(pattern, part))
        return self

    @property
    def steps(self) -> int:
        """How many lines have told a speed so far."""
        return len(self._speeds)

    def result(self) -> Recomputed:
        """What has come out of all of it."""
        fault = self._speed_fault()
        found = Recomputed() if fault else self._speed()
        section, accuracy = self._rules.accuracy, None
        if section and self._accuracies:
            accuracy = AGGREGATES[section.aggregate](self._accuracies)
            if not math.isfinite(accuracy):
                fault, accuracy = fault or f'the log gives {accuracy} as the accuracy', None
        return found._replace(losses=tuple(self._losses), accuracy=accuracy,
                              fault=_loss_fault(self._losses) or fault)

    def _is_of(self, named: str, log_name: str) -> bool:
        if named:
            return fnmatch.fnmatchcase(log_name, named)
        return not any(fnmatch.fnmatchcase(log_name, other) for other in self._rules.logs)

    def _speed_fault(self) -> str:
        section = self._rules.speed
        if not section:
            return ''
        counted = self._speeds[section.skip:]
        if not self._speeds:
            return 'the log tells of no step: nothing fits the pattern of [speed]'
        if not counted:
            return (f'the log tells of {len(self._speeds)} steps, but the first {section.skip} '
                    'are the warm-up')
        bad = next((value for value in counted if not _possible(value)), None)
        if bad is not None:
            return f'the log gives {bad:g} {section.unit}, which cannot be: nothing was timed'
        return ''

    def _speed(self) -> Recomputed:
        """All that is of the speed."""
        section = self._rules.speed
        if not section:
            return Recomputed()
        counted = self._speeds[section.skip:]
        # A first line of `FPS: 0.00` is usual; only behind the warm-up it is a fault.
        early = [value for value in self._speeds[:section.skip] if _possible(value)]
        seconds = [_seconds(section, value) for value in early + counted]
        batch, items, step_seconds = self._batch_size, self._batch_size, tuple(seconds)
        if section.unit == 'item/s':   # the seconds are of one item
            items, step_seconds = 1, tuple(s * batch for s in seconds) if batch else ()
        found = Recomputed(step_seconds, len(early) if step_seconds else 0)
        if not items:
            return found
        least_s, most_s = _bounds(seconds, len(early))
        typical_s = _seconds(section, AGGREGATES[section.aggregate](counted))
        return found._replace(items_per_s=items / typical_s,
                              bounds_items_per_s=(items / most_s, items / least_s))


def disagreement(reported_items_per_s: Optional[float], recomputed: Recomputed) -> str:
    """Why a script does not report what its log says; empty where it may, or nothing is known.

    A script may report its last step, a picked one, or a mean with or without the warm-up: those
    differ by more than 10 % and are no lie.  So the limits are what any of them may give: the
    fastest and the slowest step after the warm-up, and the means from each step to the end, widened
    by 2 % and by what two decimals round.  Whatever is outside, no step of the log has told.
    """
    if not (reported_items_per_s and recomputed.items_per_s and recomputed.bounds_items_per_s):
        return ''
    low, high = recomputed.bounds_items_per_s
    low, high = low * (1 - WIDENED) - ROUNDED, high * (1 + WIDENED) + ROUNDED
    if low <= reported_items_per_s <= high:
        return ''
    ratio = reported_items_per_s / recomputed.items_per_s
    return (f'the script reports {reported_items_per_s:.4g} items/s, {ratio:.3g} times the '
            f'{recomputed.items_per_s:.4g} of its log, whose steps allow {low:.4g} to {high:.4g}')


def training_step_s(rules: Rules, training_time: Optional[float]) -> Optional[float]:
    """The seconds of a step that a TrainingTime claims; None where its unit is not known."""
    if not rules.training_time or training_time is None or not _possible(training_time):
        return None
    return SECONDS[rules.training_time](training_time)


def _seconds(section: Speed, value: float) -> float:
    return SECONDS[section.unit](value) / section.steps_per_match


def _possible(value: float) -> bool:
    return POSSIBLE[0] <= value <= POSSIBLE[1]


def _numbers(pattern: Pattern, line: str) -> List[float]:
    """The numbers that a line tells; `took 3.5.` is one, and 1.2.3 is none."""
    numbers = []
    for found in pattern.finditer(line):
        try:
            numbers.append(float((found.group(1) or '').strip().rstrip('.,;')))
        except ValueError:
            pass   # a pattern may match other lines too
    return numbers


def _loss_fault(losses: Sequence[float]) -> str:
    bad = next((i for i, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    return f'loss {bad} of the log is {losses[bad - 1]}: the training diverged' if bad else ''


def _bounds(seconds: Sequence[float], warmup: int) -> Tuple[float, float]:
    """The least and the most time that an honest summary may call a step's: see disagreement()."""
    honest, total = list(seconds[warmup:]), 0.0
    for count, value in enumerate(reversed(seconds), 1):
        total += value
        honest.append(total / count)
    return min(honest), max(honest)
