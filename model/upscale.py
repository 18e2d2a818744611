# SPDX-License-Identifier: Apache-2.0
"""One image through the network: whole or in tiles, once or as an ensemble of eight."""

import math
from typing import Callable, Optional, Tuple

import numpy as np
import tensorflow as tf

from model import checkpoint, data, network
from model.device import device, require_evidence

Forward = Callable[[np.ndarray], np.ndarray]  # LR [h, w, 3] -> SR [s*h, s*w, 3], float32


def restored(config) -> Tuple[tf.Session, Forward]:
    """A session with the checkpoint's network in it, to be closed, and the network."""
    chosen = device(config)
    network.rcan(tf.placeholder(tf.float32, [1, 8, 8, 3]), config)  # makes the variables
    values = checkpoint.network_values(config)
    session = tf.Session(config=chosen.session_config(config))
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
        return ensemble(upscale, image) if config.self_ensemble else upscale(image)

    # The ensemble is of each tile, and bytes are made row by row: what is as large as the result
    # in float32 is there once.
    sr = tiled(once, lr, config) if config.chop_forward else once(lr)
    result = np.empty(sr.shape, np.uint8)
    for row, values in zip(result, sr):
        row[:] = np.clip(np.rint(values), 0, 255)
    return result


def ensemble(upscale: Forward, lr: np.ndarray) -> np.ndarray:
    """Mean over the eight flips and rotations (section 4.1: RCAN+)."""
    total = 0.0
    for turn in range(8):
        sr = upscale(np.ascontiguousarray(data.flip_rotate(lr, turn)))
        total = total + data.unflip_rotate(sr, turn)
    return total / 8


def tiled(upscale: Forward, lr: np.ndarray, config) -> np.ndarray:
    """Upscale in tiles of one size: at most chop_size LR pixels, of which those within chop_shave
    of an edge inside the image only serve the others.

    Channel attention pools over what it sees, so the result is close to, not equal to, the
    whole image's.
    """
    height, width = lr.shape[:2]
    shave, scale = config.chop_shave, config.scale
    step_y, step_x = _steps(height, width, config)
    tile_h, tile_w = min(step_y + 2 * shave, height), min(step_x + 2 * shave, width)
    sr = np.empty([height * scale, width * scale, 3], np.float32)
    for y in range(0, height, step_y):
        for x in range(0, width, step_x):
            top, left = (min(max(y - shave, 0), height - tile_h),
                         min(max(x - shave, 0), width - tile_w))
            bottom, right = min(y + step_y, height), min(x + step_x, width)
            part = upscale(np.ascontiguousarray(lr[top:top + tile_h, left:left + tile_w]))
            sr[y * scale:bottom * scale, x * scale:right * scale] = part[
                (y - top) * scale:(bottom - top) * scale,
                (x - left) * scale:(right - left) * scale]
    return sr


def _steps(height: int, width: int, config) -> Tuple[int, int]:
    """LR pixels from a tile to the next: the longer side is cut until a tile fits chop_size.

    It does at last: chop_size holds a pixel with its shave around it (config.py).
    """
    shave, rows, columns = config.chop_shave, 1, 1
    while True:
        step_y, step_x = math.ceil(height / rows), math.ceil(width / columns)
        if (min(step_y + 2 * shave, height) * min(step_x + 2 * shave, width)
                <= config.chop_size):
            return step_y, step_x
        if step_y >= step_x:
            rows += 1
        else:
            columns += 1
