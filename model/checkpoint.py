# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: saved with the reference's names, restored only where they fit."""

import os

import tensorflow as tf

from model import network
from model.errors import RequestError


def saver() -> tf.train.Saver:
    """Saves everything a training goes on from, and keeps every checkpoint."""
    return tf.train.Saver(max_to_keep=None)


def save(saver: tf.train.Saver, session, config, step: int) -> str:
    """Write model_path/RCAN_X2_64_10_20-<step>; return that prefix."""
    return saver.save(session, os.path.join(config.model_path, config.model_name),
                      global_step=step, write_meta_graph=False)


def restore(session, config):
    """Load the network's variables, without the tail for --load_tail_part False.

    Raises RequestError where there is no such checkpoint or where it is of another network.
    """
    prefix = config.pre_trained_model
    if not os.path.isfile(f'{prefix}.index'):
        raise RequestError(f'no checkpoint at {prefix}: give the prefix, without .index or .data')
    wanted = [v for v in network.variables()
              if config.load_tail_part or not v.name.startswith(network.TAIL)]
    stored = {name: tuple(shape) for name, shape in tf.train.list_variables(prefix)}
    missing = [v.op.name for v in wanted if v.op.name not in stored]
    differ = [f'{v.op.name} is {stored[v.op.name]} there, {tuple(v.shape.as_list())} here'
              for v in wanted if stored.get(v.op.name, tuple(v.shape.as_list()))
              != tuple(v.shape.as_list())]
    ours = ('RG', 'up_sample') if config.load_tail_part else ('RG',)
    extra = [name for name in stored if name.startswith(ours) and '/Adam' not in name
             and name not in {v.op.name for v in network.variables()}]
    if missing or differ or extra:
        raise RequestError(
            f'{prefix} is not of the network asked for ({config.model_name}): '
            + '; '.join((differ + [f'{n} is missing there' for n in missing]
                         + [f'{n} is missing here' for n in extra])[:3])
            + '. Give its --scale, --n_feats, --n_RG and --n_RCAB (or --preset)')
    tf.train.Saver(wanted).restore(session, prefix)
