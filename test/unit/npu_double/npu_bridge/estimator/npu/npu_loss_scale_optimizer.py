# SPDX-License-Identifier: Apache-2.0
"""The optimizer that scales the loss, on the same base as the original's, with its signatures.

A stand-in: where the original asks the NPU whether something has overflowed, the base looks at the
gradients.
"""

from tensorflow.contrib.mixed_precision.python import loss_scale_optimizer


class NPULossScaleOptimizer(loss_scale_optimizer.LossScaleOptimizer):
    """Gradients of the scaled loss, scaled back; a step with an overflow is left out."""

    def __init__(self, opt, loss_scale_manager, is_distributed=False):
        self._is_distributed = is_distributed
        self._name = 'NPULossScaleOptimizer'
        super().__init__(opt=opt, loss_scale_manager=loss_scale_manager)

    def __getattr__(self, attr):
        return getattr(self._opt, attr)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """Unlike its base, the original takes variables without a gradient."""
        return super().apply_gradients([(g, v) for g, v in grads_and_vars if g is not None],
                                       global_step, name)
