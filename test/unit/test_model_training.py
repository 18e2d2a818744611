# SPDX-License-Identifier: Apache-2.0
"""Real trainings and evaluations of a tiny network, through the program's main.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import json
import os
import re
import runpy
import statistics
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tiny

from model import (
    checkpoint,
    data,
    degrade,
    device,
    evaluate,
    images,
    main,
    metrics,
    network,
    recipe,
    train,
    upscale,
)
from model.errors import RequestError, TrainError

FROZEN = 1e-30      # a learning rate that changes no weight


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of our own with six images to train on and two to test with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')
    tiny.write('HR', **{f'{i:04d}': tiny.smooth(36, 40 + 2 * i, i) for i in range(6)})
    tiny.write('val_HR', a=tiny.smooth(32, 36, 7), b=tiny.smooth(40, 28, 8))
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run main with the tiny network's flags and these; return what it prints."""
    def run(**flags):
        with tf.Graph().as_default():
            assert main.main(tiny.flags(**flags)) == 0
        return capsys.readouterr().out
    return run


@pytest.fixture
def program(monkeypatch, capsys):
    """Run main.py as a program; return its status, output and errors."""
    def program(**flags):
        monkeypatch.setattr(sys, 'argv', ['main.py', *tiny.flags(**flags)])
        monkeypatch.setattr(sys, 'path', ['model', *sys.path])
        with tf.Graph().as_default(), pytest.raises(SystemExit) as ended:
            runpy.run_path(main.__file__, run_name='__main__')
        return (ended.value.code, *capsys.readouterr())
    return program


def stored(prefix):
    """All values of a checkpoint by name."""
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def make_checkpoint(prefix, values, **fields):
    """Save the tiny network with these values, and zero where there is none."""
    config = tiny.config(**fields)
    with tf.Graph().as_default(), tf.Session() as session:
        network.rcan(tf.zeros([1, 8, 8, 3]), config)
        for variable in network.variables():
            value = np.zeros(variable.shape.as_list(), np.float32)
            for index, number in values.get(variable.op.name, {}).items():
                value[index] = number
            variable.load(value, session)
        tf.train.Saver().save(session, prefix, write_meta_graph=False)
    return prefix


def nearest(scale=2, brighter=0):
    """A checkpoint that makes every LR pixel `scale` pixels high and wide, in its own colour."""
    features = tiny.NETWORK['n_feats']
    return make_checkpoint('nearest', {
        'conv_SF/filter': {(1, 1, c, c): 1 for c in range(3)},
        'up_sample_conv00/filter': {(1, 1, c, place * features + c): 1
                                    for c in range(3) for place in range(scale ** 2)},
        'conv_rec/filter': {(1, 1, c, c): 1 for c in range(3)},
        'conv_rec/bias': {(c,): brighter for c in range(3)}}, scale=scale)


def events(text):
    """The keys and contents of the MLPerf lines."""
    lines = [json.loads(line) for line in re.findall('^:::MLLOG (.*)$', text, re.MULTILINE)]
    return [(line['key'], line) for line in lines]


def enlarge(image, scale=2):
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


# --- the loop -----------------------------------------------------------------------------------

def test_exactly_max_step_steps_are_trained(run):  # (18)
    text = run(max_step=7)      # six images, batches of two: an epoch would be three
    assert re.findall(r'^(\d+) training step completed$', text, re.MULTILINE) == [
        str(step) for step in range(1, 8)]
    assert len(tiny.losses(text)) == len(tiny.logged(text, 'Elpased time')) == 7
    assert stored('model_dir/RCAN_X2_4_1_1-7')['global_step'] == 7


def test_fewer_images_than_the_batch_train(run):  # (19)
    tiny.write('one', a=tiny.smooth(36, 40))
    assert len(tiny.losses(run(train_GT_path='one', batch_size=5))) == 3


def test_the_loss_falls(run):
    losses = tiny.losses(run(max_step=80, learning_rate=0.01, n_feats=8))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])


@pytest.mark.parametrize('in_memory', [True, False])
def test_every_logged_loss_is_of_its_own_steps_batch(run, in_memory):  # (36)
    losses = tiny.losses(run(max_step=4, learning_rate=FROZEN, in_memory=in_memory))
    config = tiny.config(pre_trained_model='model_dir/RCAN_X2_4_1_1-4', mode='test')
    pairs = data.load_pairs('HR', '', 2, '.cache')
    with tf.Graph().as_default(), tf.Session() as session:
        lr = tf.placeholder(tf.float32, [2, 6, 6, 3])
        sr = network.rcan(lr, config)
        checkpoint.load(session, checkpoint.network_values(config))
        for step, loss in enumerate(losses, start=1):
            lr_batch, hr_batch = data.sample_batch(pairs, config, step)
            expected = np.abs(session.run(sr, {lr: lr_batch}) - hr_batch.astype(np.float32)).mean()
            assert loss == pytest.approx(expected, abs=2e-4)
    assert len(set(losses)) == 4


def test_the_first_loss_is_from_before_the_first_update(run):
    assert tiny.losses(run(learning_rate=0.5))[0] == tiny.losses(run(learning_rate=FROZEN))[0]


def test_every_weight_is_trained(run):
    frozen = stored_after(run, learning_rate=FROZEN)
    trained = stored_after(run, learning_rate=1e-3, max_step=10)
    names = [name for name in frozen if re.fullmatch(r'[^/]+/(filter|bias)', name)]
    assert len(names) == 18
    assert [name for name in names if np.array_equal(frozen[name], trained[name])] == []


def stored_after(run, **flags):
    (prefix,) = tiny.logged(run(**flags), 'Final checkpoint')
    return stored(f'model_dir/{prefix}')


def test_two_runs_with_the_same_seed_see_the_same_losses(run):  # (31)
    first, second = (tiny.losses(run(max_step=8, seed=3, in_memory=m)) for m in (True, False))
    assert first == pytest.approx(second, rel=1e-4)
    other = tiny.losses(run(max_step=8, seed=4))
    assert min(abs(a / b - 1) for a, b in zip(first, other)) > 1e-4


def rate_at(steps, **fields):
    """The optimizer's learning rate when so many steps are done, from the graph itself."""
    built = []

    def keep(optimizer, config):
        built.append(optimizer)
        return optimizer

    chosen = device.DEVICES['cpu']._replace(optimizer=keep)
    with tf.Graph().as_default(), tf.Session() as session:
        batch = [tf.zeros([1, size, size, 3], tf.uint8) for size in (6, 12)]
        recipe.training(batch, chosen, tiny.config(**fields))
        done = tf.train.get_global_step()
        rates = []
        for step in steps:
            done.load(step, session)
            rates.append(float(session.run(built[0]._lr)))
    return rates


def test_the_learning_rate_is_halved_after_every_decay_step():
    assert rate_at([0, 9, 10, 19, 20, 30], learning_rate=0.08, decay_step=10) == pytest.approx(
        [0.08, 0.08, 0.04, 0.04, 0.02, 0.01])


def test_the_learning_rate_is_multiplied_by_the_decay_rate():
    assert rate_at([0, 5, 10], learning_rate=0.1, decay_step=5, decay_rate=0.3) == pytest.approx(
        [0.1, 0.03, 0.009])


def test_the_schedule_counts_the_steps_that_are_trained(run):
    weights = [stored_after(run, max_step=steps, decay_step=2, decay_rate=FROZEN,
                            learning_rate=0.01)['conv_rec/filter'] for steps in (1, 2, 5)]
    assert not np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[1], weights[2])


def test_only_every_log_freq_step_is_logged(run):
    text = run(max_step=7, log_freq=3)
    assert re.findall(r'^(\d+) training', text, re.MULTILINE) == ['3', '6']
    assert len(tiny.losses(text)) == 2


def test_a_loss_that_is_no_number_ends_the_training_after_it_was_logged(program):
    make_checkpoint('broken', {'conv_rec/bias': {(1,): np.nan}})
    code, out, err = program(fine_tuning=True, pre_trained_model='broken', log_freq=100)
    assert code == 1
    assert re.findall('^(?:Loss|Final).*', out, re.MULTILINE) == ['Loss : nan']
    assert err == ('main.py: the loss is nan at step 1: lower --learning_rate, or use '
                   '--loss_scale with a mixed precision\n')
    assert not os.listdir('model_dir')


def test_an_infinite_loss_ends_the_training_too(run):
    make_checkpoint('huge', {'conv_rec/bias': {(1,): 3e38, (2,): 3e38}})
    with pytest.raises(TrainError, match='^the loss is inf at step 1: '):
        run(fine_tuning=True, pre_trained_model='huge')


# --- the log ------------------------------------------------------------------------------------

def test_the_log_marks_the_phases_in_their_order(run):
    text = run(max_step=2)
    assert [key for key, _ in events(text)] == [
        'init_start', 'config', 'init_stop', 'run_start', 'first_step_start', 'first_step_stop',
        'device', 'save_start', 'save_stop', 'input_wait', 'run_stop']
    found = dict(events(text))
    assert found['device']['value'] == 'cpu'
    assert found['device']['metadata']['operations'] > 10
    assert found['run_stop']['metadata'] == {'status': 'success'}
    assert found['save_start']['metadata'] == {'step_num': 2}


def test_the_log_says_what_was_trained_on_what(run):
    said = dict(events(run(seed=5)))['config']['value']
    assert said['data'] == data.digest(data.load_pairs('HR', '', 2, '.cache'))
    assert {**said, **tiny.NETWORK} == said
    assert (said['seed'], said['scale'], said['device_kind'], said['tensorflow']) == (
        5, 2, 'cpu', tf.__version__)


def test_the_log_tells_how_long_the_steps_waited_for_their_batches(run):
    text = run(max_step=12, log_freq=5)
    (waited,) = [line['value'] for key, line in events(text) if key == 'input_wait']
    assert isinstance(waited, float) and 0 <= waited < 5


def test_every_batch_tells_when_it_was_ready():
    pairs, ready_s = data.load_pairs('HR', '', 2, '.cache'), {}
    before_s = time.perf_counter()
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = data.batches(pairs, tiny.config(max_step=5), ready_s)
        batch = iterator.get_next()
        session.run(iterator.initializer)
        for step in range(1, 6):
            session.run(batch)
            assert before_s < ready_s[step] < time.perf_counter()
    assert sorted(ready_s) == [1, 2, 3, 4, 5]


def test_a_step_waits_from_its_start_until_its_batch_is_ready(monkeypatch):
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(train, 'time', SimpleNamespace(perf_counter=lambda: clock.now_s))

    class Session:
        def run(self, ops):
            clock.now_s += 10
            return None, 4.0

    ops = recipe.Training('step', 'add', 'loss', None)

    # The steps begin at 100, 110 and 120 s; the second batch is ready early.
    ready_s = {1: 90.0, 2: 103.0, 3: 104.0, 4: 121.5}
    steps = []
    waited_s = train._loop(Session(), ops, tiny.config(max_step=4), 1,
                           lambda *step: steps.append(step), ready_s)
    assert waited_s == 3 + 0 + 1.5
    assert steps == [(2, 4.0, 10.0), (3, 4.0, 10.0), (4, 4.0, 10.0)]


def test_the_final_speed_is_the_median_after_the_warm_up(run):
    text = run(max_step=12)
    steady = [float(seconds) for seconds in tiny.logged(text, 'Elpased time')][5:]
    median = statistics.median(steady)
    assert [float(ms) for ms in tiny.logged(text, 'Final step milliseconds')] == [
        pytest.approx(1000 * median, abs=2e-3)]
    assert [float(speed) for speed in tiny.logged(text, 'Final images/sec')] == [
        pytest.approx(2 / median, rel=0.01)]
    assert tiny.logged(text, 'Final Loss') == tiny.logged(text, 'Loss')[-1:]


def test_a_training_of_warm_up_only_claims_no_speed(run):
    assert tiny.logged(run(max_step=5), 'Final images/sec') == ['None']


@pytest.fixture
def clock(monkeypatch):
    """The training's clock: stands still but for a second a session run, ten a file or a line."""
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(train, 'time', SimpleNamespace(perf_counter=lambda: clock.now_s))

    def slow(owner, name, seconds):
        function = getattr(owner, name)

        def slowed(*args, **options):
            clock.now_s += seconds
            return function(*args, **options)
        monkeypatch.setattr(owner, name, slowed)

    slow(tf.Session, 'run', 1)
    slow(checkpoint, 'save', 10)
    slow(main, 'log', 10)
    slow(evaluate, 'super_resolve', 10)
    return clock


def test_a_steps_time_holds_the_step_and_no_logging_saving_or_validation(run, clock):  # (35)
    text = run(max_step=8, test_with_train=True, model_save_freq=2)
    assert text.count('eval_stop') == 4
    assert tiny.logged(text, 'Elpased time') == ['1.000000'] * 8
    assert tiny.logged(text, 'Final step milliseconds') == ['1000.0000']
    assert tiny.logged(text, 'Final images/sec') == ['2.0000']
    assert clock.now_s > 200


# --- checkpoints --------------------------------------------------------------------------------

def test_there_is_one_final_checkpoint_and_the_log_names_it(run):  # (37, 38)
    text = run(model_path='not/yet/there')
    name = 'RCAN_X2_4_1_1-3'
    assert tiny.logged(text, 'Final checkpoint') == [name]
    assert sorted(os.listdir('not/yet/there')) == [
        f'{name}.data-00000-of-00001', f'{name}.index', 'checkpoint']


@pytest.mark.parametrize('every, steps', [(3, [3, 6, 8]), (4, [4, 8]), (1, [*range(1, 9)])])
def test_checkpoints_are_saved_every_so_many_steps_and_all_are_kept(run, every, steps):
    run(max_step=8, model_save_freq=every)
    saved = [int(re.search(r'-(\d+)\.index$', name).group(1)) for name in os.listdir('model_dir')
             if name.endswith('.index')]
    assert sorted(saved) == steps


def test_fine_tuning_starts_from_the_checkpoint(run):
    before = stored_after(run, max_step=4, learning_rate=0.01)
    after = stored_after(run, fine_tuning=True, pre_trained_model='model_dir/RCAN_X2_4_1_1-4',
                         model_path='model_dir', max_step=1, learning_rate=FROZEN, seed=9)
    names = [name for name in before if name.endswith(('filter', 'bias'))]
    assert all(np.array_equal(before[name], after[name]) for name in names)
    assert after['global_step'] == 1        # a new schedule, not the old one's end


def test_fine_tuning_without_the_tail_goes_from_scale_2_to_scale_3(run):
    before = stored_after(run, learning_rate=0.01)
    after = stored_after(run, fine_tuning=True, pre_trained_model='model_dir/RCAN_X2_4_1_1-3',
                         load_tail_part=False, scale=3, learning_rate=FROZEN, seed=9)
    names = [name for name in before if re.fullmatch(r'[^/]+/(filter|bias)', name)]
    tail = [name for name in names if name.startswith(network.TAIL)]
    body = sorted(set(names) - set(tail))
    assert len(body) == 14
    assert all(np.array_equal(before[name], after[name]) for name in body)
    assert 'up_sample_conv/filter' in after
    assert not np.array_equal(before['conv_rec/filter'], after['conv_rec/filter'])


@pytest.mark.parametrize('asked, saved, difference', [
    ({'n_feats': 8}, {}, 'n_feats is 4 there and 8 here. Give --n_feats 4'),
    ({'n_RCAB': 2}, {}, 'n_RCAB is 1 there and 2 here. Give --n_RCAB 1'),
    ({'n_RG': 2}, {}, 'n_RG is 1 there and 2 here. Give --n_RG 1'),
    ({}, {'n_RCAB': 2}, 'n_RCAB is 2 there and 1 here. Give --n_RCAB 2'),
    ({}, {'n_RG': 2}, 'n_RG is 2 there and 1 here. Give --n_RG 2'),
    ({'scale': 3}, {}, 'scale is 2 there and 3 here. Give --scale 2'),
    ({'scale': 2}, {'scale': 4}, 'scale is 4 there and 2 here. Give --scale 4'),
    ({'scale': 4}, {'scale': 8}, 'scale is 8 there and 4 here. Give --scale 8'),
    ({'scale': 2}, {'scale': 3}, 'scale is 3 there and 2 here. Give --scale 3'),
    ({'kernel_size': 5}, {}, 'kernel_size is 3 there and 5 here. Give --kernel_size 3'),
    ({'ratio': 4}, {}, 'ratio is 2 there and 4 here. Give --ratio 2'),
    ({'scale': 4, 'n_RG': 3}, {'n_RG': 2}, 'scale is 2 there and 4 here, n_RG is 2 there and 3 '
     'here. Give --scale 2 --n_RG 2'),
])
def test_a_checkpoint_of_another_network_is_refused_with_both_sides_named(run, asked, saved,
                                                                          difference):
    make_checkpoint('other', {}, **saved)
    with pytest.raises(RequestError) as refused:
        run(mode='test', pre_trained_model='other', **asked)
    assert str(refused.value) == (f'other is of another network than was asked for: {difference}, '
                                  'or another checkpoint')


@pytest.mark.parametrize('prefix', ['none', 'ckpt', 'ckpt/m.index', 'ckpt/m.data-00000-of-00001'])
def test_anything_but_a_checkpoints_prefix_is_refused(program, prefix):
    make_checkpoint('ckpt/m', {})
    code, _, err = program(mode='test', pre_trained_model=prefix)
    assert (code, err) == (2, f'main.py: no checkpoint at {prefix}: give the prefix, without '
                              '.index or .data\n')


# --- evaluation ---------------------------------------------------------------------------------

def test_psnr_and_ssim_go_to_standard_output(run):  # (20, 21)
    text = run(mode='test', pre_trained_model=nearest(brighter=3), test_set='ours')
    expected, bicubic = [], []
    for pair in data.load_pairs('val_HR', '', 2, '.cache'):
        sr = np.clip(enlarge(np.asarray(pair.lr)).astype(int) + 3, 0, 255).astype(np.uint8)
        expected.append((metrics.psnr_y(sr, pair.hr, 2), metrics.ssim_y(sr, pair.hr, 2)))
        bicubic.append(metrics.psnr_y(degrade.upscale(np.asarray(pair.lr), 2), pair.hr, 2))
    mean_db, mean_ssim = np.mean(expected, axis=0)
    assert tiny.logged(text, 'Y_PSNR') == [
        f'{psnr:.4f} SSIM : {ssim:.4f} {of}' for (psnr, ssim), of in
        zip([*expected, (mean_db, mean_ssim)], ['a', 'b', 'ours (2 images)'])]
    assert tiny.logged(text, 'Final PSNR') == [f'{mean_db:.4f}']
    assert tiny.logged(text, 'Final gain over bicubic dB') == [f'{mean_db - np.mean(bicubic):.4f}']
    found = dict(events(text))
    assert found['eval_accuracy']['value'] == pytest.approx(mean_db)
    assert found['eval_accuracy']['metadata'] == {'ssim': pytest.approx(mean_ssim), 'images': 2}
    assert found['bicubic_psnr']['value'] == pytest.approx(np.mean(bicubic))
    assert sorted(os.listdir('result')) == ['comparison.png', 'results.csv']


def test_the_checkpoint_of_a_training_measures_as_it_did_in_the_training(run):
    trained = run(max_step=4, model_save_freq=4, test_with_train=True)
    tested = run(mode='test', pre_trained_model='model_dir/RCAN_X2_4_1_1-4')
    assert len(tiny.logged(trained, 'Y_PSNR')) == 3
    assert tiny.logged(trained, 'Y_PSNR') == tiny.logged(tested, 'Y_PSNR')


def test_validation_during_the_training_writes_images_only_on_demand(run):
    run(test_with_train=True)
    assert not os.path.exists('result')
    run(test_with_train=True, save_test_result=True)
    assert sorted(os.listdir('result')) == ['aX2.png', 'bX2.png']


def test_validation_during_the_training_changes_no_loss(run):
    assert tiny.losses(run(max_step=4, model_save_freq=2, test_with_train=True)) == pytest.approx(
        tiny.losses(run(max_step=4, model_save_freq=2)), rel=1e-4)


def test_the_test_images_are_saved_on_demand_in_a_folder_that_is_made(run):  # (23)
    run(mode='test', pre_trained_model=nearest(), save_test_result=True, result_path='deep/result')
    assert sorted(os.listdir('deep/result')) == ['aX2.png', 'bX2.png', 'comparison.png',
                                                 'results.csv']
    for pair in data.load_pairs('val_HR', '', 2, '.cache'):
        saved = images.read_rgb(f'deep/result/{pair.name}X2.png')
        assert np.array_equal(saved, enlarge(np.asarray(pair.lr)))


@pytest.mark.parametrize('in_memory', [True, False])
def test_test_only_upscales_a_folder(run, in_memory):  # (22, 23)
    small = {'wide': tiny.noise(9, 14, 1), 'high': tiny.noise(11, 5, 2)}
    tiny.write('small', **small)
    text = run(mode='test_only', pre_trained_model=nearest(), test_LR_path='small',
               result_path='large/ones', in_memory=in_memory)
    assert [line for line in text.splitlines() if '->' in line] == [
        f'small/{name}.png -> large/ones/{name}X2.png' for name in ('high', 'wide')]
    for name, image in small.items():
        assert np.array_equal(images.read_rgb(f'large/ones/{name}X2.png'), enlarge(image))


@pytest.mark.parametrize('flags', [{'self_ensemble': True}, {'chop_forward': True},
                                   {'self_ensemble': True, 'chop_forward': True}])
def test_ensemble_and_tiles_give_the_same_image_where_the_network_sees_one_pixel(run, flags):
    tiny.write('small', a=tiny.noise(13, 17))
    run(mode='test_only', pre_trained_model=nearest(), test_LR_path='small', chop_size=100,
        chop_shave=2, **flags)
    assert np.array_equal(images.read_rgb('result/aX2.png'), enlarge(tiny.noise(13, 17)))


def test_one_graph_serves_images_of_every_size(run, monkeypatch):
    tiny.write('small', a=tiny.noise(9, 14), b=tiny.noise(7, 7), c=tiny.noise(5, 20))
    prefix, built, rcan = nearest(), [], network.rcan
    monkeypatch.setattr(network, 'rcan', lambda lr, config: built.append(1) or rcan(lr, config))
    run(mode='test_only', pre_trained_model=prefix, test_LR_path='small')
    assert len(built) == 2      # one makes the variables, one takes the images


# --- how an image goes through the network ------------------------------------------------------

class Recorder:
    """Upscales like a network that looks `reach` pixels around; keeps what it was given."""

    def __init__(self, scale=2, reach=0):
        self.scale, self.reach, self.seen = scale, reach, []

    def __call__(self, lr):
        self.seen.append(lr)
        padded = np.pad(lr.astype(np.float32), ((self.reach,) * 2, (self.reach,) * 2, (0, 0)),
                        mode='constant')
        height, width = lr.shape[:2]
        around = sum(padded[y:y + height, x:x + width] * (1 + y + 3 * x)
                     for y in range(2 * self.reach + 1) for x in range(2 * self.reach + 1))
        return enlarge(around, self.scale)


def test_the_self_ensemble_has_eight_distinct_passes():  # (24)
    lr, record = tiny.noise(6, 6), Recorder()
    assert np.allclose(upscale.ensemble(record, lr), enlarge(lr))
    assert [image.tobytes() for image in record.seen] == [
        data.flip_rotate(lr, turn).tobytes() for turn in range(8)]
    assert len({image.tobytes() for image in record.seen}) == 8


def test_the_self_ensemble_is_the_mean_with_every_pass_turned_back():
    def brighter_at_its_top_left(lr):
        sr = enlarge(lr).astype(np.float32)
        sr[0, 0] += 8
        return sr

    lr = tiny.noise(5, 7)
    gained = upscale.ensemble(brighter_at_its_top_left, lr) - enlarge(lr)
    expected = np.zeros((10, 14, 3))
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        expected[corner] = 2        # two of the eight passes have this corner at their top left
    assert np.allclose(gained, expected)


@pytest.mark.parametrize('flags, passes', [({}, 1), ({'self_ensemble': True}, 8),
                                           ({'chop_forward': True}, 4),
                                           ({'chop_forward': True, 'self_ensemble': True}, 32)])
def test_as_many_passes_are_made_as_the_flags_ask_for(flags, passes):
    record = Recorder()
    config = tiny.config(chop_size=64, chop_shave=1, **flags)
    sr = upscale.super_resolve(record, tiny.noise(12, 12), config)
    assert len(record.seen) == passes
    assert np.array_equal(sr, enlarge(tiny.noise(12, 12)))


def test_the_result_is_rounded_and_clipped_to_bytes():
    values = np.array([[[-7, 0.4, 0.6], [254.6, 255.4, 300]]], np.float32)
    sr = upscale.super_resolve(lambda lr: values, np.zeros([1, 1, 3], np.uint8), tiny.config())
    assert sr.dtype == np.uint8
    assert sr.tolist() == [[[0, 0, 1], [255, 255, 255]]]


@pytest.mark.parametrize('chop_size, chop_shave', [(300, 2), (300, 0), (25, 2), (49, 3), (1, 0),
                                                   (40000, 10)])
@pytest.mark.parametrize('height, width', [(12, 12), (1, 1), (1, 40), (40, 1), (31, 33), (64, 17),
                                           (20, 21)])
@pytest.mark.parametrize('scale', [2, 3])
def test_tiles_with_overlap_equal_the_whole_image(height, width, chop_size, chop_shave, scale):
    lr = tiny.noise(height, width)      # (26)
    whole = Recorder(scale, reach=chop_shave)(lr)
    record = Recorder(scale, reach=chop_shave)
    config = tiny.config(scale=scale, chop_size=chop_size, chop_shave=chop_shave)
    assert np.array_equal(upscale.tiled(record, lr, config), whole)
    assert max(tile.shape[0] * tile.shape[1] for tile in record.seen) <= chop_size


def test_an_image_that_fits_is_one_tile():
    record = Recorder()
    upscale.tiled(record, tiny.noise(12, 12), tiny.config(chop_size=300))      # (26)
    assert [tile.shape for tile in record.seen] == [(12, 12, 3)]


@pytest.mark.parametrize('height, width', [(40, 40), (22, 300), (300, 22)])
def test_a_tile_that_cannot_hold_its_own_overlap_is_refused(height, width):  # (26)
    record, lr = Recorder(), tiny.noise(height, width)
    with pytest.raises(RequestError) as refused:
        upscale.tiled(record, lr, tiny.config(chop_size=300, chop_shave=10))
    assert str(refused.value) == ('chop_size 300 cannot hold one pixel with --chop_shave 10 around '
                                  'it: raise chop_size to 441 or more')
    assert record.seen == []
    sr = upscale.tiled(record, lr, tiny.config(chop_size=441, chop_shave=10))
    assert np.array_equal(sr, enlarge(lr))


# --- the program --------------------------------------------------------------------------------

def test_a_bad_request_has_status_2_and_a_success_0(program):
    assert program(scale=5) == (2, '', 'main.py: scale must be one of 2, 3, 4, 8, not 5\n')
    code, out, err = program()
    assert (code, err) == (0, '')
    assert len(tiny.losses(out)) == 3


def test_an_interrupted_program_says_so_by_its_status_alone(program, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, 'load_pairs', interrupted)
    code, _, err = program()
    assert (code, err) == (130, '')


def test_importing_main_leaves_the_search_path_alone(monkeypatch):
    monkeypatch.setattr(sys, 'path', ['first', *sys.path])
    before = list(sys.path)
    runpy.run_path(main.__file__)
    assert sys.path == before
