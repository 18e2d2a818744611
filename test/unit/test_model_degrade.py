# SPDX-License-Identifier: Apache-2.0
"""Low-resolution images: equal to MATLAB's to the bit, and made safely from whole folders."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from model import degrade, images

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VALID = os.path.join(ROOT, 'test', 'photos', 'DIV2K_valid_HR')
RANDOM = np.random.RandomState(2)


# MATLAB's imresize once more, slowly, from its definition.

def cubic(x):
    x = np.abs(x)
    near = 1.5 * x ** 3 - 2.5 * x ** 2 + 1
    far = -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def border_pixel(index, length, border):
    """The pixel that stands for one outside the image."""
    if border == 'edge':
        return min(max(index, 0), length - 1)
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


def resize_rows(image, length, border):
    """Scale the first axis to `length`, rounding half up to 0..255."""
    step = image.shape[0] / length
    stretch = max(step, 1)
    out = np.zeros((length,) + image.shape[1:])
    for i in range(length):
        centre = (i + 0.5) * step - 0.5
        taps = np.arange(np.floor(centre - 2 * stretch), np.ceil(centre + 2 * stretch) + 1)
        weights = cubic((taps - centre) / stretch)
        for tap, weight in zip(taps.astype(int), weights / weights.sum()):
            out[i] += weight * image[border_pixel(tap, image.shape[0], border)]
    return np.clip(np.floor(out + 0.5), 0, 255)


def matlab_imresize(image, height, width, border):
    rows_done = resize_rows(image.astype(np.float64), height, border)
    both_done = resize_rows(rows_done.transpose(1, 0, 2), width, border).transpose(1, 0, 2)
    return both_done.astype(np.uint8)


def photo_crop(name='0802.png', height=96, width=72):
    return images.read_rgb(os.path.join(VALID, name))[60:60 + height, 90:90 + width]


def noise(height, width):
    return RANDOM.randint(0, 256, (height, width, 3), dtype=np.uint8)


def black_and_white(height, width):
    """Overshoots at every pixel, so that each pass must clip."""
    return noise(height, width) // 128 * np.uint8(255)


IMAGES = {
    'photo': photo_crop(),
    'other photo': photo_crop('0801.png', 48, 120),
    'noise': noise(72, 96),
    'black and white': black_and_white(48, 72),
    'narrow': noise(24, 240),
    'view of another': noise(48, 96)[::-1, ::2],
}


@pytest.mark.parametrize('border', degrade.BORDERS)
@pytest.mark.parametrize('scale', degrade.SCALES)
@pytest.mark.parametrize('image', IMAGES)
def test_downscaling_equals_matlab_to_the_bit(image, scale, border):
    hr = IMAGES[image]
    h, w = hr.shape[0] // scale, hr.shape[1] // scale
    expected = matlab_imresize(hr[:h * scale, :w * scale], h, w, border)
    lr = degrade.downscale(hr, scale, border)
    assert (lr.dtype, lr.shape) == (np.uint8, (h, w, 3))
    assert np.count_nonzero(lr != expected) == 0


@pytest.mark.parametrize('border', degrade.BORDERS)
@pytest.mark.parametrize('scale', degrade.SCALES)
@pytest.mark.parametrize('lr', [photo_crop(height=24, width=30), noise(20, 25),
                                black_and_white(20, 16), noise(1, 3)],
                         ids=['photo', 'noise', 'black and white', 'row'])
def test_upscaling_equals_matlab_to_the_bit(lr, scale, border):
    h, w = lr.shape[0] * scale, lr.shape[1] * scale
    up = degrade.upscale(lr, scale, border)
    assert (up.dtype, up.shape) == (np.uint8, (h, w, 3))
    assert np.count_nonzero(up != matlab_imresize(lr, h, w, border)) == 0


# MATLAB keeps repeating the reflection where the image is smaller than the kernel.
@pytest.mark.parametrize('border', degrade.BORDERS)
@pytest.mark.parametrize('scale', degrade.SCALES)
def test_an_image_of_one_lr_pixel_equals_matlab_to_the_bit(scale, border):
    hr = noise(scale, scale)
    assert np.array_equal(degrade.downscale(hr, scale, border),
                          matlab_imresize(hr, 1, 1, border))


def pillow_alone(hr, scale):
    size = (hr.shape[1] // scale, hr.shape[0] // scale)
    return np.asarray(Image.fromarray(hr).resize(size, Image.BICUBIC))


def columns_first(hr, scale):
    return degrade.downscale(hr.transpose(1, 0, 2), scale).transpose(1, 0, 2)


def other_border(hr, scale):
    return degrade.downscale(hr, scale, 'edge')


@pytest.mark.parametrize('wrong', [pillow_alone, columns_first, other_border])
def test_a_way_that_is_nearly_matlab_differs_on_a_photograph(wrong):
    hr = photo_crop()
    assert np.count_nonzero(wrong(hr, 2) != degrade.downscale(hr, 2)) > 0


def test_sides_that_are_no_multiples_lose_their_last_pixels_first():
    hr = noise(38, 29)
    assert np.array_equal(degrade.downscale(hr, 3), degrade.downscale(hr[:36, :27], 3))


def test_the_border_is_symmetric_unless_asked_otherwise():
    hr = photo_crop()
    assert np.array_equal(degrade.downscale(hr, 2), degrade.downscale(hr, 2, 'symmetric'))
    assert np.array_equal(degrade.upscale(hr, 2), degrade.upscale(hr, 2, 'symmetric'))


@pytest.mark.parametrize('resize', [degrade.downscale, degrade.upscale])
def test_the_input_stays_as_it_was_and_the_output_owns_its_memory(resize):
    hr = photo_crop()
    before = hr.copy()
    out = resize(hr, 2)
    assert np.array_equal(hr, before)
    assert out.flags.c_contiguous and out.flags.writeable and out.flags.owndata


@pytest.mark.parametrize('resize', [degrade.downscale, degrade.upscale])
@pytest.mark.parametrize('image, scale, border, complaint', [
    (noise(8, 8).astype(np.float32), 2, 'edge', r'uint8 \[h, w, 3\], not float32 \[8, 8, 3\]'),
    (noise(8, 8)[..., 0], 2, 'edge', r'not uint8 \[8, 8\]'),
    (noise(8, 8)[..., :2], 2, 'edge', r'not uint8 \[8, 8, 2\]'),
    ([[0]], 2, 'edge', r'not list \[1, 1\]'),
    (noise(8, 8), 5, 'edge', 'scale must be one of 2, 3, 4, 8, not 5'),
    (noise(8, 8), 1, 'edge', 'not 1'),
    (noise(8, 8), -2, 'edge', 'not -2'),
    (noise(8, 8), 2.0, 'edge', 'not 2.0'),
    (noise(8, 8), '2', 'edge', "not '2'"),
    (noise(8, 8), 2, 'reflect', "border must be one of symmetric, edge, not 'reflect'"),
    (noise(0, 8), 2, 'edge', 'image of 0x8'),
])
def test_a_wrong_request_is_refused(resize, image, scale, border, complaint):
    with pytest.raises(ValueError, match=complaint):
        resize(image, scale, border)


def test_an_image_smaller_than_the_scale_is_refused():
    with pytest.raises(ValueError, match='image of 3x9 is smaller than the scale 4'):
        degrade.downscale(noise(3, 9), 4)


@pytest.fixture
def hr_dir(tmp_path):
    folder = tmp_path / 'set_HR'
    folder.mkdir()
    for name in ('0002.png', '0001.PNG', 'cat.bmp'):
        Image.fromarray(noise(25, 18)).save(str(folder / name))
    (folder / 'readme.txt').write_text('no image')
    return str(folder)


def names(folder):
    return sorted(os.listdir(str(folder)))


def test_a_folder_gives_one_lr_image_each_named_like_div2k(hr_dir, tmp_path):
    lr_dir = str(tmp_path / 'new' / 'X3')
    written = degrade.degrade_folder(hr_dir, lr_dir, 3, 'edge')
    assert written == [os.path.join(lr_dir, name)
                       for name in ('0001x3.png', '0002x3.png', 'catx3.png')]
    assert names(lr_dir) == ['0001x3.png', '0002x3.png', 'catx3.png']
    for hr_path, lr_path in zip(images.image_files(hr_dir), written):
        expected = degrade.downscale(images.read_rgb(hr_path), 3, 'edge')
        assert np.array_equal(images.read_rgb(lr_path), expected)


def test_all_images_that_cannot_be_used_are_named_at_once(hr_dir, tmp_path):
    for name, content in (('0000.png', b''), ('zebra.jpg', b'text')):
        with open(os.path.join(hr_dir, name), 'wb') as f:
            f.write(content)
    Image.fromarray(noise(1, 9)).save(os.path.join(hr_dir, 'small.png'))
    with pytest.raises(images.ImageError, match='3 images cannot be used; mend') as caught:
        degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 2)
    for name in ('0000.png', 'zebra.jpg', 'small.png: image of 1x9 is smaller than the scale 2'):
        assert os.path.join(hr_dir, name) in str(caught.value)
    assert '0001' not in str(caught.value)
    assert names(tmp_path / 'lr') == ['0001x2.png', '0002x2.png', 'catx2.png']


def test_two_images_that_would_get_one_name_are_refused(hr_dir, tmp_path):
    Image.fromarray(noise(25, 18)).save(os.path.join(hr_dir, 'cat.png'))
    with pytest.raises(images.ImageError, match=r'cat\.bmp and .*cat\.png .* become catx2\.png'):
        degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 2)


def test_lr_images_never_go_among_the_hr_images(hr_dir, tmp_path):
    before = names(hr_dir)
    link = tmp_path / 'link'
    link.symlink_to(hr_dir)
    for lr_dir in (hr_dir, str(link)):
        with pytest.raises(ValueError, match='a folder of their own'):
            degrade.degrade_folder(hr_dir, lr_dir, 2)
    assert names(hr_dir) == before


def contents(folder):
    return {name: images.read_rgb(os.path.join(folder, name)).tobytes() for name in names(folder)}


def test_the_cache_holds_what_degrade_folder_makes_and_nothing_else(hr_dir, tmp_path):
    cache = tmp_path / 'deep' / 'cache'
    folder = degrade.cached_lr(hr_dir, 2, str(cache))
    degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 2)
    assert contents(folder) == contents(str(tmp_path / 'lr'))
    assert names(cache) == [os.path.basename(folder)]


def test_the_cache_is_open_to_whom_the_umask_lets_in(hr_dir, tmp_path):
    old = os.umask(0o022)
    try:
        folder = degrade.cached_lr(hr_dir, 2, str(tmp_path / 'cache'))
    finally:
        os.umask(old)
    assert os.stat(folder).st_mode & 0o777 == 0o755
    assert {os.stat(path).st_mode & 0o777 for path in images.image_files(folder)} == {0o644}


def test_lr_images_are_made_only_once(hr_dir, tmp_path, monkeypatch):
    first = degrade.cached_lr(hr_dir, 2, str(tmp_path / 'cache'))
    monkeypatch.setattr(degrade, 'downscale', lambda *_: pytest.fail('made a second time'))
    assert degrade.cached_lr(hr_dir, 2, str(tmp_path / 'cache')) == first


def replace_pixels(hr_dir):
    Image.fromarray(noise(25, 18)).save(os.path.join(hr_dir, '0002.png'))


def rename_one(hr_dir):
    os.rename(os.path.join(hr_dir, '0002.png'), os.path.join(hr_dir, '0003.png'))


def swap_names(hr_dir):
    one, two = (os.path.join(hr_dir, name) for name in ('0001.PNG', '0002.png'))
    os.rename(one, one + '.tmp')
    os.rename(two, one)
    os.rename(one + '.tmp', two)


def remove_one(hr_dir):
    os.remove(os.path.join(hr_dir, '0002.png'))


@pytest.mark.parametrize('change', [replace_pixels, rename_one, swap_names, remove_one])
def test_changed_photographs_get_a_folder_of_their_own(hr_dir, tmp_path, change):
    cache = str(tmp_path / 'cache')
    before = degrade.cached_lr(hr_dir, 2, cache)
    change(hr_dir)
    after = degrade.cached_lr(hr_dir, 2, cache)
    assert after != before
    degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 2)
    assert contents(after) == contents(str(tmp_path / 'lr'))


def test_every_scale_and_border_has_a_folder_of_its_own(hr_dir, tmp_path):
    folders = {degrade.cached_lr(hr_dir, scale, str(tmp_path / 'cache'), border)
               for scale in (2, 3) for border in degrade.BORDERS}
    assert len(folders) == 4


def test_the_same_photographs_elsewhere_share_the_folder(hr_dir, tmp_path):
    cache = str(tmp_path / 'cache')
    first = degrade.cached_lr(hr_dir, 2, cache)
    moved = str(tmp_path / 'moved')
    os.rename(hr_dir, moved)
    assert degrade.cached_lr(moved, 2, cache) == first


def test_a_cache_that_was_interrupted_leaves_nothing_and_is_made_whole_next_time(
        hr_dir, tmp_path, monkeypatch):
    cache = str(tmp_path / 'cache')
    write_png, left = images.write_png, [1]

    def interrupted(path, image):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        write_png(path, image)

    with monkeypatch.context() as patch:
        patch.setattr(images, 'write_png', interrupted)
        with pytest.raises(KeyboardInterrupt):
            degrade.cached_lr(hr_dir, 2, cache)
    assert names(cache) == []
    assert len(names(degrade.cached_lr(hr_dir, 2, cache))) == 3


def test_an_unreadable_image_leaves_no_cache(hr_dir, tmp_path):
    with open(os.path.join(hr_dir, 'bad.png'), 'wb') as f:
        f.write(b'text')
    with pytest.raises(images.ImageError, match=r'bad\.png'):
        degrade.cached_lr(hr_dir, 2, str(tmp_path / 'cache'))
    assert names(tmp_path / 'cache') == []


def test_a_cache_with_missing_files_is_filled_again(hr_dir, tmp_path):
    cache = str(tmp_path / 'cache')
    folder = degrade.cached_lr(hr_dir, 2, cache)
    whole = contents(folder)
    os.remove(os.path.join(folder, '0002x2.png'))
    assert degrade.cached_lr(hr_dir, 2, cache) == folder
    assert contents(folder) == whole
    assert names(cache) == [os.path.basename(folder)]


def test_who_comes_second_with_the_same_cache_takes_the_first_ones(hr_dir, tmp_path, monkeypatch):
    cache = str(tmp_path / 'cache')
    make, others = degrade.degrade_folder, []

    def make_while_another_does(*args):
        monkeypatch.setattr(degrade, 'degrade_folder', make)
        others.append(degrade.cached_lr(hr_dir, 2, cache))
        return make(*args)

    monkeypatch.setattr(degrade, 'degrade_folder', make_while_another_does)
    folder = degrade.cached_lr(hr_dir, 2, cache)
    assert others == [folder]
    assert names(cache) == [os.path.basename(folder)]
    assert len(names(folder)) == 3


def test_processes_that_ask_at_once_all_get_the_whole_folder(hr_dir, tmp_path):
    code = ('import os, sys; from model import degrade;'
            'folder = degrade.cached_lr(sys.argv[1], 2, sys.argv[2]);'
            'print(folder, len(os.listdir(folder)))')
    cache = str(tmp_path / 'cache')
    processes = [subprocess.Popen([sys.executable, '-c', code, hr_dir, cache], cwd=ROOT,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
                 for _ in range(4)]
    ended = [process.communicate() for process in processes]
    assert {stderr for _, stderr in ended} == {''}
    assert len({stdout for stdout, _ in ended}) == 1
    assert ended[0][0].endswith(' 3\n')
    assert len(names(cache)) == 1


@pytest.mark.parametrize('hr, out', [
    ('data/DIV2K_train_HR', 'data/DIV2K_train_LR_bicubic/X2'),
    ('data/DIV2K_valid_HR/', 'data/DIV2K_valid_LR_bicubic/X2'),
    ('data/holiday', 'data/holiday_LR_bicubic/X2'),
    ('data/HR', 'data/HR_LR_bicubic/X2'),
])
def test_lr_images_go_where_div2k_has_them(hr, out):
    assert degrade.default_out(hr, 2) == os.path.abspath(out)


def command_line(*args, cwd=ROOT):
    """Run model/degrade.py as a user does: by its path, and from any folder."""
    env = {**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'}
    env.pop('PYTHONPATH', None)
    return subprocess.run([sys.executable, os.path.join(ROOT, 'model', 'degrade.py'), *args],
                          cwd=str(cwd), env=env, capture_output=True, text=True)


def test_the_command_line_makes_the_lr_images_and_says_so_in_one_line(hr_dir, tmp_path):
    done = command_line('--hr', 'set_HR', '--scale', '2', cwd=tmp_path)
    out = os.path.join(str(tmp_path), 'set_LR_bicubic', 'X2')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == f'3 images of set_HR scaled down by 2 (symmetric border) into {out}\n'
    degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 2)
    assert contents(out) == contents(str(tmp_path / 'lr'))


def test_the_command_line_obeys_scale_border_and_out(hr_dir, tmp_path):
    out = str(tmp_path / 'mine')
    done = command_line('--hr', hr_dir, '--scale=3', '--border=edge', '--out', out)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == f'3 images of {hr_dir} scaled down by 3 (edge border) into {out}\n'
    degrade.degrade_folder(hr_dir, str(tmp_path / 'lr'), 3, 'edge')
    assert contents(out) == contents(str(tmp_path / 'lr'))


@pytest.mark.parametrize('args, complaint', [
    ([], '--hr'),
    (['--hr', 'gone'], 'gone: No such file or directory'),
    (['--hr', 'empty'], 'empty: no image in this folder'),
    (['--hr', 'file'], 'file: Not a directory'),
    (['--hr', 'bad'], 'broken.png'),
    (['--hr', 'set_HR', '--scale', '5'], 'invalid choice: 5'),
    (['--hr', 'set_HR', '--scale', 'two'], "invalid int value: 'two'"),
    (['--hr', 'set_HR', '--border', 'reflect'], "invalid choice: 'reflect'"),
    (['--hr', 'set_HR', '--out', 'file'], 'file'),
    (['--hr', 'set_HR', '--out', 'set_HR'], 'set_HR'),
    (['--hr', 'set_HR', '--sacle', '2'], 'unrecognized arguments: --sacle 2'),
    (['--hr', 'set_HR', '--sc', '2'], 'unrecognized arguments: --sc 2'),
])
def test_a_wrong_command_line_ends_with_one_clear_line_and_2(hr_dir, tmp_path, args, complaint):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').touch()
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'broken.png').touch()
    done = command_line(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.count('\n') == 1
    assert done.stderr.startswith('degrade.py: ')
    assert complaint in done.stderr


def test_help_says_how_to_call_it():
    done = command_line('--help')
    assert (done.returncode, done.stderr) == (0, '')
    assert all(flag in done.stdout for flag in ('--hr', '--scale', '--border', '--out'))
