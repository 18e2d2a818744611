# SPDX-License-Identifier: Apache-2.0
"""The lines of the training log: the contract with whoever reads it (here: harness/parse.py).

ModelZoo's own lines keep their spelling, because parsers outside read them.  The lines with the
token :::MLLOG are MLPerf's (https://github.com/mlperf/logging): one JSON object a line, so that
the phases of a run can be told apart and other tools can read them.
"""

import json
import math
import statistics
import time
from typing import Optional, Sequence

WARMUP_STEPS = 5  # the first steps compile and fill caches: they say nothing about speed


def step_lines(step: int, loss: float, step_s: float) -> str:
    """Three lines a logged step; step_s is the seconds of that step alone."""
    return (f'{step} training step completed\n'
            f'Loss : {loss:.4f}\n'
            f'Elpased time : {step_s:.6f}')


def quality_line(psnr_db: float, ssim: float, of: str) -> str:
    """One line an image, and one for the set."""
    return f'Y_PSNR : {psnr_db:.4f} SSIM : {ssim:.4f} {of}'


def accuracy_lines(psnr_db: float, bicubic_db: float) -> str:
    """What the evaluation has come to: ModelZoo's TrainAccuracy, and what no training reaches."""
    return (f'Final gain over bicubic dB : {psnr_db - bicubic_db:.4f}\n'
            f'Final PSNR : {psnr_db:.4f}')


def training_lines(step_seconds: Sequence[float], batch_size: int, final_loss: float,
                   checkpoint: str, steps_a_call: int = 1) -> str:
    """What the training has come to; the speed is the median after the warm-up, or None.

    step_seconds has one value for every call of the device, which makes steps_a_call steps.
    """
    steady = step_seconds[math.ceil(WARMUP_STEPS / steps_a_call):]
    median_s: Optional[float] = statistics.median(steady) if steady else None
    speed = 'None' if median_s is None else f'{batch_size / median_s:.4f}'
    milliseconds = 'None' if median_s is None else f'{median_s * 1000:.4f}'
    return (f'Final images/sec : {speed}\n'
            f'Final step milliseconds : {milliseconds}\n'
            f'Final Loss : {final_loss:.4f}\n'
            f'Final checkpoint : {checkpoint}')


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in Markdown, in columns for who reads it as text; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [rows[0], ['-' * width for width in widths], *rows[1:]]
    return '\n'.join('| ' + ' | '.join(map(str.ljust, line, widths)) + ' |' for line in lines)


def event(key: str, value=None, kind: str = 'POINT_IN_TIME', **metadata) -> str:
    """One MLPerf line; kind is POINT_IN_TIME, INTERVAL_START or INTERVAL_END."""
    return ':::MLLOG ' + json.dumps({
        'namespace': '', 'time_ms': round(time.time() * 1000), 'event_type': kind,
        'key': key, 'value': value, 'metadata': metadata})


def start(key: str, **metadata) -> str:
    """The line that opens a phase: init, run, first_step, eval, save."""
    return event(f'{key}_start', kind='INTERVAL_START', **metadata)


def stop(key: str, **metadata) -> str:
    """The line that closes a phase."""
    return event(f'{key}_stop', kind='INTERVAL_END', **metadata)
