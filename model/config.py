# SPDX-License-Identifier: Apache-2.0
"""Every knob on one screen.  The command line is derived from it: a flag for every field.

Names and defaults are those of ModelZoo's RCAN, so that its users' commands go on working.
"""

import argparse
import dataclasses
import math
from dataclasses import dataclass
from typing import Optional, Sequence

from model.errors import RequestError

MODES = ('train', 'test', 'test_only')
SCALES = (2, 3, 4, 8)
DEVICE_KINDS = ('npu', 'gpu', 'cpu')

# What a preset gives is a default: a flag on the command line goes before it.
PRESETS = {
    # The paper's network (section 4.1); ModelZoo trains it for 102 steps, 1,000,000 converge.
    'paper': {'max_step': 102},
    # Beats bicubic clearly within three minutes on two cores, from scratch.
    'smoke': {'n_RG': 2, 'n_RCAB': 2, 'n_feats': 32, 'learning_rate': 1e-3, 'max_step': 300,
              # A low rate at the end brings seeds closer together: 0.04 dB apart, not 0.13.
              'decay_step': 200, 'decay_rate': 0.2},
}


@dataclass(frozen=True)
class TrainConfig:
    """Defaults: RCAN x2 (https://arxiv.org/abs/1807.02758, section 4.1)."""

    mode: str = 'train'            # train, test (measure against HR) or test_only (just upscale)
    preset: str = 'paper'          # the defaults of the fields below: paper or smoke
    # data; without an LR folder the LR images are made from the HR images (degrade.py)
    train_GT_path: str = './HR'
    train_LR_path: str = ''
    test_GT_path: str = './val_HR'
    test_LR_path: str = ''
    test_set: str = 'benchmark'    # what the test images are called in the log
    patch_size: int = 48           # LR pixels
    in_memory: bool = False        # True: all decoded images in RAM; False: mapped from the cache
    cache_path: str = '.cache'     # decoded images and LR images that we made
    # network
    channel: int = 3
    scale: int = 2
    n_feats: int = 64              # channels of every feature map
    n_RG: int = 10                 # residual groups
    n_RCAB: int = 20               # attention blocks in each group
    kernel_size: int = 3
    ratio: int = 16                # channel reduction inside the attention
    # optimisation
    batch_size: int = 16
    max_step: int = 1000000
    learning_rate: float = 1e-4
    decay_step: int = 200000       # steps until the rate is multiplied by decay_rate
    decay_rate: float = 0.5
    seed: int = 0                  # of the initial weights, the patches and their order
    # start from another model
    fine_tuning: bool = False
    pre_trained_model: str = ''    # checkpoint prefix, such as ckpt/RCAN_X2_64_10_20-102
    load_tail_part: bool = True    # False: not the upsampling, to go from one scale to another
    # what is written
    log_freq: int = 10000          # steps between two groups of log lines
    model_path: str = './model_dir'
    model_save_freq: int = 200000  # steps between two checkpoints
    test_with_train: bool = False  # measure PSNR at every checkpoint, with the clock stopped
    # evaluation
    self_ensemble: bool = False    # mean over the eight flips and rotations
    chop_forward: bool = False     # in overlapping tiles, for images too large for the memory
    chop_size: int = 40000         # LR pixels of a tile at the most, overlap included
    chop_shave: int = 10           # LR pixels that a tile overlaps its neighbour by, on each side
    test_batch: int = 1
    save_test_result: bool = False
    result_path: str = './result'
    # device
    device_kind: str = 'cpu'       # npu, gpu or cpu; which one of them: $ASCEND_DEVICE_ID
    precision_mode: str = ''       # NPU: allow_mix_precision ...; empty: the device's own default
    loss_scale: str = ''           # NPU: a number (fixed) or dynamic
    profiling: bool = False        # NPU
    over_dump: bool = False        # NPU: dump the operators that overflow
    data_dump_flag: bool = False   # NPU: dump the tensors of the steps below
    data_dump_step: str = '10'     # such as 0|5|10-20
    dump_path: str = './dump'      # where profiles and dumps go

    def __post_init__(self):
        _one_of('mode', self.mode, MODES)
        _one_of('preset', self.preset, tuple(PRESETS))
        _one_of('scale', self.scale, SCALES)
        _one_of('device_kind', self.device_kind, DEVICE_KINDS)
        for name in ('patch_size', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio',
                     'batch_size', 'max_step', 'decay_step', 'log_freq', 'model_save_freq',
                     'chop_size'):
            _check(getattr(self, name) >= 1, f'{name} must be 1 or more, not {getattr(self, name)}')
        _check(self.channel == 3, f'channel must be 3, not {self.channel}: the mean shift, the '
               'images and the metric are RGB')
        _check(self.kernel_size % 2 == 1, f'kernel_size must be odd, not {self.kernel_size}')
        _check(self.n_feats % self.ratio == 0,
               f'n_feats ({self.n_feats}) must be a multiple of ratio ({self.ratio})')
        _check(0 < self.learning_rate < 1,
               f'learning_rate must be between 0 and 1, not {self.learning_rate}')
        _check(0 < self.decay_rate <= 1,
               f'decay_rate must be above 0 and at most 1, not {self.decay_rate}')
        _check(0 <= self.seed < 2 ** 32, f'seed must be from 0 to 2^32 - 1, not {self.seed}')
        _check(self.chop_shave >= 0, f'chop_shave must be 0 or more, not {self.chop_shave}')
        _check(self.test_batch == 1, f'test_batch must be 1, not {self.test_batch}: test images '
               'differ in size, so they are measured one by one')
        _check(self.loss_scale in ('', 'dynamic') or _at_least_one(self.loss_scale),
               f'loss_scale must be dynamic or a number, 1 or more, not {self.loss_scale}')
        needs_model = self.fine_tuning or self.mode != 'train'
        _check(bool(self.pre_trained_model) == needs_model,
               'pre_trained_model is missing: give the prefix of a checkpoint' if needs_model else
               'pre_trained_model does nothing in training without --fine_tuning True')

    @property
    def model_name(self) -> str:
        """The reference's name of a checkpoint: RCAN_X2_64_10_20."""
        return f'RCAN_X{self.scale}_{self.n_feats}_{self.n_RG}_{self.n_RCAB}'


def from_args(argv: Optional[Sequence[str]] = None) -> TrainConfig:
    """Read the command line; raise RequestError where a value breaks a rule."""
    parser = Parser(
        prog='model/main.py', allow_abbrev=False,
        description='Train RCAN, measure it, or upscale images with it.')
    for field in dataclasses.fields(TrainConfig):
        parser.add_argument(f'--{field.name}', default=field.default, metavar='',
                            type=_boolean if field.type is bool else field.type,
                            help='default: %(default)s')
    preset = parser.parse_args(argv).preset
    _one_of('preset', preset, tuple(PRESETS))
    parser.set_defaults(**PRESETS[preset])
    return TrainConfig(**vars(parser.parse_args(argv)))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other bad request."""

    def error(self, message):
        raise RequestError(message)


def _boolean(text: str) -> bool:
    try:
        return {'true': True, 'false': False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f'must be True or False, not {text!r}') from None


def _at_least_one(text: str) -> bool:
    try:
        return 1 <= float(text) < math.inf
    except ValueError:
        return False


def _one_of(name: str, value, allowed: tuple):
    _check(value in allowed, f'{name} must be one of {", ".join(map(str, allowed))}, not {value}')


def _check(holds: bool, rule: str):
    if not holds:
        raise RequestError(rule)
