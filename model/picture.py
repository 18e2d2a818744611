# SPDX-License-Identifier: Apache-2.0
"""The picture that says more than a PSNR: the same detail in LR, bicubic, RCAN and HR (pure)."""

from typing import Sequence

import numpy as np

SIDE = 96      # HR pixels of the detail
ENLARGED = 2   # shown larger, pixel by pixel, so that nothing is smoothed by whoever shows it
GAP = 4        # white pixels between two details


def row(lr: np.ndarray, bicubic: np.ndarray, sr: np.ndarray, hr: np.ndarray,
        scale: int) -> np.ndarray:
    """One image's detail four times, left to right: LR, bicubic, RCAN, HR; uint8 [h, w, 3].

    lr [h, w, 3] is shown in squares of scale pixels; the others are [s*h, s*w, 3].
    """
    blocky = lr.repeat(scale, axis=0).repeat(scale, axis=1)
    y, x = _most_detailed(hr[:sr.shape[0], :sr.shape[1]])
    details = [image[y:y + SIDE, x:x + SIDE] for image in (blocky, bicubic, sr, hr)]
    return _beside([d.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1) for d in details], axis=1)


def column(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of several images, one below the other; those of smaller images are left out."""
    widest = max(r.shape[1] for r in rows)
    return _beside([r for r in rows if r.shape[1] == widest], axis=0)


def _most_detailed(hr: np.ndarray):
    """Corner of the square in which neighbouring pixels differ most: there methods differ too."""
    grey = hr.astype(np.float64).mean(axis=2)
    detail = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:]
    corners = [(y, x) for y in range(0, max(hr.shape[0] - SIDE, 0) + 1, SIDE // 2)
               for x in range(0, max(hr.shape[1] - SIDE, 0) + 1, SIDE // 2)]
    return max(corners, key=lambda c: detail[c[0]:c[0] + SIDE, c[1]:c[1] + SIDE].sum())


def _beside(parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    with_gaps = [p for part in parts for p in (gap, part)][1:]
    return np.concatenate(with_gaps, axis=axis)
