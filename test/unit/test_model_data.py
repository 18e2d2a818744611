# SPDX-License-Identifier: Apache-2.0
"""From folders of images to batches of aligned patches.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import os

import numpy as np
import pytest
import tiny
from PIL import Image

from model import data, degrade, images
from model.errors import RequestError


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / 'cache')


@pytest.fixture
def folders(tmp_path):
    """Make HR and LR folders from name -> LR pixels; every HR pixel is its LR pixel's value."""
    def make(scale=2, suffix=None, **lr_images):
        suffix = f'x{scale}' if suffix is None else suffix
        hr = tiny.write(tmp_path / 'HR', **{n: enlarge(a, scale) for n, a in lr_images.items()})
        lr = tiny.write(tmp_path / 'LR', **{f'{n}{suffix}': a for n, a in lr_images.items()})
        return hr, lr
    return make


def enlarge(image, scale):
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def remove(folder, name):
    os.remove(os.path.join(folder, name))


def pair_of(lr, scale=2, name='a'):
    return data.Pair(name, lr, enlarge(lr, scale), 'digest')


def places(height, width):
    """An LR image whose pixels say where they are: row, column and 0."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(y)], axis=-1).astype(np.uint8)


# --- pairs --------------------------------------------------------------------------------------

@pytest.mark.parametrize('suffix', ['x2', ''])
def test_pairs_are_found_by_name(folders, cache, suffix):
    lr_images = {name: tiny.noise(9, 8, seed) for seed, name in enumerate(['0001', '0002', 'b'])}
    pairs = data.load_pairs(*folders(suffix=suffix, **lr_images), 2, cache)
    assert [p.name for p in pairs] == ['0001', '0002', 'b']
    for pair in pairs:
        assert np.array_equal(pair.lr, lr_images[pair.name])
        assert np.array_equal(pair.hr, enlarge(lr_images[pair.name], 2))


def test_an_lr_image_too_many_at_the_front_moves_no_pair(folders, cache):  # (29)
    hr, lr = folders(b=tiny.noise(9, 8, 1), c=tiny.noise(9, 8, 2))
    tiny.write(lr, ax2=tiny.noise(9, 8, 3))
    pairs = data.load_pairs(hr, lr, 2, cache)
    assert [p.name for p in pairs] == ['b', 'c']
    assert all(np.array_equal(p.hr, enlarge(np.asarray(p.lr), 2)) for p in pairs)


def test_lr_images_of_several_scales_may_share_a_folder(folders, cache):
    hr, lr = folders(a=tiny.noise(12, 12, 1))
    tiny.write(lr, ax3=tiny.noise(8, 8, 2), ax4=tiny.noise(6, 6, 3))
    assert [data.load_pairs(hr, lr, scale, cache)[0].lr.shape[0] for scale in (2, 3, 4)] == [
        12, 8, 6]


def test_every_image_that_cannot_be_used_is_named_at_once(folders, cache):  # (28, 29)
    hr, lr = folders(**{name: tiny.noise(9, 8, seed) for seed, name in enumerate('abcdef')})
    remove(lr, 'ax2.png')
    tiny.write(lr, bx2=tiny.noise(8, 9))
    tiny.write(lr, cx2=tiny.noise(9, 7))
    for folder, name in ((lr, 'dx2.png'), (hr, 'e.png')):
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(b'no image')
    with pytest.raises(RequestError) as refused:
        data.load_pairs(hr, lr, 2, cache)
    assert str(refused.value).split('\n') == [
        '5 images cannot be used; mend or remove them:',
        f'{hr}/a.png: no ax2.* or a.* in {lr}',
        f'{lr}/bx2.png is 9x8, but {hr}/b.png at scale 2 needs 8x9',
        f'{lr}/cx2.png is 7x9, but {hr}/c.png at scale 2 needs 8x9',
        f'{lr}/dx2.png: damaged, or none of PNG, JPEG, BMP, WEBP, TIFF',
        f'{hr}/e.png: damaged, or none of PNG, JPEG, BMP, WEBP, TIFF']


def test_a_link_to_nowhere_is_named(folders, cache):
    hr, lr = folders(a=tiny.noise(9, 8))
    os.symlink('nowhere.png', os.path.join(lr, 'bx2.png'))
    tiny.write(hr, b=tiny.noise(18, 16))
    with pytest.raises(RequestError, match=r'LR/bx2\.png: No such file or directory$'):
        data.load_pairs(hr, lr, 2, cache)


def test_an_hr_image_may_be_a_few_pixels_larger_than_its_lr_image_says(tmp_path, cache):
    hr = tiny.write(tmp_path / 'HR', a=tiny.noise(29, 28))
    lr = tiny.write(tmp_path / 'LR', ax3=tiny.noise(9, 9))
    assert data.load_pairs(hr, lr, 3, cache)[0].hr.shape == (29, 28, 3)


def test_files_that_are_no_images_are_passed_over(folders, cache):  # (28)
    hr, lr = folders(a=tiny.noise(9, 8))
    for folder in (hr, lr):
        for name in ('Thumbs.db', '.DS_Store', '._a.png', 'list.txt'):
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(b'no image')
        os.mkdir(os.path.join(folder, 'more.png'))
    assert [p.name for p in data.load_pairs(hr, lr, 2, cache)] == ['a']


def test_transparent_and_grey_images_become_rgb(tmp_path, cache):  # (28)
    hr, lr = (tiny.write(tmp_path / name) for name in ('HR', 'LR'))
    colours = tiny.noise(8, 8)
    Image.fromarray(enlarge(colours, 2)).convert('RGBA').save(os.path.join(hr, 'a.png'))
    Image.fromarray(colours[..., 0]).save(os.path.join(lr, 'ax2.png'))
    (pair,) = data.load_pairs(hr, lr, 2, cache)
    assert np.array_equal(pair.hr, enlarge(colours, 2))
    assert np.array_equal(pair.lr, np.dstack([colours[..., 0]] * 3))


def test_two_images_of_one_name_are_refused_because_only_one_can_be_right(folders, cache):
    hr, lr = folders(a=tiny.noise(9, 8))
    Image.fromarray(tiny.noise(9, 8, 5)).save(os.path.join(lr, 'ax2.bmp'))
    with pytest.raises(RequestError, match=r'LR/ax2\.bmp and .*LR/ax2\.png have the same name'):
        data.load_pairs(hr, lr, 2, cache)


def test_images_of_equal_height_and_different_width_load_and_train(folders, cache):  # (27)
    pairs = data.load_pairs(*folders(a=tiny.noise(9, 8), b=tiny.noise(9, 14)), 2, cache)
    assert [p.lr.shape for p in pairs] == [(9, 8, 3), (9, 14, 3)]
    lr, hr = data.sample_batch(data.in_memory(pairs), tiny.config(batch_size=8), 1)
    assert (lr.shape, hr.shape) == ((8, 6, 6, 3), (8, 12, 12, 3))


@pytest.mark.parametrize('hr, lr, missing', [('none', 'LR', 'none'), ('HR', 'none', 'none')])
def test_a_missing_folder_is_named(folders, cache, tmp_path, hr, lr, missing):
    folders(a=tiny.noise(9, 8))
    with pytest.raises(RequestError) as refused:
        data.load_pairs(str(tmp_path / hr), str(tmp_path / lr), 2, cache)
    assert str(refused.value) == f'no folder of images at {tmp_path / missing}'


def test_a_folder_without_images_is_named(tmp_path, cache):
    folder = tiny.write(tmp_path / 'HR')
    with pytest.raises(RequestError, match=f'^{folder}: no image in this folder'):
        data.load_pairs(folder, '', 2, cache)


def test_test_images_too_small_for_the_metric_are_named():
    pairs = [pair_of(tiny.noise(*size), name=name) for name, size in
             [('low', (7, 9)), ('fits', (8, 8)), ('narrow', (9, 7))]]
    with pytest.raises(RequestError, match='below 15 pixels.*: low, narrow$'):
        data.require_measurable(pairs, 2)


def test_images_smaller_than_a_patch_are_named():  # (30)
    pairs = [pair_of(tiny.noise(*size), name=name) for name, size in
             [('low', (5, 9)), ('fits', (6, 6)), ('narrow', (9, 5))]]
    with pytest.raises(RequestError) as refused:
        data.require_patches(pairs, 6)
    assert str(refused.value) == 'LR images smaller than --patch_size 6: low (9x5), narrow (5x9)'
    data.require_patches(pairs, 5)


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_without_an_lr_folder_the_lr_images_are_made_from_the_hr_images(tmp_path, cache, scale):
    hr = tiny.write(tmp_path / 'HR', a=tiny.noise(48, 49, 1), b=tiny.noise(72, 48, 2))
    for pair in data.load_pairs(hr, '', scale, cache):
        assert np.array_equal(pair.lr, degrade.downscale(np.asarray(pair.hr), scale))
    assert sorted(os.listdir(hr)) == ['a.png', 'b.png']


# --- the digest ---------------------------------------------------------------------------------

def test_the_digest_is_of_the_pixels_and_not_of_the_files(folders, cache):
    hr, lr = folders(a=tiny.noise(9, 8, 1), b=tiny.noise(9, 8, 2))
    first = data.digest(data.load_pairs(hr, lr, 2, cache))
    path = os.path.join(lr, 'ax2.png')
    Image.open(path).save(path, compress_level=0)
    os.utime(path, (1, 1))
    assert data.digest(data.load_pairs(hr, lr, 2, cache)) == first
    assert len(first) == 16


@pytest.mark.parametrize('folder, name', [('HR', 'a'), ('HR', 'b'), ('LR', 'ax2'), ('LR', 'bx2')])
def test_the_digest_changes_with_one_pixel(folders, cache, tmp_path, folder, name):
    where = folders(a=tiny.noise(9, 8, 1), b=tiny.noise(9, 8, 2))
    first = data.digest(data.load_pairs(*where, 2, cache))
    path = str(tmp_path / folder / f'{name}.png')
    image = images.read_rgb(path)
    image[3, 4, 1] ^= 1
    tiny.write(tmp_path / folder, **{name: image})
    os.utime(path, (1, 1))
    assert data.digest(data.load_pairs(*where, 2, cache)) != first


def test_the_digest_changes_with_a_name_and_with_an_image_less():
    pairs = [pair_of(tiny.noise(6, 6), name=name) for name in 'abc']
    digests = {data.digest(p) for p in (pairs, pairs[:2], pairs[::-1])}
    assert len(digests) == 3


# --- patches ------------------------------------------------------------------------------------

@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_patches_of_lr_and_hr_show_the_same_place_the_same_way_up(scale):
    pairs = [pair_of(tiny.noise(13, 17, seed), scale) for seed in range(3)]
    config = tiny.config(scale=scale, batch_size=64)
    lr, hr = data.sample_batch(pairs, config, 1)
    assert (lr.dtype, lr.shape) == (np.uint8, (64, 6, 6, 3))
    assert (hr.dtype, hr.shape) == (np.uint8, (64, 6 * scale, 6 * scale, 3))
    assert np.array_equal(hr, lr.repeat(scale, axis=1).repeat(scale, axis=2))


def test_fewer_images_than_the_batch_are_enough():  # (18, 19)
    lr, _ = data.sample_batch([pair_of(tiny.noise(9, 9))], tiny.config(batch_size=16), 1)
    assert lr.shape[0] == 16


def test_an_image_as_large_as_the_patch_is_enough():
    image = tiny.noise(6, 6)
    lr, _ = data.sample_batch([pair_of(image)], tiny.config(batch_size=1), 1)
    assert any(np.array_equal(lr[0], data.flip_rotate(image, turn)) for turn in range(8))


def test_the_eight_symmetries_are_distinct():
    image = tiny.noise(4, 4)
    turned = {data.flip_rotate(image, turn).tobytes() for turn in range(8)}
    assert len(turned) == 8
    assert np.array_equal(data.flip_rotate(image, 0), image)


@pytest.mark.parametrize('turn', range(8))
@pytest.mark.parametrize('shape', [(4, 4), (3, 5)])
def test_every_symmetry_has_its_inverse(turn, shape):
    image = tiny.noise(*shape)
    there = data.flip_rotate(image, turn)
    assert there.shape[:2] == (shape if turn % 2 == 0 else shape[::-1])
    assert np.array_equal(data.unflip_rotate(there, turn), image)


def counts_of(pairs, draws, describe):
    """How often each description of an LR patch comes in so many draws."""
    lr, _ = data.sample_batch(pairs, tiny.config(batch_size=draws), 1)
    described = [describe(patch) for patch in lr]
    return {key: described.count(key) for key in set(described)}


def assert_uniform(counts, cells):
    """Chi-square, at five standard deviations: drawn once with a seed, so it never flickers."""
    draws = sum(counts.values())
    assert len(counts) == cells
    expected = draws / cells
    chi2 = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi2 < cells - 1 + 5 * (2 * (cells - 1)) ** 0.5


def test_the_eight_symmetries_are_equally_likely():
    counts = counts_of([pair_of(tiny.noise(6, 6))], 1600, lambda patch: patch.tobytes())
    assert_uniform(counts, 8)


def test_images_are_equally_likely_whatever_their_size():
    pairs = [pair_of(np.full((6 + 9 * i, 6 + 7 * i, 3), i, np.uint8)) for i in range(5)]
    assert_uniform(counts_of(pairs, 1000, lambda patch: patch[0, 0, 0]), 5)


@pytest.mark.parametrize('height, width, axis', [(12, 6, 0), (6, 12, 1)])
def test_every_position_is_equally_likely_both_ends_included(height, width, axis):
    counts = counts_of([pair_of(places(height, width))], 1400, lambda patch: patch[..., axis].min())
    assert set(counts) == set(range(7))
    assert_uniform(counts, 7)


def test_row_and_column_are_drawn_apart():
    counts = counts_of([pair_of(places(8, 8))], 1800,
                       lambda patch: (patch[..., 0].min(), patch[..., 1].min()))
    assert_uniform(counts, 9)


# --- which batch comes when ---------------------------------------------------------------------

def batch(seed, step):
    pairs = [pair_of(tiny.noise(40, 40, i)) for i in range(3)]
    return [image.tobytes() for image in data.sample_batch(pairs, tiny.config(seed=seed), step)]


def test_the_same_seed_and_step_give_the_same_batch():  # (31)
    np.random.seed(1)
    first = batch(seed=5, step=3)
    np.random.seed(2)       # somebody else's random numbers change nothing
    batch(seed=5, step=4)
    assert batch(seed=5, step=3) == first


def test_another_seed_and_another_step_give_another_batch():  # (31)
    assert len({batch(seed, step)[0] for seed in range(4) for step in range(1, 5)}) == 16


# --- tf.data ------------------------------------------------------------------------------------

def pipeline(pairs, config, first_step=1):
    """The static shapes of the pipeline and all batches that it yields."""
    import tensorflow as tf
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = data.batches(pairs, config, {}, first_step)
        batch = iterator.get_next()
        session.run(iterator.initializer)
        yielded = []
        while len(yielded) <= config.max_step:
            try:
                yielded.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                break
    return [(image.dtype.name, image.shape.as_list()) for image in batch], yielded


@pytest.mark.parametrize('max_step', [1, 7])
def test_the_pipeline_yields_the_batches_of_the_steps_in_their_order(max_step):  # (18)
    pairs = [pair_of(tiny.noise(9, 8, i), 3) for i in range(2)]
    config = tiny.config(scale=3, max_step=max_step, batch_size=4)
    _, yielded = pipeline(pairs, config)
    assert len(yielded) == max_step
    for step, (lr, hr) in enumerate(yielded, start=1):
        expected_lr, expected_hr = data.sample_batch(pairs, config, step)
        assert np.array_equal(lr, expected_lr) and np.array_equal(hr, expected_hr)


def test_a_training_that_goes_on_gets_the_batches_from_its_step_on():
    pairs = [pair_of(tiny.noise(9, 8, i)) for i in range(2)]
    config = tiny.config(max_step=7)
    (_, whole), (_, rest) = pipeline(pairs, config), pipeline(pairs, config, first_step=5)
    assert len(rest) == 3
    assert all(np.array_equal(a, b) for old, new in zip(whole[4:], rest) for a, b in zip(old, new))


def test_a_batch_comes_in_equal_parts_that_make_the_whole():
    pairs = [pair_of(tiny.noise(9, 8, i)) for i in range(2)]
    shapes, parts = pipeline(pairs, tiny.config(max_step=6, batch_size=6, accumulate=3))
    assert shapes == [('uint8', [2, 6, 6, 3]), ('uint8', [2, 12, 12, 3])]
    whole = data.sample_batch(pairs, tiny.config(batch_size=6), 1)
    assert all(np.array_equal(np.concatenate(found), image)
               for found, image in zip(zip(*parts[:3]), whole))


def test_the_shapes_are_known_before_anything_runs():  # (42)
    shapes, _ = pipeline([pair_of(tiny.noise(9, 8), 3)], tiny.config(scale=3, max_step=1))
    assert shapes == [('uint8', [2, 6, 6, 3]), ('uint8', [2, 18, 18, 3])]
