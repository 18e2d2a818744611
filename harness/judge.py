# SPDX-License-Identifier: Apache-2.0
"""Runs + what they are compared with -> Verdict with a sentence (pure).

weigh.py says how far the two are apart, with an interval; the rules from there on are the same for
runs against a baseline and for pairs.
"""

import dataclasses
import math
import statistics
from typing import List, Optional, Sequence, Tuple

from harness import advice, stats
from harness.records import (
    Arm,
    Case,
    Comparison,
    RunRecord,
    Session,
    Status,
    Summary,
    Verdict,
)
from harness.weigh import Weighed, weigh

WORST_FIRST = (Status.REGRESSION, Status.INVALID, Status.INCONCLUSIVE, Status.NO_BASELINE,
               Status.IMPROVED, Status.PASS)
STRICT_EXIT = {Status.INCONCLUSIVE: 4, Status.NO_BASELINE: 5}
CURVE_ERROR = 0.01  # that a sound training's curve leaves the envelope somewhere
CURVE_MARGIN = math.log(1.1)


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
        verdicts = tuple(_after_pairs(v, by_pairs.get(c), session.unconfirmed.get(c.name, ''))
                         for c, v in zip(cases, verdicts))
    return Summary(session, verdicts, tuple(records))


def judge(session: Session, cases: Sequence[Case],
          records: Sequence[RunRecord]) -> Tuple[Verdict, ...]:
    """Say what the runs of each case prove, and why; several gates share one error (Holm)."""
    weighed = [weigh(session, case, [r for r in records if r.run.case == case])
               for case in cases]
    adjusted = iter(stats.holm([w.interval.p_value for w in weighed if isinstance(w, Weighed)]))
    return tuple(_decide(w, next(adjusted)) if isinstance(w, Weighed) else w for w in weighed)


def exit_status(verdicts: Sequence[Verdict], strict: bool) -> int:
    """The worst verdict decides: a regression, then what could not be measured, then the rest."""
    found = {v.status for v in verdicts}
    if Status.REGRESSION in found:
        return 1
    if Status.INVALID in found or not found:
        return 3
    return max((STRICT_EXIT.get(s, 0) for s in found), default=0) if strict else 0


def worst_first(verdicts: Sequence[Verdict]) -> List[Verdict]:
    """The verdicts in the order in which they matter; equals stay as they are."""
    return sorted(verdicts, key=lambda v: WORST_FIRST.index(v.status))


def headline(verdicts: Sequence[Verdict]) -> Status:
    """The one verdict that stands for all."""
    return next((v.status for v in worst_first(verdicts)), Status.INVALID)


def to_confirm(verdict: Verdict) -> bool:
    """Whether a verdict is only a suspicion: slower or less accurate than an earlier day's runs."""
    c = verdict.comparison
    return bool(verdict.status is Status.REGRESSION and verdict.baseline and not verdict.against
                and not verdict.curve and c and c.difference <= -c.margin)


def interval_name(c: Comparison) -> str:
    """'95 % interval', or the share that is left to one of several looks."""
    return f'{(1 - c.error) * 100:.4g} % interval'


def _decide(w: Weighed, p_value: float) -> Verdict:
    metric = w.case.metric
    comparison = Comparison(
        metric.mean(w.values), metric.mean(w.others), w.margin,
        metric.unscaled(w.interval.difference), metric.unscaled(w.interval.low),
        metric.unscaled(w.interval.high), p_value, w.error,
        -metric.unscaled(-w.interval.detectable))
    status = _status(comparison)
    reason = _sentence(w, status, comparison)
    if w.own_figure and status is Status.IMPROVED:
        status, reason = Status.INCONCLUSIVE, f'{reason} It may be faster, or count otherwise.'
    curve = _leaves_envelope(w)
    if curve:
        status, reason = Status.REGRESSION, f'{reason} But {curve}.'
    return Verdict(w.case.name, metric, status, reason, _advice(w, status, comparison),
                   comparison.now, len(w.values), w.baseline, comparison, w.against,
                   undecided=_status(comparison) is Status.INCONCLUSIVE, curve=curve)


def _status(c: Comparison) -> Status:
    surprising = c.p_value <= c.error
    if surprising and c.difference <= -c.margin:
        return Status.REGRESSION
    if surprising and c.difference >= c.margin:
        return Status.IMPROVED
    if c.low > -c.margin:
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


def _sentence(w: Weighed, status: Status, c: Comparison) -> str:
    """The numbers, the interval, the rule, and what so many runs could have seen."""
    metric, count = w.case.metric, len(w.values)
    limit = metric.change(-c.margin)
    rule = {
        Status.PASS: f'not worse than the limit of {limit}',
        Status.IMPROVED: 'better',
        Status.REGRESSION: f'worse by more than the limit of {limit}',
        Status.INCONCLUSIVE: f'the interval holds both the limit of {limit} and better values, so '
                             'it is too noisy to say',
    }[status]
    too_good = ('' if metric.relative or c.low <= 0 else 'Too good is suspicious too: make sure '
                'that the test images, their crop and the metric are the same.')
    return ' '.join(filter(None, [
        f'{metric.value(c.now)} is {metric.change(c.difference)} against '
        f'{metric.value(c.baseline)}{" of " + w.against if w.against else ""} '
        f'({interval_name(c)} {metric.change(c.low)} to {metric.change(c.high)}, '
        f'{w.interval.rule}, {count} {w.units if count > 1 else "run"}): {rule}.',
        f'A loss of {metric.change(c.detectable).lstrip("+")} would be seen 4 times in 5.',
        too_good, w.note, w.own_figure]))


def _advice(w: Weighed, status: Status, c: Comparison) -> Tuple[str, ...]:
    facts = w.records[0].facts
    if status is Status.IMPROVED:
        return (f'If this is meant to last, make it the baseline: '
                f'{advice.learn(w.case, facts, "faster, or more accurate, since ...")}',)
    if status is Status.REGRESSION and w.case.model_dir:
        return ('Look at the last changes of its code and of the environment below.',
                f'Measure it again: {advice.again(w.case, facts)}')
    if status is Status.REGRESSION:
        return ('Look at the last changes of the code and of the environment below.',
                'To find the change, compare with its parent: '
                f'{advice.again(w.case, facts, "--against HEAD~1")}')
    if status is Status.INCONCLUSIVE and _status(c) is Status.IMPROVED:
        return ('Write rules that read its log, and name them with --rules',)
    if status is Status.INCONCLUSIVE:
        return (_more_runs(w, c),)
    return ()


def _more_runs(w: Weighed, c: Comparison) -> str:
    # The difference stays; the interval shrinks until it is clear of what it has to be clear of:
    # zero where the difference is a regression's, else the limit.
    metric, facts = w.case.metric, w.records[0].facts
    difference, limit = (metric.rescaled(x) for x in (c.difference, -c.margin))
    slack = -difference if c.difference <= -c.margin else difference - limit
    scaled = [metric.scaled(v) for v in w.others]
    least = len(w.values) + 2
    if w.baseline:
        runs = stats.runs_to_narrow(statistics.stdev(scaled), slack, len(scaled),
                                    max_runs=least)
    else:
        spread = statistics.stdev(metric.scaled(v) - s for v, s in zip(w.values, scaled))
        runs = stats.runs_to_narrow(spread, slack, max_runs=least)
    if runs is None:
        learn = advice.learn(w.case, facts, 'on a quieter machine')
        return 'More runs alone will not decide it: use a quieter machine' + (
            f', and make a baseline on it: {learn}' if w.baseline else '.')
    runs = max(runs, least)
    against = (f'--against {w.against}',) if w.against else ()
    command = advice.again(w.case, facts, *against, f'--max-runs {runs}')
    minutes = math.ceil(runs * _run_s(w) / 60)
    return (f'{runs} {w.units} would decide it, in about {minutes} min, if the difference stays: '
            f'{command}')


def _run_s(w: Weighed) -> float:
    """Seconds that a run has taken, or a pair: in turns both at once, else one after the other."""
    beside = w.against and not all(r.outcome.turns for r in w.records)
    return statistics.median(r.outcome.wall_s for r in w.records) * (2 if beside else 1)


def _after_pairs(alone: Verdict, pairs: Optional[Verdict], why_not: str) -> Verdict:
    """A suspicion against a baseline, and what pairs with its revision made of it.

    why_not: why there are none, or not enough; a suspicion stays what it is, and says so.
    """
    if pairs and alone.disturbed:   # since it was suspected; the pairs are judged all the same
        return dataclasses.replace(pairs, reason='It looked like a regression against the '
                                   'baseline, then the machine changed. Side by side with the '
                                   f'baseline\'s revision: {pairs.reason}')
    answered = pairs and (pairs.comparison or pairs.disturbed or not pairs.undecided)
    if pairs and (answered or not why_not):
        return _confirmed(alone, pairs)
    if why_not:
        return dataclasses.replace(
            alone, reason=f'{alone.reason} It could not be confirmed beside the baseline\'s '
                          f'revision: {why_not}.')
    return alone


def _confirmed(alone: Verdict, pairs: Verdict) -> Verdict:
    beside = f'Side by side with the baseline\'s revision: {pairs.reason}'
    status, advised = alone.status, alone.advice
    if pairs.status is Status.REGRESSION:
        beside = f'Confirmed. {beside}'
    elif pairs.status in (Status.PASS, Status.IMPROVED):
        status = Status.INVALID
        beside += ' So the machine has changed, not the code.'
        advised = ('Find out what has changed on the machine (the environment is below), or make '
                   'a new baseline: `python -m harness baseline learn --help`',)
    elif pairs.undecided or pairs.disturbed:
        status, advised = pairs.status, pairs.advice
        beside = f'Not confirmed. {beside}'
    else:
        beside = f'It could not be confirmed. {beside}'
    return dataclasses.replace(alone, status=status, reason=f'{alone.reason} {beside}',
                               advice=advised, against=pairs.against, undecided=pairs.undecided,
                               disturbed=pairs.disturbed)
