# SPDX-License-Identifier: Apache-2.0
"""Summary -> what a report says, in words and tables: summary.md and the page are made from it."""

import os
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from harness import judge
from harness.records import (
    Arm,
    Measurement,
    Metric,
    Picture,
    RunRecord,
    Session,
    Status,
    Summary,
    Trial,
    Verdict,
)
from harness.weigh import NO_STATEMENT

# A sign beside every word, so that neither colour nor font has to carry it alone.
SIGNS = {Status.PASS: '✅', Status.IMPROVED: '🚀', Status.NO_BASELINE: '🆕',
         Status.INCONCLUSIVE: '❔', Status.REGRESSION: '❌', Status.INVALID: '⛔'}

DISAGREEMENT = 0.05  # between the step time's throughput and the wall's: beyond it is explained
COLUMNS = ('LR', 'bicubic', 'RCAN', 'HR')   # of a run's picture
REPORTED = 'What the scripts report of themselves'   # a heading
DIFFERS = 'differs'  # the word beside a fact that is not the same as there

TRUST = (
    'A run is the unit of evidence: one value a run, the median of its steady steps (of pairs that '
    'take turns, their interquartile mean), never single steps.',
    'Against a baseline the interval is the Student t prediction interval, from the spread of the '
    'baseline\'s runs; of pairs, run side by side, it is the paired t interval.',
    '5 % of error are shared by all looks at the runs, and by all gates (Holm); a difference '
    'counts only where it is beyond the limit as well. Loss curves have an error of their own, 1 % '
    'a look.')


@dataclass(frozen=True)
class Table:
    """Rows of words under a head."""

    head: Tuple[str, ...]
    rows: Tuple[Tuple[str, ...], ...]


@dataclass(frozen=True)
class Reason:
    """Why a case got its verdict."""

    case: str
    status: Status
    text: str


@dataclass(frozen=True)
class Advice:
    """One thing to do; commands stand in `backticks`."""

    case: str
    text: str


@dataclass(frozen=True)
class Failure:
    """A run that measured nothing, and the end of what it printed."""

    title: str
    run: str
    last_lines: Tuple[str, ...]

    @property
    def of_output(self) -> str:
        """What its last lines are called."""
        count = len(self.last_lines)
        return f'The last {"line" if count == 1 else f"{count} lines"} of its output'


@dataclass(frozen=True)
class RunPicture:
    """The picture of the last run that has one."""

    case: str
    index: int                            # of the run
    path: str                             # from the reports folder
    layout: Optional[Picture]             # None: an older run did not tell


@dataclass(frozen=True)
class RunFiles:
    """What is kept of a run, as paths from the reports folder."""

    name: str
    files: Tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """A report, in the order in which it is read."""

    status: Status
    title: str
    sentence: str
    gates: Table
    reasons: Tuple[Reason, ...]
    advice: Tuple[Advice, ...]
    failures: Tuple[Failure, ...]
    picture: Optional[RunPicture]
    reported: Optional[Table]             # other models: what their scripts say of themselves
    metrics: Table
    remarks: Tuple[str, ...]              # on the metrics
    environment: Table                    # beside a baseline's, the last column says what differs
    trust: Tuple[str, ...]
    runs: Tuple[RunFiles, ...]


def of(summary: Summary) -> Content:
    """All that a report says of a session."""
    status = judge.headline(summary.verdicts)
    device = summary.session.device
    return Content(
        status=status,
        title=f'{status.value}: {_models(summary.session)} on {device.kind} {device.index}',
        sentence=_sentence(summary),
        gates=_gates(summary.verdicts),
        reasons=tuple(Reason(v.case, v.status, v.reason) for v in summary.verdicts),
        advice=tuple(Advice(v.case, line) for v in summary.verdicts for line in v.advice),
        failures=tuple(Failure(f'{r.run.case.name}, run {r.run.index}: {r.fault}', r.run.id,
                               r.last_lines) for r in summary.records if r.fault),
        picture=_picture(summary.records),
        reported=_reported(summary.records),
        metrics=_metrics(summary.records),
        remarks=tuple(filter(None, map(_time_sentence, summary.records))),
        environment=_environment(summary),
        trust=_trust(summary),
        runs=tuple(map(_run_files, summary.records)))


# --- the sentence ---------------------------------------------------------------------------------

def _sentence(summary: Summary) -> str:
    """What happened, the worst first; how sure it is stands beside every number."""
    ended = summary.session.ended
    return ' '.join([*map(_clause, judge.worst_first(summary.verdicts)),
                     *([f'The session ended early: {ended}; what came after has not run.']
                       if ended else [])]) or 'Nothing has run.'


def _clause(v: Verdict) -> str:
    c, metric = v.comparison, v.metric
    if v.status is Status.INVALID:
        return f'{v.case} says nothing about the code: {_why_invalid(v)}'
    if c is None:
        measured = f': {_value(metric, v.value)} measured' if v.value is not None else ''
        return f'{v.case} cannot be compared yet{measured}.'
    numbers = (f'{metric.change(c.difference)} ({judge.interval_name(c)} {metric.change(c.low)} '
               f'to {metric.change(c.high)})')
    there = f'revision {v.against}' if v.against and not v.baseline else 'its baseline'
    if v.status is Status.PASS:
        limit = metric.change(-c.margin).lstrip('-')
        return (f'{v.case} is proven not worse than {there} by more than {limit}: {metric.label} '
                f'{numbers}.')
    if v.status is Status.INCONCLUSIVE and v.baseline and v.against:
        return (f'{v.case} looks {metric.direction(c.difference)} than its baseline, but side by '
                f'side with revision {v.against} it is too noisy to call.')
    if v.status is Status.INCONCLUSIVE and not v.undecided:
        return (f'{v.case} is too good to be believed without a look at its log: {metric.label} '
                f'{numbers} against {there}.')
    if v.status is Status.INCONCLUSIVE:
        return f'{v.case} is too noisy to call: {metric.label} {numbers} against {there}.'
    if v.curve:
        return f'{v.case} trains worse than {there}: its loss curve leaves the envelope.'
    return (f'{v.case} is {metric.direction(c.difference)} than {there}: {metric.label} {numbers}'
            f'{_confirmed(v)}.')


def _why_invalid(v: Verdict) -> str:
    if v.reason.startswith(NO_STATEMENT):
        return v.reason[len(NO_STATEMENT):]
    return ('what looks like a regression could not be confirmed, for the machine was disturbed.'
            if v.disturbed else 'the machine has changed.')


def _confirmed(v: Verdict) -> str:
    """How a regression against a baseline was confirmed; pairs need none."""
    if v.status is not Status.REGRESSION or not v.baseline:
        return ''
    return (f', confirmed side by side with revision {v.against}' if v.against
            else ', not confirmed side by side')


# --- the gates ------------------------------------------------------------------------------------

def _gates(verdicts: Sequence[Verdict]) -> Table:
    return Table(
        ('verdict', 'case', 'metric', 'now', 'baseline', 'change (interval)', 'limit', 'runs'),
        tuple((f'{SIGNS[v.status]} {v.status.value}', v.case, v.metric.label,
               _value(v.metric, v.value), _baseline_cell(v), _change_cell(v), _limit_cell(v),
               _runs_cell(v)) for v in verdicts))


def _value(metric: Metric, value: Optional[float]) -> str:
    return '-' if value is None else metric.value(value)


def _baseline_cell(v: Verdict) -> str:
    if v.baseline:
        return _value(v.metric, v.metric.mean(v.baseline.values))
    return f'{_value(v.metric, v.comparison.baseline)} ({v.against})' if v.comparison else '-'


def _change_cell(v: Verdict) -> str:
    c = v.comparison
    return '-' if c is None else (f'{v.metric.change(c.difference)} '
                                  f'({v.metric.change(c.low)} to {v.metric.change(c.high)})')


def _limit_cell(v: Verdict) -> str:
    return '-' if v.comparison is None else v.metric.change(-v.comparison.margin)


def _runs_cell(v: Verdict) -> str:
    if v.baseline:
        return f'{v.runs} / {len(v.baseline.values)}'
    return f'{v.runs} pairs' if v.against else str(v.runs)


# --- other models ---------------------------------------------------------------------------------

def _models(session: Session) -> str:
    """What was measured: RCAN, another model by its name, or how many."""
    names = list(dict.fromkeys(os.path.basename(case.model_dir) or 'RCAN'
                               for case in session.cases))
    return f'{len(names)} models' if len(names) > 1 else ''.join(names) or 'RCAN'


def _reported(records: Sequence[RunRecord]) -> Optional[Table]:
    """What the scripts of other models say of themselves, beside what their logs say."""
    rows = [(r, r.measurement.reported) for r in records
            if r.measurement and r.measurement.reported]
    return Table(
        ('run', 'ActualFPS, as reported', 'from its log', 'TrainAccuracy, as reported',
         'from its log', 'rules', 'remarks'),
        tuple((r.run.title, said.values.get('ActualFPS', '-'),
               _number(said.recomputed_items_per_s, '.4g'), said.values.get('TrainAccuracy', '-'),
               _number(r.measurement and r.measurement.accuracy, '.4g'),
               os.path.basename(said.rules) or 'none: not checked', '; '.join(said.remarks) or '-')
              for r, said in rows)) if rows else None


# --- all metrics ----------------------------------------------------------------------------------

def _metrics(records: Sequence[RunRecord]) -> Table:
    return Table(
        ('run', 'seed', 'images/s', 'step (typical ± MAD)', 'p95', 'outliers', 'wall images/s',
         'first step', 'time to first step', 'final loss', 'PSNR', 'SSIM', 'bicubic PSNR',
         'peak memory', 'mean CPU', 'wall time'),
        tuple(map(_metrics_row, records)))


def _metrics_row(r: RunRecord) -> Tuple[str, ...]:
    m, load = r.measurement, r.load
    return (
        r.run.title, str(r.run.seed),
        _number(m and m.images_per_s, '.4g'),
        f'{m.step_s * 1000:.1f} ± {m.step_mad_s * 1000:.1f} ms'
        if m and m.step_s and m.step_mad_s is not None else '-',
        _number(m and m.step_p95_s and m.step_p95_s * 1000, '.1f', ' ms'),
        _number(m and m.outlier_share, '.1%').replace('%', ' %'),
        _number(m and m.wall_images_per_s, '.4g'), _number(m and m.first_step_s, '.2f', ' s'),
        _number(m and m.time_to_first_step_s, '.2f', ' s'), _number(m and m.final_loss, '.4f'),
        _number(m and m.psnr_db, '.3f', ' dB'), _number(m and m.ssim, '.4f'),
        _number(m and m.bicubic_psnr_db, '.3f', ' dB'),
        _number(load and load.peak_memory_bytes / 2 ** 20, '.0f', ' MiB'),
        _number(load and load.mean_cpu_percent, '.0f', ' %'),
        f'{r.outcome.wall_s:.0f} s')


def _time_sentence(r: RunRecord) -> str:
    """That a run never got steady, and where its time went if the two throughputs disagree."""
    m, said = r.measurement, []
    if m and not m.steady:
        said.append('the step time never got steady: all after the least warm-up count')
    if m and m.step_s and m.images_per_s and m.wall_images_per_s:
        share = m.wall_images_per_s / m.images_per_s - 1
        if abs(share) > DISAGREEMENT:
            side = 'below' if share < 0 else 'above'
            said.append(f"wall throughput is {abs(share) * 100:.0f} % {side} the step time's"
                        + _where_it_went(m, m.step_s))
    return f'{r.run.title}: {"; ".join(said)}.' if said else ''


def _where_it_went(m: Measurement, step_s: float) -> str:
    """Seconds by phase, the longest first; of the steps only what is beyond their median."""
    spent = m.phases_s
    if not spent:
        return ''
    expected_s = step_s * (m.config.get('max_step', m.steps) - 1)
    beyond_s = spent.get('steps', 0) + spent.get('input wait', 0) - expected_s
    took_s = {'saving': spent.get('saving', 0), 'evaluation': spent.get('evaluation', 0),
              'steps beyond their median': beyond_s, 'the rest': spent.get('other', 0)}
    longest = sorted(took_s.items(), key=lambda item: -item[1])
    parts = [f'{name} took {seconds:.1f} s' for name, seconds in longest if seconds >= 0.05]
    if 'input wait' in spent:
        parts.append(f'the steps waited {spent["input wait"]:.1f} s for input')
    parts.append(f'the first step took {m.first_step_s:.1f} s and counts in neither')
    return ': ' + ', '.join(parts)


# --- the environment ------------------------------------------------------------------------------

def _environment(summary: Summary) -> Table:
    measured: Mapping[str, Any] = next((r.facts for r in summary.records if r.measurement
                                        and r.run.arm is not Arm.OLD), {})
    session = summary.session
    here = {'session': session.id, 'command': session.command, **session.machine, **measured}
    there = _compared_with(summary)
    rows = []
    for name, value in here.items():
        if name != 'seed' and value != '':
            others = [facts.get(name, '') for facts, _ in there.values()]
            unlike = any(facts.get(name, '') not in ('', ours.get(name, value))
                         for facts, ours in there.values())
            rows.append((name, _shown(value), *map(_shown, others),
                         *([DIFFERS if unlike else ''] if there else [])))
    return Table(('what', 'here', *there, *(['difference'] if there else [])), tuple(rows))


def _shown(value: Any) -> str:
    """A fact in words; some are tables of their own."""
    if isinstance(value, Mapping):
        return ', '.join(f'{name} {of}' for name, of in value.items()) or 'none'
    return str(value)


def _compared_with(summary: Summary) -> Mapping[str, Tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The facts of each baseline, and of the old arm of pairs, by what they are called.

    Beside them stand those of the run that is compared: cases train differently.
    """
    measured = [r for r in summary.records if r.measurement]
    ours = {r.run.case.name: r.facts for r in measured if r.run.arm is not Arm.OLD}
    there = {f'baseline of {v.case}': (v.baseline.environment, ours.get(v.case, {}))
             for v in summary.verdicts if v.baseline and v.baseline.environment}
    old = next((r for r in measured if r.run.arm is Arm.OLD), None)
    return {**there,
            **({'old arm': (old.facts, ours.get(old.run.case.name, {}))} if old else {})}


# --- how far to trust this ------------------------------------------------------------------------

def _trust(summary: Summary) -> Tuple[str, ...]:
    session = summary.session
    return (
        *TRUST, _certified(session), _canary(session),
        *(f'{r.run.id} was disturbed: {r.disturbance}' for r in summary.records if r.disturbance),
        *(_detectable(v) for v in summary.verdicts if v.comparison))


def _canary(session: Session) -> str:
    if not session.canary_s:
        return ('The canary, a fixed workload on the same device, did not run, so a machine that '
                'changed would not have been seen.')
    return ('The canary, a fixed workload on the same device, before, between and after: '
            + ', '.join(f'{s * 1000:.2f}' for s in session.canary_s) + ' ms.')


def _detectable(v: Verdict) -> str:
    assert v.comparison
    others = (f'{len(v.baseline.values)} of the baseline {v.baseline.name} '
              f'({v.baseline.made}: {v.baseline.reason})' if v.baseline
              else f'as many of {v.against}')
    runs = f'{v.runs} run' + ('' if v.runs == 1 else 's')
    return (f'{v.case}: with {runs} against {others}, the smallest loss seen 4 times in 5 is '
            f'{v.metric.change(-v.comparison.detectable)}; p = {v.comparison.p_value:.2g}.')


def _certified(session: Session) -> str:
    """What comparisons with a known answer were called on this machine."""
    made = session.certificate
    if not made:
        return ('This machine has not been certified: how often it alarms for nothing is not '
                'known. `python -m harness certify` measures it.')
    trials = '; '.join(_trial_words(trial) for trial in made.trials)
    return (f'On this machine {trials}. Pairs are medians; tried {made.day} at {made.commit} with '
            f'{made.case or "a case not noted"}, here or on a machine with the same processor '
            'and cores.')


def _trial_words(trial: Trial) -> str:
    called = Counter(trial.calls)
    if trial.slowdown:
        words = (f'{trial.slowdown * 100:.0f} % slowdowns were caught {called["REGRESSION"]} times '
                 f'of {len(trial.calls)}')
    else:
        words = (f'{called["REGRESSION"] + called["IMPROVED"]} of {len(trial.calls)} quiet '
                 'comparisons alarmed')
    unanswered = called['INVALID'] + called['INCONCLUSIVE']
    without = f', {unanswered} without an answer' if unanswered else ''
    return f'{words}{without} ({statistics.median(trial.runs):g} pairs)'


# --- the picture, and other files -----------------------------------------------------------------

def _picture(records: Sequence[RunRecord]) -> Optional[RunPicture]:
    return next((RunPicture(r.run.case.name, r.run.index, _path(r, r.outcome.picture_path),
                            r.measurement.picture if r.measurement else None)
                 for r in reversed(records)
                 if r.outcome.picture_path and r.run.arm is not Arm.OLD), None)


def _run_files(r: RunRecord) -> RunFiles:
    kept: List[str] = [path for path in (r.outcome.log_path, r.outcome.output_path,
                                         r.outcome.picture_path) if path]
    return RunFiles(r.run.title, tuple(_path(r, name) for name in (*kept, 'run.json')))


def _path(r: RunRecord, name: str) -> str:
    """From the reports folder, which may be looked at elsewhere than where it was made."""
    return f'runs/{r.run.id}/{os.path.basename(name)}'


def _number(value: Any, form: str, unit: str = '') -> str:
    return '-' if value is None else f'{value:{form}}{unit}'
