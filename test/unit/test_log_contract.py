# SPDX-License-Identifier: Apache-2.0
"""The training log has one writer, model/progress.py, and one reader, harness/parse.py."""

import statistics
from types import SimpleNamespace

import pytest
from stand_in import test_log, training_log

from harness import parse
from harness.parse import TrainingLog
from model import progress


def read(text):
    return TrainingLog().feed(text.splitlines()).measurement()


def test_the_harness_reads_what_the_model_prints():
    measured = read(training_log(steps=12, seconds=0.25, batch_size=8) + test_log(32.5, 31.5))
    assert (measured.steps, measured.final_loss) == (12, 94)
    assert (measured.images_per_s, measured.step_s) == (32, 0.25)
    assert (measured.psnr_db, measured.ssim, measured.bicubic_psnr_db) == (32.5, 0.92, 31.5)
    assert measured.device_kind == 'cpu'


def test_modelzoos_lines_keep_their_spelling():
    assert progress.step_lines(102, 4.82114, 0.1234).splitlines() == [
        '102 training step completed', 'Loss : 4.8211', 'Elpased time : 0.123400']


def test_both_sides_leave_out_the_same_warm_up():
    assert parse.WARMUP_STEPS == progress.WARMUP_STEPS


@pytest.mark.parametrize('loss', [float('nan'), float('inf'), -float('inf')])
def test_a_loss_that_is_no_number_is_seen_and_not_skipped(loss):
    log = TrainingLog().feed(progress.step_lines(1, loss, 0.5).splitlines())
    assert len(log.losses) == 1


def test_the_models_own_speed_and_the_harnesss_are_one(tmp_path):
    seconds = [9, 9, 9, 9, 9, 0.5, 0.3, 0.4, 0.2, 0.6]
    own = progress.training_lines(seconds, 16, 4.0, 'RCAN_X2_32_2_2-10').splitlines()
    steps = '\n'.join(progress.step_lines(i, 4.0, s) for i, s in enumerate(seconds, 1))
    whole = training_log(steps=10)
    start, stop = whole.index('1 training step'), whole.index(':::MLLOG', whole.index('\n10 '))
    measured = read(whole[:start] + steps + '\n' + whole[stop:])
    assert own[0] == f'Final images/sec : {measured.images_per_s:.4f}'
    assert measured.step_s == statistics.median(seconds[5:])


@pytest.mark.parametrize('steps_a_call, seconds, counted', [
    (2, [9, 8, 7, 0.5, 0.3, 0.4], [0.5, 0.3, 0.4]), (3, [9, 9, 0.5, 0.3], [0.5, 0.3]),
    (5, [9, 0.5, 0.3, 0.4], [0.5, 0.3, 0.4]), (12, [9, 0.5, 0.3], [0.5, 0.3])])
def test_where_a_call_makes_several_steps_both_sides_leave_out_whole_calls(steps_a_call, seconds,
                                                                           counted):
    last = steps_a_call * len(seconds)
    own = progress.training_lines(seconds, 16, 4.0, 'RCAN', steps_a_call).splitlines()
    steps = '\n'.join(progress.step_lines(steps_a_call * i, 4.0, s)
                      for i, s in enumerate(seconds, 1))
    whole = training_log(steps=last, log_freq=steps_a_call, iterations_per_loop=steps_a_call)
    start, stop = whole.index('1 training step'), whole.index(':::MLLOG', whole.index(f'\n{last} '))
    measured = read(whole[:start] + steps + '\n' + whole[stop:])
    assert measured.step_s == statistics.median(counted)
    assert own[0] == f'Final images/sec : {measured.images_per_s:.4f}'


def test_the_harness_reads_the_phases_that_the_model_writes(monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress, 'time', SimpleNamespace(time=lambda: next(now)))
    log = training_log(steps=12, seconds=0.25).splitlines()
    place = next(i for i, line in enumerate(log) if 'input_wait' in line)
    log[place:place] = [progress.start('save', step_num=12), progress.stop('save', step_num=12)]
    assert read('\n'.join(log)).phases_s == {
        'first step': 10, 'saving': 10, 'evaluation': 0, 'input wait': 0.25,
        'steps': pytest.approx(11.25), 'other': pytest.approx(8.5)}
