# SPDX-License-Identifier: Apache-2.0
"""What a chart is: drawn beside summary.md by plots.py, and on the page by a browser."""

import re
import statistics
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Tuple


@dataclass(frozen=True)
class Line:
    """One series of a chart."""

    name: str                             # in the legend, and where a point is asked about
    x: Tuple[float, ...]                  # rising
    y: Tuple[Optional[float], ...]        # None: a gap
    style: str = 'line'                   # or 'points', or 'dashed' for what is no run: a limit
    notes: Tuple[str, ...] = ()           # a word on every point: its run, its commit
    family: str = ''                      # lines of one have one colour: the arms of several pairs


@dataclass(frozen=True)
class Band:
    """What is expected between two lines."""

    name: str
    x: Tuple[float, ...]
    low: Tuple[float, ...]
    high: Tuple[float, ...]


@dataclass(frozen=True)
class Span:
    """A part of the x axis that is shaded, such as the warm-up."""

    name: str
    first: float
    last: float


@dataclass(frozen=True)
class Mark:
    """A place on the x axis that has a name, such as a change point."""

    name: str
    x: float


@dataclass(frozen=True)
class Chart:
    """One picture: an SVG and a PNG beside summary.md, and interactive on the page."""

    id: str                               # of the file and of the anchor: steps-performance
    title: str
    x_label: str
    y_label: str                          # with the unit
    note: str                             # what there is to see
    lines: Tuple[Line, ...]
    bands: Tuple[Band, ...] = ()
    spans: Tuple[Span, ...] = ()
    marks: Tuple[Mark, ...] = ()
    log_y: bool = False
    x_is_time: bool = False               # x is unix seconds
    detail: bool = False                  # folded away


def chart_id(kind: str, case: str) -> str:
    """A name for a file and for an anchor, whatever a case is called."""
    return re.sub('[^A-Za-z0-9_-]', '-', f'{kind}-{case}')


def hues(chart: Chart) -> Tuple[Optional[int], ...]:
    """The number of each line's colour; None: a limit has none of its own."""
    keys = [None if line.style == 'dashed' else line.family or line.name for line in chart.lines]
    distinct = [key for key in dict.fromkeys(keys) if key is not None]
    return tuple(None if key is None else distinct.index(key) for key in keys)


class Window(NamedTuple):
    """What of the y axis is shown, and how many points are not: they are named beside it."""

    low: float
    high: float
    below: Tuple[float, ...]
    above: Tuple[float, ...]


def window(chart: Chart) -> Window:
    """The range of what is beyond the warm-up; of long lines, without what is far from the rest.

    Far: beyond the quartiles by more than three times their distance.
    """
    last = max((span.last for span in chart.spans), default=float('-inf'))
    runs = [line for line in chart.lines if line.style != 'dashed']
    counted = [y for line in runs for x, y in zip(line.x, line.y) if y is not None and x > last]
    expected = [edge for band in chart.bands for edge in (*band.low, *band.high)]
    expected += _values([line for line in chart.lines if line.style == 'dashed'])
    low, high = _usual(counted or _values(runs), any(line.style == 'line' for line in runs))
    low, high = min([low, *expected]), max([high, *expected])
    room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    values = _values(chart.lines)
    return Window(low, high, tuple(v for v in values if v < low),
                  tuple(v for v in values if v > high))


def _usual(values: Sequence[float], many: bool) -> Tuple[float, float]:
    if not many or len(values) < 8:
        return min(values), max(values)
    ordered = sorted(values)
    first, third = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    far = 3 * (third - first) or statistics.median(ordered) * 0.1
    return (max(ordered[0], first - far), min(ordered[-1], third + far))


def _values(lines: Sequence[Line]) -> List[float]:
    return [y for line in lines for y in line.y if y is not None]
