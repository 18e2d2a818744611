# SPDX-License-Identifier: Apache-2.0
"""What `from npu_bridge.npu_init import *` brings, and since r1.9.0 does: every session that is
made from then on is one for the NPU.
"""

# ruff: noqa: F401  (names for a star import)

import tensorflow as tf
from hccl.manage.api import get_local_rank_id, get_local_rank_size, get_rank_id, get_rank_size
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session
from tensorflow.python.keras import backend
from tensorflow.python.training import session_run_hook

from npu_bridge import _adapter
from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import npu_config as _config
from npu_bridge.estimator.npu import npu_plugin, npu_scope, util
from npu_bridge.estimator.npu.npu_loss_scale_manager import (
    ExponentialUpdateLossScaleManager,
    FixedLossScaleManager,
)
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer

if _adapter.since('r1.3.0'):
    def npu_config_proto(config_proto=None):
        """A session's configuration for the NPU, on the base of this one."""
        return _config._for_npu(config_proto)


def init_resource(config=None):
    """A session that has opened the device, and the operation that closes it again."""
    started, stop = npu_ops.initialize_system(), npu_ops.shutdown_system()
    sess = session.Session(config=_config._for_npu(config))
    sess.run(started)
    return sess, stop


def shutdown_resource(sess, npu_shutdown):
    sess.run(npu_shutdown)


def close_session(sess):
    sess.close()


if _adapter.since('r1.9.0'):
    from npu_bridge.estimator.npu.npu_config import decorator_tf_session
    session.Session.__init__ = decorator_tf_session(session.Session.__init__)
    session.InteractiveSession.__init__ = decorator_tf_session(session.InteractiveSession.__init__)
