# SPDX-License-Identifier: Apache-2.0
"""Records <-> JSON: run.json and summary.json."""

import contextlib
import dataclasses
import enum
import json
import math
from typing import Any, Dict, Mapping, Optional

from harness.errors import ConfigError, ParseError
from harness.records import (
    METRICS,
    Arm,
    Baseline,
    Case,
    Certificate,
    Detail,
    Device,
    Load,
    Measurement,
    Metric,
    Outcome,
    Picture,
    PlannedRun,
    Reported,
    RunRecord,
    Session,
    Summary,
    Telemetry,
    Trial,
    Turn,
)

SCHEMA = 5


def to_json(record: Any) -> str:
    """Any record as JSON, with the schema's number."""
    return _dump(_plain(record))


def run_from_json(text: str, path: str) -> RunRecord:
    """A RunRecord from its run.json; raises ParseError that names the path."""
    with _damage(path, 'record of a run'):
        return _run(_stored(text))


def session_json(session: Session) -> str:
    """What the verdicts of a session are made with, but for its runs.

    The variables stay out: no verdict needs them, and not all of them are ours to keep.
    """
    return to_json(dataclasses.replace(session, variables={}))


def session_from_json(text: str, path: str) -> Session:
    """A Session from its session_json(); raises ParseError that names the path."""
    with _damage(path, 'record of a session'):
        stored = _stored(text)
        found = stored['certificate']
        return Session(**{
            **stored, 'device': Device(**stored['device']),
            'cases': tuple(map(_case, stored['cases'])),
            'baselines': tuple(map(_baseline, stored['baselines'])),
            'certificate': found and certificate(found), 'canary_s': tuple(stored['canary_s'])})


def certificate(stored: Mapping[str, Any]) -> Certificate:
    """A Certificate from its plain form; raises KeyError or TypeError where it is none."""
    return Certificate(**{**stored, 'canary_s': tuple(stored['canary_s']), 'trials': tuple(
        Trial(t['slowdown'], tuple(t['calls']), tuple(t['runs'])) for t in stored['trials'])})


def summary_json(summary: Summary) -> str:
    """The report's model, without the raw steps: those are in each run's run.json."""
    plain = _plain(dataclasses.replace(
        summary, session=dataclasses.replace(summary.session, variables={})))
    for record in plain['records']:
        record.pop('telemetry')
        for name in ('step_seconds', 'losses'):
            (record['measurement'] or {}).pop(name, None)
    return _dump(plain)


@contextlib.contextmanager
def _damage(path: str, what: str):
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ConfigError) as e:
        raise ParseError(f'{path} is no {what} ({type(e).__name__}: {e}): '
                         'move it away or run again') from e


def _stored(text: str) -> Dict[str, Any]:
    stored = json.loads(text)
    schema = stored.pop('schema')
    if schema not in (1, 2, 3, 4, SCHEMA):
        raise ValueError(f'schema {schema}, this harness reads {SCHEMA}')
    return stored


def _run(stored: Mapping[str, Any]) -> RunRecord:
    """Schema 1 knew no arms, no turns and no disturbance: one checkout alone on the machine.

    Schema 2 knew of others only the CPU that they take, 3 no telemetry, no evaluations between the
    steps and nothing of what the picture shows, and 4 no other models.
    """
    planned = {**stored['run'], 'case': _case(stored['run']['case']),
               'arm': Arm(stored['run'].get('arm', ''))}
    turns = tuple(Turn(**turn) for turn in stored['outcome'].get('turns', ()))
    return RunRecord(
        session=stored['session'], run=PlannedRun(**planned),
        outcome=Outcome(**{**stored['outcome'], 'turns': turns}),
        load=_load(stored['load']),
        measurement=_measurement(stored['measurement']), fault=stored['fault'],
        facts=stored['facts'], last_lines=tuple(stored['last_lines']),
        disturbance=stored.get('disturbance', ''), telemetry=_telemetry(stored.get('telemetry')))


def _load(stored) -> Optional[Load]:
    return stored and Load(**{**stored, 'device_others': tuple(stored.get('device_others', ()))})


def _case(stored: Mapping[str, Any]) -> Case:
    return Case(**{**stored, 'flags': tuple(stored['flags']), 'metric': _metric(stored['metric'])})


def _baseline(stored: Mapping[str, Any]) -> Baseline:
    return Baseline(**{**stored, 'metric': _metric(stored['metric']),
                       'values': tuple(stored['values']), 'canary_s': tuple(stored['canary_s']),
                       'losses': tuple(map(tuple, stored['losses']))})


def _metric(stored: Mapping[str, Any]) -> Metric:
    """One that we know by name, with the label, unit and margin of the model that it is of."""
    return dataclasses.replace(METRICS[stored['name']], **{
        name: stored[name] for name in ('label', 'unit', 'margin')})


def _dump(plain) -> str:
    return json.dumps({'schema': SCHEMA, **plain}, indent=1, allow_nan=False) + '\n'


def _measurement(stored) -> Optional[Measurement]:
    return stored and Measurement(**{
        **stored, 'step_seconds': tuple(stored['step_seconds']), 'losses': tuple(stored['losses']),
        'psnr_curve': tuple((step, psnr) for step, psnr in stored.get('psnr_curve', ())),
        'picture': _picture(stored.get('picture')), 'reported': _reported(stored.get('reported'))})


def _picture(stored) -> Optional[Picture]:
    return stored and Picture(**{**stored, 'rows': tuple(
        Detail(row['image'], tuple(row['psnr_db'])) for row in stored['rows'])})


def _reported(stored) -> Optional[Reported]:
    return stored and Reported(**{**stored, 'remarks': tuple(stored['remarks'])})


def _telemetry(stored) -> Optional[Telemetry]:
    return stored and Telemetry(**{name: tuple(column) for name, column in stored.items()})


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows no such numbers
    return value
