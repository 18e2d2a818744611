# SPDX-License-Identifier: Apache-2.0
"""Small images, networks and trainings: what the tests of model/ share."""

import json
import os
import re

import numpy as np
import tensorflow as tf
from PIL import Image

from model import checkpoint, network
from model.config import TrainConfig

# Trains a step in milliseconds.
NETWORK = {'n_feats': 4, 'n_RG': 1, 'n_RCAB': 1, 'ratio': 2, 'patch_size': 6, 'batch_size': 2,
           'max_step': 3, 'log_freq': 1}

# EXIF orientation -> the same pixels upright (EXIF 2.3, 4.6.4).
UPRIGHT = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1],
           4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1),
           7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: np.rot90}


def config(**fields):
    """The tiny network's TrainConfig with these fields changed."""
    return TrainConfig(**{**NETWORK, **fields})


def flags(**fields):
    """The tiny network's command line with these flags changed."""
    return [f'--{name}={value}' for name, value in {**NETWORK, **fields}.items()]


def begin(session, seed=0):
    """Give the network in the session's graph its first weights."""
    checkpoint.load(session, network.initial_values(seed))


def make_checkpoint(prefix, values, **fields):
    """Save the tiny network with these values, and zero where there is none."""
    asked = config(**fields)
    with tf.Graph().as_default(), tf.Session() as session:
        network.rcan(tf.zeros([1, 8, 8, 3]), asked)
        for variable in network.variables():
            value = np.zeros(variable.shape.as_list(), np.float32)
            for index, number in values.get(variable.op.name, {}).items():
                value[index] = number
            variable.load(value, session)
        tf.train.Saver().save(session, prefix, write_meta_graph=False)
    return prefix


def nearest(scale=2, brighter=0):
    """A checkpoint that makes every LR pixel `scale` pixels high and wide, in its own colour."""
    features, up = NETWORK['n_feats'], {2: 'up_sample_conv00', 3: 'up_sample_conv'}[scale]
    return make_checkpoint('nearest', {
        'conv_SF/filter': {(1, 1, c, c): 1 for c in range(3)},
        f'{up}/filter': {(1, 1, c, place * features + c): 1
                          for c in range(3) for place in range(scale ** 2)},
        'conv_rec/filter': {(1, 1, c, c): 1 for c in range(3)},
        'conv_rec/bias': {(c,): brighter for c in range(3)}}, scale=scale)


def noise(height, width, seed=0):
    """Pixels of which no two patches are alike."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width, seed=0):
    """Pixels that a network can learn to scale up."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(0.2 * (seed + 1 + c) + 0.11 * y + 0.07 * x) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def enlarge(image, scale=2):
    """The image with every pixel `scale` pixels high and wide."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def write(folder, **images):
    """Write name=pixels as PNG files into the folder; return its path."""
    os.makedirs(str(folder), exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(os.path.join(str(folder), f'{name}.png'))
    return str(folder)


def oriented(path, pixels, orientation, **options):
    """Write an image whose EXIF says how it is turned."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(str(path), exif=exif, **options)
    return str(path)


def logged(text, name):
    """The values of every line `name : value` of a training log."""
    return re.findall(f'^{re.escape(name)} : (.*)$', text, flags=re.MULTILINE)


def losses(text):
    """The loss of every logged step."""
    return [float(loss) for loss in logged(text, 'Loss')]


def stored(prefix):
    """All values of a checkpoint by name."""
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def events(text):
    """The keys and contents of the MLPerf lines."""
    lines = [json.loads(line) for line in re.findall('^:::MLLOG (.*)$', text, re.MULTILINE)]
    return [(line['key'], line) for line in lines]
