# SPDX-License-Identifier: Apache-2.0
"""What TensorBoard shows of a training."""

import glob

import pytest
import tensorflow as tf
import tiny

from model import main
from model.summary import Summary


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write('HR', a=tiny.smooth(36, 40))
    tiny.write('val_HR', a=tiny.smooth(32, 36, 7))


def curves(folder):
    """Name -> (step, value) of every point, as TensorBoard reads them."""
    found = {}
    for file in glob.glob(f'{folder}/events.*'):
        for event in tf.train.summary_iterator(file):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_shows_what_the_log_says(capsys):
    with tf.Graph().as_default():
        main.main(tiny.flags(max_step=6, log_freq=2, model_save_freq=3, summary_path='board',
                             test_with_train=True))
    text = capsys.readouterr().out
    shown = curves('board')
    assert [step for step, _ in shown['loss']] == [2, 4, 6]
    assert [value for _, value in shown['loss']] == pytest.approx(tiny.losses(text), abs=1e-3)
    seconds = [float(s) for s in tiny.logged(text, 'Elpased time')]
    assert [value for _, value in shown['images_per_s']] == pytest.approx(
        [2 / s for s in seconds], rel=1e-2)
    psnr, ssim = zip(*(line.split(' SSIM : ') for line in tiny.logged(text, 'Y_PSNR')
                       if line.endswith('(1 images)')))
    assert [step for step, _ in shown['psnr_db']] == [3, 6]
    assert [value for _, value in shown['psnr_db']] == pytest.approx(
        [float(db) for db in psnr], abs=1e-3)
    assert [value for _, value in shown['ssim']] == pytest.approx(
        [float(s.split()[0]) for s in ssim], abs=1e-3)


def test_a_folder_that_cannot_be_made_is_named_in_one_line(program):
    with open('a_file', 'wb'):
        pass
    code, _, err = program(summary_path='a_file/board')
    assert (code, err) == (1, "main.py: [Errno 20] Not a directory: 'a_file/board'\n")


def test_without_a_folder_nothing_is_written(tmp_path):
    with Summary('') as summary:
        summary.write(1, loss=2.0)
    assert not list(tmp_path.glob('**/events.*'))


def test_a_training_that_fails_leaves_what_it_has_shown(tmp_path):
    with pytest.raises(KeyError), Summary('board') as summary:
        summary.write(1, loss=2.0)
        raise KeyError
    assert curves('board') == {'loss': [(1, 2.0)]}
