# SPDX-License-Identifier: Apache-2.0
"""The one training loop."""

import math
import time
from typing import Callable

import tensorflow as tf

from model import checkpoint, data, evaluate, network, progress
from model.device import count_evidence, device
from model.errors import TrainError


def train(config, pairs, test_pairs, log: Callable[[str], None]):
    """Train config.max_step steps on pairs, log every step group and phase, save checkpoints.

    The last step is always saved.  Raises TrainError where the loss is no number any more, or
    where the training turns out not to be on the device that was asked for.
    """
    chosen = device(config)
    tf.set_random_seed(config.seed)
    ready_s = {}  # when the batch of a step was ready, until the step has taken it
    iterator = data.batches(pairs, config, ready_s)
    step_op, loss_op = _training_ops(iterator.get_next(), chosen, config)
    saver = checkpoint.saver()
    with tf.Session(config=chosen.session_config(config)) as session:
        session.run([tf.global_variables_initializer(), iterator.initializer])
        if config.fine_tuning:
            checkpoint.restore(session, config)
        forward = evaluate.forward(session, config) if config.test_with_train else None
        steps = []  # (loss, seconds) of every step

        def on_step(step, loss, step_s):
            steps.append((loss, step_s))
            if step % config.log_freq == 0 or not math.isfinite(loss):
                log(progress.step_lines(step, loss, step_s))
            if not math.isfinite(loss):
                raise TrainError(f'the loss is {loss} at step {step}: lower --learning_rate, or '
                                 'use --loss_scale with a mixed precision')
            if step % config.model_save_freq == 0 or step == config.max_step:
                log(progress.start('save', step_num=step))
                checkpoint.save(saver, session, config, step)
                log(progress.stop('save', step_num=step))
                if forward:
                    evaluate.measure(forward, test_pairs, config, log)

        log(progress.stop('init'))
        log(progress.start('run'))
        _first_step(session, [step_op, loss_op], chosen, on_step, log)
        waited_s = _loop(session, [step_op, loss_op], config.max_step, on_step, ready_s)
        log(progress.event('input_wait', round(waited_s, 6)))
        log(progress.stop('run', status='success'))
    losses, step_seconds = zip(*steps)
    log(progress.training_lines(step_seconds, config.batch_size, losses[-1],
                                f'{config.model_name}-{config.max_step}'))


def _training_ops(batch, chosen, config):
    """The operation of one Adam step and the L1 loss before it (sections 3.1 and 4.1)."""
    lr, hr = (tf.cast(image, tf.float32) for image in batch)
    loss = tf.reduce_mean(tf.abs(network.rcan(lr, config) - hr))
    step = tf.train.get_or_create_global_step()
    # In the graph, so that it holds on a device that runs many steps at a call.
    rate = tf.train.exponential_decay(config.learning_rate, step, config.decay_step,
                                      config.decay_rate, staircase=True)
    optimizer = chosen.optimizer(tf.train.AdamOptimizer(rate), config)
    return optimizer.minimize(loss, step, var_list=network.variables()), loss


def _first_step(session, ops, chosen, on_step, log):
    """Run the step that compiles, and prove with it where the training runs."""
    log(progress.start('first_step'))
    ran = tf.RunMetadata()
    started = time.perf_counter()
    _, loss = session.run(ops, run_metadata=ran,
                          options=tf.RunOptions(output_partition_graphs=True))
    step_s = time.perf_counter() - started
    log(progress.stop('first_step'))
    operations = count_evidence(chosen, ran.partition_graphs)
    log(progress.event('device', chosen.kind, operations=operations))
    if operations == 0:
        raise TrainError(f'asked to be on the {chosen.kind}, but none of its operations was in '
                         'the graph that ran: the training is on the CPU. Check the device, its '
                         'driver and (NPU) that npu_bridge loads without a message')
    on_step(1, float(loss), step_s)


def _loop(session, ops, last_step, on_step, ready_s) -> float:
    """Run the steps after the first; return the seconds that they have waited for their batches.

    The session waits for the device before it returns, so the time is the step's own; what
    on_step does (logging, saving, evaluating) is outside it.  A step has waited where its batch
    was ready only after it began; where the loading holds every thread (two cores), the step waits
    for a thread as well, which nobody can tell.  tf.data's own latency_stats sees no more, and its
    operations shift the numbers of all others, from which TensorFlow draws the weights.
    """
    waited_s = 0.0
    for step in range(2, last_step + 1):
        started = time.perf_counter()
        _, loss = session.run(ops)
        step_s = time.perf_counter() - started
        waited_s += max(0.0, ready_s.pop(step) - started)
        on_step(step, float(loss), step_s)
    return waited_s
