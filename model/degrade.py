#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""High resolution -> low resolution, equal to MATLAB's imresize(uint8, 1/s, 'bicubic') to the bit.

    python model/degrade.py --hr DIV2K_train_HR --scale 2

MATLAB's cubic kernel (a = -0.5, stretched by s) is Pillow's BICUBIC, and both round to uint8 after
each pass.  They differ in the order of the passes, which a transposed image turns round, and at
the border, which a padded image keeps away.
"""

import argparse
import hashlib
import numbers
import os
import sys
import tempfile
from typing import Callable, Dict, List, Optional, Sequence

if __name__ == '__main__':
    # Python has put model/ there, where config.py or data.py would hide other packages' modules.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import numpy as np
from PIL import Image

from model import images
from model.config import SCALES, Parser
from model.errors import RequestError

BORDERS = ('symmetric', 'edge')   # DIV2K's; that of RCAN's and SelfExSR's test sets
MARGIN = 4                        # low-resolution pixels of padding; the kernel reaches 2
RECIPE = 'MATLAB bicubic 3'       # change it whenever the same files give other LR images


def downscale(hr: np.ndarray, scale: int, border: str = 'symmetric') -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [h // scale, w // scale, 3], as MATLAB's imresize(hr, 1 / scale).

    Sides that are no multiples of the scale are cropped (bottom and right) first.  Raises
    ValueError for another type or shape, an unknown scale or border, a side below the scale.
    """
    images.check_rgb(hr)
    _check_options(scale, border)
    h, w = hr.shape[0] // scale, hr.shape[1] // scale
    if not (h and w):
        raise ValueError(f'image of {hr.shape[0]}x{hr.shape[1]} is smaller than the scale {scale}')
    padded = _pad(hr[:h * scale, :w * scale], MARGIN * scale, border)
    lr = _resize(padded, h + 2 * MARGIN, w + 2 * MARGIN)
    return _crop(lr, MARGIN)


def upscale(lr: np.ndarray, scale: int, border: str = 'symmetric') -> np.ndarray:
    """uint8 [h, w, 3] -> uint8 [h * scale, w * scale, 3], as MATLAB's imresize(lr, scale).

    What a network must beat.  Raises ValueError like downscale.
    """
    images.check_rgb(lr)
    _check_options(scale, border)
    if not lr.size:
        raise ValueError(f'image of {lr.shape[0]}x{lr.shape[1]} has no pixels')
    padded = _pad(lr, MARGIN, border)
    return _crop(_resize(padded, padded.shape[0] * scale, padded.shape[1] * scale), MARGIN * scale)


def degrade_folder(hr_dir: str, lr_dir: str, scale: int, border: str = 'symmetric',
                   log: Callable[[str], None] = print) -> List[str]:
    """Write `<name>x<scale>.png` for every image of hr_dir; return the paths, sorted by HR name.

    Raises ImageError naming every image that could not be used (the others are written), where
    hr_dir holds none, or where two would get one name; ValueError for a bad scale or border.
    """
    _check_options(scale, border)
    lr_names = _lr_names(hr_dir, scale)
    if os.path.realpath(hr_dir) == os.path.realpath(lr_dir):
        raise ValueError(f'{lr_dir}: the LR images need a folder of their own')
    os.makedirs(lr_dir, exist_ok=True)

    def make(hr_path):
        written = os.path.join(lr_dir, lr_names[hr_path])
        images.write_png(written, _downscale_file(hr_path, scale, border))
        return written

    written = images.for_each(make, list(lr_names), log, f'scaling images of {hr_dir} down')
    images.require_usable(written)
    return written


def cached_lr(hr_dir: str, scale: int, cache_root: str, border: str = 'symmetric',
              log: Callable[[str], None] = print) -> str:
    """Folder below cache_root with the LR images of hr_dir; made once, by whoever comes first.

    Its name is a digest of all it depends on, so changed photographs give a new folder.  Any
    number of processes may ask at once.  Raises like degrade_folder.
    """
    _check_options(scale, border)
    lr_names = _lr_names(hr_dir, scale)
    folder = os.path.join(cache_root, f'x{scale}-{_digest(lr_names, scale, border)}')
    if _holds(folder, lr_names.values()):
        return folder
    os.makedirs(cache_root, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.making-', dir=cache_root) as aside:
        # One level down, because a temporary folder itself is closed to all other users.
        made = os.path.join(aside, 'lr')
        degrade_folder(hr_dir, made, scale, border, log)
        _publish(made, folder)
    return folder


def default_out(hr_dir: str, scale: int) -> str:
    """DIV2K's place for the LR images: X_HR -> X_LR_bicubic/X2, any other X -> X_LR_bicubic/X2."""
    stem = os.path.abspath(hr_dir)
    if stem.endswith('_HR'):
        stem = stem[:-len('_HR')]
    return os.path.join(f'{stem}_LR_bicubic', f'X{scale}')


def _check_options(scale: int, border: str):
    if not isinstance(scale, numbers.Integral) or scale not in SCALES:
        raise ValueError(f'scale must be one of {", ".join(map(str, SCALES))}, not {scale!r}')
    if border not in BORDERS:
        raise ValueError(f'border must be one of {", ".join(BORDERS)}, not {border!r}')


def _pad(image: np.ndarray, pixels: int, border: str) -> np.ndarray:
    return np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), mode=border)


def _crop(image: np.ndarray, pixels: int) -> np.ndarray:
    """The image without its outer pixels, as an array of its own."""
    return np.ascontiguousarray(image[pixels:-pixels, pixels:-pixels])


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bicubic with rows first: Pillow starts with the columns, so it gets the image transposed."""
    turned = Image.fromarray(np.ascontiguousarray(image.transpose(1, 0, 2)))
    turned = turned.resize((height, width), Image.BICUBIC)     # Pillow's (width, height)
    return np.asarray(turned).transpose(1, 0, 2)


def _downscale_file(hr_path: str, scale: int, border: str) -> np.ndarray:
    hr = images.read_rgb(hr_path)
    try:
        return downscale(hr, scale, border)
    except ValueError as e:
        raise images.ImageError(f'{hr_path}: {e}') from None


def _lr_names(hr_dir: str, scale: int) -> Dict[str, str]:
    """HR path -> name of its LR image, DIV2K's way: 0001.png -> 0001x2.png."""
    names, taken = {}, {}
    for path in images.image_files(hr_dir):
        stem = os.path.splitext(os.path.basename(path))[0]
        name = f'{stem}x{scale}.png'
        if name in taken:
            raise images.ImageError(f'{taken[name]} and {path} would both become {name}')
        names[path], taken[name] = name, path
    return names


def _digest(hr_paths: Sequence[str], scale: int, border: str) -> str:
    """Hex digest of the names and bytes of the files and of how they are scaled."""
    digest = hashlib.sha256(f'{RECIPE} {scale} {border}'.encode())
    for path in hr_paths:
        try:
            with open(path, 'rb') as f:
                content = hashlib.sha256(f.read()).hexdigest()
        except OSError as e:
            raise images.ImageError(f'{path}: {e.strerror}') from None
        digest.update(f'\n{content} {os.path.basename(path)}'.encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()[:20]


def _holds(folder: str, names: Sequence[str]) -> bool:
    """True where the folder is there with all these files in it."""
    return os.path.isdir(folder) and set(names) <= set(os.listdir(folder))


def _publish(made: str, folder: str):
    """Give a finished folder its final name in one step."""
    try:
        os.rename(made, folder)
    except OSError:
        # Somebody was faster, or has taken files out of it: the bytes are the same either way.
        for name in os.listdir(made):
            os.replace(os.path.join(made, name), os.path.join(folder, name))


def _parse_args(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = Parser(description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--hr', required=True, metavar='DIR', help='folder of HR images')
    parser.add_argument('--scale', type=int, choices=SCALES, default=2, help='default: %(default)s')
    parser.add_argument('--border', choices=BORDERS, default='symmetric',
                        help='symmetric as in DIV2K (default), edge as in the RCAN test sets')
    parser.add_argument('--out', metavar='DIR', help='default: beside DIR, where DIV2K has it')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    args = _parse_args(argv)
    out = args.out or default_out(args.hr, args.scale)
    written = degrade_folder(args.hr, out, args.scale, args.border)
    print(f'{len(written)} images of {args.hr} scaled down by {args.scale} '
          f'({args.border} border) into {out}')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (RequestError, ValueError, OSError) as e:    # the request or the data are wrong
        print(f'degrade.py: {e}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
