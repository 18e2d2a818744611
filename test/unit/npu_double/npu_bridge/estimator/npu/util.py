# SPDX-License-Identifier: Apache-2.0
"""Many steps at a call.

The original's: the signature, the checks, the variables and what they are loaded with, the name of
the operation, and what the session must say for all that to count.  A stand-in: that the steps are
made.  An NPU repeats the graph with the IterationOp within one session.run; here the session's run
makes the other steps before it.
"""

import functools

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

_SCOPE = 'npu_runconfig'


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
    """The operation with which a call of sess.run makes so many steps."""
    if not isinstance(train_op, tf.Operation):
        raise ValueError(f"The incoming 'train_op' type is '{type(train_op).__name__}', and the "
                         "need type is 'Operation'")
    check_positive_integer(iterations_per_loop, 'iterations_per_loop')
    if iterations_per_loop == 1:
        return train_op
    values = {'iterations_per_loop': iterations_per_loop - 1, 'loop_cond': 0, 'zero': 0, 'one': 1}
    variables = {name: create_or_get_var(name) for name in values}
    for name, value in values.items():
        variables[name].load(value, session=sess)
    loop = tf.group(train_op, name='IterationOp')
    if _sinks(sess):
        _repeat(sess, loop, variables['iterations_per_loop'])
    return loop


def check_positive_integer(value, name):
    if not isinstance(value, int):
        raise TypeError(f'{name} must be int, got {type(value)}')
    if value <= 0:
        raise ValueError(f'{name} must be positive, got {value}')


def create_or_get_var(var_name):
    """The variable from which the device reads how it is to loop."""
    collection = f'{_SCOPE}_{var_name}'
    known = tf.get_collection(collection)
    if known:
        return known[0]
    with tf.variable_scope(_SCOPE, reuse=tf.AUTO_REUSE):
        return tf.get_variable(var_name, shape=[], dtype=tf.int64, trainable=False,
                               initializer=tf.zeros_initializer(), use_resource=True,
                               collections=[collection, tf.GraphKeys.LOCAL_VARIABLES])


def _sinks(sess):
    """The device loops where NpuOptimizer says so, and that it fetches its batches by itself."""
    options = sess._config.graph_options.rewrite_options if sess._config else RewriterConfig()
    for npu in options.custom_optimizers:
        if npu.name == 'NpuOptimizer' and npu.parameter_map['iterations_per_loop'].i > 1:
            return npu.parameter_map['enable_data_pre_proc'].b
    return False


def _repeat(sess, loop, more_steps):
    """The stand-in.  As on an NPU what is fetched besides is of the last step, and an operation
    that has got another name (a scope, a second call in one graph) repeats nothing.
    """
    run = sess.run

    @functools.wraps(run)
    def run_all(fetches, *args, **kwargs):
        if loop.name == 'IterationOp' and any(f is loop for f in tf.nest.flatten(fetches)):
            for _ in range(run(more_steps)):
                run(loop)
        return run(fetches, *args, **kwargs)

    sess.run = run_all
