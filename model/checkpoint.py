# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: saved with the reference's names, loaded only where they fit.

Values are fed to the variables' initializers, so that one way serves a new training, a checkpoint
and a training that goes on; tf.train.Saver would add an operation for every variable.
"""

import glob
import os
import re
from typing import Dict, NamedTuple, Sequence

import numpy as np
import tensorflow as tf

from model import network
from model.errors import RequestError, TrainError

AVERAGE = '/ExponentialMovingAverage'   # TensorFlow's name for a variable's moving average
NETWORK = ('scale', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio')    # fields of TrainConfig


class Saver(NamedTuple):
    """The operation that writes every variable, and the file name that it waits for."""

    write: tf.Operation
    prefix: tf.Tensor


def saver() -> Saver:
    """What saves everything that a training goes on from."""
    stored, prefix = tf.global_variables(), tf.placeholder(tf.string, [])
    return Saver(tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=[v.op.name for v in stored],
        shape_and_slices=[''] * len(stored), tensors=stored), prefix)


def save(saver: Saver, session, config, step: int) -> str:
    """Write model_path/RCAN_X2_64_10_20-<step>, name it in TensorFlow's list, return that prefix.

    SaveV2 gives its files their names when they are whole, the index last.  Raises TrainError where
    the disk refuses.
    """
    prefix = os.path.join(config.model_path, f'{config.model_name}-{step}')
    try:
        session.run(saver.write, {saver.prefix: prefix})
    except tf.errors.OpError as e:
        raise TrainError(f'cannot write the checkpoint {prefix}: {_first_line(e)}. Free some space '
                         'or check the folder; --resume True goes on from the one before') from None
    kept = sorted(saved(config).items())
    tf.train.update_checkpoint_state(config.model_path, prefix, [path for _, path in kept])
    return prefix


def saved(config) -> Dict[int, str]:
    """Step -> prefix of every checkpoint of this network in model_path."""
    start = os.path.join(config.model_path, f'{config.model_name}-')
    prefixes = [path[:-len('.index')] for path in glob.glob(f'{glob.escape(start)}*.index')]
    return {int(p[len(start):]): p for p in prefixes if p[len(start):].isdigit()}


def newest(config) -> int:
    """The step of the checkpoint of this network that was written last; 0 where there is none.

    An earlier training may have left later steps in the same folder.
    """
    steps = {prefix: step for step, prefix in saved(config).items()}
    state = tf.train.get_checkpoint_state(config.model_path)
    last = os.path.join(config.model_path, os.path.basename(state.model_checkpoint_path)
                        ) if state else ''
    return steps.get(last, max(steps.values(), default=0))


def load(session, values: Dict[str, np.ndarray]):
    """Give every variable its value by name, and the others their own initial value."""
    variables = tf.global_variables()
    feed = {v.initializer.inputs[1]: values[v.op.name] for v in variables if v.op.name in values}
    session.run([tf.variables_initializer(variables), tf.local_variables_initializer()], feed)


def training_values(prefix: str) -> Dict[str, np.ndarray]:
    """All that a training goes on from; raises RequestError where this one needs something else."""
    stored = _read(prefix)
    _require(prefix, stored, tf.global_variables(),
             'It was trained with other flags (--optimizer, --ema_decay, --loss_scale)')
    return stored


def network_values(config) -> Dict[str, np.ndarray]:
    """The network's values in --pre_trained_model, without the tail for --load_tail_part False.

    Where it holds moving averages of the weights, they are the values.  Raises RequestError where
    there is no such checkpoint, or where it is of another network than the one in this graph.
    """
    prefix = config.pre_trained_model
    theirs, stored = network_in(prefix), _read(prefix)
    wanted = [v for v in network.variables()
              if config.load_tail_part or not v.name.startswith(network.TAIL)]
    asked = {name: getattr(config, name) for name in NETWORK
             if config.load_tail_part or name != 'scale'}
    differ = [name for name in asked if theirs[name] != asked[name]]
    if differ:
        raise RequestError(
            f'{prefix} is of another network than was asked for: '
            + ', '.join(f'{name} is {theirs[name]} there and {asked[name]} here' for name in differ)
            + '. Give ' + ' '.join(f'--{name} {theirs[name]}' for name in differ)
            + ', or another checkpoint')
    _require(prefix, stored, wanted, 'It is damaged, or of another program')
    return {v.op.name: stored.get(v.op.name + AVERAGE, stored[v.op.name]) for v in wanted}


def network_in(prefix: str) -> Dict[str, int]:
    """What network a checkpoint is of, as fields of TrainConfig, from its variables' names.

    The reference's checkpoints tell as much as ours.  Raises RequestError where it is no RCAN.
    """
    shapes = _open(prefix).get_variable_to_shape_map()
    blocks = [match.groups() for match in (re.match(r'RG(\d+)_(\d+)_RCAB_conv1/filter$', name)
                                           for name in shapes) if match]
    try:
        kernel_size, _, _, n_feats = shapes['conv_SF/filter']
        doublings = [name for name in shapes if re.match(r'up_sample_conv0\d/filter$', name)]
        return {'scale': 3 if 'up_sample_conv/filter' in shapes else 2 ** len(doublings),
                'n_feats': n_feats, 'kernel_size': kernel_size,
                'n_RG': 1 + max(int(group) for group, _ in blocks),
                'n_RCAB': 1 + max(int(block) for _, block in blocks),
                'ratio': n_feats // shapes['RG00_00_RCAB_CA_conv1/filter'][-1]}
    except (KeyError, ValueError, ZeroDivisionError):
        raise RequestError(f'{prefix} is no checkpoint of RCAN: it has no conv_SF/filter and '
                           'RG00_00_RCAB_* of the right shape') from None


def _open(prefix: str):
    """TensorFlow's reader of a checkpoint; raises RequestError where there is none."""
    if not os.path.isfile(f'{prefix}.index'):
        raise RequestError(f'no checkpoint at {prefix}: give the prefix, without .index or .data')
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as e:
        raise _damaged(prefix, e) from None


def _read(prefix: str) -> Dict[str, np.ndarray]:
    """Every value of a checkpoint by name; raises RequestError where it cannot be read."""
    reader = _open(prefix)
    try:
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError) as e:
        raise _damaged(prefix, e) from None


def _damaged(prefix: str, error: Exception) -> RequestError:
    return RequestError(f'{prefix} is damaged: {_first_line(error)}. Take another checkpoint')


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _require(prefix: str, stored: Dict[str, np.ndarray], wanted: Sequence[tf.Variable], why: str):
    """Raise RequestError that names what a checkpoint lacks."""
    faults = [f'{v.op.name} {v.shape.as_list()}' for v in wanted
              if v.op.name not in stored or list(stored[v.op.name].shape) != v.shape.as_list()]
    if faults:
        more = f' and {len(faults) - 3} more' if len(faults) > 3 else ''
        raise RequestError(f'{prefix} does not fit: it lacks {", ".join(faults[:3])}{more}. {why}')
