# SPDX-License-Identifier: Apache-2.0
"""The fixed workload of test/canary.sh: a convolution's forward and backward pass, timed.

It knows nothing of the model, so a change of its speed is a change of the machine.
"""

import os
import statistics
import sys
import time

import numpy as np

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

WARMUP, REPEATS = 10, 40


def main() -> int:
    """Print the median seconds of a repeat; 1 where the workload does not run."""
    kind = os.environ.get('RCAN_DEVICE_KIND', 'cpu')
    try:
        print(f'Canary seconds : {seconds(kind):.6f}')
    except Exception as e:  # whatever TensorFlow or a plug-in raises: one line, never a traceback
        print(f'canary.py: the fixed workload does not run on the {kind}: '
              f'{" ".join(str(e).split())[:300]}', file=sys.stderr)
        return 1
    return 0


def seconds(kind: str) -> float:
    """The median of the repeats after the warm-up, in seconds."""
    import tensorflow as tf
    random = np.random.RandomState(0)
    image = tf.constant(random.rand(8, 64, 64, 32).astype(np.float32))
    weight = tf.Variable(random.rand(3, 3, 32, 32).astype(np.float32) / 100)
    output = tf.nn.relu(tf.nn.conv2d(image, weight, 1, 'SAME'))
    work = tf.gradients(tf.reduce_mean(output), weight)[0].op   # without fetching its result
    with tf.Session(config=session_config(kind, tf)) as session:
        session.run(weight.initializer)
        traced = tf.RunMetadata()
        session.run(work, options=tf.RunOptions(output_partition_graphs=True), run_metadata=traced)
        if not ran_on(kind, traced.partition_graphs):
            raise RuntimeError('TensorFlow ran it elsewhere')
        times = [_timed(session, work) for _ in range(WARMUP + REPEATS)]
    return statistics.median(times[WARMUP:])


def ran_on(kind: str, graphs) -> bool:
    """True where the graphs that were executed prove the kind of device.

    TensorFlow 1.15 ignores an NpuOptimizer that it does not know, and says nothing.
    """
    if kind == 'npu':
        return any(node.op == 'GeOp' for graph in graphs for node in graph.node)
    return any(f'{kind.upper()}:' in node.device for graph in graphs for node in graph.node)


def session_config(kind: str, tf):
    """The least that each kind needs; on an NPU what npu_bridge's guide asks for."""
    config = tf.ConfigProto()
    if kind == 'npu':
        import npu_bridge  # noqa: F401  (loads the adapter, which registers the optimizer)
        rewrite = config.graph_options.rewrite_options
        custom = rewrite.custom_optimizers.add()
        custom.name = 'NpuOptimizer'
        custom.parameter_map['use_off_line'].b = True
        rewrite.remapping = rewrite.memory_optimization = 2   # RewriterConfig.OFF
        return config
    threads = int(os.environ.get('OMP_NUM_THREADS') or 0)
    config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = threads
    config.gpu_options.allow_growth = True
    return config


def _timed(session, work) -> float:
    started = time.perf_counter()
    session.run(work)
    return time.perf_counter() - started


if __name__ == '__main__':
    sys.exit(main())
