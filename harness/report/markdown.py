# SPDX-License-Identifier: Apache-2.0
"""Records -> summary.md: what happened, how sure it is, what to type next; then the details."""

import os
import statistics
from collections import Counter
from typing import Any, List, Mapping, Optional, Sequence

from harness import judge
from harness.records import (
    Arm,
    Measurement,
    Metric,
    RunRecord,
    Session,
    Status,
    Summary,
    Trial,
    Verdict,
)

# A sign beside every word, so that neither colour nor font has to carry it alone.
SIGNS = {Status.PASS: '✅', Status.IMPROVED: '🚀', Status.NO_BASELINE: '🆕',
         Status.INCONCLUSIVE: '❔', Status.REGRESSION: '❌', Status.INVALID: '⛔'}

DISAGREEMENT = 0.05  # between the step time's throughput and the wall's: beyond it is explained

MEANING = {
    Status.PASS: 'nothing is worse than what it was compared with, within its limit',
    Status.IMPROVED: 'something is better than what it was compared with, and nothing is worse',
    Status.NO_BASELINE: 'measured, but not everything has a baseline to compare with',
    Status.INCONCLUSIVE: 'measured, but too noisy to call',
    Status.REGRESSION: 'something is worse than what it was compared with, beyond its limit',
    Status.INVALID: 'something could not be measured, which says nothing about the code',
}


def to_markdown(summary: Summary) -> str:
    """The whole report, in the order in which it is read."""
    status = judge.headline(summary.verdicts)
    sections = [
        f'# {SIGNS[status]} {status.value}: RCAN on {summary.session.device.kind} '
        f'{summary.session.device.index}',
        _first_sentence(summary, status),
        _gates(summary.verdicts),
        '## Why\n\n' + '\n'.join(f'- **{v.case}** ({v.status.value}): {_text(v.reason)}'
                                 for v in summary.verdicts),
        _what_to_do(summary.verdicts),
        _pictures(summary.records),
        *(_failure(r) for r in summary.records if r.fault),
        _folded('All metrics', _all_metrics(summary.records)),
        _folded('Environment', _environment(summary)),
        _folded('How far to trust this', _trust(summary)),
    ]
    return '\n\n'.join(filter(None, sections)) + '\n'


def closing_lines(summary: Summary, reports: str) -> List[str]:
    """What the terminal says at the end: a line a case, then where to read on."""
    return [*(f'{v.status.value:12} {v.case}: {v.reason}' for v in summary.verdicts),
            f'report: {os.path.relpath(os.path.join(reports, "summary.md"))}']


def _first_sentence(summary: Summary, status: Status) -> str:
    ended = summary.session.ended
    stopped = (f' **The session ended early: {ended}**; what came after has not run.'
               if ended else '')
    return f'{MEANING[status].capitalize()}.{stopped}'


def _gates(verdicts: Sequence[Verdict]) -> str:
    return _table(
        ('', 'case', 'metric', 'now', 'baseline', 'change (interval)', 'limit', 'runs'),
        [(f'{SIGNS[v.status]} {v.status.value}', v.case, v.metric.label,
          _value(v.metric, v.value), _baseline_cell(v), _change_cell(v), _limit_cell(v),
          _runs_cell(v))
         for v in verdicts])


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


def _what_to_do(verdicts: Sequence[Verdict]) -> str:
    advice = [f'- **{v.case}**: {_text(line)}' for v in verdicts for line in v.advice]
    return '## What to do\n\n' + ('\n'.join(advice) or 'Nothing.')


def _pictures(records: Sequence[RunRecord]) -> str:
    shown = [r for r in records if r.outcome.picture_path][-1:]  # of the last run that has one
    return '\n\n'.join(
        '## What it looks like\n\nFrom left to right: low resolution, bicubic, RCAN, the original '
        f'({r.run.case.name}, run {r.run.index}).\n\n'
        f'![LR, bicubic, RCAN and HR](runs/{r.run.id}/{os.path.basename(r.outcome.picture_path)})'
        for r in shown)


def _failure(record: RunRecord) -> str:
    lines = '\n'.join(record.last_lines).replace('```', "'''")
    return (f'## {record.run.case.name}, run {record.run.index}: {_text(record.fault)}\n\n'
            + _folded(f'The last {len(record.last_lines)} lines of its output',
                      f'```text\n{lines}\n```'))


def _all_metrics(records: Sequence[RunRecord]) -> str:
    table = _table(
        ('run', 'seed', 'images/s', 'step (typical ± MAD)', 'p95', 'outliers', 'wall images/s',
         'first step', 'time to first step', 'final loss', 'PSNR', 'SSIM', 'bicubic PSNR',
         'peak memory', 'mean CPU', 'wall time'),
        [_metrics_row(r) for r in records])
    return '\n\n'.join(filter(None, [table, *map(_time_sentence, records)]))


def _metrics_row(r: RunRecord) -> List[str]:
    m, load = r.measurement, r.load
    return [
        f'{r.run.case.name} {r.run.index} {r.run.arm.value}'.rstrip(), str(r.run.seed),
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
        f'{r.outcome.wall_s:.0f} s']


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
    return f'{_text(r.run.case.name)} {r.run.index}: {"; ".join(said)}.' if said else ''


def _where_it_went(m: Measurement, step_s: float) -> str:
    """Seconds by phase, the longest first; of the steps only what is beyond their median."""
    of = m.phases_s
    if not of:
        return ''
    expected_s = step_s * (m.config.get('max_step', m.steps) - 1)
    beyond_s = of.get('steps', 0) + of.get('input wait', 0) - expected_s
    took_s = {'saving': of.get('saving', 0), 'evaluation': of.get('evaluation', 0),
              'steps beyond their median': beyond_s, 'the rest': of.get('other', 0)}
    longest = sorted(took_s.items(), key=lambda item: -item[1])
    parts = [f'{name} took {seconds:.1f} s' for name, seconds in longest if seconds >= 0.05]
    if 'input wait' in of:
        parts.append(f'the steps waited {of["input wait"]:.1f} s for input')
    parts.append(f'the first step took {m.first_step_s:.1f} s and counts in neither')
    return ': ' + ', '.join(parts)


def _environment(summary: Summary) -> str:
    measured: Mapping[str, Any] = next((r.facts for r in summary.records if r.measurement
                                        and r.run.arm is not Arm.OLD), {})
    rows = {**summary.session.machine, **measured, 'command': summary.session.command}
    there = {v.case: v.baseline.environment for v in summary.verdicts
             if v.baseline and v.baseline.environment}
    return _table(('what', 'here', *(f'baseline of {case}' for case in there)),
                  [(name, str(value), *(str(of.get(name, '')) for of in there.values()))
                   for name, value in rows.items() if name != 'seed' and value != ''])


def _trust(summary: Summary) -> str:
    session = summary.session
    lines = ['A run is the unit of evidence: one value a run, the median of its steady steps (of '
             'pairs that take turns, their interquartile mean), never single steps. Against a '
             'baseline the interval is the Student t prediction interval, from the spread of the '
             'baseline\'s runs; of pairs, run side by side, it is the paired t interval. 5 % of '
             'error are shared by all looks at the runs, and by all gates (Holm); a difference '
             'counts only where it is beyond the limit as well. Loss curves have an error of '
             'their own, 1 % a look.',
             f'- {_certified(session)}']
    lines.append('- canary, a fixed workload on the same device, before, between and after: '
                 + (', '.join(f'{s * 1000:.2f}' for s in session.canary_s) + ' ms'
                    if session.canary_s else
                    'it did not run, so a machine that changed would not have been seen'))
    disturbed = [r for r in summary.records if r.disturbance]
    lines += [f'- {r.run.id} was disturbed: {_text(r.disturbance)}' for r in disturbed]
    for v in summary.verdicts:
        if v.comparison:
            smallest = v.metric.change(-v.comparison.detectable)
            others = (f'{len(v.baseline.values)} of the baseline {v.baseline.name} '
                      f'({v.baseline.made}: {v.baseline.reason})' if v.baseline
                      else f'as many of {v.against}')
            runs = f'{v.runs} run' + ('' if v.runs == 1 else 's')
            lines.append(f'- {v.case}: with {runs} against {_text(others)}, the smallest '
                         f'loss seen 4 times in 5 is {smallest}; p = {v.comparison.p_value:.2g}.')
    return '\n'.join(lines)


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


def _folded(title: str, body: str) -> str:
    return f'<details><summary>{title}</summary>\n\n{body}\n\n</details>' if body else ''


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(_cell(c) for c in row) + ' |' for row in cells)


def _cell(text: str) -> str:
    return _text(text).replace('\\', '\\\\').replace('|', '\\|')


def _text(text: str) -> str:
    """Text from elsewhere on one line, where neither a block nor an HTML tag can begin in it."""
    return ' '.join(text.split()).replace('<', '&lt;')


def _number(value: Any, form: str, unit: str = '') -> str:
    return '-' if value is None else f'{value:{form}}{unit}'
