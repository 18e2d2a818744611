# SPDX-License-Identifier: Apache-2.0
"""The files of a reports folder: what was measured goes in, and comes out again to be promoted."""

import glob
import os
from typing import List, Tuple

from harness.errors import ConfigError
from harness.files import read
from harness.records import RunRecord, Session, Summary
from harness.report import document, markdown, tables
from harness.report.write import write


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


def save_reports(reports: str, summary: Summary):
    """Write what the verdicts can be made from again, then what people and other tools read."""
    write(_session_path(reports, summary.session.id), document.session_json(summary.session))
    for name, text in (('results.csv', tables.results_csv(summary)),
                       ('verdicts.csv', tables.verdicts_csv(summary)),
                       ('summary.json', document.summary_json(summary)),
                       ('summary.md', markdown.to_markdown(summary))):
        write(os.path.join(reports, name), text)


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
