# SPDX-License-Identifier: Apache-2.0
"""Runs + baselines -> Verdict with a sentence (pure)."""

import math
import shlex
from typing import Any, List, Mapping, Sequence, Tuple

from harness import stats
from harness.records import (
    Baseline,
    Case,
    Comparison,
    Device,
    Measurement,
    Metric,
    PlannedRun,
    RunRecord,
    Status,
    Verdict,
)

STRICT_EXIT = {Status.INCONCLUSIVE: 4, Status.NO_BASELINE: 5}


def judge(case: Case, records: Sequence[RunRecord], baselines: Sequence[Baseline]) -> Verdict:
    """Say what the runs of one case prove, and why."""
    values, faults = _evidence(case.metric, records)
    if faults or not values:
        reason = '; '.join(faults) or 'it did not run'
        return Verdict(case.name, case.metric, Status.INVALID,
                       f'No statement about the code: {reason}.', _after_fault(records),
                       case.metric.mean(values) if values else None, len(values))
    facts = records[0].facts
    command = _command(case, facts)
    candidates = [b for b in baselines if (b.case, b.metric) == (case.name, case.metric)]
    matching = [b for b in candidates if not differing(b, facts)]
    if not matching:
        return _without_baseline(case, values, candidates, facts, command)
    return _against(case, values, matching[0], command)


def fault(planned: PlannedRun, device: Device, measurement: Measurement) -> str:
    """Why a finished run is no evidence for what was asked; empty where it is.

    TensorFlow 1.15 ignores an unknown device plug-in silently, so success alone proves nothing.
    """
    if measurement.device_kind != device.kind:
        return f'asked for the {device.kind}, but the training ran on the {measurement.device_kind}'
    asked = dict(flag[2:].split('=', 1) for flag in planned.argv if flag.startswith('--'))
    for name in ('preset', 'max_step', 'seed'):
        trained = str(measurement.config.get(name))
        if asked.get(name, trained) != trained:
            return f'asked for {name} {asked[name]}, but it trained with {trained}'
    return ''


def differing(baseline: Baseline, facts: Mapping[str, Any]) -> List[str]:
    """The facts in which a run is not what the baseline was made with, in words."""
    return [f'{name} ({expected} there, {facts.get(name, "unknown")} here)'
            for name, expected in sorted(baseline.match.items()) if facts.get(name) != expected]


def exit_status(verdicts: Sequence[Verdict], strict: bool) -> int:
    """The worst verdict decides: a regression, then what could not be measured, then the rest."""
    found = {v.status for v in verdicts}
    if Status.REGRESSION in found:
        return 1
    if Status.INVALID in found or not found:
        return 3
    return max((STRICT_EXIT.get(s, 0) for s in found), default=0) if strict else 0


def headline(verdicts: Sequence[Verdict]) -> Status:
    """The one verdict that stands for all."""
    order = (Status.REGRESSION, Status.INVALID, Status.INCONCLUSIVE, Status.NO_BASELINE,
             Status.IMPROVED, Status.PASS)
    found = {v.status for v in verdicts}
    return next((s for s in order if s in found), Status.INVALID)


def _evidence(metric: Metric, records: Sequence[RunRecord]) -> Tuple[List[float], List[str]]:
    """The metric of every run that has it; a sentence for every run that has not."""
    values, faults = [], []
    for record in records:
        value = record.value(metric)
        if record.fault:
            faults.append(f'run {record.run.index} gave no measurement ({record.fault})')
        elif not value or not math.isfinite(value):
            faults.append(f'run {record.run.index} measured no {metric.name} '
                          f'(it trained {record.measurement.steps} steps)'
                          if record.measurement else f'run {record.run.index} measured nothing')
        else:
            values.append(value)
    return values, faults


def _against(case: Case, values: List[float], baseline: Baseline, command: str) -> Verdict:
    metric = case.metric
    interval = stats.prediction_interval(*(tuple(map(metric.scaled, side))
                                           for side in (values, baseline.values)))
    value, expected = metric.mean(values), metric.mean(baseline.values)
    if interval is None:
        return Verdict(
            case.name, metric, Status.INCONCLUSIVE,
            f'{metric.value(value)} against {metric.value(expected)}, but the baseline '
            f'{baseline.name} has {len(baseline.values)} runs: too few to know its spread.',
            (f'Make it from {stats.SHORT_HISTORY} runs or more: '
             + _learn(command), 'or run at least 3 times with a baseline of 3: --runs 3'),
            value, len(values), baseline)
    comparison = Comparison(value, expected, difference=metric.unscaled(interval.difference),
                            low=metric.unscaled(interval.low), high=metric.unscaled(interval.high),
                            detectable=-metric.unscaled(-interval.detectable))
    status = _status(comparison, baseline.margin)
    return Verdict(case.name, metric, status, _sentence(metric, status, comparison, baseline),
                   _advice(status, values, comparison, baseline, command), value, len(values),
                   baseline, comparison)


def _status(c: Comparison, margin: float) -> Status:
    if c.high < 0 and c.difference <= -margin:
        return Status.REGRESSION
    if c.low > 0 and c.difference >= margin:
        return Status.IMPROVED
    if c.low > -margin:
        return Status.PASS
    return Status.INCONCLUSIVE


def _sentence(metric: Metric, status: Status, c: Comparison, baseline: Baseline) -> str:
    effect = (f'{metric.value(c.now)} is {metric.change(c.difference)} against '
              f'{metric.value(c.baseline)} (95 % interval {metric.change(c.low)} to '
              f'{metric.change(c.high)})')
    limit = metric.change(-baseline.margin)
    return {
        Status.PASS: f'{effect}: not worse than the limit of {limit}.',
        Status.IMPROVED: f'{effect}: better.' + (
            '' if metric.relative else ' Too good is suspicious too: make sure that the test '
            'images, their crop and the metric are the same.'),
        Status.REGRESSION: f'{effect}: worse by more than the limit of {limit}.',
        Status.INCONCLUSIVE: f'{effect}: the interval holds both the limit of {limit} and better '
                             'values, so it is too noisy to say.',
    }[status]


def _advice(status: Status, values: Sequence[float], c: Comparison, baseline: Baseline,
            command: str) -> Tuple[str, ...]:
    if status is Status.IMPROVED:
        return ('If this is meant to last, make it the baseline: '
                '`python -m harness baseline promote --reason "..."`',)
    if status is Status.REGRESSION:
        return (f'Run it again to be sure: `{command} --runs {max(3, len(values))}`',
                'Then look at the last changes of the code and of the environment below.')
    if status is Status.INCONCLUSIVE:
        return (_more_runs(c, baseline, command),)
    return ()


def _more_runs(c: Comparison, baseline: Baseline, command: str) -> str:
    # The difference stays; the interval shrinks until it is clear of what it has to be clear of:
    # zero where the difference is a regression's, else the limit.
    metric = baseline.metric
    difference, limit = (metric.rescaled(x) for x in (c.difference, -baseline.margin))
    slack = -difference if c.difference <= -baseline.margin else difference - limit
    runs = stats.runs_to_decide([metric.scaled(v) for v in baseline.values], slack)
    if runs is None:
        return ('More runs alone will not decide it: make a baseline with more runs on a quieter '
                f'machine: {_learn(command)}')
    return f'{runs} runs would decide it, if the difference stays: `{command} --runs {runs}`'


def _without_baseline(case: Case, values: Sequence[float], candidates: Sequence[Baseline],
                      facts: Mapping[str, Any], command: str) -> Verdict:
    value = case.metric.mean(values)
    nearest = min(candidates, key=lambda b: len(differing(b, facts)), default=None)
    reason = f'{case.metric.value(value)} measured; '
    reason += ('there is no baseline of this case yet.' if nearest is None else
               f'no baseline may be compared with it. The nearest, {nearest.name}, differs in '
               f'{", ".join(differing(nearest, facts))}.')
    return Verdict(case.name, case.metric, Status.NO_BASELINE, reason,
                   (f'Make one: {_learn(command)}',), value, len(values))


def _after_fault(records: Sequence[RunRecord]) -> Tuple[str, ...]:
    return tuple(f'See {r.outcome.output_path}' for r in records if r.fault) + (
        'Mend it and run again.',)


def _command(case: Case, facts: Mapping[str, Any]) -> str:
    """The command that measures this case again, the same way on the same device."""
    return ' '.join(['python harness/run_all.py', f'--device {facts["device"].split(":")[1]}',
                     f'--cases {case.name}', *map(shlex.quote, case.flags)])


def _learn(command: str) -> str:
    return (f'`{command} --runs 10 && python -m harness baseline promote '
            '--reason "first baseline of this machine"`')
