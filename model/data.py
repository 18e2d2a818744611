# SPDX-License-Identifier: Apache-2.0
"""Pairs of image files -> random aligned patches of them -> tf.data.

Patches are a function of the seed and the step alone: two runs see the same ones in the same order,
however many threads make them.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple, Union

import numpy as np

from model import cache, degrade, images, metrics
from model.errors import RequestError

Pixels = Union[np.ndarray, cache.Stored]    # uint8 [h, w, 3]


@dataclass(frozen=True)
class Pair:
    """One image in RGB: lr [h, w, 3], hr [s*h, s*w, 3] or a few pixels more."""

    name: str
    lr: Pixels
    hr: Pixels
    digest: str  # of the pixels of both


def load_pairs(hr_folder: str, lr_folder: str, scale: int, cache_path: str,
               log: Callable[[str], None] = print) -> List[Pair]:
    """Decode every image of hr_folder and its LR image, found by name (0001.png: 0001x2.png).

    Without lr_folder the LR images are made from the HR images.  Raises RequestError that names
    every image that is missing, unreadable or of the wrong size: wrong pairs train in silence.
    """
    hr_files = by_name(hr_folder, log)
    lr_folder = lr_folder or degrade.cached_lr(hr_folder, scale, cache_path, log=log)
    lr_files = by_name(lr_folder, log)
    files = {name: (lr_files.get(f'{name}x{scale}') or lr_files.get(name), hr_file)
             for name, hr_file in hr_files.items()}
    there = [file for both in files.values() for file in both if file]
    stored = dict(zip(there, cache.decoded(there, cache_path, log)))

    def pair(name: str) -> Pair:
        lr_file, hr_file = files[name]
        if lr_file is None:
            raise images.ImageError(f'{hr_file}: no {name}x{scale}.* or {name}.* in {lr_folder}')
        lr, hr = stored[lr_file], stored[hr_file]
        for image in (lr, hr):
            if isinstance(image, images.ImageError):
                raise image
        _require_sizes(lr, hr, scale, hr_file, lr_file)
        return Pair(name, lr, hr, lr.digest + hr.digest)

    pairs = images.for_each(pair, list(files), log, 'pairing')
    images.require_usable(pairs)
    return pairs


def digest(pairs: Sequence[Pair]) -> str:
    """A short name of the data: equal only where all names and pixels are equal."""
    listing = ' '.join(f'{pair.name} {pair.digest}' for pair in pairs)
    return hashlib.sha256(listing.encode('utf-8', 'surrogateescape')).hexdigest()[:16]


def require_measurable(pairs: Sequence[Pair], scale: int):
    """Raise RequestError where an image is too small for the SSIM's window inside its shave."""
    least = metrics.SSIM_WINDOW + 2 * scale
    small = [p.name for p in pairs if scale * min(p.lr.shape[:2]) < least]
    if small:
        raise RequestError(f'test images with a side below {least} pixels, too small to measure: '
                           f'{", ".join(small)}')


def require_patches(pairs: Sequence[Pair], patch: int):
    """Raise RequestError where an image is smaller than a patch."""
    small = [f'{p.name} ({p.lr.shape[1]}x{p.lr.shape[0]})' for p in pairs
             if min(p.lr.shape[:2]) < patch]
    if small:
        raise RequestError(f'LR images smaller than --patch_size {patch}: {", ".join(small)}')


def sample_batch(pairs: Sequence[Pair], config, step: int) -> Tuple[np.ndarray, np.ndarray]:
    """The patches of one step: lr [n, p, p, 3] and hr [n, s*p, s*p, 3], uint8.

    Image, position and one of the eight flips and rotations are drawn uniformly.
    """
    draws = np.random.default_rng([config.seed, step]).random([config.batch_size, 4])
    count, size, scale = config.batch_size, config.patch_size, config.scale
    lr_patches = np.empty([count, size, size, 3], np.uint8)
    hr_patches = np.empty([count, scale * size, scale * size, 3], np.uint8)
    drawn = [pairs[int(which * len(pairs))] for which in draws[:, 0]]
    buffer = np.empty(3 * scale * size * max(pair.hr.shape[1] for pair in drawn), np.uint8)
    for pair, (_, top, left, turn), lr, hr in zip(drawn, draws, lr_patches, hr_patches):
        y = int(top * (pair.lr.shape[0] - size + 1))
        x = int(left * (pair.lr.shape[1] - size + 1))
        _copy_patch(pair.lr, y, x, int(turn * 8), lr, buffer)
        _copy_patch(pair.hr, scale * y, scale * x, int(turn * 8), hr, buffer)
    return lr_patches, hr_patches


def _copy_patch(image: Pixels, y: int, x: int, turn: int, patch: np.ndarray, buffer: np.ndarray):
    """Fill the patch, uint8 [size, size, 3], with what the image shows at y, x, turned."""
    size = len(patch)
    rows = image[y:y + size] if isinstance(image, np.ndarray) else image.rows(y, size, buffer)
    turned = flip_rotate(rows[:, x:x + size], turn)
    for channel in range(3):    # NumPy copies three bytes at a time far slower than one
        patch[..., channel] = turned[..., channel]


def flip_rotate(image: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight symmetries of the square, turn 0..7, of [h, w, c]; 0 changes nothing."""
    image = image.swapaxes(0, 1) if turn & 1 else image
    return image[::-1 if turn & 2 else 1, ::-1 if turn & 4 else 1]


def unflip_rotate(image: np.ndarray, turn: int) -> np.ndarray:
    """The inverse of flip_rotate with the same turn."""
    image = image[::-1 if turn & 2 else 1, ::-1 if turn & 4 else 1]
    return image.swapaxes(0, 1) if turn & 1 else image


def batches(pairs: Sequence[Pair], config, ready_s: Dict[int, float], first_step: int = 1):
    """An initializable tf.data iterator over the batches of the steps first_step..max_step, uint8.

    With --accumulate it yields each batch in that many parts.  ready_s gets the
    time.perf_counter() at which each step's batch was ready.
    """
    import tensorflow as tf  # here, so that bad data is named before TensorFlow has loaded

    size = config.patch_size

    def sample(step):
        batch = sample_batch(pairs, config, step)
        ready_s[int(step)] = time.perf_counter()
        return batch

    def load(step):
        lr, hr = tf.py_func(sample, [step], (tf.uint8, tf.uint8), stateful=False)
        lr.set_shape([config.batch_size, size, size, 3])
        hr.set_shape([config.batch_size, config.scale * size, config.scale * size, 3])
        return lr, hr

    steps = tf.data.Dataset.range(first_step, config.max_step + 1)
    # map keeps the order whatever its number of threads.
    loaded = steps.map(load, num_parallel_calls=2)
    if config.accumulate > 1:
        loaded = loaded.unbatch().batch(config.batch_size // config.accumulate, drop_remainder=True)
    return tf.data.make_initializable_iterator(loaded.prefetch(4))


def in_memory(pairs: Sequence[Pair]) -> List[Pair]:
    """The same images in RAM instead of read from the cache."""
    return [Pair(p.name, np.array(p.lr), np.array(p.hr), p.digest) for p in pairs]


def by_name(folder: str, log: Callable[[str], None] = print) -> Dict[str, str]:
    """Name without extension -> path of every image; a note names the files that are none.

    Raises RequestError for two of one name.
    """
    if not os.path.isdir(folder):
        raise RequestError(f'no folder of images at {folder}')
    files = {}
    for path in images.image_files(folder):
        twin = files.setdefault(os.path.splitext(os.path.basename(path))[0], path)
        if twin != path:
            raise RequestError(f'{twin} and {path} have the same name: keep one of them')
    stray = images.stray_files(folder)
    if stray:
        more = f' and {len(stray) - 3} more' if len(stray) > 3 else ''
        log(f'{folder}: no images, left out: {", ".join(stray[:3])}{more}')
    return files


def _require_sizes(lr: Pixels, hr: Pixels, scale: int, hr_file: str, lr_file: str):
    height, width = (side // scale for side in hr.shape[:2])
    if lr.shape[:2] != (height, width):
        raise images.ImageError(f'{lr_file} is {lr.shape[1]}x{lr.shape[0]}, but {hr_file} at '
                                f'scale {scale} needs {width}x{height}')
