# SPDX-License-Identifier: Apache-2.0
"""One image through the network: whole or in tiles, once or as an ensemble of eight."""

from typing import Callable, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from model import checkpoint, data, network
from model.device import device, explained, require_evidence

Forward = Callable[[np.ndarray], np.ndarray]  # LR [h, w, 3] -> SR [s*h, s*w, 3], float32


def restored(config) -> Tuple[tf.Session, Forward]:
    """A session with the checkpoint's network in it, to be closed, and the network."""
    chosen = device(config)
    network.rcan(tf.placeholder(tf.float32, [1, 8, 8, 3]), config)  # makes the variables
    values = checkpoint.network_values(config)
    session = tf.Session(config=chosen.session_config(config))
    with explained('the start of the network'):
        checkpoint.load(session, values)
    return session, forward(session, config)


def forward(session, config,
            average: Optional[tf.train.ExponentialMovingAverage] = None) -> Forward:
    """The network as a function of one image, for any size of it; of the average of its weights.

    The first image of each graph proves that it was on the device that was asked for.
    """
    chosen = device(config)
    static, graphs = chosen.static_shapes, {}

    def averaged(getter, *args, **options):
        variable = getter(*args, **options)
        return average.average(variable) if average else variable

    def run(lr):
        shape = lr.shape[:2] if static else (None, None)
        options = {}
        if shape not in graphs:
            inputs = tf.placeholder(tf.float32, [1, *shape, 3])
            with tf.variable_scope('', custom_getter=averaged):
                graphs[shape] = inputs, network.rcan(inputs, config)
            options = {'options': tf.RunOptions(output_partition_graphs=True),
                       'run_metadata': tf.RunMetadata()}
        inputs, outputs = graphs[shape]
        with explained('upscaling an image'):
            sr = session.run(outputs, {inputs: lr[np.newaxis]}, **options)[0]
        if options:
            require_evidence(chosen, options['run_metadata'].partition_graphs)
        return sr

    if not static:
        run(np.zeros([8, 8, 3], np.uint8))  # builds the only graph, before anybody finalizes it
    return run


def super_resolve(upscale: Forward, lr: np.ndarray, config) -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [s*h, s*w, 3], as the flags ask for: in tiles, as an ensemble."""
    def once(image):
        sr = ensemble(upscale, image) if config.self_ensemble else upscale(image)
        return np.clip(np.rint(sr), 0, 255).astype(np.uint8)

    return tiled(once, lr, config) if config.chop_forward else once(lr)


def ensemble(upscale: Forward, lr: np.ndarray) -> np.ndarray:
    """Mean over the eight flips and rotations (section 4.1: RCAN+)."""
    total = 0.0
    for turn in range(8):
        sr = upscale(np.ascontiguousarray(data.flip_rotate(lr, turn)))
        total = total + data.unflip_rotate(sr, turn)
    return total / 8


def tiled(upscale: Callable, lr: np.ndarray, config) -> np.ndarray:
    """What upscale makes of an image, uint8 [h, w, 3] -> [s*h, s*w, 3], put together from tiles.

    All are of one size, whatever the image's, because a device may compile for each: squares of at
    most chop_size LR pixels, of which those within chop_shave of an edge inside the image only
    serve the others.  Channel attention pools over what it sees, so the result is close to, not
    equal to, the whole image's.
    """
    height, width = lr.shape[:2]
    shave, scale, side = config.chop_shave, config.scale, int(config.chop_size ** 0.5)
    step = side - 2 * shave     # 1 at least (config.py)
    tile_h, tile_w = min(side, height), min(side, width)
    sr = np.empty([height * scale, width * scale, 3], np.uint8)
    for y in _starts(height, tile_h, step):
        for x in _starts(width, tile_w, step):
            part = upscale(np.ascontiguousarray(lr[y:y + tile_h, x:x + tile_w]))
            top, left = (shave if start else 0 for start in (y, x))
            sr[(y + top) * scale:(y + tile_h) * scale, (x + left) * scale:(x + tile_w) * scale] = (
                part[top * scale:, left * scale:])
    return sr


def _starts(length: int, tile: int, step: int) -> List[int]:
    """Where the tiles of a side begin; the last ends with it."""
    return [*range(0, length - tile, step), length - tile]
