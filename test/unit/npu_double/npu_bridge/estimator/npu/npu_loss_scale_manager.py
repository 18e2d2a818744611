# SPDX-License-Identifier: Apache-2.0
"""Loss scales, with the original's signatures and checks."""

import tensorflow as tf


class FixedLossScaleManager:
    """One scale for the whole training."""

    def __init__(self, loss_scale, enable_overflow_check=True):
        if loss_scale < 1:
            raise ValueError('loss scale must be at least 1.')
        self._loss_scale = tf.convert_to_tensor(loss_scale, tf.float32)
        self._enable_overflow_check = enable_overflow_check

    def get_loss_scale(self):
        return self._loss_scale

    def get_enable_overflow_check(self):
        return self._enable_overflow_check

    def update_loss_scale(self, finite_grads):
        return tf.no_op()


class ExponentialUpdateLossScaleManager:
    """Grows after a number of good steps, shrinks after a number of bad ones."""

    def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2,
                 incr_ratio=2, decr_ratio=0.8):
        self.arguments = (init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf, incr_ratio,
                          decr_ratio)
        self._loss_scale = _variable('loss_scale', float(init_loss_scale))
        self._good_steps = _variable('good_steps', 0)
        self._bad_steps = _variable('bad_steps', 0)

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        _, every_good, every_bad, grow, shrink = self.arguments
        good = tf.where(finite_grads, self._good_steps + 1, 0)
        bad = tf.where(finite_grads, self._bad_steps, self._bad_steps + 1)
        growing, shrinking = good >= every_good, bad >= every_bad
        factor = tf.where(growing, float(grow), tf.where(shrinking, float(shrink), 1.0))
        steady = tf.cast(~(growing | shrinking), tf.int32)
        new = [tf.maximum(1.0, self._loss_scale * factor), good * steady, bad * steady]
        with tf.control_dependencies(new):
            return tf.group(*(tf.assign(v, value) for v, value in zip(
                (self._loss_scale, self._good_steps, self._bad_steps), new)))


def _variable(name, value):
    with tf.variable_scope('loss_scale_manager'):
        return tf.get_variable(name, initializer=value, trainable=False)
