# SPDX-License-Identifier: Apache-2.0
"""What another model's script has left -> Measurement, or why it is none.

The exit status of such a script says nothing: of 853, 810 returned 0 when the training crashed at
once, and 5 of them reported a plausible speed.  What counts is what can be witnessed: how each
Python program ended, what the log says step by step, whether the time that it tells of can have
passed, and whether the device was used.
"""

import fnmatch
import math
import os
import re
import statistics
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from harness import claims, files, models, recompute, rules
from harness.npu_proof import npu_evidence
from harness.records import Device, Load, Measurement, Outcome, PlannedRun, Reported
from harness.sandbox import Left
from harness.tree import printable
from harness.witness import Call

TRACEBACK = 'Traceback (most recent'
# The line before a traceback that ended nothing: of an object that went away, or of logging.
HARMLESS = ('Exception ignored in', '--- Logging error')
ENDS_BADLY = re.compile(r'\W*(?:error|fatal|failed)\b', re.I)
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

    @property
    def batch_size(self) -> Optional[int]:
        """What the training takes, whatever its script calls it, where the rules know."""
        return self.rules.batch_size or self.claims.batch_size


def evaluate(planned: PlannedRun, device: Device, outcome: Outcome, left: Left,
             load: Optional[Load]) -> Tuple[Optional[Measurement], str]:
    """What a run has measured, and why that is no evidence; the latter is empty where it is."""
    summary = _summary(left.files)
    why = (_stopped(outcome) or _changed_data(left) or _program_fault(left.calls)
           or _no_summary(planned, summary, outcome, left) or _unwitnessed(left.calls))
    if why:
        return None, why
    read = _read(planned, device, summary, outcome, left)
    why = (claims.fault(read.claims) or read.crash or _other_batch(left.calls, read)
           or _recomputed_fault(read, outcome, left.calls) or _not_on(device, read, load))
    return (None, why) if why else (_measurement(planned, device, outcome, left, read), '')


# --- what is no evidence --------------------------------------------------------------------------

def _stopped(outcome: Outcome) -> str:
    """A deadline or an interruption; the status of a script is that of its last command."""
    return outcome.fault if outcome.returncode is None or outcome.interrupted else ''


def _changed_data(left: Left) -> str:
    if left.data_changed and left.facts['sandbox'] == 'bubblewrap':
        return f'its data changed meanwhile ({left.data_changed} first), though not by it'
    return left.data_changed and (
        f'it changed its data ({left.data_changed} is not as it was): restore them; with '
        'bubblewrap installed (Debian: apt install bubblewrap) it could not have')


def _program_fault(calls: Sequence[Call]) -> str:
    """How the first program that did not end well ended; its script may have hidden that."""
    for call in _trainings(calls):
        program = f'`python {printable(call.program or "-c or -")}`'
        if call.failed and call.status is None:
            return f'its script ended while {program} was still running, or was killed with it'
        if call.failed:
            return f'{program} ended with status {call.status}, which its script hides'
    return ''


def _trainings(calls: Sequence[Call]) -> List[Call]:
    """Programs, and what ran longest, which may be python - <main.py; questions may fail."""
    longest = max(calls, key=lambda call: call.wall_s or math.inf, default=None)
    return [call for call in calls if call.program or call is longest]


def _no_summary(planned: PlannedRun, summary: str, outcome: Outcome, left: Left) -> str:
    if summary:
        return ''
    flaw = _flaw(os.path.join(planned.case.model_dir, planned.case.script))
    status = f'; its status is {outcome.returncode}' if outcome.returncode else ''
    return (f'it left no result file: none of {len(left.files)} files below test/output has a '
            f'line CaseName ={flaw}{status}')


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


def _unwitnessed(calls: Sequence[Call]) -> str:
    """Why nobody knows whether a training ran at all."""
    return '' if calls else 'no Python was seen to start, so nobody knows whether anything trained'


def _other_batch(calls: Iterable[Call], read: Read) -> str:
    """Why its speed is not of what it trained: a script's flag may change its label alone."""
    counted = read.batch_size
    # The training is what runs longest; an evaluation beside it has a batch of its own.
    training = max((call for call in calls if call.program),
                   key=lambda call: call.wall_s or 0, default=None)
    given = training and BATCH.search('\0'.join((*training.argv, '')))
    if not counted or not given or int(given.group(1)) == counted:
        return ''
    return (f'its script counts with a batch of {counted}, but the training was started with one '
            f'of {given.group(1)}')


def _recomputed_fault(read: Read, outcome: Outcome, calls: Iterable[Call]) -> str:
    """Why the log does not bear what the script says."""
    found = read.recomputed
    if not found:
        return ''
    if found.fault:
        return found.fault
    ran_s = min(outcome.wall_s, sum(call.wall_s or 0 for call in calls if not call.inner))
    told_s = sum(found.step_seconds)
    if told_s > ran_s * CLOCK_SLACK + CLOCK_SLACK_S:
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
    """The newest file with a CaseName line, of several one that is called so; empty: none.

    Scripts copy it to the end of a log, and old ones lie about.
    """
    texts = ((path, files.read(path)) for path in kept)   # one at a time: logs are among them
    found = {path: claims.read(text).case_name for path, text in texts if claims.is_summary(text)}
    named = [path for path, case_name in found.items()
             if os.path.basename(path) == f'{case_name}.log']
    return (named or list(found) or [''])[-1]


def _read(planned: PlannedRun, device: Device, summary: str, outcome: Outcome,
          left: Left) -> Read:
    said = claims.read(files.read(summary), models.kind(planned.case.script))
    known = rules.load(planned.case.rules) if planned.case.rules else None
    reader = recompute.Recompute(known, said.batch_size) if known else None
    logs = _logs(left.files, summary, device, known) or [outcome.output_path]
    crashes = [_crash(path, reader) for path in logs]
    if not any(call.failed for call in left.calls):   # else one is of a question that may fail
        crashes.append(_crash(outcome.output_path, None))
    proofs = (npu_evidence(files.lines(path)) for path in [*logs, outcome.output_path])
    return Read(said, known or rules.Rules(), reader.result() if reader else None,
                next(filter(None, crashes), ''), next(filter(None, proofs), ''))


def _logs(kept: Sequence[str], summary: str, device: Device,
          known: Optional[rules.Rules]) -> List[str]:
    """The training's own log, and those that the rules name; else every log there is."""
    logs = {path: os.path.basename(path) for path in kept if path != summary}
    named = [path for path, name in logs.items()
             if any(fnmatch.fnmatchcase(name, wanted) for wanted in (known.logs if known else ()))]
    for own in (f'train_{device.index}.log', 'train_*.log', '*.log'):
        found = [path for path, name in logs.items() if fnmatch.fnmatchcase(name, own)]
        if found:   # copies of it, train_0_clean.log, would count its steps twice
            return list(dict.fromkeys([*found, *named]))
    return named


def _crash(path: str, reader: Optional[recompute.Recompute]) -> str:
    """A traceback after which the training made no step any more; feeds the rules meanwhile."""
    crash, steps, before = '', 0, ''
    for line in files.lines(path):
        if reader:
            reader.feed(os.path.basename(path), [line])
        before, harmless = line[:LONGEST_LINE], before.startswith(HARMLESS)
        if TRACEBACK in before and not harmless:
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
            'batch_size': read.batch_size, **left.facts}


def _remarks(outcome: Outcome, left: Left, read: Read) -> Iterator[str]:
    """What is wrong with a run, and still no reason to reject it."""
    yield from read.claims.notes
    if left.edited:
        yield f'it changed {len(left.edited)} of its own files ({left.edited[0]} first)'
    if left.strays:
        yield f'it left processes running, which were ended: {", ".join(left.strays)}'
    if outcome.returncode:
        yield f'its script ended with status {outcome.returncode}'
    last = printable(files.read_end(outcome.log_path, LONGEST_LINE).strip().split('\n')[-1])
    if ENDS_BADLY.match(last):
        yield f'its log ends with {last[:120]!r}'
    e2e_s = read.claims.e2e_s
    if e2e_s and e2e_s > outcome.wall_s * CLOCK_SLACK + CLOCK_SLACK_S:
        yield f'E2ETrainingTime is {e2e_s:g} s, but it ran for {outcome.wall_s:.1f} s'


def _odd_step(read: Read, step_s: Optional[float]) -> Iterator[str]:
    said_s = recompute.training_step_s(read.rules, read.claims.training_time)
    if said_s and step_s and abs(said_s / step_s - 1) > STEP_DISAGREEMENT:
        yield f'TrainingTime is {said_s * 1000:.4g} ms a step, but its log says {step_s * 1000:.4g}'
