# SPDX-License-Identifier: Apache-2.0
"""A run that has ended -> its record: what it has measured, or why that is no evidence."""

import os
from typing import Any, Mapping, Optional, Tuple

from harness import baseline, causes, disturbance, files, foreign, machine, parse, plog
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
from harness.sandbox import Left

LAST_LINES = 20
OUTPUT_BYTES = 2 ** 20   # that are looked at of a log which may have gigabytes


def record(session: Session, planned: PlannedRun, outcome: Outcome, load: Optional[Load],
           log: parse.TrainingLog, commit: str, telemetry: Optional[Telemetry] = None,
           left: Optional[Left] = None) -> RunRecord:
    """A failure of the run makes it no measurement; it never makes us fail.

    commit: of another checkout than this; empty: of this.  left: by another model's script.
    """
    output = _output(outcome, left)
    if left:
        measurement, why = foreign.evaluate(planned, session.device, outcome, left, load)
    else:
        measurement, why = evaluate(planned, session.device, outcome)
    cann = _cann_log(session, outcome, left) if why else None
    if outcome.fault or left and why:
        while_at = '' if left else f' while {log.progress().phase}'
        why = '; '.join(filter(None, (why + while_at, _cause(output, outcome, left),
                                      cann.told if cann else '')))
    facts: Mapping[str, Any] = session.machine
    if measurement:
        facts = machine.facts(session.machine, measurement)
    if commit:
        facts = {**facts, 'commit': commit}
    return RunRecord(
        session.id, planned, outcome, load, measurement, why, facts,
        last_lines=(*output.splitlines()[-LAST_LINES:],
                    *(cann.errors if cann else ())) if why else (),
        disturbance=disturbance.disturbance(load, session.machine['cpus']) if load else '',
        telemetry=telemetry)


def _cause(output: str, outcome: Outcome, left: Optional[Left]) -> str:
    """What a failure means; another model's script hides its programs' output and statuses."""
    statuses = [call.status for call in left.calls if call.status] if left else []
    return causes.diagnose(output, next(iter(statuses), outcome.returncode))


def _output(outcome: Outcome, left: Optional[Left]) -> str:
    """All that a run has printed; another model's script keeps what its training printed apart."""
    apart = [path for path in (left.files if left else ())
             if os.path.basename(path).startswith('train_') and path.endswith('.log')]
    return '\n'.join(files.read_end(path, OUTPUT_BYTES) for path in [outcome.output_path, *apart])


def _cann_log(session: Session, outcome: Outcome, left: Optional[Left]) -> Optional[plog.Plog]:
    """CANN's own log of a run that failed on an NPU; None: there is none."""
    if session.device.kind != 'npu':
        return None
    kept = {plog.FOLDER: os.path.dirname(outcome.output_path)} if left else session.variables
    return plog.find(kept, outcome.started_unix_s)


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
