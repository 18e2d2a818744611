# SPDX-License-Identifier: Apache-2.0
"""What differs between an NPU, a GPU and a CPU: session, optimizer, evidence.  All of it is here.

Sources of the NPU's settings: TF Adapter's documentation (session_config, migration guide).
"""

import contextlib
import io
import json
import os
import re
from typing import Callable, NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from model.config import changed
from model.errors import RequestError, TrainError

# On a CPU or a GPU these change nothing, so they are no lie there.
FLOAT32_MODES = ('', 'must_keep_origin_dtype', 'force_fp32')
# The one that a GPU can do as well, with TensorFlow's own rewrite of the graph.
MIXED_PRECISION = 'allow_mix_precision'
NPU_ONLY = ('profiling', 'over_dump', 'data_dump_flag', 'iterations_per_loop', 'mix_compile_mode',
            'op_compiler_cache_dir')

# The Python package that npu_bridge does not find -> what to do.
PACKAGES = {
    'npu_bridge': 'install the TF Adapter (tfplugin) of CANN and source its set_env.sh',
    'hccl': "CANN's toolkit brings it, source its set_env.sh",
}
# What the dynamic loader says of the library that it cannot load -> what to do; first match.
LIBRARIES = (
    (r'_tf_adapter\.so: cannot open', "it is npu_bridge's own, install the TF Adapter anew"),
    (r'\blib(ascend_hal|drv\w*|dcmi)\.so[.\d]*: cannot open', "it is the driver's: install that "
     '(in a container: mount it), or put /usr/local/Ascend/driver/lib64 and the folders in it on '
     'LD_LIBRARY_PATH'),
    (r'\blib(?!tensorflow)[\w+-]+\.so[.\d]*: cannot open', "it is CANN's, source its set_env.sh"),
)


# The line of an error that says why: with CANN's code, such as EJ0001, or an exception's name.
CAUSE = re.compile(r'\bE[A-Z0-9]\d{4}: |Error: ')


class Device(NamedTuple):
    """One kind of device; device(config) gives the one that a run asked for."""

    kind: str
    session_config: Callable    # TrainConfig -> tf.ConfigProto
    optimizer: Callable         # (tf.train.Optimizer, TrainConfig) -> tf.train.Optimizer
    sink: Callable              # (tf.Session, tf.Operation of a step, TrainConfig) -> tf.Operation
    is_evidence: Callable       # NodeDef -> bool: this node can run on nothing else
    static_shapes: bool         # a new shape compiles anew, for minutes


def device(config) -> Device:
    """The device of --device_kind; raises RequestError where it cannot do what is asked."""
    chosen = DEVICES[config.device_kind]
    if chosen.kind == 'npu':
        _import_npu_bridge()
    else:
        _refuse_npu_features(config)
    if chosen.kind == 'gpu' and not tf.config.experimental.list_physical_devices('GPU'):
        raise RequestError('--device_kind gpu, but TensorFlow finds no GPU: check nvidia-smi, CUDA '
                           '10.0 and cuDNN 7, or use --device_kind cpu')
    return chosen


def count_evidence(chosen: Device, partition_graphs) -> int:
    """How many operations of a step have run on the device that was asked for.

    TensorFlow 1.15 ignores an unknown NpuOptimizer silently and trains on the CPU, so that a
    session configured for the NPU proves nothing; the graph that was executed does.
    """
    return sum(chosen.is_evidence(node) for graph in partition_graphs for node in graph.node)


def require_evidence(chosen: Device, partition_graphs):
    """Raise TrainError where the graph that was executed proves that it was on something else."""
    if count_evidence(chosen, partition_graphs) == 0:
        raise TrainError(f'asked to be on the {chosen.kind}, but none of its operations was in '
                         'the graph that ran: it was on the CPU. Check the device, its driver and '
                         '(NPU) that npu_bridge loads without a message')


@contextlib.contextmanager
def explained(what: str):
    """Raise TensorFlow's errors as a TrainError of one line: the cause, which is seldom the first.

    Whatever runs first on an NPU opens it, so that a device which is busy fails there.
    """
    try:
        yield
    except tf.errors.OpError as e:
        lines = str(e).splitlines() or [type(e).__name__]
        cause = next((line for line in lines if CAUSE.search(line)), lines[0])
        raise TrainError(f'{what} failed: {cause.strip()}') from e


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
    return {'use_off_line': True, 'graph_run_mode': 1, **_execution(config), **_diagnosis(config)}


def _execution(config) -> dict:
    """How the device compiles and runs; what is not asked for stays as the adapter has it."""
    parameters = {}
    if config.precision_mode:
        parameters['precision_mode'] = config.precision_mode
    if config.iterations_per_loop > 1:
        # A device that loops by itself has to fetch its batches by itself.
        parameters.update(enable_data_pre_proc=True, iterations_per_loop=config.iterations_per_loop)
    if config.mix_compile_mode:
        parameters['mix_compile_mode'] = True
    if config.op_compiler_cache_dir:
        parameters.update(op_compiler_cache_mode='enable',
                          op_compiler_cache_dir=_folder(config.op_compiler_cache_dir))
    return parameters


def _diagnosis(config) -> dict:
    parameters = {}
    if config.over_dump and config.data_dump_flag:
        raise RequestError('over_dump and data_dump_flag exclude each other on an NPU: use one')
    if config.over_dump:
        parameters.update(enable_dump_debug=True, dump_debug_mode='all',
                          dump_path=_folder(config.dump_path, 'overflow_dump'))
    if config.data_dump_flag:
        parameters.update(enable_dump=True, dump_mode='all', dump_step=config.data_dump_step,
                          dump_path=_folder(config.dump_path, 'data_dump'))
    if config.profiling:
        parameters.update(profiling_mode=True, profiling_options=json.dumps({
            'output': _folder(config.dump_path, 'profiling'), 'training_trace': 'on',
            'task_trace': 'on', 'aicpu': 'on', 'fp_point': '', 'bp_point': '',
            'aic_metrics': 'PipeUtilization'}))
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


def _npu_sink(session, train_op, config):
    """The operation that makes iterations_per_loop steps on the device before the host hears of it.

    The device repeats the graph with the operation that is called IterationOp (geop.cc): call this
    once a graph and in no name scope, when the session has its variables.
    """
    from npu_bridge.estimator.npu.util import set_iteration_per_loop
    return set_iteration_per_loop(session, train_op, config.iterations_per_loop)


def _import_npu_bridge():
    """Tell apart what can be missing; npu_bridge itself only prints why it cannot load."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            import npu_bridge  # noqa: F401  (loads the adapter into TensorFlow)
    except ModuleNotFoundError as e:
        raise RequestError(f'--device_kind npu, but no Python package {e.name}: '
                           f'{PACKAGES.get(e.name, "npu_bridge needs it, install it")}') from e
    except ImportError as e:
        raise RequestError('--device_kind npu, but npu_bridge cannot load its library '
                           f'{_reason(printed.getvalue().strip() or str(e))}') from e
    finally:
        print(printed.getvalue(), end='')


def _reason(said: str) -> str:
    """The line that names the library, and what to do where we know it."""
    lines = said.split('\n')
    line = ([line for line in lines if '.so' in line] or lines)[-1]
    for pattern, remedy in LIBRARIES:
        if re.search(pattern, line):
            return f'({line}): {remedy}'
    return f'({line})'


def _refuse_npu_features(config):
    asked = [f'--{name}' for name in changed(config, NPU_ONLY)]
    if config.loss_scale and config.device_kind != 'gpu':
        asked.append('--loss_scale')
    if config.precision_mode not in FLOAT32_MODES and not _mixes_on_gpu(config):
        asked.append(f'--precision_mode {config.precision_mode}')
    if asked:
        raise RequestError(f'{", ".join(asked)}: only an NPU can do this, and this run is on a '
                           f'{config.device_kind}; leave it out or run on an NPU')
    if config.loss_scale and not _mixes_on_gpu(config):
        raise RequestError('--loss_scale does nothing on a gpu without --precision_mode '
                           f'{MIXED_PRECISION}: add that or leave it out')


def _mixes_on_gpu(config) -> bool:
    return config.device_kind == 'gpu' and config.precision_mode == MIXED_PRECISION


def _gpu_session_config(config) -> tf.ConfigProto:
    """With mixed precision half of what enable_mixed_precision_graph_rewrite does, for one session.

    TensorFlow's function (tf.train.experimental) switches the rewrite on for every later session of
    the process, and for none without an optimizer to wrap, such as an evaluation's.
    """
    proto = tf.ConfigProto(allow_soft_placement=True)
    proto.gpu_options.allow_growth = True
    if _mixes_on_gpu(config):
        proto.graph_options.rewrite_options.auto_mixed_precision = RewriterConfig.ON
    return proto


def _gpu_optimizer(optimizer, config):
    """With mixed precision the other half: the loss is scaled, so that no gradient becomes 0."""
    if not _mixes_on_gpu(config):
        return optimizer
    fixed = config.loss_scale not in ('', 'dynamic')
    return tf.train.experimental.MixedPrecisionLossScaleOptimizer(
        optimizer, float(config.loss_scale) if fixed else 'dynamic')


def _cpu_session_config(config) -> tf.ConfigProto:
    threads = os.environ.get('OMP_NUM_THREADS') or '0'  # 0: TensorFlow takes every core
    if not threads.isdigit():
        raise RequestError(f'OMP_NUM_THREADS must be a number of threads, not {threads!r}')
    proto = tf.ConfigProto(device_count={'GPU': 0}, intra_op_parallelism_threads=int(threads))
    # Grappler looks at the paper's 814 convolutions for half of the time until the first step has
    # ended (39 s, without it 21 s, on two cores) and no step is faster for it (1.06 to 1.18 s
    # without, 1.10 to 1.32 s with it, at a batch of 1).
    proto.graph_options.rewrite_options.disable_meta_optimizer = True
    return proto


def _folder(*parts: str) -> str:
    """The adapter wants folders that exist."""
    path = os.path.abspath(os.path.join(*parts))
    os.makedirs(path, exist_ok=True)
    return path


def _unchanged(optimizer, config):
    return optimizer


def _one_step_a_call(session, train_op, config):
    return train_op


DEVICES = {d.kind: d for d in (
    Device('npu', npu_session_config, _npu_optimizer, _npu_sink,
           lambda node: node.op == 'GeOp', True),
    Device('gpu', _gpu_session_config, _gpu_optimizer, _one_step_a_call,
           lambda node: 'GPU:' in node.device, False),
    Device('cpu', _cpu_session_config, _unchanged, _one_step_a_call,
           lambda node: 'CPU:' in node.device, False),
)}
