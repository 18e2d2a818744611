# SPDX-License-Identifier: Apache-2.0
"""Runs + what they are compared with -> Verdict with a sentence (pure).

Two ways to compare: runs of this checkout with a baseline of earlier ones, or pairs of runs, one of
this checkout and one of an old revision, side by side.  Both give an interval; from there on the
rules are the same.
"""

import dataclasses
import math
import shlex
import statistics
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from harness import stats
from harness.records import (
    Arm,
    Baseline,
    Case,
    Comparison,
    Device,
    Measurement,
    Metric,
    PlannedRun,
    RunRecord,
    Session,
    Status,
    Summary,
    Verdict,
)

STRICT_EXIT = {Status.INCONCLUSIVE: 4, Status.NO_BASELINE: 5}
CURVE_ERROR = 0.01  # that a sound training's curve leaves the envelope somewhere
CURVE_MARGIN = math.log(1.1)
CANARY_ERROR = 0.01
CANARY_MARGIN = math.log(1.02)


class Weighed(NamedTuple):
    """A case whose runs can be compared: with what, and how far they are apart."""

    case: Case
    records: Tuple[RunRecord, ...]
    values: Tuple[float, ...]            # one a run, in the metric's unit
    others: Tuple[float, ...]            # of the baseline or the old arm
    interval: stats.Interval             # on the metric's scale
    error: float
    margin: float
    baseline: Optional[Baseline]         # None: pairs
    against: str


def summarize(session: Session, records: Sequence[RunRecord]) -> Summary:
    """The verdicts so far: on the cases that have begun, and on all once nothing more comes."""
    begun = {r.run.case for r in records}
    cases = [case for case in session.cases if case in begun or session.ended]
    alone = [r for r in records if r.run.arm is Arm.ALONE]
    pairs = [r for r in records if r.run.arm is not Arm.ALONE]
    if session.against:
        verdicts = judge(session, cases, pairs)
    else:
        verdicts = judge(session, cases, alone)
        confirmed = [c for c in cases if any(r.run.case == c for r in pairs)]
        by_pairs = dict(zip(confirmed, judge(session, confirmed, pairs)))
        verdicts = tuple(_confirmed(v, by_pairs[c]) if c in by_pairs else v
                         for c, v in zip(cases, verdicts))
    return Summary(session, verdicts, tuple(records))


def judge(session: Session, cases: Sequence[Case],
          records: Sequence[RunRecord]) -> Tuple[Verdict, ...]:
    """Say what the runs of each case prove, and why; several gates share one error (Holm)."""
    weighed = [_weigh(session, case, [r for r in records if r.run.case == case])
               for case in cases]
    adjusted = iter(stats.holm([w.interval.p_value for w in weighed if isinstance(w, Weighed)]))
    return tuple(_decide(w, next(adjusted)) if isinstance(w, Weighed) else w for w in weighed)


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


def to_confirm(verdict: Verdict) -> bool:
    """Whether a verdict is only a suspicion: slower or less accurate than an earlier day's runs."""
    c = verdict.comparison
    return bool(verdict.status is Status.REGRESSION and verdict.baseline and not verdict.against
                and c and c.difference <= -verdict.baseline.margin)


def _weigh(session: Session, case: Case,
           records: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    """The comparison of one case, or the verdict where there can be none."""
    faults = _faults(case.metric, records)
    # Load on the machine changes speeds, never a PSNR.
    disturbed = [r for r in records if r.disturbance and case.metric.relative]
    if faults or not records:
        return _invalid(case, records, '; '.join(faults) or 'it did not run', _after_fault(records))
    if len(disturbed) == len(records):
        return _disturbed(case, records, f'the machine was disturbed: {disturbed[-1].disturbance}')
    if any(r.run.arm is not Arm.ALONE for r in records):
        return _weigh_pairs(session, case, records, disturbed)
    return _weigh_runs(session, case, [r for r in records if r not in disturbed])


def _weigh_runs(session: Session, case: Case,
                records: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    metric, facts = case.metric, records[0].facts
    values = _values(metric, records)
    candidates = [b for b in session.baselines if (b.case, b.metric) == (case.name, metric)]
    matching = [b for b in candidates if not differing(b, facts)]
    if not matching:
        return _without_baseline(case, values, candidates, facts)
    baseline = matching[0]
    moved = _moved_from(session.canary_s, baseline.canary_s) if metric.relative else ''
    if moved:
        return _disturbed(case, records, moved)
    error = stats.share(stats.looks(1, session.max_runs))
    interval = stats.prediction_interval(
        [metric.scaled(v) for v in values], [metric.scaled(v) for v in baseline.values], error)
    if interval is None:
        return _too_few(case, values, baseline, facts)
    return Weighed(case, tuple(records), values, baseline.values, interval, error,
                   baseline.margin, baseline, '')


def _weigh_pairs(session: Session, case: Case, records: Sequence[RunRecord],
                 disturbed: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    metric = case.metric
    left_out = {r.run.index for r in disturbed}
    old, new = ({r.run.index: r for r in records if r.run.arm is arm
                 and r.run.index not in left_out} for arm in (Arm.OLD, Arm.NEW))
    both = sorted(set(old) & set(new))
    kept = [new[i] for i in both]
    commit = next((r.facts['commit'] for r in old.values()), '')
    if len(both) < stats.PAIRS and disturbed:
        return _disturbed(case, records, f'others disturbed {len(left_out)} of '
                          f'{len(left_out) + len(both)} pairs: {disturbed[-1].disturbance}')
    spread = session.certificate.canary_s if session.certificate else ()
    moved = _moved_within(session.canary_s, spread) if metric.relative else ''
    if moved:
        return _disturbed(case, records, moved)
    values, others = (_values(metric, [arm[i] for i in both]) for arm in (new, old))
    error = stats.share(stats.looks(stats.PAIRS, session.max_runs))
    interval = stats.paired_interval([metric.scaled(v) - metric.scaled(w)
                                      for v, w in zip(values, others)], error)
    if interval is None:
        return Verdict(case.name, metric, Status.INCONCLUSIVE,
                       f'{len(both)} of the {stats.PAIRS} pairs that it takes have run.', (),
                       metric.mean(values) if values else None, len(both), against=commit,
                       undecided=True)
    return Weighed(case, tuple(kept), values, others, interval, error, metric.margin, None, commit)


def _faults(metric: Metric, records: Sequence[RunRecord]) -> List[str]:
    """A sentence for every run that has not measured the metric."""
    faults = []
    for record in records:
        value = record.value(metric)
        name = f'run {record.run.index}' + (f' of the {record.run.arm.value} arm'
                                            if record.run.arm is not Arm.ALONE else '')
        if record.fault:
            faults.append(f'{name} gave no measurement ({record.fault})')
        elif not value or not math.isfinite(value):
            faults.append(f'{name} measured no {metric.name} '
                          f'(it trained {record.measurement.steps} steps)'
                          if record.measurement else f'{name} measured nothing')
    return faults


def _values(metric: Metric, records: Sequence[RunRecord]) -> Tuple[float, ...]:
    values = (record.value(metric) for record in records)
    return tuple(v for v in values if v and math.isfinite(v))


def _moved_from(now_s: Sequence[float], then_s: Sequence[float]) -> str:
    """Whether the canary is not as fast as when the baseline was made; empty where not or unknown.
    """
    if not now_s or len(then_s) < stats.SHORT_HISTORY:
        return ''
    moved = stats.prediction_interval([math.log(s) for s in now_s], [math.log(s) for s in then_s],
                                      CANARY_ERROR)
    if moved is None or moved.p_value > CANARY_ERROR or abs(moved.difference) < CANARY_MARGIN:
        return ''
    return (f'the canary, a fixed workload that knows nothing of the model, takes '
            f'{math.expm1(moved.difference) * 100:+.1f} % of the time that it took when the '
            'baseline was made: the machine has changed')


def _moved_within(now_s: Sequence[float], noise_s: Sequence[float]) -> str:
    """Whether the canary changed during the session, by more than its own noise here allows."""
    if len(now_s) < 2 or len(noise_s) < stats.SHORT_HISTORY:
        return ''
    moved = max(abs(math.log(s / now_s[0])) for s in now_s[1:])
    (low, high), = stats.envelope([[math.log(s)] for s in noise_s],
                                  CANARY_ERROR / (len(now_s) - 1))
    # Both ends of the difference are noisy, so the interval of one is wider by the root of two.
    if moved <= max((high - low) / 2 * math.sqrt(2), CANARY_MARGIN):
        return ''
    return (f'the canary, a fixed workload that knows nothing of the model, changed its speed by '
            f'{math.expm1(moved) * 100:.0f} % during the session: the machine is '
            'not quiet')


def _decide(w: Weighed, p_value: float) -> Verdict:
    metric = w.case.metric
    comparison = Comparison(
        metric.mean(w.values), metric.mean(w.others), metric.unscaled(w.interval.difference),
        metric.unscaled(w.interval.low), metric.unscaled(w.interval.high), p_value, w.error,
        -metric.unscaled(-w.interval.detectable))
    status = _status(comparison, w.margin)
    reason = _sentence(metric, status, comparison, w)
    leaves = _leaves_envelope(w)
    if leaves:
        status, reason = Status.REGRESSION, f'{reason} But {leaves}.'
    return Verdict(w.case.name, metric, status, reason, _advice(status, w, comparison),
                   comparison.now, len(w.values), w.baseline, comparison, w.against,
                   undecided=status is Status.INCONCLUSIVE)


def _status(c: Comparison, margin: float) -> Status:
    surprising = c.p_value <= c.error
    if surprising and c.difference <= -margin:
        return Status.REGRESSION
    if surprising and c.difference >= margin:
        return Status.IMPROVED
    if c.low > -margin:
        return Status.PASS
    return Status.INCONCLUSIVE


def _leaves_envelope(w: Weighed) -> str:
    """Where the loss curves of all runs lie above those of the baseline's; empty where they do not.
    """
    curves = w.baseline.losses if w.baseline else ()
    if len(curves) < stats.SHORT_HISTORY:
        return ''
    band = stats.envelope(curves, CURVE_ERROR)
    ours = [stats.loss_curve(r.measurement.losses) for r in w.records if r.measurement]
    for i, (_, high) in enumerate(band):
        above = [c[i] - statistics.mean(curve[i] for curve in curves) for c in ours
                 if len(c) == len(band) and c[i] > high]
        if ours and len(above) == len(ours) and min(above) > CURVE_MARGIN:
            return (f'the loss is {math.expm1(statistics.mean(above)) * 100:.0f} % above the '
                    f'baseline\'s at {100 * (i + 1) // len(band)} % of the training, outside the '
                    f'envelope of its {len(curves)} runs')
    return ''


def _sentence(metric: Metric, status: Status, c: Comparison, w: Weighed) -> str:
    effect = (f'{metric.value(c.now)} is {metric.change(c.difference)} against '
              f'{metric.value(c.baseline)}{" of " + w.against if w.against else ""} '
              f'({interval_name(c)} {metric.change(c.low)} to {metric.change(c.high)}, '
              f'{len(w.values)} {_units(w) if len(w.values) > 1 else "run"})')
    limit = metric.change(-w.margin)
    too_good = ('' if metric.relative or c.low <= 0 else ' Too good is suspicious too: make sure '
                'that the test images, their crop and the metric are the same.')
    return {
        Status.PASS: f'{effect}: not worse than the limit of {limit}.{too_good}',
        Status.IMPROVED: f'{effect}: better.{too_good}',
        Status.REGRESSION: f'{effect}: worse by more than the limit of {limit}.',
        Status.INCONCLUSIVE: f'{effect}: the interval holds both the limit of {limit} and better '
                             'values, so it is too noisy to say. The smallest loss that so many '
                             f'{_units(w)} show 4 times in 5 is {metric.change(-c.detectable)}.',
    }[status]


def interval_name(c: Comparison) -> str:
    """'95 % interval', or the share that is left to one of several looks."""
    return f'{(1 - c.error) * 100:.4g} % interval'


def _units(w: Weighed) -> str:
    return 'pairs' if w.baseline is None else 'runs'


def _advice(status: Status, w: Weighed, c: Comparison) -> Tuple[str, ...]:
    if status is Status.IMPROVED:
        return ('If this is meant to last, make it the baseline: '
                f'{_learn(w.case, w.records[0].facts)}',)
    if status is Status.REGRESSION:
        return ('Look at the last changes of the code and of the environment below.',
                f'To find the change, compare with its parent: `{_command(w)} --against REVISION`')
    if status is Status.INCONCLUSIVE:
        return (_more_runs(w, c),)
    return ()


def _more_runs(w: Weighed, c: Comparison) -> str:
    # The difference stays; the interval shrinks until it is clear of what it has to be clear of:
    # zero where the difference is a regression's, else the limit.
    metric = w.case.metric
    difference, limit = (metric.rescaled(x) for x in (c.difference, -w.margin))
    slack = -difference if c.difference <= -w.margin else difference - limit
    scaled = [metric.scaled(v) for v in w.others]
    if w.baseline:
        runs = stats.runs_to_narrow(statistics.stdev(scaled), slack, len(scaled), c.error)
    else:
        spread = statistics.stdev(metric.scaled(v) - s for v, s in zip(w.values, scaled))
        runs = stats.runs_to_narrow(spread, slack, error=c.error)
    if runs is None:
        return ('More runs alone will not decide it: use a quieter machine' + (
            f', and make a baseline on it: {_learn(w.case, w.records[0].facts)}'
            if w.baseline else '.'))
    runs = max(runs, len(w.values) + 2)
    against = f' --against {w.against}' if w.against else ''
    return (f'{runs} {_units(w)} would decide it, if the difference stays: '
            f'`{_command(w)}{against} --max-runs {runs}`')


def _without_baseline(case: Case, values: Sequence[float], candidates: Sequence[Baseline],
                      facts: Mapping[str, Any]) -> Verdict:
    value = case.metric.mean(values)
    nearest = min(candidates, key=lambda b: len(differing(b, facts)), default=None)
    reason = f'{case.metric.value(value)} measured; '
    reason += ('there is no baseline of this case yet.' if nearest is None else
               f'no baseline may be compared with it. The nearest, {nearest.name}, differs in '
               f'{", ".join(differing(nearest, facts))}.')
    return Verdict(case.name, case.metric, Status.NO_BASELINE, reason,
                   (f'Make one: {_learn(case, facts)}',
                    'Or compare with an earlier revision, which needs none: '
                    f'`{_again(case, facts)} --against HEAD~1`'), value, len(values))


def _too_few(case: Case, values: Sequence[float], baseline: Baseline,
             facts: Mapping[str, Any]) -> Verdict:
    metric = case.metric
    value, expected = metric.mean(values), metric.mean(baseline.values)
    return Verdict(
        case.name, metric, Status.INCONCLUSIVE,
        f'{metric.value(value)} against {metric.value(expected)}, but the baseline '
        f'{baseline.name} has {len(baseline.values)} runs: too few to know its spread.',
        (f'Make it from {stats.SHORT_HISTORY} runs or more: {_learn(case, facts)}',),
        value, len(values), baseline, undecided=len(baseline.values) >= 3)


def _invalid(case: Case, records: Sequence[RunRecord], why: str, advice: Tuple[str, ...],
             undecided: bool = False) -> Verdict:
    values = _values(case.metric, records)
    return Verdict(case.name, case.metric, Status.INVALID, f'No statement about the code: {why}.',
                   advice, case.metric.mean(values) if values else None, len(values),
                   undecided=undecided)


def _disturbed(case: Case, records: Sequence[RunRecord], why: str) -> Verdict:
    return _invalid(case, records, why, ('Run it again when the machine is quiet.',),
                    undecided=True)


def _after_fault(records: Sequence[RunRecord]) -> Tuple[str, ...]:
    return tuple(f'See {r.outcome.output_path}' for r in records if r.fault) + (
        'Mend it and run again.',)


def _confirmed(alone: Verdict, pairs: Verdict) -> Verdict:
    """A suspicion against a baseline, after its revision has run side by side with this one."""
    beside = f'Side by side with the baseline\'s revision: {pairs.reason}'
    status, advice = alone.status, alone.advice
    if pairs.status is Status.REGRESSION:
        beside = f'Confirmed. {beside}'
    elif pairs.status in (Status.PASS, Status.IMPROVED):
        status = Status.INVALID
        beside += ' So the machine has changed, not the code.'
        advice = ('Find out what has changed on the machine (the environment is below), or make a '
                  'new baseline: `python -m harness baseline learn --help`',)
    elif pairs.undecided:
        status, advice = Status.INCONCLUSIVE, pairs.advice
        beside = f'Not confirmed. {beside}'
    else:
        beside = f'It could not be confirmed. {beside}'
    return dataclasses.replace(alone, status=status, reason=f'{alone.reason} {beside}',
                               advice=advice, against=pairs.against)


def _command(w: Weighed) -> str:
    return _again(w.case, w.records[0].facts)


def _again(case: Case, facts: Mapping[str, Any]) -> str:
    """The command that measures this case again, the same way on the same device."""
    return ' '.join(['python harness/run_all.py', *_flags(case, facts)])


def _learn(case: Case, facts: Mapping[str, Any]) -> str:
    return ' '.join(['`python -m harness baseline learn --runs 10', *_flags(case, facts),
                     '--reason "first baseline of this machine"`'])


def _flags(case: Case, facts: Mapping[str, Any]) -> List[str]:
    """--kind too: on another day another kind may be the best that is there."""
    kind, index = facts['device'].split(':')
    named: Dict[str, str] = {'--device': index, '--kind': kind, '--cases': case.name}
    return [part for item in named.items() for part in item] + [
        shlex.quote(flag) for flag in case.flags]
