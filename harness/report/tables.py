# SPDX-License-Identifier: Apache-2.0
"""Records -> CSV: results.csv, a row a run, and verdicts.csv, a row a gate."""

from typing import Any, Dict, Iterable

import pandas

from harness.records import RunRecord, Summary, Verdict

RUN_METRICS = ('images_per_s', 'step_s', 'step_mad_s', 'wall_images_per_s', 'first_step_s',
               'time_to_first_step_s', 'final_loss', 'psnr_db', 'ssim', 'bicubic_psnr_db', 'steps',
               'first_counted_step', 'steady', 'step_p95_s', 'outlier_share')

OTHERS = ('foreign_cpu_percent', 'foreign_threads', 'steal_percent', 'throttled_percent')


def results_csv(summary: Summary) -> str:
    """A row a run; a metric that was not measured is empty."""
    return _csv(_run_row(record) for record in summary.records)


def verdicts_csv(summary: Summary) -> str:
    """A row a gate; differences are shares for images/s and decibel for PSNR."""
    return _csv(_verdict_row(verdict) for verdict in summary.verdicts)


def _run_row(record: RunRecord) -> Dict[str, Any]:
    measured, load = record.measurement, record.load
    return {
        'session': record.session, 'run': record.run.id, 'case': record.run.case.name,
        'arm': record.run.arm.value, 'seed': record.run.seed, 'fault': record.fault,
        'disturbance': record.disturbance,
        **{name: getattr(measured, name, None) for name in RUN_METRICS},
        'steps_per_s': 1 / measured.step_s if measured and measured.step_s else None,
        'wall_s': round(record.outcome.wall_s, 3),
        'peak_memory_mib': round(load.peak_memory_bytes / 2 ** 20, 1) if load else None,
        'mean_cpu_percent': round(load.mean_cpu_percent, 1) if load else None,
        **{name: getattr(load, name, None) for name in OTHERS},
        'device': record.facts.get('device'), 'commit': record.facts.get('commit'),
    }


def _verdict_row(verdict: Verdict) -> Dict[str, Any]:
    c, b = verdict.comparison, verdict.baseline
    return {
        'case': verdict.case, 'metric': verdict.metric.name, 'unit': verdict.metric.unit,
        'verdict': verdict.status.value, 'value': verdict.value, 'runs': verdict.runs,
        'baseline': c and c.baseline, 'difference': c and c.difference, 'low': c and c.low,
        'high': c and c.high, 'p_value': c and c.p_value, 'confidence': c and 1 - c.error,
        'against': verdict.against, 'margin': c and c.margin, 'baseline_runs': b and len(b.values),
        'baseline_name': b and b.name, 'reason': verdict.reason,
    }


def _csv(rows: Iterable[Dict[str, Any]]) -> str:
    return pandas.DataFrame([{name: _cell(value) for name, value in row.items()}
                             for row in rows]).to_csv(index=False)


def _cell(value: Any) -> Any:
    """Text on one line, with an apostrophe where a spreadsheet would run it as a formula."""
    if not isinstance(value, str):
        return value
    text = ' '.join(value.split())
    return "'" + text if text.startswith(('=', '+', '-', '@')) else text
