# SPDX-License-Identifier: Apache-2.0
"""Real trainings of a tiny network, through the program's main.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

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

from model import checkpoint, data, device, evaluate, main, network, recipe, train
from model.errors import RequestError, TrainError

FROZEN = 1e-30      # a learning rate that changes no weight

pytestmark = pytest.mark.usefixtures('workplace')


# --- the loop -----------------------------------------------------------------------------------

def test_exactly_max_step_steps_are_trained(run):  # (18)
    text = run(max_step=7)      # six images, batches of two: an epoch would be three
    assert re.findall(r'^(\d+) training step completed$', text, re.MULTILINE) == [
        str(step) for step in range(1, 8)]
    assert len(tiny.losses(text)) == len(tiny.logged(text, 'Elpased time')) == 7
    assert tiny.stored('model_dir/RCAN_X2_4_1_1-7')['global_step'] == 7


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
    return tiny.stored(f'model_dir/{prefix}')


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
    tiny.make_checkpoint('broken', {'conv_rec/bias': {(1,): np.nan}})
    code, out, err = program(fine_tuning=True, pre_trained_model='broken', log_freq=100)
    assert code == 1
    assert re.findall('^(?:Loss|Final).*', out, re.MULTILINE) == ['Loss : nan']
    assert err == ('main.py: the loss is nan at step 1: lower --learning_rate, or use '
                   '--loss_scale with a mixed precision\n')
    assert not os.listdir('model_dir')


def test_an_infinite_loss_ends_the_training_too(run):
    tiny.make_checkpoint('huge', {'conv_rec/bias': {(1,): 3e38, (2,): 3e38}})
    with pytest.raises(TrainError, match='^the loss is inf at step 1: '):
        run(fine_tuning=True, pre_trained_model='huge')


# --- the log ------------------------------------------------------------------------------------

def test_the_log_marks_the_phases_in_their_order(run):
    text = run(max_step=2)
    assert [key for key, _ in tiny.events(text)] == [
        'init_start', 'config', 'init_stop', 'run_start', 'first_step_start', 'first_step_stop',
        'device', 'save_start', 'save_stop', 'input_wait', 'run_stop']
    found = dict(tiny.events(text))
    assert found['device']['value'] == 'cpu'
    assert found['device']['metadata']['operations'] > 10
    assert found['run_stop']['metadata'] == {'status': 'success'}
    assert found['save_start']['metadata'] == {'step_num': 2}


def test_the_log_says_what_was_trained_on_what(run):
    said = dict(tiny.events(run(seed=5)))['config']['value']
    assert said['data'] == data.digest(data.load_pairs('HR', '', 2, '.cache'))
    assert {**said, **tiny.NETWORK} == said
    assert (said['seed'], said['scale'], said['device_kind'], said['tensorflow']) == (
        5, 2, 'cpu', tf.__version__)


def test_the_log_tells_how_long_the_steps_waited_for_their_batches(run):
    text = run(max_step=12, log_freq=5)
    (waited,) = [line['value'] for key, line in tiny.events(text) if key == 'input_wait']
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
    tiny.make_checkpoint('other', {}, **saved)
    with pytest.raises(RequestError) as refused:
        run(mode='test', pre_trained_model='other', **asked)
    assert str(refused.value) == (f'other is of another network than was asked for: {difference}, '
                                  'or another checkpoint')


@pytest.mark.parametrize('prefix', ['none', 'ckpt', 'ckpt/m.index', 'ckpt/m.data-00000-of-00001'])
def test_anything_but_a_checkpoints_prefix_is_refused(program, prefix):
    tiny.make_checkpoint('ckpt/m', {})
    code, _, err = program(mode='test', pre_trained_model=prefix)
    assert (code, err) == (2, f'main.py: no checkpoint at {prefix}: give the prefix, without '
                              '.index or .data\n')


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


def test_a_cache_that_is_emptied_during_the_training_ends_it_in_one_line(program, monkeypatch):
    sample, steps = data.sample_batch, []

    def emptied(pairs, config, step):
        steps.append(step)
        if len(steps) == 3:
            for name in os.listdir('.cache/decoded'):
                os.truncate(os.path.join('.cache/decoded', name), 130)
        return sample(pairs, config, step)

    monkeypatch.setattr(data, 'sample_batch', emptied)
    code, _, err = program(max_step=50)
    assert code == 1
    assert re.fullmatch(r'main.py: a step failed: .*has become shorter.*Repeat the command\n', err)


def test_images_whose_names_are_no_text_train(run):
    os.rename('HR/0000.png', b'HR/\xff.png')
    assert len(tiny.losses(run())) == 3
