# SPDX-License-Identifier: Apache-2.0
"""Records -> CSV: results.csv, a row a run, and verdicts.csv, a row a gate.

What the columns mean, with their units, is in reports/README.md.
"""

import re
from functools import partial
from typing import Any, Callable, Mapping, Sequence

import pandas

from harness.records import RunRecord, Summary

Columns = Mapping[str, Callable[[Any], Any]]

# A spreadsheet runs a cell that begins so; where it splits at semicolons, a cell begins after one.
FORMULA = re.compile(r'(^|;\s*)(?=[=+\-@＝＋－＠])')
CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f]')


def results_csv(summary: Summary) -> str:
    """A row a run; what was not measured is empty."""
    return _csv(RESULTS, summary.records)


def verdicts_csv(summary: Summary) -> str:
    """A row a gate; differences are shares for images/s and decibel for PSNR."""
    return _csv(VERDICTS, summary.verdicts)


def _of(part: str, *names: str) -> Columns:
    """Columns of a record's part; empty where the record has none."""
    return {name: partial(_field, part, name) for name in names}


def _field(part: str, name: str, record: Any) -> Any:
    return getattr(getattr(record, part), name, None)


def _steps_per_s(r: RunRecord) -> Any:
    return r.measurement and r.measurement.step_s and 1 / r.measurement.step_s


def _reported(name: str, r: RunRecord) -> Any:
    """What another model's script says of itself, as it says it."""
    return r.measurement and r.measurement.reported and r.measurement.reported.values.get(name)


RESULTS: Columns = {
    'session': lambda r: r.session,
    'run': lambda r: r.run.id,
    'case': lambda r: r.run.case.name,
    'arm': lambda r: r.run.arm.value,
    'seed': lambda r: r.run.seed,
    'fault': lambda r: r.fault,
    'disturbance': lambda r: r.disturbance,
    **_of('measurement', 'images_per_s', 'step_s', 'step_mad_s', 'wall_images_per_s',
          'first_step_s', 'time_to_first_step_s', 'final_loss', 'psnr_db', 'ssim',
          'bicubic_psnr_db', 'steps', 'first_counted_step', 'steady', 'step_p95_s',
          'outlier_share'),
    'accuracy': lambda r: r.measurement and r.measurement.accuracy,
    'steps_per_s': _steps_per_s,
    **{f'reported_{name}': partial(_reported, name) for name in (
        'ActualFPS', 'TrainAccuracy', 'TrainingTime', 'ActualLoss')},
    **_of('outcome', 'wall_s'),
    'peak_memory_mib': lambda r: r.load and r.load.peak_memory_bytes / 2 ** 20,
    **_of('load', 'mean_cpu_percent', 'foreign_cpu_percent', 'foreign_threads', 'steal_percent',
          'throttled_percent'),
    'device': lambda r: r.facts.get('device'),
    'commit': lambda r: r.facts.get('commit'),
}

VERDICTS: Columns = {
    'case': lambda v: v.case,
    'metric': lambda v: v.metric.name,
    'unit': lambda v: v.metric.unit,
    'verdict': lambda v: v.status.value,
    'value': lambda v: v.value,
    'runs': lambda v: v.runs,
    **_of('comparison', 'baseline', 'difference', 'low', 'high', 'p_value'),
    'confidence': lambda v: v.comparison and 1 - v.comparison.error,
    'against': lambda v: v.against,
    **_of('comparison', 'margin'),
    'baseline_runs': lambda v: v.baseline and len(v.baseline.values),
    'baseline_name': lambda v: v.baseline and v.baseline.name,
    'reason': lambda v: v.reason,
}


def _csv(columns: Columns, records: Sequence[Any]) -> str:
    """Numbers with nine digits: more than any log holds, and fewer than arithmetic makes up."""
    rows = [[_cell(get(record)) for get in columns.values()] for record in records]
    return pandas.DataFrame(rows, columns=list(columns)).to_csv(index=False, float_format='%.9g')


def _cell(value: Any) -> Any:
    """Text on one line, with an apostrophe where a spreadsheet would run it as a formula."""
    if not isinstance(value, str):
        return value
    line = CONTROL.sub(lambda found: f'\\x{ord(found[0]):02x}', ' '.join(value.split()))
    return FORMULA.sub(r"\1'", line)
