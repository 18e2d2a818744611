# SPDX-License-Identifier: Apache-2.0
"""Every knob on one screen.  The command line is derived from it: a flag for every field.

Names and defaults are those of ModelZoo's RCAN, so that its users' commands go on working.
"""

import argparse
import dataclasses
import math
import os
import re
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

from model.errors import RequestError

MODES = ('train', 'test', 'test_only')
SCALES = (2, 3, 4, 8)
DEVICE_KINDS = ('npu', 'gpu', 'cpu')
OPTIMIZERS = ('adam', 'lamb')
LR_SCHEDULES = ('step', 'cosine')
SET = '{set}'    # what stands for a test set's name in a path

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
    test_set: str = 'benchmark'    # its name; several, Set5,B100, with {set} in the paths above
    patch_size: int = 48           # LR pixels
    in_memory: bool = False        # True: all decoded images in RAM; False: read from the cache
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
    # beyond the paper; the defaults are its recipe, to the bit (recipe.py names the sources)
    optimizer: str = 'adam'        # adam or lamb
    lr_schedule: str = 'step'      # step (decay_step, decay_rate) or cosine (to 0 at max_step)
    warmup_step: int = 0           # steps in which the rate grows from 0 to learning_rate
    accumulate: int = 1            # parts of a batch, one after another: as little memory as one
    ema_decay: float = 0.0         # of a moving average of the weights; 0: none
    # start from another model, or go on
    resume: bool = False           # from the newest checkpoint in model_path, if there is one
    fine_tuning: bool = False
    pre_trained_model: str = ''    # checkpoint prefix, such as ckpt/RCAN_X2_64_10_20-102
    load_tail_part: bool = True    # False: not the upsampling, to go from one scale to another
    # what is written
    log_freq: int = 10000          # steps between two groups of log lines
    model_path: str = './model_dir'
    model_save_freq: int = 200000  # steps between two checkpoints
    test_with_train: bool = False  # measure PSNR at every checkpoint, with the clock stopped
    summary_path: str = ''         # what TensorBoard shows: loss, speed, PSNR and SSIM
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
    precision_mode: str = ''       # NPU, GPU: allow_mix_precision ...; empty: the device's default
    loss_scale: str = ''           # NPU, GPU: a number (fixed) or dynamic (a GPU's default)
    iterations_per_loop: int = 1   # NPU: steps that the device makes at one call
    mix_compile_mode: bool = False  # NPU: operators that it lacks run on the host
    op_compiler_cache_dir: str = ''  # NPU: compiled operators, for later runs; empty: CANN's place
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
        _one_of('optimizer', self.optimizer, OPTIMIZERS)
        _one_of('lr_schedule', self.lr_schedule, LR_SCHEDULES)
        for name in ('patch_size', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio',
                     'batch_size', 'max_step', 'decay_step', 'log_freq', 'model_save_freq',
                     'chop_size', 'accumulate'):
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
        _check(0 <= self.warmup_step < self.max_step, 'warmup_step must be 0 or more and below '
               f'max_step ({self.max_step}), not {self.warmup_step}')
        _check(self.batch_size % self.accumulate == 0, f'batch_size ({self.batch_size}) must be a '
               f'multiple of accumulate ({self.accumulate})')
        _check(0 <= self.ema_decay < 1,
               f'ema_decay must be 0 or more and below 1, not {self.ema_decay}')
        _check(0 <= self.seed < 2 ** 32, f'seed must be from 0 to 2^32 - 1, not {self.seed}')
        names = self.test_set.split(',')
        _check(all(re.fullmatch(r'[\w-][\w.-]*', name) for name in names)
               and len(set(names)) == len(names), 'test_set must be names of letters, digits, '
               f'_ and -, with commas between them and none of them twice, not {self.test_set!r}')
        _check(len(names) == 1 or SET in self.test_GT_path,
               f'several test sets need {SET} in test_GT_path, such as benchmark/{SET}/HR')
        _check(self.chop_shave >= 0, f'chop_shave must be 0 or more, not {self.chop_shave}')
        least = (2 * self.chop_shave + 1) ** 2     # a pixel with its shave around it
        _check(self.chop_size >= least, f'chop_size must be {least} or more with chop_shave '
               f'{self.chop_shave}, not {self.chop_size}: a tile holds its overlap')
        _check(self.test_batch == 1, f'test_batch must be 1, not {self.test_batch}: test images '
               'differ in size, so they are measured one by one')
        _check(self.loss_scale in ('', 'dynamic') or _at_least_one(self.loss_scale),
               f'loss_scale must be dynamic or a number, 1 or more, not {self.loss_scale}')
        loop = self.iterations_per_loop
        _check(loop >= 1, f'iterations_per_loop must be 1 or more, not {loop}')
        _check(loop == 1 or not self.mix_compile_mode, 'iterations_per_loop must be 1 with '
               f'mix_compile_mode, not {loop}: what runs on the host needs it at every step')
        _check(loop == 1 or self.accumulate == 1, 'iterations_per_loop must be 1 with accumulate, '
               f'not {loop}: the host counts the parts of a batch')
        for name in ('max_step', 'log_freq', 'model_save_freq'):
            value = getattr(self, name)
            # Between two calls the host sees no step; a frequency above max_step asks for none.
            _check(value % loop == 0 or value > self.max_step,
                   f'{name} ({value}) must be a multiple of iterations_per_loop ({loop})')
        _check(self.load_tail_part or self.fine_tuning,
               'load_tail_part False is for --fine_tuning True: only that needs no tail')
        needs_model = self.fine_tuning or self.mode != 'train'
        _check(bool(self.pre_trained_model) == needs_model,
               'pre_trained_model is missing: give the prefix of a checkpoint' if needs_model else
               'pre_trained_model does nothing in training without --fine_tuning True')

    @property
    def model_name(self) -> str:
        """The reference's name of a checkpoint: RCAN_X2_64_10_20."""
        return f'RCAN_X{self.scale}_{self.n_feats}_{self.n_RG}_{self.n_RCAB}'

    @property
    def test_sets(self) -> Dict[str, Tuple[str, str]]:
        """Name of every test set -> the folders of its HR and of its LR images."""
        return {name: (self.test_GT_path.replace(SET, name), self.test_LR_path.replace(SET, name))
                for name in self.test_set.split(',')}

    def result_folder(self, test_set: str) -> str:
        """Where the images of a test set go: of several sets, each has a folder of its own."""
        return os.path.join(self.result_path, test_set if ',' in self.test_set else '')


def changed(config: TrainConfig, names: Sequence[str]) -> Dict[str, object]:
    """Those of the fields that are not at their default, which a dataclass keeps on the class."""
    return {name: getattr(config, name) for name in names
            if getattr(config, name) != getattr(TrainConfig, name)}


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
