# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> images, PSNR and SSIM; self-ensemble; forward in tiles."""

import math
import os
from typing import Callable, Sequence, Tuple

import numpy as np
import tensorflow as tf

from model import checkpoint, data, degrade, images, metrics, network, picture, progress
from model.device import device
from model.errors import RequestError

PICTURED = 4  # images in the comparison

Forward = Callable[[np.ndarray], np.ndarray]  # LR [h, w, 3] -> SR [s*h, s*w, 3], float32


def test(config, pairs: Sequence[data.Pair], log):
    """Measure the checkpoint on pairs, log Final PSNR, write comparison.png into result_path."""
    with _session(config) as session:
        log(progress.accuracy_lines(*measure(forward(session, config), pairs, config, log)))


def test_only(config, files: Sequence[str], log):
    """Upscale the files into result_path."""
    with _session(config) as session:
        upscale = forward(session, config)
        for path in files:
            written = _result_file(config, path)
            images.write_png(written, super_resolve(upscale, images.read_rgb(path), config))
            log(f'{path} -> {written}')


def measure(upscale: Forward, pairs: Sequence[data.Pair], config, log) -> Tuple[float, float]:
    """Log PSNR and SSIM of every image and their means; return PSNR and bicubic's PSNR in dB."""
    log(progress.start('eval', test_set=config.test_set))
    scores, bicubic_db, rows = [], [], []
    for pair in pairs:
        sr = super_resolve(upscale, pair.lr, config)
        bicubic = degrade.upscale(pair.lr, config.scale)
        scores.append((metrics.psnr_y(sr, pair.hr, config.scale),
                       metrics.ssim_y(sr, pair.hr, config.scale)))
        bicubic_db.append(metrics.psnr_y(bicubic, pair.hr, config.scale))
        log(progress.quality_line(*scores[-1], pair.name))
        if config.save_test_result:
            images.write_png(_result_file(config, pair.name), sr)
        if len(rows) < PICTURED:
            rows.append(picture.row(pair.lr, bicubic, sr, pair.hr, config.scale))
    if config.mode == 'test':
        images.write_png(os.path.join(config.result_path, 'comparison.png'), picture.column(rows))
    psnr_db, ssim = np.mean(scores, axis=0)
    log(progress.event('bicubic_psnr', float(np.mean(bicubic_db)), images=len(pairs)))
    log(progress.event('eval_accuracy', float(psnr_db), ssim=float(ssim), images=len(pairs)))
    log(progress.stop('eval'))
    log(progress.quality_line(psnr_db, ssim, f'{config.test_set} ({len(pairs)} images)'))
    return psnr_db, float(np.mean(bicubic_db))


def forward(session, config) -> Forward:
    """The network as a function of one image, for any size of it."""
    static = device(config).static_shapes
    graphs = {}

    def run(lr):
        shape = lr.shape[:2] if static else (None, None)
        if shape not in graphs:
            inputs = tf.placeholder(tf.float32, [1, *shape, 3])
            graphs[shape] = inputs, network.rcan(inputs, config)
        inputs, outputs = graphs[shape]
        return session.run(outputs, {inputs: lr[np.newaxis]})[0]

    if not static:
        run(np.zeros([8, 8, 3], np.uint8))  # builds the only graph, before anybody finalizes it
    return run


def super_resolve(upscale: Forward, lr: np.ndarray, config) -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [s*h, s*w, 3], as the flags ask for: in tiles, as an ensemble."""
    def once(image):
        return tiled(upscale, image, config) if config.chop_forward else upscale(image)

    sr = ensemble(once, lr) if config.self_ensemble else once(lr)
    return np.clip(np.rint(sr), 0, 255).astype(np.uint8)


def ensemble(upscale: Forward, lr: np.ndarray) -> np.ndarray:
    """Mean over the eight flips and rotations (section 4.1: RCAN+)."""
    return np.mean([data.unflip_rotate(upscale(np.ascontiguousarray(data.flip_rotate(lr, turn))),
                                       turn) for turn in range(8)], axis=0)


def tiled(upscale: Forward, lr: np.ndarray, config) -> np.ndarray:
    """Upscale tile by tile: each is at most chop_size LR pixels with chop_shave around it.

    Channel attention pools over what it sees, so the result is close to, not equal to, the
    whole image's.
    """
    height, width = lr.shape[:2]
    shave, scale = config.chop_shave, config.scale
    tile_h, tile_w = _tile_size(height, width, config)
    sr = np.empty([height * scale, width * scale, 3], np.float32)
    for y in range(0, height, tile_h):
        for x in range(0, width, tile_w):
            top, left = max(y - shave, 0), max(x - shave, 0)
            bottom, right = min(y + tile_h, height), min(x + tile_w, width)
            part = upscale(lr[top:bottom + shave, left:right + shave])
            sr[y * scale:bottom * scale, x * scale:right * scale] = part[
                (y - top) * scale:(bottom - top) * scale,
                (x - left) * scale:(right - left) * scale]
    return sr


def _tile_size(height: int, width: int, config) -> Tuple[int, int]:
    """Halve the longer side of a tile until it fits chop_size with its overlap."""
    rows = columns = 1
    while True:
        tile_h, tile_w = math.ceil(height / rows), math.ceil(width / columns)
        with_overlap = (min(tile_h + 2 * config.chop_shave, height)
                        * min(tile_w + 2 * config.chop_shave, width))
        if with_overlap <= config.chop_size:
            return tile_h, tile_w
        if tile_h == tile_w == 1:
            raise RequestError(f'chop_size {config.chop_size} cannot hold one pixel with '
                               f'--chop_shave {config.chop_shave} around it: raise chop_size to '
                               f'{(2 * config.chop_shave + 1) ** 2} or more')
        if tile_h >= tile_w:
            rows *= 2
        else:
            columns *= 2


def _session(config):
    """A session with the checkpoint's network in it."""
    chosen = device(config)
    network.rcan(tf.placeholder(tf.float32, [1, 8, 8, 3]), config)  # makes the variables
    session = tf.Session(config=chosen.session_config(config))
    checkpoint.restore(session, config)
    return session


def _result_file(config, name: str) -> str:
    stem = os.path.splitext(os.path.basename(name))[0]
    return os.path.join(config.result_path, f'{stem}X{config.scale}.png')
