# SPDX-License-Identifier: Apache-2.0
"""Image files <-> uint8 RGB arrays: every module of model/ reads and writes through here."""

import os
import uuid
from typing import List

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.errors import RequestError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
FORMATS = ('PNG', 'JPEG', 'BMP', 'WEBP', 'TIFF')    # Pillow's names of the same

PNG_BIT_DEPTH = 24                # offset of that byte in the file (PNG specification, IHDR)
TIFF_BITS_PER_SAMPLE = 258        # tag (TIFF 6.0, section 8)


class ImageError(RequestError, ValueError):
    """An image or a folder of images cannot be used; the message names the path and the reason."""


def image_files(folder: str) -> List[str]:
    """Paths of the images in a folder, sorted by name; files of other kinds are passed over.

    Raises ImageError where there is no such folder, or no image in it.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as e:
        raise ImageError(f'{folder}: {e.strerror}') from None
    # Not isfile: a dangling link must fail where it is read instead of vanishing here.
    paths = [os.path.join(folder, name) for name in names if _is_image_name(name)]
    paths = [path for path in paths if not os.path.isdir(path)]
    if not paths:
        raise ImageError(f'{folder}: no image in this folder ({" ".join(EXTENSIONS)})')
    return paths


def read_rgb(path: str) -> np.ndarray:
    """Read an image of any colour type as uint8 [h, w, 3]; transparency is dropped.

    Raises ImageError for a file that cannot be read and for one of more than 8 bits a sample.
    """
    try:
        with open(path, 'rb') as f, Image.open(f, formats=FORMATS) as image:
            bits = _bits_per_sample(f, image)
            if bits <= 8:
                return np.array(image.convert('RGB'))
    except UnidentifiedImageError:
        raise ImageError(f'{path}: damaged, or none of {", ".join(FORMATS)}') from None
    except OSError as e:
        raise ImageError(f'{path}: {e.strerror or e}') from None
    except Exception as e:   # a damaged file makes Pillow's decoders raise nearly anything
        raise ImageError(f'{path}: {str(e) or type(e).__name__}') from None
    raise ImageError(f'{path}: {bits} bits a sample; convert it to 8 bits first')


def write_png(path: str, image: np.ndarray):
    """Write uint8 [h, w, 3] in one step: a reader finds no file or the old one until all is there.

    Raises ValueError for another type or shape, OSError where the disk refuses.
    """
    check_rgb(image)
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f'.{name}.{uuid.uuid4().hex}.part')
    try:
        Image.fromarray(image).save(partial, format='PNG')
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def check_rgb(image: np.ndarray):
    """Raise ValueError unless the image is uint8 [h, w, 3]."""
    dtype, shape = getattr(image, 'dtype', type(image).__name__), np.shape(image)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise ValueError(f'an image must be uint8 [h, w, 3], not {dtype} {list(shape)}')


def _is_image_name(name: str) -> bool:
    """True for a visible file of a known extension: `._0001.png` is a resource fork, no image."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith('.')


def _bits_per_sample(f, image: Image.Image) -> int:
    """Bits a sample as the file says, because Pillow cuts 16-bit RGB down to 8 without a word."""
    if image.format == 'TIFF':
        return max(image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (1,)))
    if image.format == 'PNG':
        f.seek(PNG_BIT_DEPTH)     # Pillow goes back by itself before it decodes
        return f.read(1)[0]
    return 8     # Pillow's JPEG, BMP and WEBP know no more
