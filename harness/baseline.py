# SPDX-License-Identifier: Apache-2.0
"""Baselines: small, reviewable JSON files in git, one for each case and what it depends on."""

import hashlib
import json
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from harness.errors import ConfigError
from harness.records import METRICS, Baseline, Metric, RunRecord

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'baselines')
SCHEMA = 1

# What was trained: accuracy depends on it, on whatever machine.
TRAINED = ('preset', 'scale', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio', 'patch_size',
           'batch_size', 'max_step', 'learning_rate', 'decay_step', 'decay_rate', 'fine_tuning',
           'precision_mode', 'loss_scale', 'data')
# Where: speed depends on it as well.
WHERE = ('device_kind', 'device_model', 'cpu_model', 'cpus', 'threads', 'tensorflow',
         'driver', 'cann', 'log_freq')


def load_all(folder: str = FOLDER) -> Tuple[Baseline, ...]:
    """Every baseline of the folder; raises ConfigError that names a damaged one."""
    names = sorted(n for n in os.listdir(folder) if n.endswith('.json')) if os.path.isdir(
        folder) else []
    return tuple(_load(os.path.join(folder, name)) for name in names)


def from_runs(records: Sequence[RunRecord], reason: str, made: str,
              margin: Optional[float] = None) -> Tuple[Baseline, ...]:
    """One baseline for each case of the runs; raises ConfigError where they do not belong together.

    A single bad run spoils a baseline, so none is left out in silence.  Without a margin it is the
    metric's own.
    """
    cases: Dict[str, List[RunRecord]] = {}
    for record in records:
        cases.setdefault(record.run.case.name, []).append(record)
    if not cases:
        raise ConfigError('no runs to make a baseline from: run harness/run_all.py first')
    if margin is not None and len(cases) > 1:
        raise ConfigError('--margin is in the unit of one metric, but these runs are of '
                          f'{" and ".join(cases)}: use it for the runs of one case')
    return tuple(_from_case(of_case, reason, made, margin) for of_case in cases.values())


def to_json(baseline: Baseline) -> str:
    """The file's text; two baselines diff line by line."""
    return json.dumps({
        'schema': SCHEMA, 'case': baseline.case, 'metric': baseline.metric.name,
        'unit': baseline.metric.unit, 'margin': baseline.margin, 'made': baseline.made,
        'reason': baseline.reason, 'match': dict(sorted(baseline.match.items())),
        'values': list(baseline.values)}, indent=1) + '\n'


def _from_case(records: Sequence[RunRecord], reason: str, made: str,
               margin: Optional[float]) -> Baseline:
    metric, case = records[0].run.case.metric, records[0].run.case.name
    values = []
    for record in records:
        value = record.value(metric)
        if record.fault or not value:
            raise ConfigError(f'{record.run.id} cannot be part of a baseline: '
                              f'{record.fault or "it measured no " + metric.name}')
        values.append(value)
    match = _match(metric, records[0].facts)
    for record in records[1:]:
        if _match(metric, record.facts) != match:
            raise ConfigError(f'{record.run.id} ran under other conditions than '
                              f'{records[0].run.id}: make a baseline from equal runs')
    digest = hashlib.sha256(json.dumps(match, sort_keys=True).encode()).hexdigest()[:8]
    return Baseline(f'{match["preset"]}-{case}-{digest}', case, metric, tuple(values), match,
                    metric.margin if margin is None else margin, made, reason)


def _match(metric: Metric, facts: Mapping[str, Any]) -> Dict[str, Any]:
    names = TRAINED + WHERE if metric.relative else TRAINED
    return {name: facts.get(name) for name in names}


def _load(path: str) -> Baseline:
    name = os.path.splitext(os.path.basename(path))[0]
    try:
        with open(path, encoding='utf-8') as f:
            stored = json.load(f)
        if stored['schema'] != SCHEMA:
            raise ConfigError(f'{path}: schema {stored["schema"]}, this harness reads {SCHEMA}: '
                              'make the baseline anew')
        return Baseline(name, stored['case'], METRICS[stored['metric']],
                        tuple(map(float, stored['values'])), dict(stored['match']),
                        float(stored['margin']), stored['made'], stored['reason'])
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError) as e:
        raise ConfigError(f'{path} is no baseline ({type(e).__name__}: {e}): restore it with git, '
                          'or remove it') from e
