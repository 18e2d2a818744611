# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of image files."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from model import errors, images

RGB = np.random.RandomState(0).randint(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def save(path, array, **options):
    Image.fromarray(array).save(str(path), **options)
    return str(path)


def png_chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', checksum)


def raw_png(path, width, height, bits, colour_type, rows):
    """Write a PNG of a kind that Pillow does not write."""
    header = struct.pack('>IIBBBBB', width, height, bits, colour_type, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header)
                     + png_chunk(b'IDAT', zlib.compress(rows)) + png_chunk(b'IEND', b''))


def tiff16(path):
    """Write an RGB TIFF of 16 bits a sample: Pillow reads it as 8 bits, and writes none."""
    data = RGB.astype('<u2').tobytes()
    tags = [(256, 3, 1, 5), (257, 3, 1, 6), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 300), (277, 3, 1, 3), (278, 3, 1, 6), (279, 4, 1, len(data))]
    head = b'II*\0' + struct.pack('<IH', 8, len(tags))
    head += b''.join(struct.pack('<HHII', *tag) for tag in tags) + struct.pack('<I', 0)
    head = head.ljust(200, b'\0') + struct.pack('<HHH', 16, 16, 16)
    path.write_bytes(head.ljust(300, b'\0') + data)
    return str(path)


@pytest.mark.parametrize('name, options', [
    ('a.png', {}), ('a.bmp', {}), ('a.tif', {}), ('a.tiff', {'compression': 'tiff_lzw'}),
    ('a.webp', {'lossless': True}), ('A.PNG', {}),
])
def test_a_lossless_image_is_read_as_it_was_written(tmp_path, name, options):
    assert np.array_equal(images.read_rgb(save(tmp_path / name, RGB, **options)), RGB)


def test_a_jpeg_is_read(tmp_path):
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    image = images.read_rgb(save(tmp_path / 'a.jpg', smooth, quality=95))
    assert image.shape == smooth.shape
    assert np.abs(image.astype(int) - smooth).max() <= 3


def test_a_grey_image_becomes_three_equal_channels(tmp_path):
    image = images.read_rgb(save(tmp_path / 'a.png', GREY))
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.dstack([GREY] * 3))


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_transparency_is_dropped_and_the_colours_stay(tmp_path, mode):
    with_alpha = Image.fromarray(RGB).convert(mode)
    with_alpha.putalpha(7)
    with_alpha.save(str(tmp_path / 'a.png'))
    expected = Image.fromarray(RGB).convert('L' if mode == 'LA' else 'RGB').convert('RGB')
    assert np.array_equal(images.read_rgb(str(tmp_path / 'a.png')), np.asarray(expected))


@pytest.mark.parametrize('options', [{}, {'transparency': 0}])
def test_a_palette_becomes_its_colours(tmp_path, options):
    colours = np.array([[255, 0, 0], [0, 128, 9]], np.uint8)
    index = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    palette = Image.fromarray(index).convert('P')
    palette.putpalette(colours.tobytes())
    palette.save(str(tmp_path / 'a.png'), **options)
    assert np.array_equal(images.read_rgb(str(tmp_path / 'a.png')), colours[index])


def test_one_bit_a_pixel_becomes_black_and_white(tmp_path):
    Image.fromarray(GREY > 127).save(str(tmp_path / 'a.png'))
    expected = np.dstack([np.where(GREY > 127, 255, 0)] * 3)
    assert np.array_equal(images.read_rgb(str(tmp_path / 'a.png')), expected)


@pytest.mark.parametrize('colour_type, channels', [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_png_of_16_bits_is_refused_by_name(tmp_path, colour_type, channels):
    path = tmp_path / 'deep.png'
    raw_png(path, 5, 6, 16, colour_type, (b'\0' + bytes(range(2 * 5 * channels))) * 6)
    with pytest.raises(images.ImageError) as caught:
        images.read_rgb(str(path))
    assert str(caught.value) == f'{path}: 16 bits a sample; convert it to 8 bits first'


def test_a_tiff_of_16_bits_is_refused_by_name(tmp_path):
    path = tiff16(tmp_path / 'deep.tif')
    with Image.open(path) as image:
        assert image.mode == 'RGB'      # what makes the refusal needful: Pillow hides the bits
    with pytest.raises(images.ImageError, match=r'deep\.tif: 16 bits a sample'):
        images.read_rgb(path)


def test_a_tiff_of_floats_is_refused_by_name(tmp_path):
    path = save(tmp_path / 'float.tif', GREY.astype(np.float32))
    with pytest.raises(images.ImageError, match=r'float\.tif: 32 bits a sample'):
        images.read_rgb(path)


def half_of_a_file(path):
    save(path, RGB)
    path.write_bytes(path.read_bytes()[:80])


def damaged_middle(path):
    save(path, RGB)
    content = bytearray(path.read_bytes())
    content[60:64] = b'zzzz'
    path.write_bytes(bytes(content))


@pytest.mark.parametrize('spoil, reason', [
    (half_of_a_file, 'truncated'),
    (damaged_middle, 'broken data stream'),
    (lambda path: path.write_bytes(b''), 'damaged, or none of PNG, JPEG, BMP, WEBP, TIFF'),
    (lambda path: path.write_bytes(b'no image at all'), 'damaged, or none of'),
    (lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n'), 'damaged, or none of'),
    (lambda path: raw_png(path, 60000, 60000, 8, 2, b''), 'exceeds limit'),
    (lambda path: path.mkdir(), 'Is a directory'),
    (lambda path: None, 'No such file or directory'),
], ids=['half', 'damaged', 'empty', 'text', 'signature', 'huge', 'folder', 'missing'])
def test_an_image_that_cannot_be_read_is_named_in_one_line_and_no_file_stays_open(
        tmp_path, spoil, reason):
    path = tmp_path / 'bad.png'
    spoil(path)
    with warnings.catch_warnings():
        warnings.simplefilter('error', ResourceWarning)
        with pytest.raises(images.ImageError) as caught:
            images.read_rgb(str(path))
    message = str(caught.value)
    assert message.startswith(f'{path}: ')
    assert reason in message
    assert '\n' not in message


@pytest.mark.parametrize('base', [ValueError, errors.RequestError])
def test_an_image_error_is_a_wrong_value_and_one_that_main_reports(base):
    assert issubclass(images.ImageError, base)


def test_the_images_of_a_folder_are_listed_by_name_whatever_the_case_of_the_extension(tmp_path):
    wanted = ['a.BMP', 'b.png', 'c.JPG', 'd.jpeg', 'e.webp', 'f.tif', 'g.TIFF']
    for name in reversed(wanted):
        (tmp_path / name).touch()
    for name in ('0.txt', '1.png.part', '2', 'png', '._b.png', '3.npy', '4.gif'):
        (tmp_path / name).touch()
    (tmp_path / 'folder.png').mkdir()
    assert images.image_files(str(tmp_path)) == [str(tmp_path / name) for name in wanted]


def test_a_dangling_link_is_listed_so_that_reading_it_fails(tmp_path):
    (tmp_path / 'a.png').symlink_to(tmp_path / 'gone.png')
    (path,) = images.image_files(str(tmp_path))
    with pytest.raises(images.ImageError, match=r'a\.png: No such file'):
        images.read_rgb(path)


def test_a_missing_folder_and_one_without_images_are_refused_by_name(tmp_path):
    with pytest.raises(images.ImageError, match='gone: No such file or directory'):
        images.image_files(str(tmp_path / 'gone'))
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(images.ImageError, match='no image in this folder') as caught:
        images.image_files(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_written_png_holds_the_same_pixels(tmp_path):
    path = str(tmp_path / 'a.png')
    images.write_png(path, RGB[::-1, 1:])      # a view: its memory is in another order
    assert np.array_equal(images.read_rgb(path), RGB[::-1, 1:])
    assert os.listdir(str(tmp_path)) == ['a.png']


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.png')
    images.write_png(path, RGB)

    def full_disk(self, target, **_):
        with open(target, 'wb') as f:
            f.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Image.Image, 'save', full_disk)
    with pytest.raises(OSError, match='No space left'):
        images.write_png(path, RGB[::-1])
    assert np.array_equal(images.read_rgb(path), RGB)
    assert os.listdir(str(tmp_path)) == ['a.png']


def test_a_reader_never_sees_half_a_written_file(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.png')
    save_whole, seen = Image.Image.save, []

    def save_and_look(self, target, **options):
        save_whole(self, target, **options)
        seen.append(os.path.exists(path))
        # The unfinished file must not be taken for an image either.
        with pytest.raises(images.ImageError):
            images.image_files(str(tmp_path))

    monkeypatch.setattr(Image.Image, 'save', save_and_look)
    images.write_png(path, RGB)
    assert seen == [False]
    assert os.path.exists(path)


@pytest.mark.parametrize('image, complaint', [
    (GREY, r'uint8 \[h, w, 3\], not uint8 \[6, 5\]'),
    (RGB.astype(np.float32), r'not float32 \[6, 5, 3\]'),
    (RGB[..., :2], r'not uint8 \[6, 5, 2\]'),
    (RGB[np.newaxis], r'not uint8 \[1, 6, 5, 3\]'),
    ([[[1, 2, 3]]], r'not list \[1, 1, 3\]'),
])
def test_another_type_or_shape_is_not_written(tmp_path, image, complaint):
    with pytest.raises(ValueError, match=complaint):
        images.write_png(str(tmp_path / 'a.png'), image)
    assert os.listdir(str(tmp_path)) == []
