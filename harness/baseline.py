# SPDX-License-Identifier: Apache-2.0
"""Baselines: small, reviewable JSON files in git, one for each case and what it depends on."""

import dataclasses
import hashlib
import json
import os
import statistics
import time
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from harness import stats
from harness.errors import ConfigError
from harness.records import METRICS, Baseline, Case, Metric, RunRecord

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'baselines')
SCHEMA = 2
LEAST_RUNS = 3   # of fewer, no rule makes anything

# What was trained: accuracy depends on it, on whatever machine.
TRAINED = ('preset', 'scale', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio', 'patch_size',
           'batch_size', 'max_step', 'learning_rate', 'decay_step', 'decay_rate', 'fine_tuning',
           'precision_mode', 'loss_scale', 'data')
# The same of a model that is not ours.
TRAINED_ELSEWHERE = ('network', 'script', 'flags', 'batch_size', 'data')
# Where: speed depends on it as well.
WHERE = ('device_kind', 'device_model', 'cpu_model', 'cpus', 'threads', 'tensorflow',
         'driver', 'cann', 'log_freq')
# What the runs of one baseline share as well, whatever it may be compared with.
SHARED = ('commit', 'tensorflow')
# What may explain a difference, and is no reason not to compare.
ENVIRONMENT = ('host', 'system', 'memory_gib', 'python', 'commit', 'tensorflow', 'device_kind',
               'device_model', 'cpu_model', 'cpus', 'threads', 'driver', 'cann')


def load_all(folder: str = FOLDER) -> Tuple[Baseline, ...]:
    """Every baseline of the folder; raises ConfigError that names a damaged one."""
    names = sorted(n for n in os.listdir(folder) if n.endswith('.json')) if os.path.isdir(
        folder) else []
    return tuple(_load(os.path.join(folder, name)) for name in names)


def from_runs(records: Sequence[RunRecord], reason: str, canary_s: Sequence[float] = (),
              margin: Optional[float] = None) -> Tuple[Baseline, ...]:
    """One baseline for each case of the runs; raises ConfigError where they do not belong together.

    A single bad run spoils a baseline, so none is left out in silence.  Without a margin it is the
    metric's own.  canary_s: of the sessions that the runs are from.
    """
    cases: Dict[str, List[RunRecord]] = {}
    for record in records:
        cases.setdefault(record.run.case.name, []).append(record)
    if not cases:
        raise ConfigError('no runs to make a baseline from: run harness/run_all.py first')
    require_margin(margin, [of_case[0].run.case for of_case in cases.values()])
    return tuple(_from_case(of_case, reason, canary_s, margin) for of_case in cases.values())


def require_margin(margin: Optional[float], cases: Sequence[Case]):
    """Raise ConfigError where one margin cannot be that of all these cases."""
    if margin is None:
        return
    if len(cases) > 1:
        raise ConfigError('--margin is in the unit of one metric, but these runs are of '
                          f'{" and ".join(c.name for c in cases)}: use it for the runs of one case')
    if not 0 < margin < (1 if cases[0].metric.relative else float('inf')):
        raise ConfigError(f'--margin must be above 0, and a share below 1, not {margin}')


def to_json(baseline: Baseline) -> str:
    """The file's text; two baselines diff line by line, with a line for each run's curve."""
    stored = {
        'schema': SCHEMA, 'case': baseline.case, 'metric': baseline.metric.name,
        'unit': baseline.metric.unit, 'margin': baseline.margin, 'day': baseline.day,
        'commit': baseline.commit, 'reason': baseline.reason, 'wall_s': baseline.wall_s,
        'match': dict(sorted(baseline.match.items())),
        'environment': dict(sorted(baseline.environment.items())),
        'values': list(baseline.values), 'canary_s': list(baseline.canary_s)}
    head = json.dumps(stored, indent=1)[:-len('\n}')]
    curves = ',\n  '.join(map(json.dumps, baseline.losses))
    return f'{head},\n "losses": [\n  {curves}\n ]\n}}\n'


def find(name: str, folder: str = FOLDER) -> str:
    """The path of a baseline's file; raises ConfigError where there is none."""
    if name not in {b.name for b in load_all(folder)}:
        raise ConfigError(f'no baseline {name}: `python -m harness baseline show` lists them')
    return os.path.join(folder, f'{name}.json')


def retire(path: str):
    """Remove a baseline's file."""
    os.unlink(path)


def digest(match: Mapping[str, Any]) -> str:
    """A short name of conditions under which runs may be compared."""
    return hashlib.sha256(json.dumps(match, sort_keys=True).encode()).hexdigest()[:8]


def series(match: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A short name of the runs of one series of the history.

    Builds of TensorFlow are series of their own, whatever the metric: a change of level is put down
    to a commit, and no sentence beside it would name the build.
    """
    return digest({**match, 'tensorflow': facts.get('tensorflow')})


def by_series(baselines: Iterable[Baseline]) -> Dict[Tuple[str, str], Baseline]:
    """By the case and the series whose runs each is compared with."""
    return {(b.case, series(b.match, b.environment)): b for b in baselines}


def match(metric: Metric, facts: Mapping[str, Any]) -> Dict[str, Any]:
    """The facts that runs must share to be compared."""
    trained = TRAINED_ELSEWHERE if 'script' in facts else TRAINED
    names = trained + WHERE if metric.relative else trained
    return {name: facts.get(name) for name in names}


def _from_case(records: Sequence[RunRecord], reason: str, canary_s: Sequence[float],
               margin: Optional[float]) -> Baseline:
    metric, case = records[0].run.case.metric, records[0].run.case.name
    values = []
    for record in records:
        value = record.value(metric)
        why = (record.fault or ('' if value else f'it measured no {metric.name}')
               or record.disturbed)
        if why or not value:
            raise ConfigError(f'{record.run.id} cannot be part of a baseline: {why}')
        values.append(value)
    if len(records) < LEAST_RUNS:
        raise ConfigError(f'{case}: {len(records)} runs show no spread: a baseline takes '
                          f'{LEAST_RUNS} at the least, and 10 are good')
    # Other models' scripts take no seed: each of their runs is another draw.
    distinct = len({r.run.seed for r in records}) == len(records) or bool(
        records[0].run.case.model_dir)
    if not (distinct or metric.relative):
        raise ConfigError(f'{case}: runs of one seed do not show how far seeds lie apart: name '
                          'others, or make it with `python -m harness baseline learn`')
    if len(set(values)) == 1 and records[0].run.case.model_dir:
        raise ConfigError(f'{case}: {values[0]:g} in each of {len(values)} runs, to the last '
                          'digit: that is no measurement, or too coarse a one; rules that read '
                          'its log (--rules) tell more')
    facts = records[0].facts
    shared = match(metric, facts)
    for record in records[1:]:
        if match(metric, record.facts) != shared or any(
                record.facts.get(name) != facts.get(name) for name in SHARED):
            raise ConfigError(f'{record.run.id} ran under other conditions than '
                              f'{records[0].run.id}: make a baseline from equal runs')
    # Of the runs, not of today: what was measured is what they ran.
    day = time.strftime('%Y-%m-%d', time.gmtime(records[0].outcome.started_unix_s))
    curves = [stats.loss_curve(r.measurement.losses) for r in records if r.measurement]
    return Baseline(
        '-'.join(filter(None, (shared.get('preset'), case, digest(shared)))),
        case, metric, tuple(values), shared,
        metric.margin if margin is None else margin, facts['commit'], day, reason,
        tuple(curves) if distinct and all(curves) else (), tuple(canary_s),
        round(statistics.median(r.outcome.wall_s for r in records), 1),
        {name: facts.get(name) for name in ENVIRONMENT if name in facts})


def _load(path: str) -> Baseline:
    name = os.path.splitext(os.path.basename(path))[0]
    try:
        with open(path, encoding='utf-8') as f:
            stored = _upgraded(json.load(f))
        if stored['schema'] != SCHEMA:
            raise ConfigError(f'{path}: schema {stored["schema"]}, this harness reads {SCHEMA}: '
                              'make the baseline anew')
        return Baseline(name, stored['case'], _metric(stored),
                        tuple(map(float, stored['values'])), dict(stored['match']),
                        float(stored['margin']), str(stored['commit']), str(stored['day']),
                        str(stored['reason']),
                        tuple(tuple(map(float, curve)) for curve in stored['losses']),
                        tuple(map(float, stored['canary_s'])), float(stored['wall_s']),
                        dict(stored['environment']))
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError) as e:
        raise ConfigError(f'{path} is no baseline ({type(e).__name__}: {e}): restore it with git, '
                          'or remove it') from e


def _metric(stored: Mapping[str, Any]) -> Metric:
    """One that we know by name, in the unit of the model that it is of."""
    return dataclasses.replace(METRICS[stored['metric']], unit=str(stored['unit']))


def _upgraded(stored: Dict[str, Any]) -> Dict[str, Any]:
    """Schema 1 knew no curves, no canary and no environment."""
    if stored['schema'] != 1:
        return stored
    day, _, commit = stored['made'].partition(' at ')
    return {'losses': [], 'canary_s': [], 'wall_s': 0.0, 'environment': {}, **stored,
            'schema': 2, 'day': day, 'commit': commit}
