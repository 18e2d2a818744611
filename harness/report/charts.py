# SPDX-License-Identifier: Apache-2.0
"""What a chart is: drawn beside summary.md by plots.py, and on the page by a browser."""

import re
from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class Line:
    """One series of a chart."""

    name: str                             # in the legend, and where a point is asked about
    x: Tuple[float, ...]                  # rising
    y: Tuple[Optional[float], ...]        # None: a gap
    style: str = 'line'                   # or 'points', or 'dashed' for what is no run: a limit
    notes: Tuple[str, ...] = ()           # a word on every point: its run, its commit


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
