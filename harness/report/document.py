# SPDX-License-Identifier: Apache-2.0
"""Records <-> JSON: run.json and summary.json."""

import dataclasses
import enum
import json
import math
from typing import Any

from harness.errors import ParseError
from harness.records import (
    METRICS,
    Case,
    Load,
    Measurement,
    Outcome,
    PlannedRun,
    RunRecord,
    Summary,
)

SCHEMA = 1


def to_json(record: Any) -> str:
    """Any record as JSON, with the schema's number."""
    return _dump(_plain(record))


def run_from_json(text: str, path: str) -> RunRecord:
    """A RunRecord from its run.json; raises ParseError that names the path."""
    try:
        stored = json.loads(text)
        if stored['schema'] != SCHEMA:
            raise ValueError(f'schema {stored["schema"]}, this harness reads {SCHEMA}')
        case = stored['run']['case']
        planned = PlannedRun(**{**stored['run'], 'case': Case(**{
            **case, 'flags': tuple(case['flags']), 'metric': METRICS[case['metric']['name']]})})
        return RunRecord(
            session=stored['session'], run=planned, outcome=Outcome(**stored['outcome']),
            load=Load(**stored['load']) if stored['load'] else None,
            measurement=_measurement(stored['measurement']), fault=stored['fault'],
            facts=stored['facts'], last_lines=tuple(stored['last_lines']))
    except (ValueError, KeyError, TypeError) as e:
        raise ParseError(f'{path} is no record of a run ({type(e).__name__}: {e}): '
                         'move it away or run again') from e


def summary_json(summary: Summary) -> str:
    """The report's model, without the raw steps: those are in each run's run.json."""
    plain = _plain(summary)
    for record in plain['records']:
        for name in ('step_seconds', 'losses'):
            (record['measurement'] or {}).pop(name, None)
    return _dump(plain)


def _dump(plain) -> str:
    return json.dumps({'schema': SCHEMA, **plain}, indent=1, allow_nan=False) + '\n'


def _measurement(stored):
    return stored and Measurement(**{**stored, 'step_seconds': tuple(stored['step_seconds']),
                                     'losses': tuple(stored['losses'])})


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
