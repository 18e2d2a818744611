# SPDX-License-Identifier: Apache-2.0
"""How the weights are trained: the paper's recipe to the bit, and each way beyond it."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tiny

from model import checkpoint, data, device, network, recipe, upscale

CPU = device.DEVICES['cpu']


@pytest.fixture(autouse=True)
def graph():
    """A graph of its own for every test."""
    with tf.Graph().as_default():
        yield


def pairs():
    return [data.Pair(str(i), tiny.smooth(9 + i, 10, i), tiny.smooth(18 + 2 * i, 20, i), '')
            for i in range(3)]


def session(config):
    return tf.Session(config=CPU.session_config(config))


class Trained:
    """A training of some steps through recipe.training: its losses and its variables' values."""

    def __init__(self, chosen=CPU, **fields):
        config = tiny.config(**{'max_step': 4, 'learning_rate': 0.01, **fields})
        with tf.Graph().as_default(), session(config) as sess:
            iterator = data.batches(pairs(), config, {})
            ops = recipe.training(iterator.get_next(), chosen, config)
            values = network.initial_values(config.seed)
            averages = {name + checkpoint.AVERAGE: value for name, value in values.items()}
            checkpoint.load(sess, {**values, **averages})
            sess.run(iterator.initializer)
            self.losses, self.history = [], []
            for _ in range(config.max_step):
                losses = [sess.run([ops.add, ops.loss])[1] for _ in range(config.accumulate - 1)]
                losses.append(sess.run([ops.step, ops.loss])[1])
                self.losses.append(np.mean(losses))
                self.history.append(self._values(sess))
            self.local = [sess.run(v) for v in tf.local_variables()]
            self.rgb = upscale.forward(sess, config, ops.average)(tiny.noise(6, 6))

    @staticmethod
    def _values(sess):
        names = [v.op.name for v in tf.global_variables()]
        return dict(zip(names, sess.run(tf.global_variables())))

    @property
    def weights(self):
        return {name: value for name, value in self.history[-1].items()
                if name.endswith(('/filter', '/bias'))}


def equal(values, others):
    return set(values) == set(others) and all(
        np.array_equal(value, others[name]) for name, value in values.items())


# --- the paper's --------------------------------------------------------------------------------

def test_without_flags_it_is_adam_on_the_l1_loss_to_the_bit():
    config = tiny.config(max_step=4, learning_rate=0.01, decay_step=2)
    iterator = data.batches(pairs(), config, {})
    lr, hr = iterator.get_next()
    loss = tf.reduce_mean(tf.abs(
        network.rcan(tf.cast(lr, tf.float32), config) - tf.cast(hr, tf.float32)))
    number = tf.train.get_or_create_global_step()
    adam = tf.train.AdamOptimizer(
        tf.train.exponential_decay(0.01, number, 2, config.decay_rate, staircase=True))
    step = adam.minimize(loss, number, gate_gradients=adam.GATE_GRAPH,
                         aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE)
    with session(config) as sess:
        tiny.begin(sess)
        sess.run(iterator.initializer)
        losses = [sess.run([step, loss])[1] for _ in range(4)]
        weights = {v.op.name: sess.run(v) for v in network.variables()}
    ours = Trained(decay_step=2)
    assert ours.losses == losses
    assert equal(ours.weights, weights)
    assert not ours.local       # nothing is kept for what is not asked for


def test_equal_trainings_are_equal_to_the_bit():
    first = Trained(n_RG=2, n_RCAB=2, batch_size=8)
    assert all(equal(Trained(n_RG=2, n_RCAB=2, batch_size=8).weights, first.weights)
               for _ in range(5))


def test_a_gradient_of_three_is_added_two_at_a_time():
    """AddN takes first whichever of three it may overwrite, and that is chance."""
    config = tiny.config(n_RG=2, n_RCAB=2)
    recipe.training([tf.zeros([2, 6, 6, 3], tf.uint8), tf.zeros([2, 12, 12, 3], tf.uint8)], CPU,
                    config)
    added = [op for op in tf.get_default_graph().get_operations() if op.type == 'AddN']
    assert added and max(len(op.inputs) for op in added) == 2


def test_no_weight_changes_before_every_gradient_is_computed():
    config = tiny.config()
    recipe.training([tf.zeros([2, 6, 6, 3], tf.uint8), tf.zeros([2, 12, 12, 3], tf.uint8)], CPU,
                    config)
    operations = tf.get_default_graph().get_operations()
    updates = [op for op in operations if op.type == 'ApplyAdam']
    gradients = {op.inputs[-1].op for op in updates}
    assert len(gradients) == len(network.variables())
    assert all(gradients <= waited_for(op) for op in updates)


def waited_for(operation):
    """All operations that run before this one."""
    found, new = set(), {operation}
    while new:
        new = {before for op in new for before in (*(t.op for t in op.inputs), *op.control_inputs)
               } - found
        found |= new
    return found


# --- the rate -----------------------------------------------------------------------------------

def rates(steps, **fields):
    config = tiny.config(**fields)
    step = tf.placeholder(tf.int64, [])
    rate = recipe.learning_rate(config, step)
    with tf.Session() as sess:
        return [float(sess.run(rate, {step: number})) for number in steps]


def test_the_cosine_ends_at_nothing_after_the_last_step():
    assert rates([0, 25, 50, 75, 100], lr_schedule='cosine', max_step=100,
                 learning_rate=0.2) == pytest.approx(
        [0.2, 0.1 * (1 + math.cos(math.pi / 4)), 0.1, 0.1 * (1 - math.cos(math.pi / 4)), 0],
        abs=1e-7)


@pytest.mark.parametrize('schedule', ['step', 'cosine'])
def test_the_rate_grows_over_the_warm_up(schedule):
    found = rates([0, 1, 4, 9], lr_schedule=schedule, warmup_step=10, max_step=10 ** 6,
                  learning_rate=0.2, decay_step=1000)
    assert found == pytest.approx([0.02, 0.04, 0.1, 0.2])


def test_the_cosine_begins_where_the_warm_up_ends():
    after = rates([10, 60, 110], lr_schedule='cosine', warmup_step=10, max_step=110,
                  learning_rate=0.2)
    assert after == pytest.approx([0.2, 0.1, 0], abs=1e-7)


def test_the_rate_reaches_the_optimizer():
    constant, falling = Trained(), Trained(lr_schedule='cosine')
    assert equal(constant.history[0], falling.history[0])       # the first step is at full rate
    assert not equal(constant.history[1], falling.history[1])


# --- Lamb ---------------------------------------------------------------------------------------

def lamb(weights, gradients, rate):
    """Algorithm 2 of arXiv 1904.00962 without weight decay, in NumPy."""
    m = v = np.zeros_like(weights)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        update = m / (1 - 0.9 ** t) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-6)
        weights = weights - (rate * np.linalg.norm(weights) / np.linalg.norm(update)) * update
    return weights


def test_lamb_is_its_paper():
    random = np.random.RandomState(0)
    start, gradients = random.normal(size=[3, 4]), random.normal(size=[5, 3, 4])
    fed, weights = tf.placeholder(tf.float32, [3, 4]), tf.Variable(start.astype(np.float32))
    update = recipe.Lamb(0.05).apply_gradients([(fed, weights)])
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for gradient in gradients:
            sess.run(update, {fed: gradient})
        found = sess.run(weights)
    assert np.allclose(found, lamb(start, gradients, 0.05), atol=1e-5)


@pytest.mark.parametrize('start, gradient', [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0])])
def test_lamb_does_not_divide_by_a_layer_or_a_gradient_of_zero(start, gradient):
    weights = tf.Variable(start)
    update = recipe.Lamb(0.1).apply_gradients([(tf.constant(gradient), weights)])
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(update)
        moved = sess.run(weights) - start
    assert np.isfinite(moved).all()
    assert np.any(moved) == np.any(gradient)


def test_a_training_with_lamb_falls_and_is_another_than_adams():
    trained = Trained(optimizer='lamb', max_step=40)
    assert np.mean(trained.losses[-5:]) < 0.8 * np.mean(trained.losses[:5])
    assert not equal(trained.history[0], Trained().history[0])


# --- a batch in parts ---------------------------------------------------------------------------

def test_a_batch_in_parts_is_trained_like_the_whole():
    whole, parts = Trained(batch_size=6), Trained(batch_size=6, accumulate=3)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    for name, value in whole.history[0].items():
        # Adam's first step is +-rate: a gradient near zero may take the other sign.
        if name.endswith('/Adam'):
            assert np.allclose(parts.history[0][name], value, rtol=1e-3, atol=1e-5), name
    assert [h['global_step'] for h in parts.history] == [1, 2, 3, 4]


def test_what_parts_have_added_up_is_gone_after_the_update():
    assert all(not np.any(value) for value in Trained(accumulate=2).local)
    assert Trained(accumulate=2).local


def test_what_parts_have_added_up_is_in_no_checkpoint():
    assert set(Trained(accumulate=2).history[-1]) == set(Trained().history[-1])


# --- the moving average -------------------------------------------------------------------------

def test_the_average_follows_the_weights():
    trained = Trained(ema_decay=0.5)
    average = network_values(0)
    for step, values in enumerate(trained.history):
        decay = min(0.5, (1 + step) / (10 + step))      # a short training forgets its start too
        for name in average:
            average[name] = decay * average[name] + (1 - decay) * values[name]
            assert np.allclose(values[name + checkpoint.AVERAGE], average[name], atol=1e-6), name


def network_values(seed):
    with tf.Graph().as_default():
        network.rcan(tf.zeros([1, 6, 6, 3]), tiny.config())
        return network.initial_values(seed)


def test_the_average_changes_no_weight_and_no_loss():
    plain, averaged = Trained(), Trained(ema_decay=0.9)
    assert averaged.losses == plain.losses
    assert equal(averaged.weights, plain.weights)


def test_validation_sees_the_averages():
    plain, averaged = Trained(), Trained(ema_decay=0.9)
    assert not np.allclose(plain.rgb, averaged.rgb)
    config = tiny.config()
    with session(config) as sess:
        network.rcan(tf.zeros([1, 6, 6, 3]), config)
        checkpoint.load(sess, {name[:-len(checkpoint.AVERAGE)]: value
                               for name, value in averaged.history[-1].items()
                               if name.endswith(checkpoint.AVERAGE)})
        assert np.array_equal(upscale.forward(sess, config)(tiny.noise(6, 6)), averaged.rgb)


# --- together, and on other devices -------------------------------------------------------------

def test_all_of_it_goes_together():
    trained = Trained(optimizer='lamb', lr_schedule='cosine', warmup_step=5, accumulate=2,
                      ema_decay=0.9, max_step=40)
    assert np.mean(trained.losses[-5:]) < np.mean(trained.losses[:5])


def test_a_step_that_the_optimizer_leaves_out_counts_as_a_step():
    class Leaves(tf.train.AdamOptimizer):
        """As a loss scale does where a gradient overflows."""

        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            super().apply_gradients(grads_and_vars, global_step, name)
            return tf.no_op()

    chosen = CPU._replace(optimizer=lambda optimizer, config: Leaves(0.1))
    trained = Trained(chosen)
    assert equal(trained.weights, network_values(0))
    assert trained.history[-1]['global_step'] == 4
