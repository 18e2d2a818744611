# SPDX-License-Identifier: Apache-2.0
"""Loss scales, on the same base as the original's, with its signatures and checks."""

from tensorflow.contrib.mixed_precision.python import loss_scale_manager


class FixedLossScaleManager(loss_scale_manager.FixedLossScaleManager):
    """One scale for the whole training."""

    def __init__(self, loss_scale, enable_overflow_check=True):
        self._enable_overflow_check = enable_overflow_check
        super().__init__(loss_scale=loss_scale)

    def get_enable_overflow_check(self):
        return self._enable_overflow_check


class ExponentialUpdateLossScaleManager(loss_scale_manager.ExponentialUpdateLossScaleManager):
    """Grows after a number of good steps, shrinks after a number of bad ones."""
