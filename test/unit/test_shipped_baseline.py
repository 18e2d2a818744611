# SPDX-License-Identifier: Apache-2.0
"""The accuracy baseline that ships: a fresh machine's first report already judges accuracy."""

from stand_in import ROOT

from harness.baseline import TRAINED, load_all
from harness.records import PSNR
from model import config, data


def test_it_is_of_the_preset_and_the_photographs_that_ship(tmp_path):
    baseline, = (b for b in load_all() if b.match['preset'] == 'smoke' and b.metric == PSNR)
    preset = config.from_args(['--preset=smoke'])
    pairs = data.load_pairs(str(ROOT / 'test/photos/DIV2K_train_HR'), '', 2, str(tmp_path))
    assert baseline.match == {**{name: getattr(preset, name) for name in TRAINED
                                 if name != 'data'}, 'data': data.digest(pairs)}


def test_it_holds_ten_seeds_or_more_all_clearly_better_than_bicubic():
    baseline, = (b for b in load_all() if b.match['preset'] == 'smoke' and b.metric == PSNR)
    # Two PSNRs may agree in four decimals; two seeds' losses do not.
    assert len(baseline.values) == len(set(map(tuple, baseline.losses))) >= 10
    assert min(baseline.values) > 31.537 + 0.5
