# SPDX-License-Identifier: Apache-2.0
"""The files of a reports folder: what was measured goes in, and comes out again to be promoted."""

import glob
import os
from typing import Iterable, List

from harness.errors import ConfigError
from harness.records import RunRecord, Summary
from harness.report import document, markdown, tables
from harness.report.write import write


def make_run_folder(reports: str, run_id: str) -> str:
    """Make the folder of one run; raises ConfigError where it cannot be."""
    folder = os.path.join(reports, 'runs', run_id)
    try:
        os.makedirs(folder)
    except OSError as e:
        raise ConfigError(f'cannot make {folder}: {e.strerror}; choose another place with '
                          '--reports') from e
    return folder


def save_run(reports: str, record: RunRecord):
    """Write run.json: everything that a verdict can be made from again."""
    write(os.path.join(reports, 'runs', record.run.id, 'run.json'), document.to_json(record))


def save_reports(reports: str, summary: Summary):
    """Write what people and other tools read."""
    for name, text in (('results.csv', tables.results_csv(summary)),
                       ('verdicts.csv', tables.verdicts_csv(summary)),
                       ('summary.json', document.summary_json(summary)),
                       ('summary.md', markdown.to_markdown(summary))):
        write(os.path.join(reports, name), text)


def session_runs(reports: str, session: str = '') -> List[RunRecord]:
    """The runs of a session, by default the newest; raises ConfigError where there is none."""
    paths = sorted(glob.glob(os.path.join(glob.escape(reports), 'runs', '*', 'run.json')))
    records = [document.run_from_json(read(path), path) for path in paths]
    sessions = sorted({r.session for r in records})
    if not sessions or (session and session not in sessions):
        raise ConfigError(f'no runs{" of session " + session if session else ""} in {reports}: '
                          'run harness/run_all.py first, or say where they are with --reports')
    return [r for r in records if r.session == (session or sessions[-1])]


def read(path: str) -> str:
    """A text file, whatever its bytes; empty where there is none."""
    return '\n'.join(lines(path))


def lines(path: str) -> Iterable[str]:
    """The lines of a text file, whatever its bytes; none where there is no file."""
    if os.path.exists(path):
        with open(path, encoding='utf-8', errors='replace') as f:
            for line in f:
                yield line.rstrip('\n')
