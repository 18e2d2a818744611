# SPDX-License-Identifier: Apache-2.0
"""What a star import of npu_init makes of every session, since r1.9.0."""

import functools

from tensorflow.core.protobuf import config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig


def decorator_tf_session(func):
    """Wrap the __init__ of a kind of session: its configuration becomes one for the NPU."""
    @functools.wraps(func)
    def init(self, *args, **kwargs):
        args = list(args)
        given = args.pop(2) if len(args) > 2 else kwargs.pop('config', None)
        func(self, *args, config=_for_npu(given), **kwargs)

    return init


def _for_npu(config):
    """The configuration with NpuOptimizer, and without what does not go with it."""
    config = config_pb2.ConfigProto() if config is None else config
    rewrite = config.graph_options.rewrite_options
    if not any(optimizer.name == 'NpuOptimizer' for optimizer in rewrite.custom_optimizers):
        rewrite.custom_optimizers.add().name = 'NpuOptimizer'
        rewrite.memory_optimization = RewriterConfig.OFF
    config.allow_soft_placement = True
    config.log_device_placement = False
    rewrite.remapping = RewriterConfig.OFF
    config.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
    return config
