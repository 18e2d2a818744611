# SPDX-License-Identifier: Apache-2.0
"""Content, charts and history -> index.html: one file that opens from disk (pure).

The folder page/ holds its parts.  All text is there in English and in Chinese, once where both are
the same; whatever comes from elsewhere is escaped, and a policy lets only the page's own code run.
"""

import base64
import functools
import hashlib
import json
import math
import os
import re
import urllib.parse
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import jinja2
from markupsafe import Markup, escape

from harness.history import Entry
from harness.records import METRICS, Status
from harness.report.charts import Chart, hues, window
from harness.report.content import COLUMNS, DIFFERS, REPORTED, Content

PARTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'page')
COMMAND = re.compile(r'`([^`]+)`')
# In JSON inside HTML: what could end the script, and what old engines take for the end of a line.
UNSAFE = {ord(c): f'\\u{ord(c):04x}' for c in '<>&\u2028\u2029'}


def to_html(content: Optional[Content], charts: Sequence[Chart], entries: Sequence[Entry],
            picture_png: bytes, translate: Callable[[str], str]) -> str:
    """The page of a session and of all runs before it.

    content: None for a page of the history alone.  picture_png: the file that content.picture
    names; empty: none.  translate: English to Chinese; the same text back where it is none.
    """
    words = _Words(translate)
    of_session, of_history = ([chart for chart in charts if chart.id.startswith('history-') is past]
                              for past in (False, True))
    parts = {name: Markup(_part(name)) for name in (
        'page.css', 'page.js', 'uPlot.min.css', 'uPlot.iife.min.js', 'uPlot.LICENSE')}
    return _environment(words).get_template('template.html.j2').render(
        content=content, statuses=[status.value for status in Status],
        differs=DIFFERS, reported=REPORTED, columns=list(COLUMNS), parts=parts,
        policy=_policy(parts),
        charts=[chart for chart in of_session if not chart.detail],
        details=[chart for chart in of_session if chart.detail], of_history=of_history,
        chart_data=_json({chart.id: _chart(chart, words) for chart in charts}),
        run_count=len(entries), cases=sorted({entry.case for entry in entries}),
        run_data=_json(_runs(entries, words)),
        picture=Markup(base64.b64encode(picture_png).decode('ascii'))).lstrip()


def _environment(words: '_Words') -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(both=words.both, prose=words.prose, chinese=words.chinese,
                               link=_link, psnr=_psnr)
    return environment


@functools.lru_cache(maxsize=None)
def _part(name: str) -> str:
    with open(os.path.join(PARTS, name), encoding='utf-8') as f:
        return f.read()


def _policy(parts: Dict[str, Markup]) -> str:
    """Content-Security-Policy: nothing but the page's own scripts, styles and picture."""
    hashes = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')
              for name, text in parts.items()}
    scripts, styles = (' '.join(f"'sha256-{of}'" for name, of in hashes.items()
                                if name.endswith(kind)) for kind in ('.js', '.css'))
    return (f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; "
            "base-uri 'none'; form-action 'none'")


def _link(path: str) -> str:
    """A path from the reports folder as an address that can only be one."""
    return './' + urllib.parse.quote(path, errors='replace')


def _psnr(db: Optional[float]) -> str:
    return '' if db is None else f'{db:.2f} dB'


class _Words:
    """Text in both languages."""

    def __init__(self, translate: Callable[[str], str]):
        self.chinese = functools.lru_cache(maxsize=None)(translate)

    def pair(self, text: str) -> Union[str, List[str]]:
        """For the scripts."""
        chinese = self.chinese(text)
        return text if chinese == text else [text, chinese]

    def both(self, text: str, written: Callable[[str], Markup] = escape) -> Markup:
        """Text as HTML, of which page.css shows one language."""
        chinese = self.chinese(text)
        if chinese == text:
            return written(text)
        return Markup('<span lang="en">{}</span><span lang="zh-CN">{}</span>').format(
            written(text), written(chinese))

    def prose(self, text: str) -> Markup:
        """The same of sentences with commands in `backticks`."""
        return self.both(text, lambda words: Markup(COMMAND.sub(
            r'<code class="command">\1</code>', str(escape(words)))))


# --- data for the scripts: in columns, for thousands of points -----------------------------------

def _json(data: Any) -> Markup:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
    return Markup(text.translate(UNSAFE))


def _chart(chart: Chart, words: _Words) -> Dict[str, Any]:
    axes, notes = _Distinct(), _Distinct()
    return {
        'log': chart.log_y, 'time': chart.x_is_time, 'window': _window(chart),
        'lines': [{'name': words.pair(line.name), 'style': line.style, 'x': axes.index(line.x),
                   'hue': hue,
                   'y': [_digits(y) for y in line.y],
                   'notes': [notes.index(note) for note in line.notes]}
                  for line, hue in zip(chart.lines, hues(chart))],
        'bands': [{'name': words.pair(band.name), 'x': axes.index(band.x),
                   'low': [_digits(y) for y in band.low],
                   'high': [_digits(y) for y in band.high]} for band in chart.bands],
        'spans': [[words.pair(span.name), span.first, span.last] for span in chart.spans],
        'marks': [[words.pair(mark.name), mark.x] for mark in chart.marks],
        'axes': [[_whole(round(x, 3)) for x in axis] for axis in axes.values],
        'notes': notes.values,
    }


def _window(chart: Chart) -> Optional[List[Optional[float]]]:
    """The y range at first, where there is more than what matters; null: all that there is."""
    if chart.log_y:
        return None
    shown = window(chart)
    return [_digits(shown.low), _digits(shown.high)] if shown.below or shown.above else None


def _runs(entries: Sequence[Entry], words: _Words) -> Dict[str, Any]:
    """The columns of the table of all runs, the newest first; words once, and where they stand."""
    newest = sorted(entries, key=lambda e: (e.started_unix_s, e.run), reverse=True)
    return {
        'started': [_whole(round(e.started_unix_s)) for e in newest],
        'value': [_digits(e.value) for e in newest],
        'wall': [_whole(round(e.wall_s, 1)) for e in newest],
        'words': {
            'metric': _indexed([METRICS[e.metric].label for e in newest], words.pair),
            'fault': _indexed([e.fault for e in newest], words.pair),
            **{name: _indexed([getattr(e, name) for e in newest])
               for name in ('case', 'unit', 'commit', 'match', 'run')}},
    }


def _indexed(column: Sequence[str], written: Callable[[str], Any] = str) -> Dict[str, Any]:
    distinct = _Distinct()
    at = [distinct.index(word) for word in column]
    return {'at': at, 'of': [written(word) for word in distinct.values]}


class _Distinct:
    """Values, each kept once."""

    def __init__(self):
        self._indexes: Dict[Any, int] = {}

    @property
    def values(self) -> Tuple[Any, ...]:
        return tuple(self._indexes)

    def index(self, value: Any) -> int:
        return self._indexes.setdefault(value, len(self._indexes))


def _digits(value: Optional[float]) -> Optional[float]:
    """A measured number with the digits that it deserves; None: a gap."""
    if value is None or not math.isfinite(value):
        return None
    return _whole(float(f'{value:.6g}'))


def _whole(value: float) -> float:
    """As an int where it is one: shorter in JSON."""
    return int(value) if value == int(value) else value
