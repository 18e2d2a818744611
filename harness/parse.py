# SPDX-License-Identifier: Apache-2.0
"""Training log -> Measurement (pure).  Each pattern stands under the line that it reads."""

import math
import re
import statistics
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from harness import events
from harness.errors import ParseError
from harness.records import Measurement, Picture, Progress, Turn
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

REQUIRED = ('config', 'init_start', 'first_step_start', 'device', 'first_step_stop', 'run_stop')
FIRST_COUNTS = ('init_start', 'init_stop')
EVALUATED = ('eval_start', 'eval_accuracy', 'eval_stop')
BETWEEN = {'save': 'saving', 'eval': 'evaluation'}  # what a training does between its steps
# The latest that has begun, last first.
PHASES = (('eval_stop', 'finishing'), ('eval_start', 'evaluating'), ('run_stop', 'finishing'),
          ('first_step_stop', 'training'), ('first_step_start', 'compiling'),
          ('init_start', 'loading'))
PROGRESS_STEPS = 20  # the speed shown meanwhile is the median of so many
LEAST_SPREAD = 3     # of fewer steps no spread is shown
PICTURE = 'comparison.png'  # Outcome.picture_path; of several test sets each has one in a folder


class TrainingLog:
    """A log as far as it has been read; lines may come in any portions."""

    def __init__(self):
        self.steps: List[int] = []
        self.losses: List[float] = []
        self.seconds: List[float] = []
        self.events: Dict[str, events.Event] = {}
        self.between_s = dict.fromkeys(BETWEEN.values(), 0.0)
        self._began_ms: Dict[str, float] = {}
        self.psnr_db: Optional[float] = None
        self.curve: Dict[int, float] = {}   # by step: of evaluations between the steps
        self.damaged = ''

    def feed(self, lines: Iterable[str]) -> 'TrainingLog':
        """Read more lines."""
        for line in lines:
            self._read(line.strip())
        return self

    def progress(self) -> Progress:
        """How far the run is."""
        config = self._value('config', {})
        recent = self.seconds[-PROGRESS_STEPS:]
        step_s = statistics.median(recent) if recent else 0
        batch_size = config.get('batch_size', 0)
        images_per_s = batch_size / step_s if step_s and batch_size else None
        return Progress(
            phase=next((name for key, name in PHASES if key in self.events), 'starting'),
            step=self.steps[-1] if self.steps else 0,
            max_step=config.get('max_step', 0),
            loss=self.losses[-1] if self.losses else None,
            images_per_s=images_per_s,
            images_per_s_mad=_mad([batch_size / s for s in recent if s],
                                  images_per_s))

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
            phases_s={} if turns else self._phases_s(),
            psnr_curve=self._psnr_curve(),
            picture=self._picture() if self.psnr_db else None)

    def _read(self, line: str):
        if line.startswith(events.TOKEN):
            self._read_event(line[len(events.TOKEN):])
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
            key, event = events.read(text)
        except ValueError:
            self.damaged = self.damaged or f'{events.TOKEN}{text[:80]}'
            return
        if 'first_step_start' in self.events and 'run_stop' not in self.events:
            self._add_up(key, event.time_ms)
            if key.startswith('eval_'):
                self._add_point(key, event)
                return  # of a training half done: it is no result
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

    def _add_point(self, key: str, event: events.Event):
        """Keep what an evaluation between the steps has come to; older trainings name no step."""
        if key == 'eval_accuracy' and 'step_num' in event.metadata and math.isfinite(event.value):
            self.curve[event.metadata['step_num']] = round(event.value, 4)

    def _psnr_curve(self) -> Tuple[Tuple[int, float], ...]:
        """Step and dB; the evaluation at the end is of the last step."""
        last = {self.events['config'].value['max_step']: self.psnr_db} if self.psnr_db else {}
        return tuple(sorted({**self.curve, **last}.items()))

    def _picture(self) -> Optional[Picture]:
        """What the picture that is kept of a run shows; None where the log does not tell."""
        event = self.events.get('comparison')
        return events.picture(event) if event and event.value == PICTURE else None

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
        _, max_step, log_freq = (self.events['config'].value[name] for name in events.COUNTS)
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
        beyond = [step for step in self.curve if step > max_step]
        if beyond:
            raise ParseError(f'an evaluation at step {beyond[0]} of {max_step}')

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


def _mad(values: Sequence[float], center: Optional[float]) -> Optional[float]:
    """The median distance from a center; None of so few values that it says nothing."""
    if center is None or len(values) < LEAST_SPREAD:
        return None
    return statistics.median(abs(value - center) for value in values)


def _number(line: str) -> float:
    return float(line.rsplit(' ', 1)[1])
