# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of image files."""

import os
import struct
import threading
import warnings
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from PIL import Image

from model import data, errors, images

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


@pytest.mark.parametrize('mode, options, grey', [
    ('RGB', {}, False), ('P', {}, False), ('L', {}, True), ('1', {}, True), ('LA', {}, True),
    ('RGBA', {}, False), ('L', {'transparency': 3}, True)])
def test_an_image_is_grey_where_its_file_has_no_colours(tmp_path, mode, options, grey):
    Image.fromarray(RGB).convert(mode).save(str(tmp_path / 'a.png'), **options)
    assert images.read(str(tmp_path / 'a.png')).grey is grey


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
@pytest.mark.parametrize('least', [0, 254])
def test_an_image_is_transparent_where_one_pixel_of_it_is(tmp_path, mode, least):
    alpha = np.full_like(GREY, 255)
    image = Image.fromarray(RGB).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    image.save(str(tmp_path / 'opaque.png'))
    alpha[1, 2] = least
    image.putalpha(Image.fromarray(alpha))
    image.save(str(tmp_path / 'clear.png'))
    assert images.read(str(tmp_path / 'opaque.png')).alpha is None
    assert np.array_equal(images.read(str(tmp_path / 'clear.png')).alpha, alpha)


def test_a_colour_that_is_declared_clear_is_transparent(tmp_path):
    path = save(tmp_path / 'a.png', RGB, transparency=tuple(int(v) for v in RGB[1, 2]))
    expected = np.full_like(GREY, 255)
    expected[1, 2] = 0
    assert np.array_equal(images.read(path).alpha, expected)


@pytest.mark.parametrize('orientation', tiny.UPRIGHT)
@pytest.mark.parametrize('name, options', [
    ('a.png', {}), ('a.webp', {'lossless': True}), ('a.tif', {}),
    ('a.tif', {'compression': 'tiff_lzw'}), ('a.jpg', {'quality': 100, 'subsampling': 0})])
def test_an_image_is_read_upright(tmp_path, name, options, orientation):
    path = tiny.oriented(tmp_path / name, RGB, orientation, **options)
    expected = tiny.UPRIGHT[orientation](RGB)
    read = images.read_rgb(path)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= (4 if name == 'a.jpg' else 0)


@pytest.mark.parametrize('orientation', [0, 9, 65535])
@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, name, orientation):
    assert np.array_equal(images.read_rgb(tiny.oriented(tmp_path / name, RGB, orientation)), RGB)


@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'a.jpg'])
@pytest.mark.parametrize('exif', [b'Exif\0\0garbage, no more', b'Exif\0\0MM', b'Exif\0\0'])
def test_exif_that_cannot_be_read_spoils_no_image(tmp_path, name, exif):
    assert images.read_rgb(save(tmp_path / name, RGB, exif=exif)).shape == RGB.shape


def test_transparency_and_grey_are_kept_by_a_turned_image(tmp_path):
    read = images.read(tiny.oriented(tmp_path / 'a.png', RGB[..., :2], 6))
    assert read.grey
    assert np.array_equal(read.rgb[..., 0], np.rot90(RGB[..., 0], -1))
    assert np.array_equal(read.alpha, np.rot90(RGB[..., 1], -1))


def test_a_turned_palette_keeps_its_clear_colour(tmp_path):
    index = (GREY % 2).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = 8
    palette = Image.fromarray(index).convert('P')
    palette.putpalette([255, 0, 0, 0, 128, 9])
    palette.save(str(tmp_path / 'a.png'), transparency=1, exif=exif)
    assert np.array_equal(images.read(str(tmp_path / 'a.png')).alpha,
                          np.rot90(np.where(index, 0, 255)))


def test_the_images_of_a_training_are_upright_too(tmp_path):
    lr = tiny.noise(9, 14)
    for folder in ('HR', 'LR'):
        (tmp_path / folder).mkdir()
    tiny.oriented(tmp_path / 'HR' / 'a.png', tiny.enlarge(lr), 6)
    save(tmp_path / 'LR' / 'ax2.png', np.rot90(lr, -1))
    (pair,) = data.load_pairs(str(tmp_path / 'HR'), str(tmp_path / 'LR'), 2,
                              str(tmp_path / 'cache'))
    assert np.array_equal(pair.hr, np.rot90(tiny.enlarge(lr), -1))
    assert np.array_equal(pair.lr, np.rot90(lr, -1))


def test_reading_a_compressed_tiff_closes_no_file_twice(tmp_path, monkeypatch):
    # As Pillow does where it knows the descriptor: the second time it was another thread's file.
    path, close, failed = save(tmp_path / 'a.tif', RGB, compression='tiff_lzw'), os.close, []

    def tried(descriptor):
        try:
            close(descriptor)
        except OSError as e:
            failed.append(e)
            raise

    monkeypatch.setattr(os, 'close', tried)
    assert np.array_equal(images.read_rgb(path), RGB)
    assert failed == []


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


def test_the_other_files_of_a_folder_are_listed_by_name(tmp_path):
    for name in ('b.txt', '.hidden', 'A.gif', '._a.png', 'a.png', 'c.TIF', 'png'):
        (tmp_path / name).touch()
    (tmp_path / 'folder').mkdir()
    assert images.stray_files(str(tmp_path)) == ['._a.png', '.hidden', 'A.gif', 'b.txt', 'png']
    with pytest.raises(images.ImageError, match='gone: No such file or directory'):
        images.stray_files(str(tmp_path / 'gone'))


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


@pytest.mark.parametrize('alpha', [None, GREY])
@pytest.mark.parametrize('grey', [False, True])
def test_a_written_png_is_grey_and_transparent_where_that_is_asked_for(tmp_path, alpha, grey):
    path, rgb = str(tmp_path / 'a.png'), np.dstack([GREY] * 3) if grey else RGB
    images.write_png(path, rgb, alpha, grey)
    with Image.open(path) as image:
        assert image.mode == ('L' if grey else 'RGB') + ('' if alpha is None else 'A')
    read = images.read(path)
    assert np.array_equal(read.rgb, rgb)
    assert np.array_equal(read.alpha, alpha) if alpha is not None else read.alpha is None
    assert read.grey is grey


def test_colours_that_are_written_grey_become_their_luma(tmp_path):
    images.write_png(str(tmp_path / 'a.png'), RGB, grey=True)
    expected = RGB.astype(float) @ [0.299, 0.587, 0.114]       # BT.601, as PNG readers have it
    assert np.abs(images.read_rgb(str(tmp_path / 'a.png'))[..., 0] - expected).max() < 1


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


# --- many images --------------------------------------------------------------------------------

def unusable(item):
    if item % 3 == 0:
        raise images.ImageError(f'{item}: bad')
    return 10 * item


def test_the_results_of_many_come_in_their_order_with_the_faults_in_place():
    results = images.for_each(unusable, range(1, 100), print, 'counting')
    assert len(results) == 99
    for item, result in zip(range(1, 100), results):
        if item % 3:
            assert result == 10 * item
        else:
            assert (type(result), str(result)) == (images.ImageError, f'{item}: bad')
    assert images.for_each(unusable, [], print, 'counting') == []


def test_many_are_done_at_once(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 3)
    together = threading.Barrier(3)
    assert sorted(images.for_each(lambda _: together.wait(timeout=60), 'abc', print, 'x')) == [
        0, 1, 2]


def test_an_error_that_is_no_images_own_goes_on():
    def fails(item):
        raise OSError(28, 'No space left on device')

    with pytest.raises(OSError, match='No space left'):
        images.for_each(fails, 'abc', print, 'writing')


def test_long_work_tells_every_ten_seconds_how_far_it_is(monkeypatch):
    now_s = iter(range(0, 1000, 4))     # the clock goes on by 4 s whenever it is looked at
    monkeypatch.setattr(images, 'time', SimpleNamespace(monotonic=lambda: next(now_s)))
    lines = []
    images.for_each(str, range(8), lines.append, 'reading')
    assert lines == ['reading: 3 of 8', 'reading: 6 of 8']


def test_quick_work_tells_nothing():
    lines = []
    images.for_each(str, range(100), lines.append, 'reading')
    assert lines == []


@pytest.mark.parametrize('results, complaint', [
    ([images.ImageError('a: bad')], 'an image cannot be used, mend or remove it: a: bad'),
    ([1, images.ImageError('a: bad'), None], 'an image cannot be used, mend or remove it: a: bad'),
    ([images.ImageError('a: bad'), 2, images.ImageError('b: worse')],
     '2 images cannot be used; mend or remove them:\na: bad\nb: worse'),
])
def test_every_fault_among_the_results_is_named_at_once(results, complaint):
    with pytest.raises(images.ImageError) as caught:
        images.require_usable(results)
    assert str(caught.value) == complaint


def test_results_without_a_fault_are_usable():
    images.require_usable([1, None, 'a', ValueError('of somebody else')])
    images.require_usable([])


def test_images_that_can_be_read_are_told_from_those_that_cannot(tmp_path):
    good = save(tmp_path / 'good.png', RGB)
    half = tmp_path / 'half.png'
    half_of_a_file(half)
    deep = tiff16(tmp_path / 'deep.tif')
    images.require_readable([good, good], print)
    images.require_readable([], print)
    with pytest.raises(images.ImageError) as caught:
        images.require_readable([str(half), good, deep], print)
    heading, *lines = str(caught.value).split('\n')
    assert heading == '2 images cannot be used; mend or remove them:'
    assert [line.split(': ')[0] for line in lines] == [str(half), deep]
