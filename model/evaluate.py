# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> images, PSNR and SSIM."""

import csv
import math
import os
from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from model import data, degrade, images, metrics, picture, progress
from model.upscale import Forward, restored, super_resolve

PICTURED = 4  # images in the comparison


class Shown(NamedTuple):
    """A row of the comparison."""

    image: str
    details: Sequence[np.ndarray]   # LR, bicubic, RCAN, HR


class Score(NamedTuple):
    """What one image, or the mean of a set, has come to."""

    test_set: str
    image: str
    psnr_db: float
    ssim: float
    bicubic_psnr_db: float
    bicubic_ssim: float


def test(config, test_sets: Dict[str, Sequence[data.Pair]], log):
    """Measure the checkpoint on every set, log its PSNR, write results.csv and comparison.png.

    Final PSNR is logged for each set; who reads the last one reads the last set's.
    """
    scores: List[Score] = []
    session, upscale = restored(config)
    with session:
        for test_set, pairs in test_sets.items():
            scores += measure(upscale, test_set, pairs, config, log)
            _write_csv(os.path.join(config.result_path, 'results.csv'), scores)
            log(progress.accuracy_lines(scores[-1].psnr_db, scores[-1].bicubic_psnr_db))
    log(_table(scores))


def test_only(config, files: Sequence[str], log):
    """Upscale the files into result_path; grey stays grey, transparency is scaled bicubically."""
    session, upscale = restored(config)
    with session:
        for path in files:
            image = images.read(path)
            alpha = image.alpha
            if alpha is not None:
                alpha = degrade.upscale(np.stack([alpha] * 3, axis=-1), config.scale)[..., 0]
            stem = os.path.splitext(os.path.basename(path))[0]
            written = os.path.join(config.result_path, result_name(stem, config))
            images.write_png(written, super_resolve(upscale, image.rgb, config), alpha, image.grey)
            log(f'{path} -> {written}')


def measure(upscale: Forward, test_set: str, pairs: Sequence[data.Pair], config,
            log, **of) -> List[Score]:
    """The scores of every image, logged as they come, and at last their mean, called `mean`.

    of: what the accuracy is of, to be logged with it: step_num=N of a training.
    """
    log(progress.start('eval', test_set=test_set))
    folder = config.result_folder(test_set)
    scores, shown = [], []
    for pair in pairs:
        lr, hr = np.asarray(pair.lr), np.asarray(pair.hr)
        sr = super_resolve(upscale, lr, config)
        bicubic = degrade.upscale(lr, config.scale)
        scores.append(Score(test_set, pair.name, *_quality(sr, hr, config.scale),
                            *_quality(bicubic, hr, config.scale)))
        log(progress.quality_line(scores[-1].psnr_db, scores[-1].ssim, pair.name))
        if config.save_test_result:
            images.write_png(os.path.join(folder, result_name(pair.name, config)), sr)
        if len(shown) < PICTURED:
            shown.append(Shown(pair.name, picture.details(lr, bicubic, sr, hr, config.scale)))
    if config.mode == 'test':
        _write_comparison(os.path.join(folder, 'comparison.png'), shown, config, log)
    mean = Score(test_set, 'mean', *(float(v) for v in np.mean([s[2:] for s in scores], axis=0)))
    log(progress.event('bicubic_psnr', mean.bicubic_psnr_db, images=len(pairs)))
    log(progress.event('eval_accuracy', mean.psnr_db, ssim=mean.ssim, images=len(pairs), **of))
    log(progress.stop('eval'))
    log(progress.quality_line(mean.psnr_db, mean.ssim, f'{test_set} ({len(pairs)} images)'))
    return [*scores, mean]


def result_name(name: str, config) -> str:
    """The file of an upscaled image, as the reference calls it; name is without extension."""
    return f'{name}X{config.scale}.png'


def _write_comparison(path: str, shown: Sequence[Shown], config, log):
    """Write the picture, and log what it shows, so that others can cut it up and label it."""
    images.write_png(path, picture.table([row.details for row in shown]))
    log(progress.event(
        'comparison', os.path.relpath(path, config.result_path),
        side_px=picture.SIDE_PX, gap_px=picture.GAP_PX,
        rows=[{'image': row.image, 'psnr_db': [_detail_db(d, row.details[-1]) for d in row.details]}
              for row in shown]))


def _detail_db(detail: np.ndarray, hr: np.ndarray) -> Optional[float]:
    """PSNR on Y of exactly the pixels that are shown (LR: its squares), with no shave at all.

    None where they are equal, as HR's own are: the PSNR is infinite, and JSON has no such number.
    """
    framed = [np.pad(d, [(1, 1), (1, 1), (0, 0)], 'constant') for d in (detail, hr)]
    psnr_db = metrics.psnr_y(*framed, scale=1)    # the shave takes only the frame away
    return round(psnr_db, 4) if math.isfinite(psnr_db) else None


def _quality(image: np.ndarray, hr: np.ndarray, scale: int):
    return metrics.psnr_y(image, hr, scale), metrics.ssim_y(image, hr, scale)


def _write_csv(path: str, scores: Sequence[Score]):
    """Replace the file in one step, so that nobody reads half of it."""
    with open(f'{path}.part', 'w', newline='', encoding='utf-8', errors='surrogateescape') as f:
        writer = csv.writer(f, lineterminator='\n')
        writer.writerow(Score._fields)
        writer.writerows([*s[:2], *(f'{value:.4f}' for value in s[2:])] for s in scores)
    os.replace(f'{path}.part', path)


def _table(scores: Sequence[Score]) -> str:
    """The scores as people read them."""
    rows = [('test set', 'image', 'PSNR', 'SSIM', 'bicubic PSNR', 'bicubic SSIM')]
    rows += [(s.test_set, s.image, f'{s.psnr_db:.3f} dB', f'{s.ssim:.4f}',
              f'{s.bicubic_psnr_db:.3f} dB', f'{s.bicubic_ssim:.4f}') for s in scores]
    return progress.table(rows)
