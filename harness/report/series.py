# SPDX-License-Identifier: Apache-2.0
"""Entries of the history -> text: how each case went over time, and where its level changed."""

import itertools
import statistics
import time
from typing import List, NamedTuple, Sequence, Tuple

from harness.changes import ChangePoint, change_points
from harness.history import Entry
from harness.records import METRICS, Metric

BARS = '▁▂▃▄▅▆▇█'
MOST_BARS = 60    # the newest: with their range they fit into a terminal's line
NO_RUNS = ('no runs in this history yet: run harness/run_all.py, or name another history or '
           'another case\n')


class Series(NamedTuple):
    """Runs that may be compared with each other, oldest first, and where their level changed."""

    case: str
    match: str
    metric: Metric
    entries: Tuple[Entry, ...]
    measured: Tuple[Entry, ...]           # those with a value
    changes: Tuple[ChangePoint, ...]      # indices of `measured`; on the metric's scale

    @property
    def name(self) -> str:
        """What tells it from the other series of its case."""
        digest, _, arm = self.match.partition('-')
        return f'match {digest[:12]}' + (f', {arm} arm' if arm else '')


def series_of(entries: Sequence[Entry]) -> List[Series]:
    """The series of a history, by case, then by age."""
    ordered = sorted(entries, key=lambda e: (e.started_unix_s, e.run))
    first = {_key(e): e.started_unix_s for e in reversed(ordered)}
    ordered.sort(key=lambda e: (e.case, first[_key(e)], _key(e)))   # stable: still by time
    return [_series(tuple(group)) for _, group in itertools.groupby(ordered, _key)]


def to_text(entries: Sequence[Entry]) -> str:
    """A block for each series."""
    return '\n'.join(map(_block, series_of(entries))) or NO_RUNS


def _key(entry: Entry):
    """What the runs of one series share: only these may be compared."""
    return entry.case, entry.match, entry.metric


def _series(entries: Tuple[Entry, ...]) -> Series:
    metric = METRICS[entries[0].metric]
    measured = tuple(e for e in entries if not e.fault and e.value is not None)
    changes = change_points([metric.scaled(e.value) for e in measured if e.value is not None])
    return Series(entries[0].case, entries[0].match, metric, entries, measured, changes)


def _block(s: Series) -> str:
    lines = _level_lines(s) if s.measured else ['nothing measured']
    return '\n  '.join([_heading(s), *lines]) + '\n'


def _heading(s: Series) -> str:
    failed = len(s.entries) - len(s.measured)
    return (f'{s.case}, {s.metric.label}, {len(s.entries)} '
            f'{"run" if len(s.entries) == 1 else "runs"} {_day(s.entries[0])} to '
            f'{_day(s.entries[-1])}{f", {failed} without a value" if failed else ""} ({s.name})')


def _level_lines(s: Series) -> List[str]:
    values = [e.value for e in s.measured if e.value is not None]
    level = values[s.changes[-1].index if s.changes else 0:]
    newest = values[-MOST_BARS:]
    return [f'{_bars(newest)}  {s.metric.value(min(newest))} to {s.metric.value(max(newest))}',
            _level(level, s.metric, bool(s.changes)),
            *([_change(c, s.measured[c.index], s.metric) for c in s.changes] or ['no change'])]


def _bars(values: Sequence[float]) -> str:
    """One bar a value, from the lowest to the highest of them."""
    low, high = min(values), max(values)
    if low == high:
        return BARS[len(BARS) // 2] * len(values)
    return ''.join(BARS[round((v - low) / (high - low) * (len(BARS) - 1))] for v in values)


def _level(values: Sequence[float], metric: Metric, changed: bool) -> str:
    """Of the newest level only: over a change, a spread would show the change."""
    scaled = list(map(metric.scaled, values))
    spread = metric.unscaled(statistics.stdev(scaled)) if len(scaled) > 1 else None
    return (f'median {metric.value(statistics.median(values))}'
            + ('' if spread is None else f', spread {metric.change(spread).lstrip("+")}')
            + (f', of the {len(values)} runs since the last change' if changed else ''))


def _change(change: ChangePoint, first: Entry, metric: Metric) -> str:
    difference = change.after - change.before
    return (f'{metric.direction(difference)} from {_day(first)}, commit {first.commit}: '
            f'{metric.change(metric.unscaled(difference))}, p = {change.p_value:.3f}')


def _day(entry: Entry) -> str:
    return time.strftime('%Y-%m-%d', time.gmtime(entry.started_unix_s))
