# SPDX-License-Identifier: Apache-2.0
"""Summary -> junit.xml: a test case a gate, for Jenkins, GitLab and whatever else reads JUnit."""

import re
from typing import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from harness.records import RunRecord, Status, Summary, Verdict

RESULTS = {Status.REGRESSION: 'failure', Status.INVALID: 'error',
           Status.INCONCLUSIVE: 'skipped', Status.NO_BASELINE: 'skipped'}
# What XML 1.0 forbids or discourages, and a carriage return, which no reader gives back.
UNREADABLE = re.compile('[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def to_junit(summary: Summary) -> str:
    """The session as a test suite, a verdict as a test case, the seconds of its runs as its time.

    A verdict that proves nothing (INCONCLUSIVE, NO_BASELINE) is a skipped case: passed would claim
    that the code is as fast as it was, and failed that it is not.
    """
    session = summary.session
    root = Element('testsuites')
    root.text = '\n'
    suite = _add(root, 'testsuite', name=f'RCAN on {session.device.kind} {session.device.index}',
                 time=_seconds(summary.records), **_counts(summary.verdicts))
    properties = _add(suite, 'properties')
    for name, value in (('session', session.id),
                        ('device', f'{session.device.kind}:{session.device.index}'),
                        ('commit', session.machine.get('commit', 'unknown'))):
        _add(properties, 'property', text='', name=name, value=value)
    for verdict in summary.verdicts:
        _add_case(suite, verdict, [r for r in summary.records if r.run.case.name == verdict.case])
    return ('<?xml version="1.0" encoding="UTF-8"?>\n'
            + ElementTree.tostring(root, encoding='unicode'))


def _add_case(suite: Element, verdict: Verdict, records: Sequence[RunRecord]):
    case = _add(suite, 'testcase', classname=f'RCAN.{verdict.case}', name=verdict.metric.label,
                time=_seconds(records))
    said = '\n'.join((verdict.reason, *verdict.advice))
    result = RESULTS.get(verdict.status)
    if result:
        _add(case, result, said, type=verdict.status.value, message=verdict.reason)
    failures = [f'{r.run.id}: {r.fault}\n' + '\n'.join(r.last_lines) for r in records if r.fault]
    printed = failures if result else [f'{verdict.status.value}: {said}', *failures]
    if printed:
        _add(case, 'system-out', '\n\n'.join(printed))


def _counts(verdicts: Sequence[Verdict]):
    """How many cases there are, and how many of each result."""
    results = [RESULTS.get(v.status) for v in verdicts]
    return {'tests': str(len(results)), 'failures': str(results.count('failure')),
            'errors': str(results.count('error')), 'skipped': str(results.count('skipped'))}


def _seconds(records: Sequence[RunRecord]) -> str:
    return f'{sum(r.outcome.wall_s for r in records):.3f}'


def _add(parent: Element, tag: str, text: str = '\n', **attributes: str) -> Element:
    """An element on a line of its own, with what XML cannot hold written as \\x1b."""
    made = SubElement(parent, tag, {name: _readable(value) for name, value in attributes.items()})
    made.text, made.tail = _readable(text), '\n'
    return made


def _readable(text: str) -> str:
    return UNREADABLE.sub(lambda found: found[0].encode('unicode_escape').decode('ascii'), text)
