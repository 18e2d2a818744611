# SPDX-License-Identifier: Apache-2.0
"""Entries of the history -> charts: how each case went over time (pure)."""

import itertools
from typing import List, Mapping, Sequence, Tuple

from harness.history import Entry
from harness.records import Baseline, Metric
from harness.report.charts import Chart, Line, Mark, chart_id
from harness.report.curves import expected, level, limit
from harness.report.series import Series, series_of

ALONE_S = 43200.0   # on either side of a single run
Baselines = Mapping[Tuple[str, str], Baseline]   # by case and match


def history_charts(entries: Sequence[Entry], baselines: Baselines) -> Tuple[Chart, ...]:
    """A chart for each case of which something was measured: its runs, series by series.

    baselines: of the series that have one.
    """
    found = [s for s in series_of(entries) if s.measured]
    return tuple(_chart(list(of_case), baselines) for _, of_case in
                 itertools.groupby(found, lambda s: (s.case, s.metric.name)))


def _chart(of_case: List[Series], baselines: Baselines) -> Chart:
    case, metric = of_case[0].case, of_case[0].metric
    times = [e.started_unix_s for s in of_case for e in s.measured]
    room_s = (max(times) - min(times)) * 0.03 or ALONE_S
    ends = min(times) - room_s, max(times) + room_s
    compared = [(s, baselines[s.case, s.match]) for s in of_case if (s.case, s.match) in baselines]
    return Chart(
        chart_id('history', case), f'History of {case}', 'day', f'{metric.label}, {metric.unit}',
        'Every run that was kept. Only runs of one series may be compared with each other.',
        (*(_line(s) for s in of_case),
         *(level('limit', ends, limit(b)) for _, b in compared)),
        bands=tuple(expected(b, ends) for _, b in compared if len(b.values) >= 3),
        marks=tuple(_mark(s, change, metric) for s in of_case for change in s.changes),
        x_is_time=True)


def _line(s: Series) -> Line:
    return Line(s.name, tuple(e.started_unix_s for e in s.measured),
                tuple(e.value for e in s.measured), 'points',
                tuple(f'{e.commit} {e.run}'.strip() for e in s.measured))


def _mark(s: Series, change, metric: Metric) -> Mark:
    first = s.measured[change.index]
    difference = metric.unscaled(change.after - change.before)
    return Mark(f'{first.commit[:12]}: {metric.change(difference)}', first.started_unix_s)
