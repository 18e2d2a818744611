# SPDX-License-Identifier: Apache-2.0
"""Pairs of image files -> decoded cache -> random aligned patches -> tf.data.

Patches are a function of the seed and the step alone: two runs see the same ones in the same order,
however many threads make them.
"""

import glob
import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from model import degrade, images, metrics
from model.errors import RequestError


@dataclass(frozen=True)
class Pair:
    """One image as uint8 RGB arrays: lr [h, w, 3], hr [s*h, s*w, 3] or a few pixels more."""

    name: str
    lr: np.ndarray
    hr: np.ndarray
    digest: str  # of the pixels of both


def load_pairs(hr_folder: str, lr_folder: str, scale: int, cache: str) -> List[Pair]:
    """Decode every image of hr_folder and its LR image, found by name (0001.png: 0001x2.png).

    Without lr_folder the LR images are made from the HR images.  Raises RequestError that names
    every image that is missing, unreadable or of the wrong size: wrong pairs train in silence.
    """
    if not lr_folder:
        lr_folder = degrade.cached_lr(_folder(hr_folder), scale, cache)
    lr_files = by_name(lr_folder)
    pairs, faults = [], []
    for name, hr_file in by_name(hr_folder).items():
        lr_file = lr_files.get(f'{name}x{scale}') or lr_files.get(name)
        try:
            if lr_file is None:
                raise RequestError(f'{hr_file}: no {name}x{scale}.* or {name}.* in {lr_folder}')
            (lr, lr_digest), (hr, hr_digest) = (_decoded(f, cache) for f in (lr_file, hr_file))
            pair = Pair(name, lr, hr, lr_digest + hr_digest)
            _require_sizes(pair, scale, hr_file, lr_file)
            pairs.append(pair)
        except RequestError as e:
            faults.append(str(e))
    if faults:
        raise RequestError('\n'.join([f'{len(faults)} images cannot be used; mend or remove them:',
                                      *faults]))
    return pairs


def digest(pairs: Sequence[Pair]) -> str:
    """A short name of the data: equal only where all names and pixels are equal."""
    listing = ' '.join(f'{pair.name} {pair.digest}' for pair in pairs)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


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
    random = np.random.RandomState([config.seed, step])
    size, scale = config.patch_size, config.scale
    lr_patches, hr_patches = [], []
    for _ in range(config.batch_size):
        pair = pairs[random.randint(len(pairs))]
        y = random.randint(pair.lr.shape[0] - size + 1)
        x = random.randint(pair.lr.shape[1] - size + 1)
        turn = random.randint(8)
        lr_patches.append(flip_rotate(pair.lr[y:y + size, x:x + size], turn))
        y, x, length = scale * y, scale * x, scale * size
        hr_patches.append(flip_rotate(pair.hr[y:y + length, x:x + length], turn))
    return np.stack(lr_patches), np.stack(hr_patches)


def flip_rotate(image: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight symmetries of the square, turn 0..7, of [h, w, c]; 0 changes nothing."""
    image = np.rot90(image, turn % 4)
    return image[:, ::-1] if turn >= 4 else image


def unflip_rotate(image: np.ndarray, turn: int) -> np.ndarray:
    """The inverse of flip_rotate with the same turn."""
    image = image[:, ::-1] if turn >= 4 else image
    return np.rot90(image, -(turn % 4))


def batches(pairs: Sequence[Pair], config, ready_s: Optional[Dict[int, float]] = None):
    """An initializable tf.data iterator over the batches of the steps 1..max_step, uint8.

    ready_s, where given, gets the time.perf_counter() at which each step's batch was ready.
    """
    import tensorflow as tf  # here, so that bad data is named before TensorFlow has loaded

    size = config.patch_size

    def sample(step):
        batch = sample_batch(pairs, config, step)
        if ready_s is not None:
            ready_s[int(step)] = time.perf_counter()
        return batch

    def load(step):
        lr, hr = tf.py_func(sample, [step], (tf.uint8, tf.uint8), stateful=False)
        lr.set_shape([config.batch_size, size, size, 3])
        hr.set_shape([config.batch_size, config.scale * size, config.scale * size, 3])
        return lr, hr

    steps = tf.data.Dataset.range(1, config.max_step + 1)
    # map keeps the order whatever its number of threads.
    return tf.data.make_initializable_iterator(steps.map(load, num_parallel_calls=2).prefetch(4))


def in_memory(pairs: Sequence[Pair]) -> List[Pair]:
    """The same images in RAM instead of mapped from the cache."""
    return [Pair(p.name, np.array(p.lr), np.array(p.hr), p.digest) for p in pairs]


def _decoded(path: str, cache: str) -> Tuple[np.ndarray, str]:
    """Map the decoded image from the cache, with the digest of its pixels.

    It is decoded first where the file is new or has changed; the digest is in the cached file's
    name, so that nobody has to read 800 large images to know what they are.
    """
    folder = os.path.join(cache, 'decoded')
    try:
        stat = os.stat(path)
    except OSError as e:
        raise images.ImageError(f'{path}: {e.strerror}') from None
    key = hashlib.sha256(f'{os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}'.encode())
    prefix = os.path.join(folder, f'{key.hexdigest()[:32]}-')
    stored = glob.glob(glob.escape(prefix) + '*.npy')
    if not stored:
        os.makedirs(folder, exist_ok=True)
        image = images.read_rgb(path)
        stored = [f'{prefix}{hashlib.sha256(image.tobytes()).hexdigest()[:16]}.npy']
        partial = f'{stored[0]}.{uuid.uuid4().hex}.part'
        with open(partial, 'wb') as f:
            np.save(f, image)
        os.replace(partial, stored[0])  # in one step: another run never maps half an image
    return np.load(stored[0], mmap_mode='r'), stored[0][len(prefix):-len('.npy')]


def _require_sizes(pair: Pair, scale: int, hr_file: str, lr_file: str):
    expected = [side // scale for side in pair.hr.shape[:2]]
    if list(pair.lr.shape[:2]) != expected:
        raise RequestError(f'{lr_file} is {pair.lr.shape[1]}x{pair.lr.shape[0]}, but {hr_file} at '
                           f'scale {scale} needs {expected[1]}x{expected[0]}')


def by_name(folder: str) -> Dict[str, str]:
    """Name without extension -> path of every image; raises RequestError for two of one name."""
    files = {}
    for path in images.image_files(_folder(folder)):
        twin = files.setdefault(_stem(path), path)
        if twin != path:
            raise RequestError(f'{twin} and {path} have the same name: keep one of them')
    return files


def _folder(path: str) -> str:
    if not os.path.isdir(path):
        raise RequestError(f'no folder of images at {path}')
    return path


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
