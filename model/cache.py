# SPDX-License-Identifier: Apache-2.0
"""Decoded images on disk: made once, checked at every start, and read row by row.

A NumPy file an image, named by what it was made from and by a digest of its pixels, so that a
changed image, a damaged file and another run's half a file are all told apart from a good one.
"""

import glob
import hashlib
import os
import uuid
from typing import Callable, List, Sequence, Union

import numpy as np

from model import images

RECIPE = 'upright 2'    # change it whenever the same file gives other pixels


class Stored:
    """An image in the cache, uint8 [h, w, 3], of which only what is needed is read.

    NumPy maps it where it is asked for as an array.  Training reads the rows of its patches from
    the file instead: the pages of a map count as the process's own memory (8.6 GB for DIV2K), and
    each map holds a file open (1,600 of them, of the 1,024 that are usually allowed).
    """

    def __init__(self, path: str, digest: str):
        self.path, self.digest = path, digest
        mapped = self.__array__()
        self.shape, self._offset = mapped.shape, mapped.offset

    def __array__(self, dtype=None) -> np.ndarray:
        return np.load(self.path, mmap_mode='r')

    def rows(self, top: int, count: int, buffer: np.ndarray) -> np.ndarray:
        """uint8 [count, w, 3], which hold until the buffer, uint8 [n], is used again."""
        width = self.shape[1]
        pixels = buffer[:count * width * 3]
        with open(self.path, 'rb', buffering=0) as f:
            f.seek(self._offset + top * width * 3)
            read = f.readinto(pixels)
        if read != pixels.nbytes:
            raise images.ImageError(f'{self.path} has become shorter: has somebody emptied the '
                                    'cache during the training? Repeat the command')
        return pixels.reshape(count, width, 3)


def decoded(paths: Sequence[str], cache: str,
            log: Callable[[str], None]) -> List[Union[Stored, images.ImageError]]:
    """Every image in the cache, decoded first where it is not there; or why it cannot be."""
    folder = os.path.join(cache, 'decoded')
    os.makedirs(folder, exist_ok=True)
    return images.for_each(lambda path: _stored(path, folder, log), paths, log,
                           f'decoding images into {folder}, once')


def _stored(path: str, folder: str, log: Callable[[str], None]) -> Stored:
    prefix = os.path.join(folder, f'{_key(path)}-')
    for file in glob.glob(f'{glob.escape(prefix)}*.npy'):
        digest = file[len(prefix):-len('.npy')]
        if _digest_of_file(file) == digest:
            return Stored(file, digest)
        log(f'{file} is damaged: {path} is decoded anew')
    return _decode(path, prefix)    # the same pixels, so in place of a damaged file


def _decode(path: str, prefix: str) -> Stored:
    pixels = images.read_rgb(path)
    digest = _digest(pixels)
    file = f'{prefix}{digest}.npy'
    partial = f'{file}.{uuid.uuid4().hex}.part'
    try:
        with open(partial, 'wb') as f:
            np.save(f, pixels)
        os.replace(partial, file)   # in one step: another run never finds half an image
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return Stored(file, digest)


def _key(path: str) -> str:
    """A digest of which file it is and when it was changed."""
    try:
        stat = os.stat(path)
    except OSError as e:
        raise images.ImageError(f'{path}: {e.strerror}') from None
    identity = f'{RECIPE} {os.path.abspath(path)} {stat.st_size} {stat.st_mtime_ns}'
    return hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:32]


def _digest_of_file(file: str) -> str:
    """The digest of the pixels in a file; empty where it holds no image."""
    try:
        # Read, not mapped: a map's pages would stay with the process.
        return _digest(np.load(file))
    except (OSError, ValueError):
        return ''


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()[:16]
