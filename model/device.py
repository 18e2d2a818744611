# SPDX-License-Identifier: Apache-2.0
"""What differs between an NPU, a GPU and a CPU: session, optimizer, evidence.  All of it is here.

Sources of the NPU's settings: TF Adapter's documentation (session_config, migration guide).
"""

import json
import os
from typing import Callable, NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from model.errors import RequestError

# On a CPU or a GPU these change nothing, so they are no lie there.
FLOAT32_MODES = ('', 'must_keep_origin_dtype', 'force_fp32')


class Device(NamedTuple):
    """One kind of device; device(config) gives the one that a run asked for."""

    kind: str
    session_config: Callable    # TrainConfig -> tf.ConfigProto
    optimizer: Callable         # (tf.train.Optimizer, TrainConfig) -> tf.train.Optimizer
    is_evidence: Callable       # NodeDef -> bool: this node can run on nothing else
    static_shapes: bool         # a new shape compiles anew, for minutes


def device(config) -> Device:
    """The device of --device_kind; raises RequestError where it cannot do what is asked."""
    chosen = DEVICES[config.device_kind]
    if chosen.kind == 'npu':
        _import_npu_bridge()
    else:
        _refuse_npu_features(config)
    if chosen.kind == 'gpu' and not tf.test.is_gpu_available():
        raise RequestError('--device_kind gpu, but TensorFlow finds no GPU: check nvidia-smi, CUDA '
                           '10.0 and cuDNN 7, or use --device_kind cpu')
    return chosen


def count_evidence(chosen: Device, partition_graphs) -> int:
    """How many operations of a step have run on the device that was asked for.

    TensorFlow 1.15 ignores an unknown NpuOptimizer silently and trains on the CPU, so that a
    session configured for the NPU proves nothing; the graph that was executed does.
    """
    return sum(chosen.is_evidence(node) for graph in partition_graphs for node in graph.node)


def npu_session_config(config) -> tf.ConfigProto:
    """NpuOptimizer with its parameters in their field types: a wrong type is ignored silently."""
    proto = tf.ConfigProto(allow_soft_placement=True)
    proto.graph_options.rewrite_options.remapping = RewriterConfig.OFF
    proto.graph_options.rewrite_options.memory_optimization = RewriterConfig.OFF
    npu = proto.graph_options.rewrite_options.custom_optimizers.add()
    npu.name = 'NpuOptimizer'
    for name, value in _npu_parameters(config).items():
        field = {bool: 'b', int: 'i', str: 's'}[type(value)]
        setattr(npu.parameter_map[name], field,
                tf.compat.as_bytes(value) if field == 's' else value)
    return proto


def _npu_parameters(config) -> dict:
    parameters = {'use_off_line': True, 'graph_run_mode': 1}
    if config.precision_mode:
        parameters['precision_mode'] = config.precision_mode
    if config.over_dump and config.data_dump_flag:
        raise RequestError('over_dump and data_dump_flag exclude each other on an NPU: use one')
    if config.over_dump:
        parameters.update(enable_dump_debug=True, dump_debug_mode='all',
                          dump_path=_folder(config, 'overflow_dump'))
    if config.data_dump_flag:
        parameters.update(enable_dump=True, dump_mode='all', dump_step=config.data_dump_step,
                          dump_path=_folder(config, 'data_dump'))
    if config.profiling:
        parameters.update(profiling_mode=True, profiling_options=json.dumps({
            'output': _folder(config, 'profiling'), 'training_trace': 'on', 'task_trace': 'on',
            'aicpu': 'on', 'fp_point': '', 'bp_point': '', 'aic_metrics': 'PipeUtilization'}))
    return parameters


def _npu_optimizer(optimizer, config):
    """Loss scaling with the NPU's own classes: a 910A saturates, TensorFlow's check never fires."""
    if not config.loss_scale:
        return optimizer
    from npu_bridge.estimator.npu.npu_loss_scale_manager import (
        ExponentialUpdateLossScaleManager,
        FixedLossScaleManager,
    )
    from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer
    if config.loss_scale == 'dynamic':
        manager = ExponentialUpdateLossScaleManager(
            init_loss_scale=2 ** 32, incr_every_n_steps=1000, decr_every_n_nan_or_inf=2,
            decr_ratio=0.5)
    else:
        manager = FixedLossScaleManager(loss_scale=float(config.loss_scale))
    return NPULossScaleOptimizer(optimizer, manager)


def _import_npu_bridge():
    """Tell apart what can be missing; npu_bridge itself only prints why it cannot load."""
    try:
        import npu_bridge  # noqa: F401  (loads the adapter into TensorFlow)
    except ModuleNotFoundError as e:
        raise RequestError(f'--device_kind npu, but no Python package {e.name}: install the TF '
                           'Adapter (tfplugin) of CANN and source its set_env.sh') from e
    except ImportError as e:
        raise RequestError('--device_kind npu, but npu_bridge cannot load its library (the line '
                           'above says which one is missing): a libge_* is CANN\'s, source its '
                           'set_env.sh; a libascend_* is the driver\'s, install it') from e


def _refuse_npu_features(config):
    asked = [f'--{name}' for name in ('profiling', 'over_dump', 'data_dump_flag', 'loss_scale')
             if getattr(config, name)]
    if config.precision_mode not in FLOAT32_MODES:
        asked.append(f'--precision_mode {config.precision_mode}')
    if asked:
        raise RequestError(f'{", ".join(asked)}: only an NPU can do this, and this run is on a '
                           f'{config.device_kind}; leave it out or run on an NPU')


def _gpu_session_config(config) -> tf.ConfigProto:
    proto = tf.ConfigProto(allow_soft_placement=True)
    proto.gpu_options.allow_growth = True
    return proto


def _cpu_session_config(config) -> tf.ConfigProto:
    threads = os.environ.get('OMP_NUM_THREADS') or '0'  # 0: TensorFlow takes every core
    if not threads.isdigit():
        raise RequestError(f'OMP_NUM_THREADS must be a number of threads, not {threads!r}')
    return tf.ConfigProto(device_count={'GPU': 0}, intra_op_parallelism_threads=int(threads))


def _folder(config, name: str) -> str:
    """The adapter wants folders that exist."""
    path = os.path.abspath(os.path.join(config.dump_path, name))
    os.makedirs(path, exist_ok=True)
    return path


def _unchanged(optimizer, config):
    return optimizer


DEVICES = {d.kind: d for d in (
    Device('npu', npu_session_config, _npu_optimizer, lambda node: node.op == 'GeOp', True),
    Device('gpu', _gpu_session_config, _unchanged, lambda node: 'GPU:' in node.device, False),
    Device('cpu', _cpu_session_config, _unchanged, lambda node: 'CPU:' in node.device, False),
)}
