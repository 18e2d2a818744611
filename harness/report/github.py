# SPDX-License-Identifier: Apache-2.0
"""Summary -> what GitHub shows beside a workflow: annotations, and the summary of the step.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import dataclasses
from typing import Callable, List, Mapping

from harness.records import Status, Summary, Verdict
from harness.report import markdown

LEVELS = {Status.REGRESSION: 'error', Status.INVALID: 'error', Status.INCONCLUSIVE: 'warning',
          Status.NO_BASELINE: 'notice', Status.IMPROVED: 'notice', Status.PASS: 'notice'}
STEP_SUMMARY_BYTES = 2 ** 20   # of a step; GitHub shows nothing at all of a longer one
CUT = '> Too long for GitHub: the end is missing here, and whole in summary.md.\n\n'


def publish(summary: Summary, environ: Mapping[str, str],
            append: Callable[[str, str], None]) -> List[str]:
    """Where GitHub runs us, add the report to the step's summary and return lines to print."""
    if environ.get('GITHUB_ACTIONS') != 'true':
        return []
    if environ.get('GITHUB_STEP_SUMMARY'):
        append(environ['GITHUB_STEP_SUMMARY'], step_summary(summary))
    return annotations(summary)


def annotations(summary: Summary) -> List[str]:
    """A workflow command a verdict: one line each, whatever its text holds."""
    return list(map(_annotation, summary.verdicts))


def step_summary(summary: Summary) -> str:
    """summary.md without its pictures, which have no address there, of at most 1 MiB in UTF-8."""
    text = markdown.to_markdown(dataclasses.replace(summary, records=tuple(
        dataclasses.replace(r, outcome=dataclasses.replace(r.outcome, picture_path=''))
        for r in summary.records)))
    data = text.encode('utf-8', 'backslashreplace')
    if len(data) <= STEP_SUMMARY_BYTES:
        return data.decode()
    kept = data[:STEP_SUMMARY_BYTES - len(CUT.encode())].decode('utf-8', 'ignore')
    return CUT + kept[:kept.rfind('\n') + 1]


def _annotation(v: Verdict) -> str:
    title = _escaped(f'{v.status.value}: {v.case}').replace(':', '%3A').replace(',', '%2C')
    return f'::{LEVELS[v.status]} title={title}::' + _escaped('\n'.join((v.reason, *v.advice)))


def _escaped(text: str) -> str:
    plain = text.encode('utf-8', 'backslashreplace').decode()
    return plain.replace('%', '%25').replace('\r', '%0D').replace('\n', '%0A')
