# SPDX-License-Identifier: Apache-2.0
"""Operations that open and close the device, so that a training's time is without that."""

from npu_bridge.helper import helper


def initialize_system(name=None):
    return helper.npu_bridge_handle.npu_init(name=name)


def shutdown_system(name=None):
    return helper.npu_bridge_handle.npu_shutdown(name=name)
