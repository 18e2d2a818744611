# SPDX-License-Identifier: Apache-2.0
"""The files of a reports folder: what was measured goes in, and comes out again to be promoted."""

import glob
import os
from typing import Callable, List, Mapping, Sequence, Tuple

from harness import baseline
from harness.errors import ConfigError
from harness.files import read, read_bytes
from harness.history import Entry
from harness.records import Baseline, RunRecord, Session, Summary
from harness.report import content, document, junit, markdown, page, plots, tables
from harness.report.charts import Chart, chart_id
from harness.report.chinese import to_chinese
from harness.report.curves import session_charts
from harness.report.trends import history_charts
from harness.report.write import write

LANGUAGES: Mapping[str, Callable[[str], str]] = {'en': str, 'zh': to_chinese}


def make_reports_folder(reports: str):
    """Make the folder of all reports; raises ConfigError where it cannot be."""
    _make(reports, exist_ok=True)


def make_run_folder(reports: str, run_id: str) -> str:
    """Make the folder of one run; raises ConfigError where it cannot be."""
    folder = os.path.join(reports, 'runs', run_id)
    _make(folder, exist_ok=False)
    return folder


def save_run(reports: str, record: RunRecord) -> str:
    """Write run.json, all that is known of a run, and return its text."""
    text = document.to_json(record)
    write(os.path.join(reports, 'runs', record.run.id, 'run.json'), text)
    return text


def save_reports(reports: str, summary: Summary, charts: Sequence[Chart] = (),
                 language: str = 'en'):
    """Write what the verdicts can be made from again, then what people and other tools read.

    charts: those that summary.md shows.  language: en or zh, of summary.md.
    """
    write(_session_path(reports, summary.session.id), document.session_json(summary.session))
    for name, text in (('results.csv', tables.results_csv(summary)),
                       ('verdicts.csv', tables.verdicts_csv(summary)),
                       ('summary.json', document.summary_json(summary)),
                       ('junit.xml', junit.to_junit(summary)),
                       ('summary.md', markdown.to_markdown(summary, charts,
                                                           LANGUAGES[language]))):
        write(os.path.join(reports, name), text)


def save_all(reports: str, summary: Summary, entries: Sequence[Entry], language: str = 'en'):
    """Write the reports with their plots, and the page; it takes seconds, so once a session.

    entries: the history of all runs.
    """
    of_session = session_charts(summary)
    of_history = history_charts(entries, baseline.by_series(summary.session.baselines))
    for chart in (*of_session, *of_history):
        path = os.path.join(reports, 'plots', chart.id)
        write(f'{path}.svg', plots.to_svg(chart))
        write(f'{path}.png', plots.to_png(chart))
    ours = [chart_id('history', v.case) for v in summary.verdicts]
    shown = sorted((c for c in of_history if c.id in ours), key=lambda c: ours.index(c.id))
    save_reports(reports, summary, (*of_session, *shown), language)
    said = content.of(summary)
    png = read_bytes(os.path.join(reports, said.picture.path)) if said.picture else b''
    write(os.path.join(reports, 'index.html'),
          page.to_html(said, (*of_session, *of_history), entries, png, to_chinese))


def save_history_page(reports: str, entries: Sequence[Entry],
                      baselines: Sequence[Baseline]) -> str:
    """Write the page of the history alone, and return its path."""
    path = os.path.join(reports, 'history.html')
    charts = history_charts(entries, baseline.by_series(baselines))
    write(path, page.to_html(None, charts, entries, b'', to_chinese))
    return path


def load(reports: str, session: str = '') -> Tuple[Session, List[RunRecord]]:
    """A session, by default the newest, and its runs; raises ConfigError where there is none."""
    ids = sessions(reports)
    if not ids or (session and session not in ids):
        raise ConfigError(f'no {"session " + session if session else "runs"} in {reports}: '
                          'run harness/run_all.py first, or say where they are with --reports')
    found = session or ids[-1]
    path = _session_path(reports, found)
    paths = glob.glob(os.path.join(glob.escape(reports), 'runs', f'{glob.escape(found)}-*',
                                   'run.json'))
    runs = [document.run_from_json(read(p), p) for p in paths]
    return (document.session_from_json(read(path), path),
            sorted(runs, key=lambda r: (r.outcome.started_unix_s, r.run.id)))


def session_of(reports: str, name: str) -> str:
    """The session that a run's name begins with, or a session's own; the name if there is none."""
    return next((s for s in sessions(reports) if name == s or name.startswith(f'{s}-')), name)


def sessions(reports: str) -> List[str]:
    """The names of all sessions of a reports folder, oldest first."""
    return sorted(os.path.basename(path)[:-len('.json')] for path in
                  glob.glob(os.path.join(glob.escape(reports), 'runs', '*.json')))


def _make(folder: str, exist_ok: bool):
    try:
        os.makedirs(folder, exist_ok=exist_ok)
    except OSError as e:
        raise ConfigError(f'cannot make {folder}: {e.strerror}; choose another place with '
                          '--reports') from e


def _session_path(reports: str, session: str) -> str:
    return os.path.join(reports, 'runs', f'{session}.json')
