# SPDX-License-Identifier: Apache-2.0
"""The runs of a session -> charts (pure)."""

import dataclasses
import math
from typing import Iterator, List, Optional, Sequence, Tuple

from harness import stats
from harness.judge import CURVE_ERROR
from harness.records import PSNR, Arm, Baseline, Measurement, RunRecord, Summary, Verdict
from harness.report.charts import Band, Chart, Line, Span, chart_id

MOST_POINTS = 2000   # of a line: more than a screen has columns
# What is drawn of a run's telemetry: a chart's name, title, unit, and its columns.
TELEMETRY = (
    ('cpu', 'CPU during', 'CPU, % of one core', (('', 'cpu_percent'),
                                                 (', others', 'foreign_cpu_percent'))),
    ('memory', 'Memory during', 'memory, MiB', (('', 'memory_mib'),
                                                (', on the device', 'device_memory_mib'))),
    ('device', 'Use of the device during', '% of the time', (('', 'device_percent'),)),
    ('heat', 'Heat of the device during', 'temperature, °C', (('', 'device_celsius'),)),
    ('power', 'Power of the device during', 'power, W', (('', 'device_watts'),)))


def session_charts(summary: Summary) -> Tuple[Chart, ...]:
    """How the runs of a session went, case by case; no chart where nothing was measured."""
    charts: List[Chart] = []
    for verdict in summary.verdicts:
        records = [r for r in summary.records if r.run.case.name == verdict.case]
        charts += [_steps(verdict, records), _losses(verdict, records),
                   *_psnrs(verdict, records), *_telemetry(verdict.case, records)]
    return tuple(chart for chart in charts
                 if any(y is not None for line in chart.lines for y in line.y))


def _steps(verdict: Verdict, records: Sequence[RunRecord]) -> Chart:
    case, lines, warm_up = verdict.case, [], 0
    counts = ('the interquartile mean of the steps of its turns'
              if any(r.outcome.turns for r in records) else 'the median of those after it')
    for r, m in _measured(records):
        turns = r.outcome.turns
        # A step that the other arm of a pair interrupted lasted as long as the stop.
        milliseconds = [
            1000 * s if not turns or any(t.first_step < step <= t.last_step for t in turns)
            else None for step, s in zip(_logged_steps(m), m.step_seconds)]
        lines.append(_thinned(_line(r, _logged_steps(m), milliseconds)))
        warm_up = max(warm_up, (m.first_counted_step or m.steps + 1) - 1)
    return Chart(chart_id('steps', case), f'Step time of {case}', 'step', 'step time, ms',
                 f'The shaded steps are warm-up. A run counts as {counts}.',
                 tuple(lines), spans=(Span('warm-up', 0, warm_up),),
                 detail=not verdict.metric.relative)


def _losses(verdict: Verdict, records: Sequence[RunRecord]) -> Chart:
    """Of every step; beside a baseline's curves, in the form in which the two are compared."""
    curves = verdict.baseline.losses if verdict.baseline else ()
    detail = verdict.metric.relative and not verdict.curve
    if len(curves) >= stats.SHORT_HISTORY:
        return _loss_curves(verdict.case, curves, records, detail)
    lines = tuple(_thinned(_line(r, _logged_steps(m), m.losses)) for r, m in _measured(records))
    return Chart(chart_id('loss', verdict.case), f'Loss of {verdict.case}', 'step', 'loss',
                 'The loss of every logged step.', lines,
                 log_y=all(loss is not None and loss > 0 for line in lines for loss in line.y),
                 detail=detail)


def _loss_curves(case: str, curves: Sequence[Sequence[float]],
                 records: Sequence[RunRecord], detail: bool) -> Chart:
    shares = tuple(100 * (i + 1) / len(curves[0]) for i in range(len(curves[0])))
    lows, highs = zip(*stats.envelope(curves, CURVE_ERROR))
    lines = [_line(r, shares, _exp(stats.loss_curve(m.losses))) for r, m in _measured(records)]
    return Chart(
        chart_id('loss', case), f'Loss of {case}', 'share of the training, %', 'loss',
        'The mean of each twentieth of the training. A sound training stays in the envelope 99 '
        'times in 100.', tuple(line for line in lines if line.y),
        bands=(Band(f'envelope of the {len(curves)} runs of the baseline', shares, _exp(lows),
                    _exp(highs)),), log_y=True, detail=detail)


def _psnrs(verdict: Verdict, records: Sequence[RunRecord]) -> List[Chart]:
    """The evaluations of each training, what the baseline came to, and what needs no training."""
    found = [(r, m) for r, m in _measured(records) if m.psnr_curve]
    if not found:
        return []
    runs = tuple(_line(r, [float(step) for step, _ in m.psnr_curve],
                       [db for _, db in m.psnr_curve], 'points') for r, m in found)
    ends = (0.0, max(line.x[-1] for line in runs))
    bicubic_db = found[0][1].bicubic_psnr_db
    lines = [*runs, *([level('bicubic', ends, bicubic_db)] if bicubic_db else [])]
    bands: Tuple[Band, ...] = ()
    if verdict.baseline and verdict.metric == PSNR:
        lines.append(level('limit', ends, limit(verdict.baseline)))
        bands = (expected(verdict.baseline, ends),)
    return [Chart(chart_id('psnr', verdict.case), f'PSNR of {verdict.case}', 'step', 'PSNR, dB',
                  'Every evaluation of the trainings, beside bicubic upscaling.', tuple(lines),
                  bands=bands)]


def _telemetry(case: str, records: Sequence[RunRecord]) -> List[Chart]:
    note = 'What is not known is a gap. Arms of a pair that took turns were seen together.'
    return [Chart(chart_id(kind, case), f'{title} {case}', 'seconds since the run began', y_label,
                  note, tuple(_columns(records, columns)), detail=True)
            for kind, title, y_label, columns in TELEMETRY]


def _columns(records: Sequence[RunRecord],
             columns: Sequence[Tuple[str, str]]) -> Iterator[Line]:
    for r in records:
        if r.outcome.turns and r.run.arm is Arm.OLD:
            continue   # one sampler saw both arms together: what the new one has is theirs
        for suffix, name in columns:
            values = getattr(r.telemetry, name, ())
            if r.telemetry and any(value is not None for value in values):
                yield Line(r.run.title + suffix, r.telemetry.at_s, values)


# --- what a baseline expects ----------------------------------------------------------------------

def expected(baseline: Baseline, ends: Tuple[float, float]) -> Band:
    """Where one more run like the baseline's lies 95 times in 100; from its 3 runs or more."""
    metric = baseline.metric
    (low, high), = stats.envelope([[metric.scaled(v)] for v in baseline.values])
    return Band(f'baseline, {len(baseline.values)} runs', ends, (metric.restored(low),) * 2,
                (metric.restored(high),) * 2)


def limit(baseline: Baseline) -> float:
    """The value below which a loss is more than is accepted."""
    metric = baseline.metric
    return metric.restored(metric.scaled(metric.mean(baseline.values))
                           - metric.loss(baseline.margin))


def level(name: str, ends: Tuple[float, float], value: float) -> Line:
    """A dashed line from one end to the other."""
    return Line(name, ends, (value, value), 'dashed')


# --- the parts ------------------------------------------------------------------------------------

def _measured(records: Sequence[RunRecord]) -> List[Tuple[RunRecord, Measurement]]:
    return [(r, r.measurement) for r in records if r.measurement]


def _line(r: RunRecord, x: Sequence[float], y: Sequence[Optional[float]],
          style: str = 'line') -> Line:
    arm = r.run.arm.value
    return Line(r.run.title, tuple(x), tuple(y), style, family=f'{arm} arm' if arm else '')


def _logged_steps(m: Measurement) -> Tuple[float, ...]:
    every = m.steps / max(1, len(m.step_seconds))
    return tuple(round(every * (i + 1)) for i in range(len(m.step_seconds)))


def _exp(logarithms: Sequence[float]) -> Tuple[float, ...]:
    return tuple(map(math.exp, logarithms))


def _thinned(line: Line) -> Line:
    """No more points than can be seen: of each part of a long line its lowest and highest."""
    if len(line.x) <= MOST_POINTS:
        return line
    known = [i for i, y in enumerate(line.y) if y is not None]
    size = math.ceil(len(known) / (MOST_POINTS // 2))
    kept = set()
    for start in range(0, len(known), size):
        part = sorted(known[start:start + size], key=lambda i: line.y[i] or 0)
        kept |= {part[0], part[-1]}
    order = sorted(kept)
    return dataclasses.replace(line, x=tuple(line.x[i] for i in order),
                               y=tuple(line.y[i] for i in order))
