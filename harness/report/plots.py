# SPDX-License-Identifier: Apache-2.0
"""Charts -> SVG and PNG (pure): the same chart gives the same bytes."""

import datetime
import io
import logging
import math
import os
import warnings
from typing import Any, List, NamedTuple, Sequence

from harness.report.charts import Chart, Mark, Window, window

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Okabe and Ito, "Color Universal Design", 2008: told apart by colour-blind people too; no yellow,
# which is none on white.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#6A3D9A', '#000000')
GREY, PALE = '#555555', '#DDDDDD'
INCHES = (8.0, 3.8)
DOTS_PER_INCH = 140
PNG_COLOURS = 64
MOST_NAMES = 8     # in the legend
NAMES_A_ROW = 4
FEW = 3            # lines; more are thin and let each other through
DAY_S = 86400.0
STYLE = {'font.family': 'DejaVu Sans', 'font.size': 9, 'axes.titlesize': 11,
         'axes.spines.top': False, 'axes.spines.right': False, 'axes.edgecolor': GREY,
         'axes.labelcolor': '#222222', 'timezone': 'UTC', 'axes.axisbelow': True, 'axes.grid': True,
         'grid.color': PALE, 'grid.linewidth': 0.6, 'xtick.color': GREY, 'ytick.color': GREY,
         'svg.fonttype': 'none', 'svg.hashsalt': 'charts', 'figure.facecolor': 'white'}


def to_svg(chart: Chart) -> str:
    """As text, sharp at any size."""
    return _drawn(chart, 'svg', {'Date': None, 'Creator': None}).decode('utf-8')


def to_png(chart: Chart) -> bytes:
    """As pixels, which are shown everywhere; in few colours, for reports are kept."""
    import PIL.Image
    out = io.BytesIO()
    with PIL.Image.open(io.BytesIO(_drawn(chart, 'png', {'Software': None}))) as drawn:
        drawn.convert('RGB').quantize(PNG_COLOURS).save(out, 'png', optimize=True)
    return out.getvalue()


def _drawn(chart: Chart, form: str, metadata) -> bytes:
    # Here, for it takes long: no other command waits for it.  Its cache goes where ours is.
    os.environ.setdefault('MPLCONFIGDIR', os.path.join(ROOT, '.cache', 'matplotlib'))
    logging.getLogger('matplotlib').setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure
    out = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        warnings.simplefilter('ignore')   # a name may have letters that no font of ours has
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH)
        _draw(chart, figure.add_subplot())
        figure.savefig(out, format=form, metadata=metadata, bbox_inches='tight', pad_inches=0.12)
    return out.getvalue()


def _draw(chart: Chart, axes: Any):
    axes.set_xlabel(_plain(chart.x_label))
    axes.set_ylabel(_plain(chart.y_label))
    handles = [*_areas(chart, axes), *_lines(chart, axes)]
    if chart.log_y:
        _log_y(axes)
    else:
        axes.ticklabel_format(axis='y', useOffset=False)
        _show(window(chart), axes)
    if chart.x_is_time:
        _days(chart, axes)
    _marks(chart.marks, axes)
    names = [handle.name for handle in handles[:MOST_NAMES]]
    if len(handles) > MOST_NAMES:
        names[-1] += f' and {len(handles) - MOST_NAMES} more'
    rows = math.ceil(len(names) / NAMES_A_ROW)
    axes.legend([handle.artist for handle in handles[:MOST_NAMES]], names, loc='lower left',
                bbox_to_anchor=(0, 1), ncol=NAMES_A_ROW, frameon=False, borderaxespad=0.2,
                handlelength=1.6, columnspacing=1.4, fontsize=8)
    axes.set_title(_plain(chart.title), loc='left', pad=10 + 14 * rows)


class _Handle(NamedTuple):
    name: str
    artist: Any


def _areas(chart: Chart, axes: Any) -> List[_Handle]:
    """What is expected, and the warm-up."""
    handles = [_Handle(_plain(b.name), axes.fill_between(
        _x(chart, b.x), b.low, b.high, color=GREY, alpha=0.18, linewidth=0)) for b in chart.bands]
    return handles + [_Handle(_plain(s.name), axes.axvspan(
        *_x(chart, (s.first, s.last)), color='#F0E442', alpha=0.3, linewidth=0))
        for s in chart.spans]


def _lines(chart: Chart, axes: Any) -> List[_Handle]:
    runs = [line for line in chart.lines if line.style != 'dashed']
    strong = len(runs) <= FEW
    colours = {id(line): COLOURS[i % len(COLOURS)] for i, line in enumerate(runs)}
    handles = []
    for line in chart.lines:
        look = {'line': dict(linewidth=1.4 if strong else 0.8, alpha=1 if strong else 0.7),
                'points': dict(marker='o', markersize=4 if strong else 3, linewidth=0.6,
                               alpha=0.9),
                'dashed': dict(linestyle=(0, (5, 3)), linewidth=1.1)}[line.style]
        y = [float('nan') if value is None else value for value in line.y]
        x = _x(chart, line.x)
        artist, = axes.plot(x, y, color=colours.get(id(line), GREY), **look)
        if line.style == 'dashed':   # all in one colour: its name stands beside it
            axes.annotate(_plain(line.name), (x[-1], y[-1]), (0, 2), ha='right', fontsize=8,
                          textcoords='offset points', color=GREY)
        else:
            handles.append(_Handle(_plain(line.name), artist))
    return handles


def _marks(marks: Sequence[Mark], axes: Any):
    """Their names stand in three rows by turns, so that neighbours do not meet."""
    for i, mark in enumerate(marks):
        x = mark.x / DAY_S
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle=':')
        axes.annotate(_plain(mark.name), (x, 0.97 - 0.07 * (i % 3)), (3, 0),
                      xycoords=('data', 'axes fraction'), textcoords='offset points', fontsize=7,
                      color=GREY, va='top')


def _show(shown: Window, axes: Any):
    axes.set_ylim(shown.low, shown.high)
    for points, sign, word, extreme, y, side in (
            (shown.above, '▲', 'above', max, 0.99, 'top'),
            (shown.below, '▼', 'below', min, 0.01, 'bottom')):
        if points:
            count = f'{len(points)} point' + ('' if len(points) == 1 else 's')
            axes.annotate(f'{sign} {count} {word}, to {extreme(points):.4g}', (0.995, y),
                          xycoords='axes fraction', ha='right', va=side, fontsize=8,
                          color='#A03000', bbox=dict(facecolor='white', edgecolor='none', pad=1))


def _log_y(axes: Any):
    from matplotlib import ticker
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f'{value:g}'))


def _days(chart: Chart, axes: Any):
    from matplotlib import dates
    locator = dates.AutoDateLocator(tz=datetime.timezone.utc)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=datetime.timezone.utc))
    known = _x(chart, [x for line in chart.lines for x in line.x])
    if min(known) == max(known):   # a single run: not the years that matplotlib would show
        axes.set_xlim(min(known) - 0.5, max(known) + 0.5)


def _x(chart: Chart, x: Sequence[float]) -> Sequence[float]:
    return [seconds / DAY_S for seconds in x] if chart.x_is_time else x


def _plain(text: str) -> str:
    r"""Text from elsewhere on one line: a $ would begin a formula, a _ hide it from the legend."""
    line = ' '.join(text.split())[:80].replace('$', r'\$')
    return f' {line}' if line.startswith('_') else line
