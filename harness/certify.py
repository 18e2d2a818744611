# SPDX-License-Identifier: Apache-2.0
"""Comparisons whose answer is known: equal code, and equal code slowed from outside on purpose."""

import dataclasses
import os
import statistics
import time
from typing import Dict, List, Sequence

from harness import certificate, live, plan
from harness.errors import ConfigError
from harness.records import Arm, Case, Certificate, RunRecord, Session, Trial
from harness.study import Study

SLOWDOWNS = (0.10, 0.05, 0.03)  # as shares of the time


def certify(session: Session, reports: str, runs: int, view: live.View) -> str:
    """Compare so often, write the machine's certificate after each, and return its path.

    The session is against HEAD, which this checkout has to be too.  After each comparison of equal
    code comes one with a slowdown, until there is a third as many of each.  Their reports are in
    reports/certify/, and the certificate too until it knows as much as the one that it replaces,
    or all comparisons that were asked for are made.
    Raises ConfigError where the answer would not be known.
    """
    _require_known_answer(session)
    folder = os.path.join(reports, 'certify')
    before = _comparisons(session.certificate) if session.certificate else 0
    tries: Dict[float, List[Study]] = {0.0: [], **{s: [] for s in SLOWDOWNS}}
    for number in range(runs):
        slowed = SLOWDOWNS[number % len(SLOWDOWNS)]
        for slowdown in (0.0, slowed):
            name = f'{session.id}-{number + 1}-{slowdown * 100:.0f}'
            study = Study(dataclasses.replace(session, id=name), folder, view)
            study.decide(slowdown)
            if study.session.ended:
                raise KeyboardInterrupt
            tries[slowdown].append(study)
            made = _certificate(session, tries)
            replaces = _comparisons(made) >= before or number == runs - 1 and slowdown
            path = certificate.save(made, certificate.FOLDER if replaces else folder)
            view.say(f'certify: {_so_far(made)}')
    return path


def _require_known_answer(session: Session):
    """Raise ConfigError unless the arms are equal and a slowdown shows."""
    if session.machine['commit'] != session.against:
        raise ConfigError('this checkout has changes, so it does not equal HEAD: commit or stash '
                          'them first')
    if len(session.cases) != 1 or not session.cases[0].metric.relative:
        raise ConfigError('--cases must name one case, and one that measures a speed: performance')


def _comparisons(made: Certificate) -> int:
    return sum(len(trial.calls) for trial in made.trials)


def _certificate(session: Session, tries: Dict[float, List[Study]]) -> Certificate:
    quiet, case = tries[0.0], session.cases[0]
    pairs = [d for study in quiet for d in differences(study.session.cases[0], study.records)]
    every = [study for studies in tries.values() for study in studies]
    build = next((r.facts.get('tensorflow') for s in every for r in s.records if r.measurement),
                 'unknown')
    return Certificate(
        time.strftime('%Y-%m-%d', time.gmtime()), session.machine['commit'],
        certificate.match(session.machine), tuple(
            Trial(slowdown, tuple(s.summary().verdicts[0].status.value for s in studies),
                  tuple(len(s.records) // 2 for s in studies))
            for slowdown, studies in tries.items() if studies),
        spread=round(statistics.stdev(pairs), 5) if len(pairs) > 1 else 0.0,
        pair_s=round(statistics.median(t for s in every for t in plan.took_s(s.records)), 1),
        canary_s=tuple(s for study in quiet for s in study.session.canary_s),
        case=' '.join([case.name, *case.flags, f'on TensorFlow {build}']))


def differences(case: Case, records: Sequence[RunRecord]) -> List[float]:
    """New less old of every undisturbed pair that measured, on the metric's scale."""
    value = {(r.run.index, r.run.arm): None if r.disturbed else r.value(case.metric)
             for r in records}
    return [case.metric.scaled(new) - case.metric.scaled(old)
            for (index, arm), new in value.items()
            for old in [value.get((index, Arm.OLD))] if arm is Arm.NEW and new and old]


def _so_far(made: Certificate) -> str:
    return '; '.join(f'{t.slowdown * 100:.0f} %: {_counted(t.calls)} in '
                     f'{statistics.median(t.runs):g} pairs' for t in made.trials)


def _counted(calls: Sequence[str]) -> str:
    return ', '.join(f'{calls.count(call)} {call}' for call in sorted(set(calls)))
