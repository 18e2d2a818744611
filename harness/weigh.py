# SPDX-License-Identifier: Apache-2.0
"""Runs + what they may be compared with -> how far apart, or why that cannot be said (pure).

Two ways to compare: runs of this checkout with a baseline of earlier ones, or pairs of runs, one of
this checkout and one of an old revision, side by side.  Both give an interval of the difference.
"""

import dataclasses
import math
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from harness import advice, stats
from harness.records import (
    Arm,
    Baseline,
    Case,
    Metric,
    RunRecord,
    Session,
    Status,
    Verdict,
)

NO_STATEMENT = 'No statement about the code: '
FIRST_REASON = 'first baseline of this machine'
# Facts of which nobody expects another accuracy.
HARMLESS = ('host', 'system', 'memory_gib', 'python', 'commit')
TELLING_DIGITS = 4      # of a speed; with fewer, measured ones repeat
LEAST_STEPS = 5         # whose times do not repeat by chance
CANARY_ERROR = 0.01
CANARY_MARGIN = math.log(1.02)
CANARY_UNKNOWN = math.log(1.25)  # on a shared machine, equal canaries lay 17 % apart at the most


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
    note: str = ''                       # what else is not equal
    own_figure: str = ''                 # that another model's script says it, and nobody checked

    @property
    def units(self) -> str:
        """What was counted."""
        return 'runs' if self.baseline else 'pairs'


def weigh(session: Session, case: Case,
          records: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    """The comparison of one case, or the verdict where there can be none."""
    faults = _faults(case.metric, records)
    disturbed = [r for r in records if r.disturbed]
    if faults or not records:
        return _invalid(case, records, '; '.join(faults) or 'it did not run',
                        _after_fault(session, case, records))
    if len(disturbed) == len(records):
        return _disturbed(session, case, records,
                          f'the machine was disturbed: {disturbed[-1].disturbed}')
    if any(r.run.arm is not Arm.ALONE for r in records):
        return _weigh_pairs(session, case, records, disturbed)
    return _weigh_runs(session, case, [r for r in records if r not in disturbed])


def differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> List[str]:
    """The facts of `there` that are others here, in words."""
    return [f'{name} ({expected} there, {here.get(name, "unknown")} here)'
            for name, expected in sorted(there.items()) if here.get(name) != expected]


def _weigh_runs(session: Session, case: Case,
                records: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    metric, facts = case.metric, records[0].facts
    values = _values(metric, records)
    baseline = _baseline(session, case, facts)
    unproven = _unproven(case, records, baseline)
    if unproven:
        return unproven
    if not baseline:
        return _without_baseline(case, values, _candidates(session, case), facts,
                                 _own_figure(records))
    moved = _moved_from(session.canary_s, baseline.canary_s) if metric.relative else ''
    if moved:
        return _disturbed(session, case, records, moved)
    error = stats.share(stats.looks(1, session.max_runs))
    interval = stats.prediction_interval(
        [metric.scaled(v) for v in values], [metric.scaled(v) for v in baseline.values], error,
        metric.loss(baseline.margin))
    if interval is None:
        return _too_few(case, values, baseline, facts)
    return Weighed(case, tuple(records), values, baseline.values, interval, error,
                   baseline.margin, baseline, '', _made_elsewhere(baseline, facts),
                   _own_figure(records))


def _own_figure(records: Sequence[RunRecord]) -> str:
    """That a value is only what another model's script says of itself; empty where it is not."""
    reported = records[-1].measurement.reported if records[-1].measurement else None
    if not reported or reported.recomputed_items_per_s or not records[-1].run.case.metric.relative:
        return ''
    return "This is the script's own figure: no rules say how to check it against its log."


def _unproven(case: Case, records: Sequence[RunRecord],
              baseline: Optional[Baseline]) -> Optional[Verdict]:
    """The verdict on a script's own figure as long as it may be a constant; else None.

    Some scripts report the same speed whatever happened.  A measured one never repeats to the
    last digit, so two runs tell them apart.
    """
    said = [r.measurement.reported.values.get('ActualFPS', '') for r in records
            if r.measurement and r.measurement.reported]
    repeated = _repeated_log(records)
    if repeated:
        return _invalid(case, records, repeated, (f'See what {case.script} takes for its log',))
    if not _own_figure(records):
        return None
    if len(said) > 1 and len(set(said)) == 1:
        if len(said[0].replace('.', '').strip('0')) < TELLING_DIGITS:
            return _too_coarse(case, records, said[0], baseline)
        return _invalid(case, records, f'its script says ActualFPS = {said[0]} in each of '
                        f'{len(said)} runs, to the last digit: that is no measurement',
                        (f'See how {case.script} computes it',))
    if len(said) == 1 and baseline:
        return Verdict(case.name, case.metric, Status.INCONCLUSIVE,
                       f'{case.metric.value(_values(case.metric, records)[0])} in one run. '
                       f'{_own_figure(records)} A second run shows whether it is measured at all.',
                       (f'Let it run twice or more: '
                        f'{advice.again(case, records[0].facts, "--max-runs 7")}',),
                       _values(case.metric, records)[0], 1, baseline, undecided=True)
    return None


def _repeated_log(records: Sequence[RunRecord]) -> str:
    """Why the logs of another model's runs are of one run; empty where they are not."""
    logs = [r.measurement.step_seconds for r in records if r.measurement
            and r.measurement.reported and len(r.measurement.step_seconds) >= LEAST_STEPS]
    same = len(logs) > 1 and len(set(logs)) < len(logs) and len(set(logs[0])) > 1
    return ('the logs of two runs tell of the same times to the last digit: they are of one run'
            if same else '')


def _too_coarse(case: Case, records: Sequence[RunRecord], said: str,
                baseline: Optional[Baseline]) -> Verdict:
    """The verdict on a figure of so few digits that a measured one repeats as well."""
    values = _values(case.metric, records)
    return Verdict(case.name, case.metric, Status.INCONCLUSIVE,
                   f'its script says ActualFPS = {said} in each of {len(values)} runs, with too '
                   'few digits to show whether it is measured.',
                   ('Write rules that read its log, and name them with --rules',),
                   case.metric.mean(values), len(values), baseline)


def _weigh_pairs(session: Session, case: Case, records: Sequence[RunRecord],
                 disturbed: Sequence[RunRecord]) -> Union[Weighed, Verdict]:
    metric = case.metric
    left_out = {r.run.index for r in disturbed}
    old, new = ({r.run.index: r for r in records if r.run.arm is arm
                 and r.run.index not in left_out} for arm in (Arm.OLD, Arm.NEW))
    both = sorted(set(old) & set(new))
    commit = next((r.facts['commit'] for r in old.values()), '')
    if len(both) < stats.PAIRS and disturbed:
        return _disturbed(session, case, records,
                          f'{len(left_out)} of {len(left_out) + len(both)} pairs were disturbed: '
                          f'{disturbed[-1].disturbed}')
    noise_s = session.certificate.canary_s if session.certificate else ()
    moved = _moved_within(session.canary_s, noise_s) if metric.relative else ''
    in_turns = all(r.outcome.turns for r in records)
    if moved and not in_turns:   # for good: more pairs do not undo it
        return _disturbed(session, case, records, moved, undecided=False)
    values, others = (_values(metric, [arm[i] for i in both]) for arm in (new, old))
    error = stats.share(stats.looks(stats.PAIRS, session.max_runs))
    facts = next((r.facts for r in records if r.run.arm is Arm.NEW), records[0].facts)
    baseline = _baseline(session, case, facts)
    margin = baseline.margin if baseline else metric.margin
    interval = stats.paired_interval([metric.scaled(v) - metric.scaled(w)
                                      for v, w in zip(values, others)], error,
                                     metric.loss(margin))
    if interval is None:
        todo = advice.again(case, facts, f'--against {commit}')
        return Verdict(case.name, metric, Status.INCONCLUSIVE,
                       f'{len(both)} of the {stats.PAIRS} pairs that it takes have run.',
                       (f'Let it run to its end: {todo}',),
                       metric.mean(values) if values else None, len(both), against=commit,
                       undecided=True)
    first = both[0]
    # What changes the machine for longer than a turn changes both arms of a pair alike.
    notes = (_unequal(old[first].facts, new[first].facts),
             f'Meanwhile {moved}, which meets both arms alike.' if moved else '')
    return Weighed(case, tuple(new[i] for i in both), values, others, interval, error, margin,
                   None, commit, ' '.join(filter(None, notes)))


def _candidates(session: Session, case: Case) -> List[Baseline]:
    return [b for b in session.baselines
            if (b.case, b.metric.name) == (case.name, case.metric.name)]


def _baseline(session: Session, case: Case, facts: Mapping[str, Any]) -> Optional[Baseline]:
    """The one that runs with these facts may be compared with, if there is any."""
    return next((b for b in _candidates(session, case) if not differing(b.match, facts)), None)


def _made_elsewhere(baseline: Baseline, facts: Mapping[str, Any]) -> str:
    """Where an accuracy is compared with another machine's, which is no reason not to compare."""
    names = differing({name: value for name, value in baseline.environment.items()
                       if name not in HARMLESS}, facts)
    return f'The baseline was made elsewhere: it differs in {", ".join(names)}.' if names else ''


def _unequal(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What the arms of a pair do not share beside their code; empty where they share all."""
    there, here = ({name: value for name, value in facts.items() if name not in ('commit', 'seed')}
                   for facts in (old, new))
    names = differing({**dict.fromkeys(here, 'unknown'), **there}, here)
    return f'The two did not train alike: they differ in {", ".join(names)}.' if names else ''


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
            f'{math.exp(moved.difference) * 100:.0f} % of the time that it took when the '
            'baseline was made: the machine has changed')


def _moved_within(now_s: Sequence[float], noise_s: Sequence[float]) -> str:
    """Whether the canary changed during the session by more than its own noise, as certified."""
    if len(now_s) < 2:
        return ''
    moved = max(abs(math.log(s / now_s[0])) for s in now_s[1:])
    if moved <= _allowed(len(now_s) - 1, noise_s):
        return ''
    return (f'the canary, a fixed workload that knows nothing of the model, changed its speed by '
            f'{math.expm1(moved) * 100:.0f} %: the machine is not quiet')


def _allowed(times: int, noise_s: Sequence[float]) -> float:
    """The change of the canary's log that so many looks at a quiet machine show."""
    if len(noise_s) < stats.SHORT_HISTORY:
        return CANARY_UNKNOWN
    (low, high), = stats.envelope([[math.log(s)] for s in noise_s], CANARY_ERROR / times)
    # Both ends of the difference are noisy, so the interval of one is wider by the root of two.
    return max((high - low) / 2 * math.sqrt(2), CANARY_MARGIN)


def _without_baseline(case: Case, values: Sequence[float], candidates: Sequence[Baseline],
                      facts: Mapping[str, Any], note: str) -> Verdict:
    value = case.metric.mean(values)
    nearest = min(candidates, key=lambda b: len(differing(b.match, facts)), default=None)
    reason = f'{case.metric.value(value)} {"reported" if note else "measured"}; '
    reason += ('there is no baseline of this case yet.' if nearest is None else
               f'no baseline may be compared with it. The nearest, {nearest.name}, differs in '
               f'{", ".join(differing(nearest.match, facts))}.')
    todo = [f'Make one: {advice.learn(case, facts, FIRST_REASON)}']
    if not case.model_dir:
        todo.append('Or compare with an earlier revision, which needs none: '
                    f'{advice.again(case, facts, "--against HEAD~1")}')
    return Verdict(case.name, case.metric, Status.NO_BASELINE, f'{reason} {note}'.rstrip(),
                   tuple(todo), value, len(values))


def _too_few(case: Case, values: Sequence[float], baseline: Baseline,
             facts: Mapping[str, Any]) -> Verdict:
    metric = case.metric
    value, expected = metric.mean(values), metric.mean(baseline.values)
    return Verdict(
        case.name, metric, Status.INCONCLUSIVE,
        f'{metric.value(value)} against {metric.value(expected)}, but the baseline '
        f'{baseline.name} has {len(baseline.values)} runs: too few to know its spread. '
        f'{_made_elsewhere(baseline, facts)}'.rstrip(),
        (f'Make it from {stats.SHORT_HISTORY} runs or more: '
         f'{advice.learn(case, facts, "more runs")}',),
        value, len(values), baseline, undecided=len(baseline.values) >= 3)


def _invalid(case: Case, records: Sequence[RunRecord], why: str,
             todo: Tuple[str, ...]) -> Verdict:
    values = _values(case.metric, records)
    return Verdict(case.name, case.metric, Status.INVALID, f'{NO_STATEMENT}{why}.',
                   todo, case.metric.mean(values) if values else None, len(values))


def _disturbed(session: Session, case: Case, records: Sequence[RunRecord], why: str,
               undecided: bool = True) -> Verdict:
    verdict = _invalid(case, records, why, (
        f'Run it again when the machine is quiet: {_again(session, case)}',))
    return dataclasses.replace(verdict, undecided=undecided, disturbed=True)


def _after_fault(session: Session, case: Case, records: Sequence[RunRecord]) -> Tuple[str, ...]:
    return (*(f'See {r.outcome.output_path}' for r in records if r.fault),
            f'Mend it and run again: {_again(session, case)}')


def _again(session: Session, case: Case) -> str:
    against = (f'--against {session.against}',) if session.against else ()
    return advice.again(case, session.machine, *against)
