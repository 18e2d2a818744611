# SPDX-License-Identifier: Apache-2.0
"""Charts -> SVG and PNG (pure): the same chart gives the same bytes."""

import datetime
import io
import logging
import math
import os
import warnings
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from harness.report.charts import Chart, Line, Window, hues, window

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Okabe and Ito, "Color Universal Design", 2008: told apart by colour-blind people too; no yellow,
# which is none on white.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#6A3D9A', '#000000')
GREY, UNNAMED, PALE, ALERT = '#555555', '#AAAAAA', '#DDDDDD', '#A03000'
INCHES = (8.0, 3.8)
DOTS_PER_INCH = 160
PNG_COLOURS = 64
MOST_NAMES = 8        # in the legend
ROW_LETTERS = 110     # of the legend, that fit beside each other
FEW = 3               # lines; more are thin and let each other through
DENSE = 200           # points of a line; more are dots
MARK_ROWS, MARK_ROW, LETTER = 3, 0.075, 0.0085   # of names within the axes; shares of their size
DAY_S = 86400.0
FONT = 'DejaVu Sans'  # comes with matplotlib
STYLE = {'font.family': FONT, 'font.size': 9, 'axes.titlesize': 11,
         'axes.spines.top': False, 'axes.spines.right': False, 'axes.edgecolor': GREY,
         'axes.labelcolor': '#222222', 'timezone': 'UTC', 'axes.axisbelow': True, 'axes.grid': True,
         'grid.color': PALE, 'grid.linewidth': 0.6, 'xtick.color': GREY, 'ytick.color': GREY,
         'svg.fonttype': 'none', 'svg.hashsalt': 'charts', 'figure.constrained_layout.w_pad': 0.12,
         'figure.constrained_layout.h_pad': 0.1, 'figure.facecolor': 'white'}


def to_svg(chart: Chart) -> str:
    """As text, sharp at any size."""
    drawn = _drawn(chart, 'svg', {'Date': None, 'Creator': None}).decode('utf-8')
    return drawn.replace(f"'{FONT}'; text-", f"'{FONT}', Verdana, sans-serif; text-")


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
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout='constrained')
        _draw(chart, figure.add_subplot())
        figure.savefig(out, format=form, metadata=metadata)
    return out.getvalue()


def _draw(chart: Chart, axes: Any):
    axes.set_xlabel(_plain(chart.x_label))
    axes.set_ylabel(_plain(chart.y_label))
    areas = _areas(chart, axes)
    rows = _legend([*areas, *_lines(chart, axes, MOST_NAMES - len(areas))], axes)
    axes.set_title(_plain(chart.title), loc='left', pad=10 + 14 * rows)
    if all(y is None for line in chart.lines for y in line.y):
        axes.text(0.5, 0.5, 'nothing measured', transform=axes.transAxes, ha='center', color=GREY)
        return
    if chart.x_is_time:
        _days(chart, axes)
    else:
        axes.locator_params(axis='x', integer=True)   # nobody makes half a step
    hidden = _log_y(axes) if chart.log_y else _show(window(chart), axes)
    hidden += _marks(chart, axes)
    _levels([line for line in chart.lines if line.style == 'dashed'], axes)
    axes.set_title('   '.join(hidden), loc='right', fontsize=8, color=ALERT, pad=10 + 14 * rows)


class _Handle(NamedTuple):
    name: str
    artist: Any


def _areas(chart: Chart, axes: Any) -> List[_Handle]:
    """What is expected, and the warm-up."""
    handles = [_Handle(_plain(b.name), axes.fill_between(
        _x(chart, b.x), b.low, b.high, color=GREY, alpha=0.18, linewidth=0)) for b in chart.bands]
    return handles + [_Handle(_plain(s.name), axes.axvspan(
        *_x(chart, (s.first, s.last)), color='#F0E442', alpha=0.25, linewidth=0))
        for s in chart.spans]


def _lines(chart: Chart, axes: Any, named: int) -> List[_Handle]:
    """Those of the legend in colours, the others in grey below them; limits are no part of it."""
    runs = [(line, hue) for line, hue in zip(chart.lines, hues(chart)) if hue is not None]
    handles: Dict[int, _Handle] = {}
    for line, hue in runs:
        artist, = axes.plot(_x(chart, line.x), _y(line), **_look(line, len(runs)),
                            color=COLOURS[hue] if hue < named else UNNAMED,
                            zorder=2 + (hue < named))
        handles.setdefault(hue, _Handle(_plain(line.family or line.name), artist))
    for line in chart.lines:
        if line.style == 'dashed':
            axes.plot(_x(chart, line.x), _y(line), color=GREY, linestyle=(0, (5, 3)),
                      linewidth=1.1, zorder=4)
    return list(handles.values())


def _look(line: Line, lines: int) -> Mapping[str, Any]:
    if line.style == 'points' and len(line.x) > DENSE:
        return dict(marker='.', markersize=2, linewidth=0)
    alpha, width = (1, 1.4) if lines <= FEW else (0.75, 0.8)
    return (dict(marker='o', markersize=2.5 + width, linewidth=0.6) if line.style == 'points'
            else dict(alpha=alpha, linewidth=width))


def _legend(handles: Sequence[_Handle], axes: Any) -> int:
    """Above the axes, where it covers nothing; returns how many rows it has."""
    shown = list(handles[:MOST_NAMES])
    if len(handles) > MOST_NAMES:
        shown.append(_Handle(f'and {len(handles) - MOST_NAMES} more', handles[MOST_NAMES].artist))
    columns = next(n for n in range(len(shown) or 1, 0, -1) if n == 1 or ROW_LETTERS >= sum(
        max(len(handle.name) + 6 for handle in shown[i::n]) for i in range(n)))
    by_column = [handle for i in range(columns) for handle in shown[i::columns]]   # read in rows
    axes.legend([handle.artist for handle in by_column], [handle.name for handle in by_column],
                loc='lower left', bbox_to_anchor=(0, 1), ncol=columns, frameon=False,
                borderaxespad=0.2, handlelength=1.6, columnspacing=1.4, fontsize=8)
    return math.ceil(len(shown) / columns)


def _marks(chart: Chart, axes: Any) -> List[str]:
    """Names stand in rows above the data, the newest first; says how many have no room."""
    first, last = axes.get_xlim()
    low, high = axes.get_ylim()
    taken: List[float] = []   # of each row, from here on
    unnamed = 0
    for mark in sorted(chart.marks, key=lambda mark: -mark.x):
        x, = _x(chart, [mark.x])
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle=':', zorder=1)
        width = (len(_plain(mark.name)) + 2) * LETTER * (last - first)
        left = x if x + width <= last else x - width
        row = next((i for i, start in enumerate(taken) if left + width <= start), len(taken))
        if row == MARK_ROWS:
            unnamed += 1
            continue
        taken[row:row + 1] = [left]
        axes.annotate(_plain(mark.name), (x, 0.98 - MARK_ROW * row), (3 if left == x else -3, 0),
                      xycoords=('data', 'axes fraction'), textcoords='offset points', fontsize=7,
                      color=GREY, va='top', ha='left' if left == x else 'right',
                      bbox=dict(facecolor='white', edgecolor='none', pad=0.5))
    axes.set_ylim(low, high + (high - low) * MARK_ROW * len(taken))
    return [f'marks without room for a name: {unnamed}'] if unnamed else []


def _levels(lines: Sequence[Line], axes: Any):
    """The names of dashed lines stand beside the axes, where they cover nothing."""
    free = 0.0
    for line in sorted(lines, key=lambda line: line.y[-1] or 0.0):
        at = axes.transAxes.inverted().transform(axes.transData.transform((0, line.y[-1])))[1]
        if 0 <= at <= 1:
            at = max(at, free)
            free = at + 0.06   # a line of text
            axes.annotate(_plain(line.name), (1, at), (4, 0), xycoords='axes fraction',
                          textcoords='offset points', fontsize=8, color=GREY, va='center')


def _show(shown: Window, axes: Any) -> List[str]:
    """Show a part of the y axis; says what is beyond it."""
    axes.ticklabel_format(axis='y', useOffset=False)
    axes.set_ylim(shown.low, shown.high)
    return [f'{sign} {len(points)} point{"" if len(points) == 1 else "s"} {word}, '
            f'to {extreme(points):.4g}'
            for points, sign, word, extreme in ((shown.above, '▲', 'above', max),
                                                (shown.below, '▼', 'below', min)) if points]


def _log_y(axes: Any) -> List[str]:
    """Show all of the y axis by its logarithm; nothing is beyond it."""
    from matplotlib import ticker
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f'{value:g}'))
    return []


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


def _y(line: Line) -> Sequence[float]:
    return [math.nan if value is None else value for value in line.y]


def _plain(text: str) -> str:
    r"""Text from elsewhere on one line: a $ would begin a formula, a _ hide it from the legend."""
    line = ' '.join(text.split())[:80].replace('$', r'\$')
    return f' {line}' if line.startswith('_') else line
