# SPDX-License-Identifier: Apache-2.0
"""Entries of the history -> text: how each case went over time, and where its level changed."""

import itertools
import statistics
import time
from typing import List, Sequence

from harness.changes import ChangePoint, change_points
from harness.history import Entry
from harness.records import METRICS, Metric

BARS = '▁▂▃▄▅▆▇█'
MOST_BARS = 60    # the newest: with their range they fit into a terminal's line
NO_RUNS = ('no runs in this history yet: run harness/run_all.py, or name another history or '
           'another case\n')


def to_text(entries: Sequence[Entry]) -> str:
    """A block for each case and each set of facts that its runs share, by case, then by age."""
    ordered = sorted(entries, key=lambda e: (e.started_unix_s, e.run))
    first = {_series(e): e.started_unix_s for e in reversed(ordered)}
    ordered.sort(key=lambda e: (e.case, first[_series(e)], _series(e)))   # stable: still by time
    blocks = [_block(list(group)) for _, group in itertools.groupby(ordered, _series)]
    return '\n'.join(blocks) or NO_RUNS


def _series(entry: Entry):
    """What the runs of one series share: only these may be compared."""
    return entry.case, entry.match, entry.metric


def _block(entries: List[Entry]) -> str:
    metric = METRICS[entries[0].metric]
    measured = [e for e in entries if not e.fault and e.value is not None]
    lines = _level_lines(measured, metric) if measured else ['nothing measured']
    return '\n  '.join([_heading(entries, len(entries) - len(measured)), *lines]) + '\n'


def _heading(entries: List[Entry], failed: int) -> str:
    first, last = entries[0], entries[-1]
    return (f'{first.case}, {METRICS[first.metric].label}, {len(entries)} '
            f'{"run" if len(entries) == 1 else "runs"} '
            f'{_day(first)} to {_day(last)}{f", {failed} without a value" if failed else ""} '
            f'(match {first.match[:12]})')


def _level_lines(measured: List[Entry], metric: Metric) -> List[str]:
    values = [e.value for e in measured if e.value is not None]
    scaled = [metric.scaled(v) for v in values]
    changes = change_points(scaled)
    level_from = changes[-1].index if changes else 0
    newest = values[-MOST_BARS:]
    return [f'{_bars(newest)}  {metric.value(min(newest))} to {metric.value(max(newest))}',
            _level(values[level_from:], scaled[level_from:], metric, bool(changes)),
            *([_change(c, measured[c.index], metric) for c in changes] or ['no change'])]


def _bars(values: Sequence[float]) -> str:
    """One bar a value, from the lowest to the highest of them."""
    low, high = min(values), max(values)
    if low == high:
        return BARS[len(BARS) // 2] * len(values)
    return ''.join(BARS[round((v - low) / (high - low) * (len(BARS) - 1))] for v in values)


def _level(values: Sequence[float], scaled: Sequence[float], metric: Metric, changed: bool) -> str:
    """Of the newest level only: over a change, a spread would show the change."""
    spread = metric.unscaled(statistics.stdev(scaled)) if len(scaled) > 1 else None
    return (f'median {metric.value(statistics.median(values))}'
            + ('' if spread is None else f', spread {metric.change(spread).lstrip("+")}')
            + (f', of the {len(values)} runs since the last change' if changed else ''))


def _change(change: ChangePoint, first: Entry, metric: Metric) -> str:
    difference = change.after - change.before
    return (f'{_direction(difference, metric)} from {_day(first)}, commit {first.commit}: '
            f'{metric.change(metric.unscaled(difference))}, p = {change.p_value:.3f}')


def _direction(difference: float, metric: Metric) -> str:
    """Higher is better for both metrics that we have."""
    up, down = ('faster', 'slower') if metric.relative else ('better', 'worse')
    return up if difference > 0 else down


def _day(entry: Entry) -> str:
    return time.strftime('%Y-%m-%d', time.gmtime(entry.started_unix_s))
