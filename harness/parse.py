# SPDX-License-Identifier: Apache-2.0
"""Training log -> Measurement (pure).  Each pattern stands under the line that it reads."""

import json
import math
import re
import statistics
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from harness.errors import ParseError
from harness.records import Measurement, Progress, Turn
from harness.steps import interquartile_mean, outlier_share, percentile_95, steady_start

WARMUP_STEPS = 5  # at least: they compile and fill caches and say nothing about speed

# 102 training step completed
STEP = re.compile(r'([0-9]{1,15}) training step completed')
# Loss : 4.8211           (also nan and inf: a diverged run must be seen, not skipped)
LOSS = re.compile(r'Loss : (-?[0-9]+\.[0-9]+|nan|-?inf)')
# Elpased time : 0.1234   (seconds of that step; the misspelling is the log's own)
STEP_TIME = re.compile(r'Elpased time : ([0-9]+\.[0-9]+)')
# Final PSNR : 33.4697    (decibel, mean over the test images)
FINAL_PSNR = re.compile(r'Final PSNR : ([0-9]+\.[0-9]+)')
# :::MLLOG {"time_ms": 1580000000000, "key": "run_start", "value": null, "metadata": {}, ...}
EVENT = ':::MLLOG '

REQUIRED = ('config', 'init_start', 'first_step_start', 'device', 'first_step_stop', 'run_stop')
FIRST_COUNTS = ('init_start', 'init_stop')
EVALUATED = ('eval_start', 'eval_accuracy', 'eval_stop')
BETWEEN = {'save': 'saving', 'eval': 'evaluation'}  # what a training does between its steps
COUNTS = ('batch_size', 'max_step', 'log_freq')  # of the configuration: what is computed with
# The latest that has begun, last first.
PHASES = (('eval_stop', 'done'), ('eval_start', 'evaluating'), ('run_stop', 'saved'),
          ('first_step_stop', 'training'), ('first_step_start', 'compiling'),
          ('init_start', 'loading'))
PROGRESS_STEPS = 20  # the speed shown meanwhile is the median of so many

# What the output of a failed run says -> what it means and what to do.
CAUSES = (
    (r'No module named .*npu_bridge|no Python package npu_bridge',
     'npu_bridge is missing: install CANN\'s TF Adapter and source its set_env.sh'),
    (r'npu_bridge cannot load its library',
     'npu_bridge is here, but a library of CANN or of the driver is not: its line says which, and '
     'what to do'),
    (r'the loss is (nan|-?inf)|^Loss : (nan|-?inf)$',
     'the training diverged: lower the learning rate, or check the loss scale'),
    (r'ResourceExhausted|OOM when allocating|MemoryError|std::bad_alloc|Cannot allocate memory',
     'the memory ran out: lower --batch_size, or free the device'),
    (r'No space left on device', 'the disk is full: free some space'),
    (r'ret is -8020|device is used|device is busy|resource busy',
     'the device is busy: npu-smi info shows who uses it'),
    (r'\[Error\] (para|no folder)|no folder of images|images? cannot be used',
     'the data set is missing or incomplete: see --data_path'),
    (r'none of its operations was in the graph',
     'the training ran on the CPU instead of the device'),
    (r'\bkilled\b|status 137\b', 'something killed it, often the kernel for want of memory: '
     'dmesg shows it'),
)


class Event(NamedTuple):
    """One MLPerf line."""

    time_ms: float
    value: Any
    metadata: Dict[str, Any]


class TrainingLog:
    """A log as far as it has been read; lines may come in any portions."""

    def __init__(self):
        self.steps: List[int] = []
        self.losses: List[float] = []
        self.seconds: List[float] = []
        self.events: Dict[str, Event] = {}
        self.between_s = dict.fromkeys(BETWEEN.values(), 0.0)
        self._began_ms: Dict[str, float] = {}
        self.psnr_db: Optional[float] = None
        self.damaged = ''

    def feed(self, lines: Iterable[str]) -> 'TrainingLog':
        """Read more lines."""
        for line in lines:
            self._read(line.strip())
        return self

    def progress(self) -> Progress:
        """How far the run is."""
        config = self._value('config', {})
        step_s = statistics.median(self.seconds[-PROGRESS_STEPS:]) if self.seconds else 0
        return Progress(
            phase=next((name for key, name in PHASES if key in self.events), 'starting'),
            step=self.steps[-1] if self.steps else 0,
            max_step=config.get('max_step', 0),
            loss=self.losses[-1] if self.losses else None,
            images_per_s=config.get('batch_size', 0) / step_s if step_s else None)

    def measurement(self, turns: Sequence[Turn] = ()) -> Measurement:
        """The metrics of a finished run; of one that took turns, those of the steps that count.

        Raises ParseError where the log stops early or contradicts itself: half a log is no
        measurement.
        """
        self._require_undamaged()
        self._require_finished()
        self._require_whole_evaluation()
        config = self.events['config'].value
        warm = [(step, seconds) for step, seconds in zip(self.steps, self.seconds)
                if step > self._warm_up()
                and (not turns or any(t.first_step < step <= t.last_step for t in turns))]
        start = steady_start([seconds for _, seconds in warm])
        # Both arms of a pair count the same time, so that what the machine does cancels.
        steady = warm if turns else warm[start or 0:]
        counted = [seconds for _, seconds in steady]
        step_s = None
        if counted:
            step_s = interquartile_mean(counted) if turns else statistics.median(counted)
        return Measurement(
            config=config,
            device_kind=self.events['device'].value,
            steps=self.steps[-1],
            step_seconds=tuple(self.seconds),
            losses=tuple(self.losses),
            step_s=step_s,
            step_mad_s=statistics.median(abs(s - step_s) for s in counted) if step_s else None,
            images_per_s=config['batch_size'] / step_s if step_s else None,
            # What took turns was stopped half of the time: its wall clock says nothing.
            wall_images_per_s=None if turns else (
                config['batch_size'] * (config['max_step'] - self._first_call())
                / max(self._between_s('first_step_stop', 'run_stop'), 1e-3)),
            first_step_s=self._between_s('first_step_start', 'first_step_stop'),
            time_to_first_step_s=self._between_s('init_start', 'first_step_stop'),
            final_loss=self.losses[-1],
            psnr_db=self.psnr_db,
            ssim=self.events['eval_accuracy'].metadata.get('ssim') if self.psnr_db else None,
            bicubic_psnr_db=self._value('bicubic_psnr', None) if self.psnr_db else None,
            first_counted_step=steady[0][0] if steady else None,
            steady=start is not None,
            step_p95_s=percentile_95(counted) if counted else None,
            outlier_share=outlier_share(counted) if counted else None,
            phases_s={} if turns else self._phases_s())

    def _read(self, line: str):
        if line.startswith(EVENT):
            self._read_event(line[len(EVENT):])
        elif STEP.fullmatch(line):
            self.steps.append(int(line.split()[0]))
        elif LOSS.fullmatch(line):
            self.losses.append(_number(line))
        elif STEP_TIME.fullmatch(line):
            self.seconds.append(_number(line))
        elif FINAL_PSNR.fullmatch(line):
            self.psnr_db = _number(line)

    def _read_event(self, text: str):
        try:
            parsed = json.loads(text)
            event = Event(float(parsed['time_ms']), parsed['value'], dict(parsed['metadata']))
            key = str(parsed['key'])
            _require_usable(key, event)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            self.damaged = self.damaged or f'{EVENT}{text[:80]}'
            return
        if 'first_step_start' in self.events and 'run_stop' not in self.events:
            self._add_up(key, event.time_ms)
            if key.startswith('eval_'):
                return  # of a training half done: only its time counts
        # The evaluation is a process of its own: what both write is the training's.
        if key not in FIRST_COUNTS or key not in self.events:
            self.events[key] = event

    def _add_up(self, key: str, time_ms: float):
        """Add a phase between the steps to those before: a training saves many times."""
        name, _, end = key.rpartition('_')
        if name in BETWEEN and end == 'start':
            self._began_ms[name] = time_ms
        elif name in BETWEEN and end == 'stop' and name in self._began_ms:
            self.between_s[BETWEEN[name]] += max(0.0, time_ms - self._began_ms.pop(name)) / 1000

    def _phases_s(self) -> Dict[str, float]:
        """Where the time from the first step's start to the training's end went.

        With log_freq above 1 the steps' time is that of the logged ones, scaled up.  A log
        without input_wait, of an older training, has the waiting within the steps.
        """
        wall_s = self._between_s('first_step_start', 'run_stop')
        apart_s = {'first step': self._between_s('first_step_start', 'first_step_stop'),
                   **self.between_s}
        first = self._first_call()
        later = [s for step, s in zip(self.steps, self.seconds) if step > first]
        left_s = max(0.0, wall_s - sum(apart_s.values()))
        steps_s = min(left_s, sum(later) / max(1, len(later))
                      * (self.events['config'].value['max_step'] - first))
        waited_s = ({'input wait': min(steps_s, self.events['input_wait'].value)}
                    if 'input_wait' in self.events else {})
        return {**apart_s, **waited_s, 'steps': steps_s - sum(waited_s.values()),
                'other': left_s - steps_s}

    def _require_undamaged(self):
        if self.damaged:
            raise ParseError(f'damaged line: {self.damaged!r}')
        if not self.events and not self.steps:
            raise ParseError('the log holds no training: it is empty or of another program')
        if not len(self.steps) == len(self.losses) == len(self.seconds):
            raise ParseError(f'torn log: {len(self.steps)} steps, {len(self.losses)} losses, '
                             f'{len(self.seconds)} step times')
        bad = next((i for i, loss in enumerate(self.losses) if not math.isfinite(loss)), None)
        if bad is not None:
            raise ParseError(f'the loss is {self.losses[bad]} at step {self.steps[bad]}: '
                             'the training diverged')

    def _require_finished(self):
        absent = [key for key in REQUIRED if key not in self.events]
        if absent:
            raise ParseError(f'the log stops early, at step {self.steps[-1] if self.steps else 0}: '
                             f'no {", ".join(absent)}')
        status = self.events['run_stop'].metadata.get('status')
        if status != 'success':
            raise ParseError(f'the training ended with status {status!r}')
        _, max_step, log_freq = (self.events['config'].value[name] for name in COUNTS)
        expected = max_step // log_freq
        if not 0 < expected == len(self.steps):
            raise ParseError(f'{len(self.steps)} steps logged, {expected} expected for '
                             f'max_step {max_step} and log_freq {log_freq}')
        for i, step in enumerate(self.steps, 1):
            if step != i * log_freq:
                raise ParseError(f'step {step} is logged where step {i * log_freq} belongs')
        impossible = [s for s in self.seconds if not 0 < s < math.inf]
        if impossible:
            raise ParseError(f'a step of {impossible[0]:g} seconds cannot be: nothing was timed')

    def _require_whole_evaluation(self):
        if 'eval_start' not in self.events and self.psnr_db is None:
            return
        absent = [key for key in EVALUATED if key not in self.events]
        absent += ['Final PSNR'] if self.psnr_db is None else []
        if absent:
            raise ParseError(f'the evaluation stops early: no {", ".join(absent)}')
        measured = self.events['eval_accuracy'].value
        if not abs(self.psnr_db - measured) < 1e-4:  # the line has four decimals
            raise ParseError(f'Final PSNR is {self.psnr_db}, but {measured} was measured')

    def _first_call(self) -> int:
        """How many steps the device makes at a call: those of the first come with compiling."""
        return self.events['config'].value.get('iterations_per_loop', 1)

    def _warm_up(self) -> int:
        """The last step that says nothing about speed: whole calls, and WARMUP_STEPS at least."""
        call = self._first_call()
        return call * math.ceil(WARMUP_STEPS / call)

    def _value(self, key: str, default):
        return self.events[key].value if key in self.events else default

    def _between_s(self, start: str, stop: str) -> float:
        return (self.events[stop].time_ms - self.events[start].time_ms) / 1000


def diagnose(output: str) -> str:
    """What the output of a failed run means, where we know it; else nothing."""
    return next((meaning for pattern, meaning in CAUSES
                 if re.search(pattern, output, re.M | re.I)), '')


def _require_usable(key: str, event: Event):
    """Raise KeyError, TypeError or ValueError where an event lacks what is computed with."""
    if not math.isfinite(event.time_ms):
        raise ValueError('no time')
    if key == 'config':
        counted = {'iterations_per_loop': 1, **event.value}
        if not all(_is_count(counted[name]) for name in ('iterations_per_loop', *COUNTS)):
            raise ValueError('no counts')
    if key in ('eval_accuracy', 'bicubic_psnr') and not isinstance(event.value, float):
        raise TypeError('no decibel')
    if key == 'eval_accuracy' and not isinstance(event.metadata['ssim'], float):
        raise TypeError('no SSIM')
    if key == 'input_wait' and not (isinstance(event.value, float) and 0 <= event.value < math.inf):
        raise ValueError('no seconds')


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2 ** 31


def _number(line: str) -> float:
    return float(line.rsplit(' ', 1)[1])
