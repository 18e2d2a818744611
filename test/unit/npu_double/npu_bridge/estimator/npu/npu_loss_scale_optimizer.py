# SPDX-License-Identifier: Apache-2.0
"""The optimizer that scales the loss; where the original asks the NPU for overflow, it looks."""

import tensorflow as tf


class NPULossScaleOptimizer(tf.train.Optimizer):
    """Gradients of the scaled loss, scaled back; a step with an overflow is left out."""

    def __init__(self, opt, loss_scale_manager, is_distributed=False):
        super().__init__(use_locking=False, name='NPULossScaleOptimizer')
        self._opt = opt
        self._loss_scale_manager = loss_scale_manager
        self._is_distributed = is_distributed

    def compute_gradients(self, loss, var_list=None, **options):
        scale = self._loss_scale_manager.get_loss_scale()
        scaled = self._opt.compute_gradients(loss * scale, var_list=var_list, **options)
        return [(None if g is None else g / scale, v) for g, v in scaled]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g, _ in grads_and_vars
                                if g is not None])
        step = tf.cond(finite, lambda: self._opt.apply_gradients(grads_and_vars, global_step, name),
                       tf.no_op)
        return tf.group(step, self._loss_scale_manager.update_loss_scale(finite))
