# SPDX-License-Identifier: Apache-2.0
"""Small images, networks and trainings: what the tests of model/ share."""

import os
import re

import numpy as np
from PIL import Image

from model import checkpoint, network
from model.config import TrainConfig

# Trains a step in milliseconds.
NETWORK = {'n_feats': 4, 'n_RG': 1, 'n_RCAB': 1, 'ratio': 2, 'patch_size': 6, 'batch_size': 2,
           'max_step': 3, 'log_freq': 1}


def config(**fields):
    """The tiny network's TrainConfig with these fields changed."""
    return TrainConfig(**{**NETWORK, **fields})


def flags(**fields):
    """The tiny network's command line with these flags changed."""
    return [f'--{name}={value}' for name, value in {**NETWORK, **fields}.items()]


def begin(session, seed=0):
    """Give the network in the session's graph its first weights."""
    checkpoint.load(session, network.initial_values(seed))


def noise(height, width, seed=0):
    """Pixels of which no two patches are alike."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width, seed=0):
    """Pixels that a network can learn to scale up."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(0.2 * (seed + 1 + c) + 0.11 * y + 0.07 * x) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def write(folder, **images):
    """Write name=pixels as PNG files into the folder; return its path."""
    os.makedirs(str(folder), exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(os.path.join(str(folder), f'{name}.png'))
    return str(folder)


def logged(text, name):
    """The values of every line `name : value` of a training log."""
    return re.findall(f'^{re.escape(name)} : (.*)$', text, flags=re.MULTILINE)


def losses(text):
    """The loss of every logged step."""
    return [float(loss) for loss in logged(text, 'Loss')]
