# SPDX-License-Identifier: Apache-2.0
"""A run that has ended -> its record: what it has measured, or why that is no evidence."""

from typing import Any, Mapping, Optional, Tuple

from harness import baseline, causes, disturbance, files, machine, parse
from harness.errors import ParseError
from harness.history import Entry
from harness.records import (
    Device,
    Load,
    Measurement,
    Outcome,
    PlannedRun,
    RunRecord,
    Session,
    Telemetry,
)

LAST_LINES = 20


def record(session: Session, planned: PlannedRun, outcome: Outcome, load: Optional[Load],
           log: parse.TrainingLog, commit: str,
           telemetry: Optional[Telemetry] = None) -> RunRecord:
    """A failure of the run makes it no measurement; it never makes us fail.

    commit: of another checkout than this; empty: of this.
    """
    output = files.read(outcome.output_path)
    measurement, why = evaluate(planned, session.device, outcome)
    if outcome.fault:
        why = '; '.join(filter(None, (f'{why} while {log.progress().phase}',
                                      causes.diagnose(output))))
    facts: Mapping[str, Any] = session.machine
    if measurement:
        facts = machine.facts(session.machine, measurement)
    if commit:
        facts = {**facts, 'commit': commit}
    return RunRecord(
        session.id, planned, outcome, load, measurement, why, facts,
        last_lines=tuple(output.splitlines()[-LAST_LINES:]) if why else (),
        disturbance=disturbance.disturbance(load, session.machine['cpus']) if load else '',
        telemetry=telemetry)


def evaluate(planned: PlannedRun, chosen: Device,
             outcome: Outcome) -> Tuple[Optional[Measurement], str]:
    """What a run has measured, and why that is no evidence; the latter is empty where it is."""
    if outcome.fault:
        return None, outcome.fault
    if not outcome.log_path:
        return None, 'it succeeded, but wrote no training log'
    try:
        log = parse.TrainingLog().feed(files.lines(outcome.log_path))
        measurement = log.measurement(outcome.turns)
    except ParseError as e:
        return None, str(e)
    return measurement, fault(planned, chosen, measurement)


def fault(planned: PlannedRun, device: Device, measurement: Measurement) -> str:
    """Why a finished run is no evidence for what was asked; empty where it is.

    TensorFlow 1.15 ignores an unknown device plug-in silently, so success alone proves nothing.
    """
    if measurement.device_kind != device.kind:
        return f'asked for the {device.kind}, but the training ran on the {measurement.device_kind}'
    asked = dict(flag[2:].split('=', 1) for flag in planned.argv if flag.startswith('--'))
    for name in ('preset', 'max_step', 'seed'):
        trained = str(measurement.config.get(name))
        if asked.get(name, trained) != trained:
            return f'asked for {name} {asked[name]}, but it trained with {trained}'
    return ''


def entry(record: RunRecord) -> Entry:
    """What the history keeps of a run beside the whole of it.

    Arms of pairs are series of their own: they are measured otherwise, and the old arm's commits
    do not follow each other.
    """
    metric, facts, arm = record.run.case.metric, record.facts, record.run.arm
    value = record.value(metric)
    series = [baseline.series(baseline.match(metric, facts), facts), arm.value]
    return Entry(
        run=record.run.id, session=record.session, case=record.run.case.name, metric=metric.name,
        unit=metric.unit, value=None if record.fault or record.disturbed else value,
        fault=record.fault or record.disturbed, commit=str(facts.get('commit', '')),
        started_unix_s=record.outcome.started_unix_s, wall_s=record.outcome.wall_s,
        match='-'.join(filter(None, series)))
