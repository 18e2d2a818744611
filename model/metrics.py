# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM on luma, as the super-resolution field computes them.

The definition is that of RCAN's Evaluate_PSNR_SSIM.m (https://github.com/yulunzhang/RCAN).  It is
worth its details at x2: rounding Y costs 0.09 dB, no shave 0.03, full-range Y 1.3, RGB 2.2.
"""

import math
from typing import Tuple

import numpy as np

PEAK = 255.0
SSIM_WINDOW = 11                  # pixels; this and the next two: Wang et al. 2004, section III.C
SSIM_SIGMA = 1.5                  # pixels
SSIM_K = (0.01, 0.03)


def luma(rgb: np.ndarray) -> np.ndarray:
    """RGB [..., 3] in 0..255 -> Y [...] in 16..235, float64 and not rounded (BT.601 studio range).

    Raises ValueError where the last axis is not 3 long.
    """
    if np.shape(rgb)[-1:] != (3,):
        raise ValueError(f'RGB must be [..., 3], not {list(np.shape(rgb))}')
    r, g, b = np.moveaxis(np.asarray(rgb, dtype=np.float64), -1, 0)
    return 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255


def psnr_y(sr: np.ndarray, hr: np.ndarray, scale: int) -> float:
    """PSNR in dB of the luma of two uint8 images, `scale` pixels shaved off; inf if they are equal.

    sr [h, w, 3], hr the same or up to scale - 1 pixels larger; grey [h, w] counts as RGB.
    Raises ValueError for images that are no such pair or have nothing left inside the shave.
    """
    y_sr, y_hr = _luma_pair(sr, hr, scale, least=1)
    mse = np.mean((y_sr - y_hr) ** 2)
    return 10 * math.log10(PEAK ** 2 / mse) if mse else math.inf


def ssim_y(sr: np.ndarray, hr: np.ndarray, scale: int) -> float:
    """SSIM (Wang et al. 2004) of the luma of two uint8 images, shaved like psnr_y; 1 if equal.

    Raises ValueError like psnr_y, and where the window does not fit inside the shave.
    """
    x, y = _luma_pair(sr, hr, scale, least=SSIM_WINDOW)
    c1, c2 = ((k * PEAK) ** 2 for k in SSIM_K)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x ** 2
    var_y = _blur(y * y) - mean_y ** 2
    cov = _blur(x * y) - mean_x * mean_y
    ssim = ((2 * mean_x * mean_y + c1) * (2 * cov + c2)
            / ((mean_x ** 2 + mean_y ** 2 + c1) * (var_x + var_y + c2)))
    return float(np.mean(ssim))


def _luma_pair(sr, hr, scale: int, least: int) -> Tuple[np.ndarray, np.ndarray]:
    """The two images as Y [h - 2 * scale, w - 2 * scale], each side at least `least` pixels."""
    if scale < 1:
        raise ValueError(f'scale must be at least 1, not {scale}')
    sr, hr = _rgb(sr), _rgb(hr)
    h, w = sr.shape[:2]
    # More than scale - 1 pixels over is no remainder of a crop but another image.
    if not (0 <= hr.shape[0] - h < scale and 0 <= hr.shape[1] - w < scale):
        raise ValueError(f'no pair at x{scale}: output {h}x{w}, reference '
                         f'{hr.shape[0]}x{hr.shape[1]} (height x width)')
    if min(h, w) < least + 2 * scale:
        raise ValueError(f'image of {h}x{w} is too small: at least {least} x {least} pixels must '
                         f'be left after a shave of {scale}')
    inner = (slice(scale, h - scale), slice(scale, w - scale))
    return luma(sr[inner]), luma(hr[inner])


def _rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w], [h, w, 1] or [h, w, 3] -> [h, w, 3]; ValueError for anything else."""
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f'an image must be uint8, not {image.dtype}: round and clip it first')
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f'an image must be [h, w, 3] or grey, not {list(image.shape)}')
    return np.broadcast_to(image, image.shape[:2] + (3,))


def _blur(y: np.ndarray) -> np.ndarray:
    """Gaussian mean around every pixel whose whole window fits: [h, w] -> [h - 10, w - 10]."""
    for _ in range(2):            # the window is separable: down the rows, then the same turned
        rows = len(y) - SSIM_WINDOW + 1
        y = sum(weight * y[k:k + rows] for k, weight in enumerate(_gaussian())).T
    return y


def _gaussian() -> np.ndarray:
    """Weights [11] of one side of the window, with sum 1."""
    offset = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-offset ** 2 / (2 * SSIM_SIGMA ** 2))
    return weights / weights.sum()
