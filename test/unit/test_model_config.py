# SPDX-License-Identifier: Apache-2.0
"""The training's command line and what it refuses.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny

from model.config import PRESETS, TrainConfig, from_args
from model.errors import RequestError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ModelZoo's flag: its type and a value that is not the default.
MODELZOO_FLAGS = {
    'train_GT_path': (str, 'a/HR'), 'train_LR_path': (str, 'a/LR'), 'test_GT_path': (str, 'b/HR'),
    'test_LR_path': (str, 'b/LR'), 'patch_size': (int, 24), 'result_path': (str, 'r'),
    'model_path': (str, 'm'), 'in_memory': (bool, True), 'batch_size': (int, 4),
    'max_step': (int, 7), 'learning_rate': (float, 2e-4), 'decay_step': (int, 9),
    'decay_rate': (float, 0.25), 'test_with_train': (bool, True),
    'save_test_result': (bool, True), 'mode': (str, 'test'), 'fine_tuning': (bool, True),
    'load_tail_part': (bool, False), 'log_freq': (int, 5), 'model_save_freq': (int, 6),
    'pre_trained_model': (str, 'ckpt/m-1'), 'self_ensemble': (bool, True),
    'chop_forward': (bool, True), 'chop_shave': (int, 4), 'chop_size': (int, 900),
    'test_batch': (int, 1), 'test_set': (str, 'Set5'), 'channel': (int, 3), 'scale': (int, 4),
    'n_feats': (int, 32), 'n_RG': (int, 3), 'n_RCAB': (int, 2), 'kernel_size': (int, 5),
    'ratio': (int, 8),
}
ONLY_VALUE = {'channel', 'test_batch'}       # here the only value that makes sense is the default
BOOLEANS = sorted(f.name for f in dataclasses.fields(TrainConfig) if f.type is bool)

# What must stand beside a flag for it to make sense.
COMPANIONS = {'pre_trained_model': ['--fine_tuning', 'True'],
              'fine_tuning': ['--pre_trained_model', 'p'],
              'load_tail_part': ['--fine_tuning', 'True', '--pre_trained_model', 'p'],
              'mode': ['--pre_trained_model', 'p']}


# --- what is accepted ---------------------------------------------------------------------------

@pytest.mark.parametrize('name', MODELZOO_FLAGS)
def test_every_flag_of_modelzoo_is_accepted_with_its_type(name):
    kind, value = MODELZOO_FLAGS[name]
    companions = COMPANIONS.get(name, [])
    read = getattr(from_args([f'--{name}', str(value), *companions]), name)
    assert (type(read), read) == (kind, value)
    assert read == getattr(from_args([f'--{name}={value}', *companions]), name)
    assert name in ONLY_VALUE or read != getattr(from_args([]), name)


def test_all_flags_of_modelzoo_go_together():
    argv = [f'--{name}={value}' for name, (_, value) in MODELZOO_FLAGS.items()]
    read = from_args(argv)
    assert {name: getattr(read, name) for name in MODELZOO_FLAGS} == {
        name: value for name, (_, value) in MODELZOO_FLAGS.items()}


def test_without_flags_it_is_the_papers_network_for_modelzoos_102_steps():
    read = from_args([])
    assert (read.preset, read.scale, read.n_RG, read.n_RCAB, read.n_feats, read.ratio) == (
        'paper', 2, 10, 20, 64, 16)
    assert (read.batch_size, read.patch_size, read.learning_rate, read.max_step) == (
        16, 48, 1e-4, 102)
    assert (read.decay_step, read.decay_rate) == (200000, 0.5)


def test_a_preset_changes_the_defaults():
    read = from_args(['--preset', 'smoke'])
    assert (read.preset, read.n_RG, read.n_RCAB, read.n_feats) == ('smoke', 2, 2, 32)
    assert (read.learning_rate, read.batch_size, read.patch_size) == (1e-3, 16, 48)
    assert {name: getattr(read, name) for name in PRESETS['smoke']} == PRESETS['smoke']


@pytest.mark.parametrize('argv', [['--n_RG=5', '--preset=smoke'], ['--preset=smoke', '--n_RG=5']])
def test_a_flag_goes_before_the_preset_wherever_it_stands(argv):
    read = from_args(argv)
    assert (read.n_RG, read.n_RCAB) == (5, PRESETS['smoke']['n_RCAB'])


def test_a_flag_with_the_papers_value_goes_before_the_preset_too():
    assert from_args(['--preset=smoke', '--n_feats=64']).n_feats == 64


@pytest.mark.parametrize('text, value', [('True', True), ('true', True), ('False', False),
                                         ('false', False)])
@pytest.mark.parametrize('name', ['in_memory', 'self_ensemble'])
def test_a_boolean_is_true_or_false(name, text, value):
    assert getattr(from_args([f'--{name}', text]), name) is value


@pytest.mark.parametrize('text', ['dynamic', '1', '1024', '65536.0', ''])
def test_the_loss_scale_is_a_number_or_dynamic(text):
    assert from_args([f'--loss_scale={text}']).loss_scale == text


def test_a_checkpoint_is_called_as_the_reference_calls_it():
    assert TrainConfig().model_name == 'RCAN_X2_64_10_20'
    assert from_args(['--preset=smoke', '--scale=3']).model_name == 'RCAN_X3_32_2_2'


def test_a_configuration_does_not_change_any_more():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().scale = 3


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as ended:
        from_args(['--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [f.name for f in dataclasses.fields(TrainConfig) if f'--{f.name} ' not in text] == []


@pytest.mark.parametrize('names', ['Set5', 'Set5,B100', 'B-100,_1,a.b,7'])
def test_test_sets_are_named_with_commas_between_them(names):
    read = from_args([f'--test_set={names}', '--test_GT_path=b/{set}/HR/{set}',
                      '--test_LR_path=b/{set}/LR'])
    assert read.test_sets == {
        name: (f'b/{name}/HR/{name}', f'b/{name}/LR') for name in names.split(',')}
    assert list(read.test_sets) == names.split(',')


def test_a_test_set_needs_no_place_for_its_name_in_the_paths():
    assert from_args(['--test_set=Set5']).test_sets == {'Set5': ('./val_HR', '')}
    several = from_args(['--test_set=a,b', '--test_GT_path={set}', '--test_LR_path=all_LR'])
    assert several.test_sets == {'a': ('a', 'all_LR'), 'b': ('b', 'all_LR')}


def test_only_of_several_test_sets_each_has_a_result_folder():
    assert TrainConfig(test_set='a', result_path='r').result_folder('a') in ('r', 'r/')
    several = TrainConfig(test_set='a,b', test_GT_path='{set}', result_path='r')
    assert [several.result_folder(name) for name in 'ab'] == ['r/a', 'r/b']


# --- what is refused ----------------------------------------------------------------------------

@pytest.mark.parametrize('name', BOOLEANS)
@pytest.mark.parametrize('text', ['', 't', 'rue', '1', '0', 'yes', 'no', 'Truee', 'None'])
def test_anything_else_is_no_boolean(name, text):  # (32)
    with pytest.raises(RequestError, match=f'--{name}: must be True or False, not {text!r}$'):
        from_args([f'--{name}={text}'])


@pytest.mark.parametrize('scale', [1, 5, 6, 7, 9, 16, 0, -2])
def test_a_scale_that_the_network_cannot_do_is_refused(scale):  # (25)
    with pytest.raises(RequestError, match=f'^scale must be one of 2, 3, 4, 8, not {scale}$'):
        from_args([f'--scale={scale}'])


@pytest.mark.parametrize('flags, complaint', [
    ('--bacth_size=32', 'unrecognized arguments: --bacth_size=32'),
    ('--max=12', 'unrecognized arguments: --max=12'),                   # an abbreviation
    ('--learning 0.1', 'unrecognized arguments: --learning 0.1'),
    ('12', 'unrecognized arguments: 12'),
    ('--max_step', 'argument --max_step: expected one argument'),
    ('--max_step=many', "argument --max_step: invalid int value: 'many'"),
    ('--max_step=1.5', "argument --max_step: invalid int value: '1.5'"),
    ('--learning_rate=fast', "argument --learning_rate: invalid float value: 'fast'"),
    ('--mode=trian', 'mode must be one of train, test, test_only, not trian'),
    ('--preset=large', 'preset must be one of paper, smoke, not large'),
    ('--device_kind=tpu', 'device_kind must be one of npu, gpu, cpu, not tpu'),
    ('--channel=1', 'channel must be 3, not 1: the mean shift, the images and the metric are RGB'),
    ('--kernel_size=4', 'kernel_size must be odd, not 4'),
    ('--n_feats=40', 'n_feats (40) must be a multiple of ratio (16)'),
    ('--learning_rate=0', 'learning_rate must be between 0 and 1, not 0.0'),
    ('--learning_rate=1', 'learning_rate must be between 0 and 1, not 1.0'),
    ('--learning_rate=nan', 'learning_rate must be between 0 and 1, not nan'),
    ('--decay_rate=0', 'decay_rate must be above 0 and at most 1, not 0.0'),
    ('--decay_rate=1.1', 'decay_rate must be above 0 and at most 1, not 1.1'),
    ('--seed=-1', 'seed must be from 0 to 2^32 - 1, not -1'),
    ('--seed=4294967296', 'seed must be from 0 to 2^32 - 1, not 4294967296'),
    ('--load_tail_part=False', 'load_tail_part False is for --fine_tuning True: only that needs '
     'no tail'),
    ('--chop_shave=-1', 'chop_shave must be 0 or more, not -1'),
    ('--chop_size=440', 'chop_size must be 441 or more with chop_shave 10, not 440: a tile '
     'holds its overlap'),
    ('--test_batch=2', 'test_batch must be 1, not 2: test images differ in size, so they are '
                       'measured one by one'),                          # (44)
    ('--loss_scale=0.5', 'loss_scale must be dynamic or a number, 1 or more, not 0.5'),
    ('--loss_scale=nan', 'loss_scale must be dynamic or a number, 1 or more, not nan'),
    ('--loss_scale=inf', 'loss_scale must be dynamic or a number, 1 or more, not inf'),
    ('--loss_scale=high', 'loss_scale must be dynamic or a number, 1 or more, not high'),
    ('--mode=test', 'pre_trained_model is missing: give the prefix of a checkpoint'),
    ('--mode=test_only', 'pre_trained_model is missing: give the prefix of a checkpoint'),
    ('--fine_tuning=True', 'pre_trained_model is missing: give the prefix of a checkpoint'),
    ('--pre_trained_model=p', 'pre_trained_model does nothing in training without --fine_tuning '
                              'True'),
])
def test_a_request_that_makes_no_sense_is_refused_in_one_line(flags, complaint):
    with pytest.raises(RequestError) as refused:
        from_args(flags.split(' '))
    assert str(refused.value) == complaint


@pytest.mark.parametrize('name', ['patch_size', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size',
                                  'ratio', 'batch_size', 'max_step', 'decay_step', 'log_freq',
                                  'model_save_freq', 'chop_size'])
@pytest.mark.parametrize('value', [0, -1])
def test_what_is_counted_starts_at_one(name, value):
    with pytest.raises(RequestError, match=f'^{name} must be 1 or more, not {value}$'):
        TrainConfig(**{name: value})


def test_values_at_the_edge_are_allowed():
    TrainConfig(seed=2 ** 32 - 1, chop_shave=0, decay_rate=1.0, max_step=1, batch_size=1,
                patch_size=1, kernel_size=1, learning_rate=0.999999)


# --- the program --------------------------------------------------------------------------------

@pytest.fixture
def program(tmp_path):
    """Run model/main.py where importing TensorFlow ends it with status 99."""
    (tmp_path / 'tensorflow.py').write_text('import os\nos._exit(99)\n')
    environ = {**os.environ, 'PYTHONPATH': str(tmp_path)}

    def run(*flags):
        return subprocess.run([sys.executable, os.path.join(ROOT, 'model', 'main.py'), *flags],
                              cwd=str(tmp_path), env=environ, capture_output=True, text=True)
    return run


@pytest.mark.parametrize('flag', ['--max=12', '--no_such_flag=1'])
def test_an_unknown_flag_ends_the_program_before_tensorflow_is_loaded(program, flag):
    done = program(flag)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == f'main.py: unrecognized arguments: {flag}\n'


@pytest.mark.parametrize('mode', ['test', 'train'])
@pytest.mark.parametrize('names', ['', ',', 'a,', ',a', 'a,,b', 'a,a', 'a,b,a', '../x', 'a/b', '..',
                                   '.', '.a', '/a', 'a b', 'a, b', 'a*', '{set}'])
def test_names_of_test_sets_that_are_none_are_refused_before_tensorflow_is_loaded(program, mode,
                                                                                 names):
    model = ['--pre_trained_model=p'] if mode == 'test' else []
    done = program(f'--mode={mode}', f'--test_set={names}', '--test_GT_path={set}', *model)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == ('main.py: test_set must be names of letters, digits, _ and -, with '
                           f'commas between them and none of them twice, not {names!r}\n')


def test_several_test_sets_in_one_folder_are_refused_before_tensorflow_is_loaded(program):
    done = program('--mode=test', '--test_set=Set5,B100', '--test_GT_path=HR',
                   '--pre_trained_model=p')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == ('main.py: several test sets need {set} in test_GT_path, such as '
                           'benchmark/{set}/HR\n')


def test_data_are_checked_before_tensorflow_is_loaded(program, tmp_path):
    tiny.write(tmp_path / 'HR', a=np.zeros((40, 40, 3), np.uint8))
    small = program('--train_GT_path=HR')
    assert (small.returncode, small.stderr) == (
        2, 'main.py: LR images smaller than --patch_size 48: a (20x20)\n')
    assert program('--train_GT_path=HR', '--patch_size=20').returncode == 99


def test_images_to_upscale_are_checked_before_tensorflow_is_loaded(program, tmp_path):
    flags = ['--mode=test_only', '--test_LR_path=small', '--pre_trained_model=p']
    tiny.write(tmp_path / 'small', a=tiny.noise(40, 40))
    assert program(*flags).returncode == 99
    os.truncate(str(tmp_path / 'small' / 'a.png'), 900)
    done = program(*flags, '--result_path=other')
    assert done.returncode == 2
    assert 'small/a.png: ' in done.stderr and done.stderr.count('\n') == 1
    assert not (tmp_path / 'other').exists()


def test_a_folder_that_cannot_be_made_is_named_in_one_line(program, tmp_path):
    tiny.write(tmp_path / 'HR', a=np.zeros((40, 40, 3), np.uint8))
    done = program('--train_GT_path=HR', '--patch_size=8', '--model_path=tensorflow.py/ckpt')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'tensorflow.py' in done.stderr
