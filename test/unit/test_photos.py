# SPDX-License-Identifier: Apache-2.0
"""The photographs that ship: unchanged, in DIV2K's layout, each with author and licence."""

import hashlib
import json
import os

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from model import images

PHOTOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'photos')
LICENCE_TEXTS = {
    'CC-BY-4.0': 'https://creativecommons.org/licenses/by/4.0/',
    'CC-BY-2.0': 'https://creativecommons.org/licenses/by/2.0/',
    'CC0-1.0': 'https://creativecommons.org/publicdomain/zero/1.0/',
}


def read(name):
    with open(os.path.join(PHOTOS, name), encoding='utf-8') as f:
        return f.read()


MANIFEST = json.loads(read('manifest.json'))
each_photo = pytest.mark.parametrize('photo', MANIFEST, ids=lambda photo: photo['file'])


def test_twelve_photographs_train_and_four_validate_and_no_other_file_is_there():
    there = sorted(os.path.relpath(os.path.join(folder, name), PHOTOS).replace(os.sep, '/')
                   for folder, _, names in os.walk(PHOTOS) for name in names)
    expected = [f'DIV2K_train_HR/{i:04d}.png' for i in range(1, 13)]
    expected += [f'DIV2K_valid_HR/{i:04d}.png' for i in range(801, 805)]
    assert [photo['file'] for photo in MANIFEST] == expected
    assert there == sorted(expected + ['ATTRIBUTION.md', 'manifest.json'])


@each_photo
def test_a_photograph_is_the_file_that_the_manifest_describes(photo):
    path = os.path.join(PHOTOS, photo['file'])
    with open(path, 'rb') as f:
        assert hashlib.sha256(f.read()).hexdigest() == photo['sha256']
    with Image.open(path) as image:
        assert (image.mode, image.size) == ('RGB', (photo['width'], photo['height']))
        pixels = np.asarray(image)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == photo['pixels_sha256']


@each_photo
def test_a_photograph_needs_no_crop_at_scales_2_3_and_4(photo):
    assert photo['width'] % 12 == photo['height'] % 12 == 0


@each_photo
def test_a_photograph_is_attributed_with_author_licence_source_and_change(photo):
    size = f'{photo["width"]}x{photo["height"]}'
    row = [photo['file'], photo['original_name'], size,
           *(photo[key] for key in ('author', 'licence', 'source', 'change'))]
    assert all(row)
    assert f'| {" | ".join(row)} |' in read('ATTRIBUTION.md').splitlines()


def test_every_licence_has_its_text_linked():
    used = {photo['licence'] for photo in MANIFEST} - {'public domain'}
    assert used == set(LICENCE_TEXTS)
    for licence, url in LICENCE_TEXTS.items():
        assert f'{licence} <{url}>' in read('ATTRIBUTION.md')


def test_no_photograph_is_there_twice():
    assert len({photo['pixels_sha256'] for photo in MANIFEST}) == len(MANIFEST)


@each_photo
def test_another_reader_sees_the_same_pixels(photo):
    path = os.path.join(PHOTOS, photo['file'])
    assert np.array_equal(imageio.imread(path), images.read_rgb(path))
