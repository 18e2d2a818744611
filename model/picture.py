# SPDX-License-Identifier: Apache-2.0
"""The picture that says more than a PSNR: the same detail in LR, bicubic, RCAN and HR (pure)."""

from typing import List, Sequence

import numpy as np

SIDE = 96      # HR pixels of the detail
ENLARGED = 2   # shown larger, pixel by pixel, so that nothing is smoothed by whoever shows it
SIDE_PX = SIDE * ENLARGED
GAP_PX = 4     # white between two squares


def details(lr: np.ndarray, bicubic: np.ndarray, sr: np.ndarray, hr: np.ndarray,
            scale: int) -> List[np.ndarray]:
    """The same detail of LR, bicubic, RCAN and HR; uint8 [h, w, 3], no side above SIDE.

    lr [h, w, 3] has squares of scale pixels there; the others are [s*h, s*w, 3], hr perhaps a bit
    larger.
    """
    blocky = lr.repeat(scale, axis=0).repeat(scale, axis=1)
    hr = hr[:sr.shape[0], :sr.shape[1]]
    y, x = _most_detailed(hr)
    # Copies: a view would keep the whole image in memory.
    return [image[y:y + SIDE, x:x + SIDE].copy() for image in (blocky, bicubic, sr, hr)]


def table(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The details of several images, one image a row, as squares with white between them.

    What a detail lacks to a square, because its image is smaller, is white.
    """
    return _beside([_beside([_square(detail) for detail in row], axis=1) for row in rows], axis=0)


def _square(detail: np.ndarray) -> np.ndarray:
    """Enlarged: [SIDE_PX, SIDE_PX, 3]."""
    square = np.full([SIDE, SIDE, 3], 255, np.uint8)
    square[:detail.shape[0], :detail.shape[1]] = detail
    return square.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)


def _most_detailed(hr: np.ndarray):
    """Corner of the square in which neighbouring pixels differ most: there methods differ too."""
    grey = hr.astype(np.float64).mean(axis=2)
    detail = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:]
    corners = [(y, x) for y in range(0, max(hr.shape[0] - SIDE, 0) + 1, SIDE // 2)
               for x in range(0, max(hr.shape[1] - SIDE, 0) + 1, SIDE // 2)]
    return max(corners, key=lambda c: detail[c[0]:c[0] + SIDE, c[1]:c[1] + SIDE].sum())


def _beside(parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
    shape = list(parts[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, 255, np.uint8)
    with_gaps = [p for part in parts for p in (gap, part)][1:]
    return np.concatenate(with_gaps, axis=axis)
