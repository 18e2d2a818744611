# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM on luma, against definitions written out a second time."""

import math
import os

import numpy as np
import pytest

from model import degrade, images, metrics

PHOTOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'photos')
VALID = os.path.join(PHOTOS, 'DIV2K_valid_HR')


def random_pair(height=40, width=33, noise=20):
    rng = np.random.RandomState(1)
    hr = rng.randint(0, 256, (height, width, 3))
    sr = hr + rng.randint(-noise, noise + 1, hr.shape)
    return np.clip(sr, 0, 255).astype(np.uint8), hr.astype(np.uint8)


def photo_pair(scale=2):
    hr = images.read_rgb(os.path.join(VALID, '0801.png'))[100:220, 60:200]
    return degrade.upscale(degrade.downscale(hr, scale), scale), hr


def psnr(a, b):
    return 10 * math.log10(255 ** 2 / np.mean((a.astype(np.float64) - b) ** 2))


@pytest.mark.parametrize('rgb, expected', [
    ((0, 0, 0), 16),
    ((255, 255, 255), 235),
    ((255, 0, 0), 81.481),
    ((0, 255, 0), 144.553),
    ((0, 0, 255), 40.966),
    ((1, 2, 3), 16 + (65.481 + 2 * 128.553 + 3 * 24.966) / 255),
])
def test_luma_is_bt601_in_studio_range_and_not_rounded(rgb, expected):
    y = metrics.luma(np.array([[rgb]], np.uint8))
    assert (y.shape, y.dtype) == ((1, 1), np.float64)
    assert y[0, 0] == pytest.approx(expected, abs=1e-12)


def test_luma_of_anything_but_rgb_is_refused():
    with pytest.raises(ValueError, match=r'not \[4, 4\]'):
        metrics.luma(np.zeros((4, 4), np.uint8))


# One grey level more in every channel raises Y by 219 / 255.
@pytest.mark.parametrize('levels, expected_db', [(1, 49.453), (10, 29.453), (255, 1.322)])
def test_psnr_of_a_constant_difference_is_as_computed_by_hand(levels, expected_db):
    hr = np.zeros((20, 20, 3), np.uint8)
    assert metrics.psnr_y(hr + np.uint8(levels), hr, 2) == pytest.approx(expected_db, abs=5e-4)


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_as_many_pixels_as_the_scale_are_shaved_from_every_side(scale):
    sr, hr = random_pair()
    inner = np.zeros(hr.shape[:2], bool)
    inner[scale:-scale, scale:-scale] = True
    only_border = np.where(inner[..., np.newaxis], hr, sr)
    assert metrics.psnr_y(only_border, hr, scale) == math.inf
    assert metrics.ssim_y(only_border, hr, scale) == 1
    for y, x in ((scale, 20), (-scale - 1, 20), (20, scale), (20, -scale - 1)):
        touched = hr.copy()
        touched[y, x] ^= 255
        assert metrics.psnr_y(touched, hr, scale) < 100
        assert metrics.ssim_y(touched, hr, scale) < 1


def test_equal_images_have_infinite_psnr_and_ssim_1():
    _, hr = random_pair()
    assert metrics.psnr_y(hr, hr.copy(), 2) == math.inf
    assert metrics.ssim_y(hr, hr.copy(), 2) == 1


def rounded_luma(sr, hr):
    return psnr(*(np.round(metrics.luma(x))[2:-2, 2:-2] for x in (sr, hr)))


def no_shave(sr, hr):
    return psnr(metrics.luma(sr), metrics.luma(hr))


def rgb_peak(sr, hr):
    return psnr(sr[2:-2, 2:-2], hr[2:-2, 2:-2])


def full_range(sr, hr):
    weights = np.array([0.299, 0.587, 0.114])
    return psnr(*((x @ weights)[2:-2, 2:-2] for x in (sr, hr)))


def studio_peak(sr, hr):
    return metrics.psnr_y(sr, hr, 2) + 20 * math.log10(219 / 255)


@pytest.mark.parametrize('wrong', [rounded_luma, no_shave, rgb_peak, full_range, studio_peak])
def test_a_wrong_way_to_measure_gives_another_psnr(wrong):
    sr, hr = photo_pair()
    assert abs(wrong(sr, hr) - metrics.psnr_y(sr, hr, 2)) > 1e-3


def test_psnr_follows_its_definition_on_a_photograph():
    sr, hr = photo_pair()
    right = psnr(metrics.luma(sr)[2:-2, 2:-2], metrics.luma(hr)[2:-2, 2:-2])
    assert metrics.psnr_y(sr, hr, 2) == pytest.approx(right, abs=1e-10)


def direct_ssim(sr, hr, shave):
    """SSIM with every 11x11 window weighed on its own (Wang et al. 2004, equations 13 to 16)."""
    x, y = (metrics.luma(image)[shave:-shave, shave:-shave] for image in (sr, hr))
    dy, dx = np.mgrid[-5:6, -5:6]
    window = np.exp(-(dy ** 2 + dx ** 2) / (2 * 1.5 ** 2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            a, b = (image[row:row + 11, column:column + 11] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append((2 * mean_a * mean_b + c1) * (2 * cov + c2)
                          / ((mean_a ** 2 + mean_b ** 2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


@pytest.mark.parametrize('pair, scale', [(random_pair(), 2), (random_pair(), 3),
                                         (photo_pair(2), 2), (photo_pair(4), 4)],
                         ids=['random-x2', 'random-x3', 'photo-x2', 'photo-x4'])
def test_ssim_follows_its_definition(pair, scale):
    assert metrics.ssim_y(*pair, scale) == pytest.approx(direct_ssim(*pair, scale), abs=1e-10)


# Computed apart from this code: MATLAB-exact bicubic down and up, then these metrics.
@pytest.mark.parametrize('scale, psnr_db, ssim', [
    (2, 31.537, 0.9026), (3, 28.799, 0.8296), (4, 27.199, 0.7693),
])
def test_bicubic_upscaling_of_the_validation_photographs_gives_the_known_figures(
        scale, psnr_db, ssim):
    pairs = [(degrade.upscale(degrade.downscale(hr, scale), scale), hr)
             for hr in map(images.read_rgb, images.image_files(VALID))]
    assert np.mean([metrics.psnr_y(*pair, scale) for pair in pairs]) == pytest.approx(
        psnr_db, abs=6e-4)
    assert np.mean([metrics.ssim_y(*pair, scale) for pair in pairs]) == pytest.approx(
        ssim, abs=6e-5)


def test_a_reference_with_a_remainder_is_cropped_at_the_bottom_and_right():
    sr, hr = random_pair(36, 33)
    larger = np.pad(hr, ((0, 2), (0, 1), (0, 0)), mode='constant', constant_values=255)
    assert metrics.psnr_y(sr, larger, 3) == metrics.psnr_y(sr, hr, 3)
    assert metrics.ssim_y(sr, larger, 3) == metrics.ssim_y(sr, hr, 3)


@pytest.mark.parametrize('shape', [(40, 33), (40, 33, 1)])
def test_a_grey_image_counts_as_rgb_with_equal_channels(shape):
    sr, hr = random_pair()
    grey = hr[..., 0].reshape(shape)
    grey_rgb = np.dstack([hr[..., 0]] * 3)
    assert metrics.psnr_y(sr, grey, 2) == metrics.psnr_y(sr, grey_rgb, 2)
    assert metrics.ssim_y(grey, sr, 2) == metrics.ssim_y(grey_rgb, sr, 2)


def black(height, width, channels=3, dtype=np.uint8):
    return np.zeros((height, width, channels), dtype)


@pytest.mark.parametrize('metric', [metrics.psnr_y, metrics.ssim_y])
@pytest.mark.parametrize('sr, hr, scale, complaint', [
    (black(40, 40), black(39, 40), 2, 'no pair at x2: output 40x40, reference 39x40'),
    (black(40, 40), black(40, 39), 2, 'reference 40x39'),
    (black(40, 40), black(42, 40), 2, 'reference 42x40'),
    (black(20, 20), black(40, 40), 2, 'output 20x20, reference 40x40'),
    (black(4, 40), black(4, 40), 2, 'image of 4x40 is too small'),
    (black(40, 40, dtype=np.float32), black(40, 40), 2, 'must be uint8, not float32'),
    (black(40, 40), black(40, 40, dtype=np.uint16), 2, 'must be uint8, not uint16'),
    (black(40, 40, 4), black(40, 40), 2, r'not \[40, 40, 4\]'),
    (black(40, 40)[..., np.newaxis], black(40, 40), 2, r'not \[40, 40, 3, 1\]'),
    (black(40, 40), black(40, 40), 0, 'scale must be at least 1, not 0'),
])
def test_images_that_cannot_be_compared_are_refused(metric, sr, hr, scale, complaint):
    with pytest.raises(ValueError, match=complaint):
        metric(sr, hr, scale)


def test_psnr_needs_one_pixel_inside_the_shave():
    assert metrics.psnr_y(black(5, 5), black(5, 5), 2) == math.inf
    with pytest.raises(ValueError, match='5x4 is too small: at least 1 x 1'):
        metrics.psnr_y(black(5, 4), black(5, 4), 2)


def test_ssim_needs_room_for_one_window_inside_the_shave():
    fits, short = black(15, 15), black(15, 14)
    assert metrics.ssim_y(fits, fits, 2) == 1
    assert metrics.psnr_y(short, short, 2) == math.inf
    with pytest.raises(ValueError, match='15x14 is too small: at least 11 x 11'):
        metrics.ssim_y(short, short, 2)
