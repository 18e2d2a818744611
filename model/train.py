# SPDX-License-Identifier: Apache-2.0
"""The one training loop."""

import math
import time
from array import array
from typing import Callable

import numpy as np
import tensorflow as tf

from model import checkpoint, data, evaluate, network, progress, recipe, upscale
from model.device import count_evidence, device, explained, require_evidence
from model.errors import RequestError, TrainError
from model.summary import Summary


def train(config, pairs, test_pairs, log: Callable[[str], None]):
    """Train up to config.max_step steps on pairs, log every step group and phase, save checkpoints.

    The last step is always saved.  Raises TrainError where the loss is no number any more, or
    where the training turns out not to be on the device that was asked for.
    """
    chosen = device(config)
    done = _steps_done(config, log)
    ready_s = {}  # when the batch of a step was ready, until the step has taken it
    iterator = data.batches(pairs, config, ready_s, done + 1)
    ops = recipe.training(iterator.get_next(), chosen, config)
    saver = checkpoint.saver()
    with tf.Session(config=chosen.session_config(config)) as session, \
            Summary(config.summary_path) as summary:
        with explained('the start of the training'):
            checkpoint.load(session, _first_values(config, done))
            session.run(iterator.initializer)
            ops = ops._replace(step=chosen.sink(session, ops.step, config))
        forward = (upscale.forward(session, config, ops.average) if config.test_with_train
                   else None)
        losses, step_seconds = array('d'), array('d')   # of every call of the device

        def on_call(step, loss, step_s):
            losses.append(loss)
            step_seconds.append(step_s)
            if step % config.log_freq == 0 or not math.isfinite(loss):
                log(progress.step_lines(step, loss, step_s))
                summary.write(step, loss=loss, images_per_s=config.batch_size / step_s)
            if not math.isfinite(loss):
                raise TrainError(f'the loss is {loss} at step {step}: lower --learning_rate, or '
                                 'use --loss_scale with a mixed precision')
            if step % config.model_save_freq == 0 or step == config.max_step:
                log(progress.start('save', step_num=step))
                checkpoint.save(saver, session, config, step)
                log(progress.stop('save', step_num=step))
                if forward:
                    *_, mean = evaluate.measure(forward, config.test_set, test_pairs, config, log,
                                                step_num=step)
                    summary.write(step, psnr_db=mean.psnr_db, ssim=mean.ssim)

        log(progress.stop('init'))
        log(progress.start('run'))
        _first_call(session, ops, chosen, config, done, on_call, log)
        waited_s = _loop(session, ops, config, done + config.iterations_per_loop, on_call, ready_s)
        log(progress.event('input_wait', round(waited_s, 6)))
        log(progress.stop('run', status='success'))
    log(progress.training_lines(step_seconds, config.batch_size, losses[-1],
                                f'{config.model_name}-{config.max_step}',
                                config.iterations_per_loop))


def _steps_done(config, log) -> int:
    """The step that a training goes on after, which is 0 for a new one."""
    if not config.resume:
        return 0
    done = checkpoint.newest(config)
    if done >= config.max_step:
        raise RequestError(f'{checkpoint.saved(config)[done]} has all {config.max_step} steps '
                           'already: raise --max_step to train on, or measure it (--mode test)')
    if (config.max_step - done) % config.iterations_per_loop:
        raise RequestError(f'the {config.max_step - done} steps after step {done} are no multiple '
                           f'of --iterations_per_loop {config.iterations_per_loop}')
    log(f'going on after step {done} of {config.model_path}' if done else
        f'no checkpoint of {config.model_name} in {config.model_path}: from the beginning')
    return done


def _first_values(config, done: int) -> dict:
    """What the variables are before the first step: of a checkpoint, or as the seed says."""
    if done:
        return checkpoint.training_values(checkpoint.saved(config)[done])
    values = network.initial_values(config.seed)
    if config.fine_tuning:
        values.update(checkpoint.network_values(config))
    return {**values, **{name + checkpoint.AVERAGE: value for name, value in values.items()}}


def _first_call(session, ops, chosen, config, done: int, on_call, log):
    """Make the step that compiles (or as many as the device makes at once), and prove its device.

    The graph that was executed is the proof, and that all its steps were counted.
    """
    log(progress.start('first_step'))
    ran = tf.RunMetadata()
    started = time.perf_counter()
    loss = _call(session, ops, config, run_metadata=ran,
                 options=tf.RunOptions(output_partition_graphs=True))
    call_s = time.perf_counter() - started
    log(progress.stop('first_step'))
    operations = count_evidence(chosen, ran.partition_graphs)
    log(progress.event('device', chosen.kind, operations=operations))
    require_evidence(chosen, ran.partition_graphs)
    steps = config.iterations_per_loop
    if steps > 1:
        made = int(session.run(tf.train.get_global_step())) - done
        if made != steps:
            raise TrainError(f'--iterations_per_loop {steps}, but a call has made {made} steps: '
                             'the device does not loop. Use --iterations_per_loop 1')
    on_call(done + steps, loss, call_s / steps)


def _loop(session, ops, config, done: int, on_call, ready_s) -> float:
    """Run the steps after the first call; return the seconds they have waited for their batches.

    The session waits for the device before it returns, so the time is the steps' own; what
    on_call does (logging, saving, evaluating) is outside it.  A step has waited where its batch
    was ready only after it began; where the loading holds every thread (two cores), the step waits
    for a thread as well, which nobody can tell.  tf.data's own latency_stats sees no more.
    """
    waited_s, steps = 0.0, config.iterations_per_loop
    for first in range(done + 1, config.max_step + 1, steps):
        started = time.perf_counter()
        loss = _call(session, ops, config)
        call_s = time.perf_counter() - started
        ready = max(ready_s.pop(step) for step in range(first, first + steps))
        waited_s += max(0.0, ready - started)
        on_call(first + steps - 1, loss, call_s / steps)
    return waited_s


def _call(session, ops, config, **options) -> float:
    """Make one step, or as many as the device makes at once; return the (last) step's loss."""
    with explained('a step'):
        losses = [session.run([ops.add, ops.loss])[1] for _ in range(config.accumulate - 1)]
        losses.append(session.run([ops.step, ops.loss], **options)[1])
    return float(np.mean(losses))
