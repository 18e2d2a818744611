# SPDX-License-Identifier: Apache-2.0
"""What another model's script has left -> Measurement, or why it is none.

The exit status of such a script says nothing: of 853, 810 returned 0 when the training crashed at
once, and 5 of them reported a plausible speed.  What counts is what can be witnessed: how each
Python program ended, what the log says step by step, whether the time that it tells of can have
passed, and whether the device was used.
"""

import fnmatch
import os
import re
import statistics
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from harness import claims, files, models, recompute, rules
from harness.npu_proof import npu_evidence
from harness.records import Device, Load, Measurement, Outcome, PlannedRun, Reported
from harness.sandbox import Call, Left

TRACEBACK = 'Traceback (most recent'
CLOCK_SLACK = 1.05   # steps cannot have lasted longer than the programs that made them
CLOCK_SLACK_S = 1.0
LICENSE_WORDS = 'Apache License'
LONGEST_LINE = 4096
# --batch_size=16   --train_batch_size 16   (in a program's arguments, ended by NUL each)
BATCH = re.compile(r'(?:^|\0)--?(?:train_)?batch_?(?:size)?[=\0]([0-9]{1,9})(?=\0)')
STEP_DISAGREEMENT = 0.1   # between TrainingTime and the log's median step: beyond it is told


class Read(NamedTuple):
    """What the files of a run say."""

    claims: claims.Claims
    rules: rules.Rules
    recomputed: Optional[recompute.Recomputed]   # None: no rules
    crash: str                               # a traceback that nothing followed; empty: none
    device: str                              # evidence that an NPU was used; empty: none


def evaluate(planned: PlannedRun, device: Device, outcome: Outcome, left: Left,
             load: Optional[Load]) -> Tuple[Optional[Measurement], str]:
    """What a run has measured, and why that is no evidence; the latter is empty where it is."""
    summary = _summary(left.files)
    why = (outcome.fault or _changed_data(left) or _program_fault(left.calls)
           or _no_summary(planned, summary, left))
    if why:
        return None, why
    read = _read(planned, summary, outcome, left)
    why = (claims.fault(read.claims) or read.crash or _unwitnessed(left.calls, read)
           or _other_batch(left.calls, read) or _recomputed_fault(read, left.calls)
           or _not_on(device, read, load))
    return (None, why) if why else (_measurement(planned, device, outcome, left, read), '')


# --- what is no evidence --------------------------------------------------------------------------

def _changed_data(left: Left) -> str:
    return left.data_changed and (
        f'it changed its data ({left.data_changed} is not as it was): restore them; with '
        'bubblewrap installed (Debian: apt install bubblewrap) it could not have')


def _program_fault(calls: Iterable[Call]) -> str:
    """How the first program that did not end well ended; its script may have hidden that."""
    for call in calls:
        program = f'`python {call.program}`'
        if call.program and call.status is None:
            return f'its script ended while {program} was still running, or was killed with it'
        if call.program and call.status:
            return f'{program} ended with status {call.status}, which its script hides'
    return ''


def _no_summary(planned: PlannedRun, summary: str, left: Left) -> str:
    if summary:
        return ''
    flaw = _flaw(os.path.join(planned.case.model_dir, planned.case.script))
    return (f'it left no result file: none of {len(left.files)} files below test/output has a '
            f'line CaseName ={flaw}')


def _flaw(script: str) -> str:
    """What is wrong with a script that did nothing, where that can be seen."""
    text = files.read_bytes(script)
    for is_so, said in ((not text.strip(), 'the script is empty'),
                        (b'\r\n' in text, 'its lines end in CRLF, which bash cannot read'),
                        (LICENSE_WORDS.encode() in text[:500] and b'python' not in text,
                         'it holds the text of a licence')):
        if is_so:
            return f'; {said}'
    return ''


def _unwitnessed(calls: Iterable[Call], read: Read) -> str:
    """Why nobody knows whether a training ran at all."""
    if any(call.program for call in calls) or read.recomputed:
        return ''
    return ('it started no Python program through PATH, so nobody saw how the training ended: '
            'rules that read its log would show it')


def _other_batch(calls: Iterable[Call], read: Read) -> str:
    """Why its speed is not of what it trained: a script's flag may change its label alone."""
    counted = read.rules.batch_size or read.claims.batch_size
    # The training is what runs longest; an evaluation beside it has a batch of its own.
    training = max((call for call in calls if call.program),
                   key=lambda call: call.wall_s or 0, default=None)
    given = training and BATCH.search('\0'.join((*training.argv, '')))
    if not counted or not given or int(given.group(1)) == counted:
        return ''
    return (f'its script counts with a batch of {counted}, but the training was started with one '
            f'of {given.group(1)}')


def _recomputed_fault(read: Read, calls: Iterable[Call]) -> str:
    """Why the log does not bear what the script says."""
    found = read.recomputed
    if not found:
        return ''
    if found.fault:
        return found.fault
    ran_s = sum(call.wall_s or 0 for call in calls if call.program)
    told_s = sum(found.step_seconds)
    if ran_s and told_s > ran_s * CLOCK_SLACK + CLOCK_SLACK_S:
        return (f'its log tells of {told_s:.1f} s of steps, but its programs ran for {ran_s:.1f} s:'
                ' this is not the log of this run, or not in the unit that the rules say')
    return recompute.disagreement(read.claims.fps, found)


def _not_on(device: Device, read: Read, load: Optional[Load]) -> str:
    """Why nothing shows that the training was on the device that was asked for."""
    if device.kind == 'cpu' or read.device or (load and load.device_used):
        return ''
    return (f'the training ran on the CPU: nothing in its log and no process on the device shows '
            f'that it was on the {device.kind}')


# --- reading --------------------------------------------------------------------------------------

def _summary(kept: Iterable[str]) -> str:
    """The newest file with a CaseName line; empty where there is none."""
    found = [path for path in kept if claims.is_summary(files.read(path))]
    return found[-1] if found else ''


def _read(planned: PlannedRun, summary: str, outcome: Outcome, left: Left) -> Read:
    said = claims.read(files.read(summary), models.kind(planned.case.script))
    known = rules.load(planned.case.rules) if planned.case.rules else None
    reader = recompute.Recompute(known, said.batch_size) if known else None
    logs = _logs(left.files, summary, known) or [outcome.output_path]
    crashes = [_crash(path, reader) for path in logs]
    proofs = (npu_evidence(files.lines(path)) for path in [*logs, outcome.output_path])
    return Read(said, known or rules.Rules(), reader.result() if reader else None,
                next(filter(None, crashes), ''), next(filter(None, proofs), ''))


def _logs(kept: Sequence[str], summary: str, known: Optional[rules.Rules]) -> List[str]:
    """The training's own log, and those that the rules name; else every log there is."""
    logs = [path for path in kept if path.endswith('.log') and path != summary]
    wanted = ('train_*', *(known.logs if known else ()))
    named = [path for path in logs
             if any(fnmatch.fnmatchcase(os.path.basename(path), name) for name in wanted)]
    return named or logs


def _crash(path: str, reader: Optional[recompute.Recompute]) -> str:
    """A traceback after which the training made no step any more; feeds the rules meanwhile."""
    crash, steps = '', 0
    for line in files.lines(path):
        if reader:
            reader.feed(os.path.basename(path), [line])
        if TRACEBACK in line[:LONGEST_LINE]:
            crash = f'{os.path.basename(path)} has a Python traceback: the training crashed'
            steps = reader.steps if reader else 0
        elif crash and reader and reader.steps > steps:
            crash = ''   # it was handled
    return crash


# --- the record -----------------------------------------------------------------------------------

def _measurement(planned: PlannedRun, device: Device, outcome: Outcome, left: Left,
                 read: Read) -> Measurement:
    """What was recomputed from the log, where rules say how; else what the script reports."""
    found = read.recomputed or recompute.Recomputed()
    steady = found.step_seconds[found.warmup:]
    step_s = statistics.median(steady) if steady else None
    remarks = (*_remarks(outcome, left, read), *_odd_step(read, step_s))
    return Measurement(
        config=_config(planned, left, read), device_kind=device.kind,
        steps=len(found.step_seconds), step_seconds=found.step_seconds,
        # A chart of both has the same steps.
        losses=found.losses if len(found.losses) == len(found.step_seconds) else (),
        step_s=step_s,
        step_mad_s=statistics.median(abs(s - step_s) for s in steady) if step_s else None,
        images_per_s=found.items_per_s or read.claims.fps, wall_images_per_s=None,
        first_step_s=None, time_to_first_step_s=None,
        final_loss=found.losses[-1] if found.losses else read.claims.loss,
        first_counted_step=found.warmup + 1 if steady else None,
        accuracy=found.accuracy,
        reported=Reported(read.claims.values, read.claims.fps, found.items_per_s,
                          planned.case.rules, remarks))


def _config(planned: PlannedRun, left: Left, read: Read) -> Dict[str, Any]:
    """What was run: facts that runs must share to be compared, and others."""
    flags = [flag for flag in planned.case.flags if not flag.startswith('--data_path=')]
    return {'network': read.claims.values.get('Network', os.path.basename(planned.case.model_dir)),
            'script': os.path.basename(planned.case.script), 'flags': ' '.join(flags),
            'batch_size': read.rules.batch_size or read.claims.batch_size, **left.facts}


def _remarks(outcome: Outcome, left: Left, read: Read) -> Iterator[str]:
    """What is wrong with a run, and still no reason to reject it."""
    yield from read.claims.notes
    if left.edited:
        yield f'it changed {len(left.edited)} of its own files ({left.edited[0]} first)'
    if left.strays:
        yield f'it left processes running, which were ended: {", ".join(left.strays)}'
    e2e_s = read.claims.e2e_s
    if e2e_s and e2e_s > outcome.wall_s * CLOCK_SLACK + CLOCK_SLACK_S:
        yield f'E2ETrainingTime is {e2e_s:g} s, but it ran for {outcome.wall_s:.1f} s'


def _odd_step(read: Read, step_s: Optional[float]) -> Iterator[str]:
    said_s = recompute.training_step_s(read.rules, read.claims.training_time)
    if said_s and step_s and abs(said_s / step_s - 1) > STEP_DISAGREEMENT:
        yield f'TrainingTime is {said_s * 1000:.4g} ms a step, but its log says {step_s * 1000:.4g}'
