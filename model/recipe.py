# SPDX-License-Identifier: Apache-2.0
"""How the weights are trained: the paper's recipe, and what has been found better since.

Adam with a rate that falls in steps: RCAN, section 4.1.  Lamb, cosine and larger batches:
"Revisiting RCAN" (arXiv 2201.11279), which also trains at last on larger patches (--fine_tuning
with --patch_size).  Warm-up: Goyal et al. 2017 (arXiv 1706.02677).  Moving average of the weights:
Polyak and Juditsky 1992.
"""

from typing import NamedTuple, Optional

import tensorflow as tf

from model import network


class Training(NamedTuple):
    """The operations of a training; a step runs `add` for all parts of its batch but the last."""

    step: tf.Operation      # the last part's gradient, then the update
    add: tf.Operation       # the gradient of a part is kept until then
    loss: tf.Tensor         # L1 of the part, before the update (section 3.1)
    average: Optional[tf.train.ExponentialMovingAverage]


def training(batch, chosen, config) -> Training:
    """The training on uint8 batches (lr [n, p, p, 3], hr [n, s*p, s*p, 3]), or on parts of them."""
    lr, hr = (tf.cast(image, tf.float32) for image in batch)
    loss = tf.reduce_mean(tf.abs(network.rcan(lr, config) - hr))
    step = tf.train.get_or_create_global_step()
    optimizer = chosen.optimizer(_optimizer(config, step), config)
    gradients = optimizer.compute_gradients(
        loss, var_list=network.variables(), gate_gradients=tf.train.Optimizer.GATE_NONE,
        # Two at a time: which of three come first is chance, and so is then the last bit.
        aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE)
    add = tf.no_op()
    if config.accumulate > 1:
        add, gradients = _accumulated(gradients, config.accumulate)
    # One gate for all, not one a layer: no weight may change while a gradient still reads it.
    with tf.control_dependencies([tf.group(*(gradient for gradient, _ in gradients))]):
        update = optimizer.apply_gradients(gradients)
    average = None
    if config.ema_decay:
        average = tf.train.ExponentialMovingAverage(config.ema_decay, num_updates=step)
        with tf.control_dependencies([update]):
            update = average.apply(network.variables())
    # Not by the optimizer: one that scales the loss leaves out the steps that overflow.
    with tf.control_dependencies([update]):
        counted = tf.assign_add(step, 1).op
    return Training(counted, add, loss, average)


def learning_rate(config, step):
    """The rate of the update after `step` others.

    In the graph, so that it holds on a device that runs many steps at a call.
    """
    if config.lr_schedule == 'cosine':
        rate = tf.train.cosine_decay(config.learning_rate, tf.maximum(step - config.warmup_step, 0),
                                     config.max_step - config.warmup_step)
    else:
        rate = tf.train.exponential_decay(config.learning_rate, step, config.decay_step,
                                          config.decay_rate, staircase=True)
    if config.warmup_step:
        rate *= tf.minimum(1.0, tf.cast(step + 1, tf.float32) / config.warmup_step)
    return rate


def _optimizer(config, step):
    rate = learning_rate(config, step)
    return Lamb(rate) if config.optimizer == 'lamb' else tf.train.AdamOptimizer(rate)


class Lamb(tf.train.Optimizer):
    """Adam with steps as long as a layer's weights are (arXiv 1904.00962, algorithm 2).

    Without weight decay, as Revisiting RCAN uses it; then the length of the update cancels, and the
    averages need no correction of their start at zero.
    """

    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-6

    def __init__(self, rate):
        super().__init__(use_locking=False, name='Lamb')
        self._rate = rate

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, 'm', 'Lamb')
            self._zeros_slot(variable, 'v', 'Lamb')

    def _apply_dense(self, grad, var):
        m = self._moved(var, 'm', grad, self.BETA_1)
        v = self._moved(var, 'v', tf.square(grad), self.BETA_2)
        update = m / (tf.sqrt(v) + self.EPSILON)
        weight_norm, update_norm = tf.norm(var), tf.norm(update)
        trust = tf.where(tf.minimum(weight_norm, update_norm) > 0, weight_norm / update_norm, 1.0)
        return tf.assign_sub(var, self._rate * trust * update)

    def _moved(self, var, name, value, beta):
        """Move an average towards the value, and return it."""
        average = self.get_slot(var, name)
        return tf.assign(average, beta * average + (1 - beta) * value)


def _accumulated(gradients, parts: int):
    """The operation that keeps a part's gradient, and the mean gradient with the last part's.

    Equal parts: the mean of their means is that of the batch.
    """
    sums = [tf.Variable(tf.zeros(v.shape), trainable=False, name=f'{v.op.name}/accumulated',
                        collections=[tf.GraphKeys.LOCAL_VARIABLES]) for _, v in gradients]
    add = tf.group(*(tf.assign_add(part_sum, gradient)
                     for part_sum, (gradient, _) in zip(sums, gradients)))
    totals = [part_sum + gradient for part_sum, (gradient, _) in zip(sums, gradients)]
    with tf.control_dependencies(totals):
        zeroed = [tf.assign(part_sum, tf.zeros(part_sum.shape)) for part_sum in sums]
    with tf.control_dependencies(zeroed):
        return add, [(total / parts, v) for total, (_, v) in zip(totals, gradients)]
