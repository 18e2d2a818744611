# SPDX-License-Identifier: Apache-2.0
"""The training log has one writer, model/progress.py, and one reader, harness/parse.py."""

import statistics
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from stand_in import test_log, training_log

from harness import parse
from harness.parse import TrainingLog
from model import evaluate, progress


def read(text):
    return TrainingLog().feed(text.splitlines()).measurement()


def test_the_harness_reads_what_the_model_prints():
    measured = read(training_log(steps=12, seconds=0.25, batch_size=8) + test_log(32.5, 31.5))
    assert (measured.steps, measured.final_loss) == (12, 94)
    assert (measured.images_per_s, measured.step_s) == (32, 0.25)
    assert (measured.psnr_db, measured.ssim, measured.bicubic_psnr_db) == (32.5, 0.92, 31.5)
    assert measured.device_kind == 'cpu'
    assert measured.picture.rows[0].psnr_db == (27, 31.5, 32.5, None)


def test_the_harness_reads_the_psnr_of_evaluations_between_the_steps():
    trained = training_log(steps=12, evaluated={4: 30.12345, 8: 31.5, 12: 32.25})
    assert read(trained).psnr_curve == ((4, 30.1234), (8, 31.5), (12, 32.25))
    assert read(trained).psnr_db is None
    assert read(trained + test_log(32.5)).psnr_curve == ((4, 30.1234), (8, 31.5), (12, 32.5))


def test_the_harness_finds_every_square_of_the_picture_that_the_model_writes(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, [4, 9, 9, 3]).astype(np.uint8)
    shown = [evaluate.Shown('0801', list(pixels)),
             evaluate.Shown('no \udcff text', list(pixels // 2))]
    path, lines = str(tmp_path / parse.PICTURE), []
    evaluate._write_comparison(path, shown, SimpleNamespace(result_path=str(tmp_path)),
                               lines.append)
    picture = read(training_log() + '\n'.join(lines) + '\n' + test_log().replace(
        '"comparison"', '"another"')).picture
    assert [row.image for row in picture.rows] == ['0801', r'no \udcff text']
    written = np.asarray(Image.open(path))
    pitch = picture.side_px + picture.gap_px
    assert written.shape[:2] == (2 * pitch - picture.gap_px, 4 * pitch - picture.gap_px)
    for y, (row, given) in enumerate(zip(picture.rows, shown)):
        assert row.psnr_db[-1] is None and all(0 < value < 20 for value in row.psnr_db[:3])
        for x, detail in enumerate(given.details):
            assert (written[y * pitch, x * pitch] == detail[0, 0]).all()


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
