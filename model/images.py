# SPDX-License-Identifier: Apache-2.0
"""Image files <-> uint8 RGB arrays: every module of model/ reads and writes through here."""

import io
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, NamedTuple, Optional, Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.errors import RequestError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
FORMATS = ('PNG', 'JPEG', 'BMP', 'WEBP', 'TIFF')    # Pillow's names of the same

PROGRESS_S = 10

PNG_BIT_DEPTH = 24                # offset of that byte in the file (PNG specification, IHDR)
TIFF_BITS_PER_SAMPLE = 258        # tag (TIFF 6.0, section 8)
EXIF_ORIENTATION = 274            # tag (EXIF 2.3, section 4.6.4); what turns each of its values up:
TURNS = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM,
         5: Image.TRANSPOSE, 6: Image.ROTATE_270, 7: Image.TRANSVERSE, 8: Image.ROTATE_90}


class ImageError(RequestError, ValueError):
    """An image or a folder of images cannot be used; the message names the path and the reason."""


class Picture(NamedTuple):
    """An image file's pixels, the right way up."""

    rgb: np.ndarray                 # uint8 [h, w, 3]
    alpha: Optional[np.ndarray]     # uint8 [h, w], where some of it is transparent
    grey: bool                      # the file has no colours


def image_files(folder: str) -> List[str]:
    """Paths of the images in a folder, sorted by name; files of other kinds are passed over.

    Raises ImageError where there is no such folder, or no image in it.
    """
    paths = [path for path in _files(folder) if _is_image_name(path)]
    if not paths:
        raise ImageError(f'{folder}: no image in this folder ({" ".join(EXTENSIONS)})')
    return paths


def stray_files(folder: str) -> List[str]:
    """Names of the files in a folder that image_files passes over."""
    return [os.path.basename(path) for path in _files(folder) if not _is_image_name(path)]


def read(path: str) -> Picture:
    """Read an image of any colour type, turned as its EXIF orientation says.

    Raises ImageError for a file that cannot be read and for one of more than 8 bits a sample.
    """
    try:
        with open(path, 'rb') as f:
            # From memory: of a TIFF's file Pillow closes the descriptor twice, and the second time
            # it can be another thread's.
            content = io.BytesIO(f.read())
        with Image.open(content, formats=FORMATS) as image:
            bits = _bits_per_sample(content, image)
            if bits <= 8:
                return _picture(_upright(image))
    except UnidentifiedImageError:
        raise ImageError(f'{path}: damaged, or none of {", ".join(FORMATS)}') from None
    except OSError as e:
        raise ImageError(f'{path}: {e.strerror or e}') from None
    except Exception as e:   # a damaged file makes Pillow's decoders raise nearly anything
        raise ImageError(f'{path}: {str(e) or type(e).__name__}') from None
    raise ImageError(f'{path}: {bits} bits a sample; convert it to 8 bits first')


def read_rgb(path: str) -> np.ndarray:
    """The pixels of read(path) as uint8 [h, w, 3]; transparency is dropped."""
    return read(path).rgb


def for_each(work: Callable, items: Sequence, log: Callable[[str], None], doing: str) -> List:
    """[work(item) or the ImageError it raised], on every core; a line of progress every 10 s."""
    results, told = [], time.monotonic()

    def tried(item):
        try:
            return work(item)
        except ImageError as e:
            return e

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for result in threads.map(tried, items):    # Pillow and hashlib let other threads run
            results.append(result)
            if time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                log(f'{doing}: {len(results)} of {len(items)}')
    return results


def require_readable(paths: Sequence[str], log: Callable[[str], None]):
    """Raise ImageError that names every file that read would refuse."""
    require_usable(for_each(lambda path: bool(read(path)), paths, log, 'looking at the images'))


def require_usable(results: Sequence):
    """Raise ImageError that names every fault among the results of for_each."""
    faults = [str(result) for result in results if isinstance(result, ImageError)]
    if len(faults) == 1:
        raise ImageError(f'an image cannot be used, mend or remove it: {faults[0]}')
    if faults:
        raise ImageError('\n'.join([f'{len(faults)} images cannot be used; mend or remove them:',
                                    *faults]))


def write_png(path: str, rgb: np.ndarray, alpha: Optional[np.ndarray] = None, grey: bool = False):
    """Write uint8 [h, w, 3] in one step: a reader finds no file or the old one until all is there.

    With alpha, uint8 [h, w], transparent; grey without colours.  Raises ValueError for another
    type or shape, OSError where the disk refuses.
    """
    check_rgb(rgb)
    image = Image.fromarray(rgb).convert('L' if grey else 'RGB')
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f'.{name}.{uuid.uuid4().hex}.part')
    try:
        image.save(partial, format='PNG')
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def check_rgb(image: np.ndarray):
    """Raise ValueError unless the image is uint8 [h, w, 3]."""
    dtype, shape = getattr(image, 'dtype', type(image).__name__), np.shape(image)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise ValueError(f'an image must be uint8 [h, w, 3], not {dtype} {list(shape)}')


def _files(folder: str) -> List[str]:
    """Paths of all that is in a folder and no folder itself, sorted by name."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as e:
        raise ImageError(f'{folder}: {e.strerror}') from None
    # Not isfile: a dangling link must fail where it is read instead of vanishing here.
    return [path for path in (os.path.join(folder, name) for name in names)
            if not os.path.isdir(path)]


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says; EXIF that cannot be read says nothing."""
    image.load()    # what fails here is the image
    if image.format == 'TIFF':
        return image    # Pillow has turned it while it loaded it
    try:
        turn = TURNS.get(image.getexif().get(EXIF_ORIENTATION))
    except Exception:   # as anything may come of a damaged image
        return image
    return image if turn is None else image.transpose(turn)


def _picture(image: Image.Image) -> Picture:
    alpha = None
    if 'A' in image.getbands() or 'transparency' in image.info:
        alpha = np.array(image.convert('RGBA'))[..., 3]
    return Picture(np.array(image.convert('RGB')), None if alpha is None or alpha.min() == 255
                   else alpha, image.mode in ('1', 'L', 'LA'))


def _is_image_name(path: str) -> bool:
    """True for a visible file of a known extension: `._0001.png` is a resource fork, no image."""
    name = os.path.basename(path)
    return name.lower().endswith(EXTENSIONS) and not name.startswith('.')


def _bits_per_sample(f, image: Image.Image) -> int:
    """Bits a sample as the file says, because Pillow cuts 16-bit RGB down to 8 without a word."""
    if image.format == 'TIFF':
        return max(image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (1,)))
    if image.format == 'PNG':
        f.seek(PNG_BIT_DEPTH)     # Pillow goes back by itself before it decodes
        return f.read(1)[0]
    return 8     # Pillow's JPEG, BMP and WEBP know no more
