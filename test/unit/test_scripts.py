# SPDX-License-Identifier: Apache-2.0
"""ModelZoo's scripts, run whole with a stand-in for python3.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import os
import platform

import pytest
from stand_in import training_log

FULL, PERFORMANCE = 'train_full_1p.sh', 'train_performance_1p.sh'
SCRIPTS = [FULL, PERFORMANCE]
FULL_CASE = 'RCAN_ID0268_for_TensorFlow_smoke_bs16_1p_acc'
PERFORMANCE_CASE = 'RCAN_ID0268_for_TensorFlow_smoke_bs16_1p_perf'


@pytest.fixture(params=SCRIPTS)
def name(request):
    return request.param


# --- what a success leaves ----------------------------------------------------------------------

def test_the_full_script_leaves_modelzoos_result_file(project):
    done = project.script(FULL)
    assert (done.returncode, done.stderr) == (0, '')
    text = project.results()[f'{FULL_CASE}.log']
    lines = dict(line.split(' = ') for line in text.splitlines())
    assert list(lines) == ['Network', 'RankSize', 'BatchSize', 'DeviceType', 'CaseName',
                           'ActualFPS', 'TrainAccuracy', 'TrainingTime', 'ActualLoss',
                           'E2ETrainingTime']
    assert lines['Network'] == 'RCAN_ID0268_for_TensorFlow'
    assert lines['DeviceType'] == platform.machine()
    assert lines['CaseName'] == FULL_CASE
    assert lines['E2ETrainingTime'].isdigit()


def test_the_speed_is_the_median_and_not_the_last_step(project, name):  # (11)
    project.script(name)
    assert 'ActualFPS = 32.0000\n' in ''.join(project.results().values())


def test_training_time_is_in_milliseconds(project, name):  # (14)
    project.script(name)
    assert 'TrainingTime = 500.0000\n' in ''.join(project.results().values())


def test_both_scripts_report_the_last_loss_of_the_same_log(project, name):  # (12)
    project.script(name)
    assert 'ActualLoss = 94.0000\n' in ''.join(project.results().values())


def test_the_full_script_measures_the_psnr(project):  # (15)
    project.script(FULL)
    assert 'TrainAccuracy = 32.5000\n' in project.results()[f'{FULL_CASE}.log']


def test_the_performance_script_claims_no_accuracy(project):
    project.script(PERFORMANCE)
    assert 'TrainAccuracy = None\n' in project.results()[f'{PERFORMANCE_CASE}.log']
    assert '--mode=test' not in project.calls.read_text()


def test_the_losses_go_to_both_names_that_scrapers_know(project):  # (13)
    project.script(PERFORMANCE)
    new, old = (project.output() / f'{prefix}{PERFORMANCE_CASE}_loss.txt'
                for prefix in ('train_', ''))
    assert new.read_text() == old.read_text()
    assert len(new.read_text().splitlines()) == 12
    assert new.read_text().splitlines()[-1] == '94.0000'


def test_modelzoos_last_lines_are_printed(project):
    lines = project.script(FULL).stdout.splitlines()
    assert 'Final Performance images/sec : 32.0000' in lines
    assert 'Final Train Accuracy : 32.5000' in lines
    assert any(line.startswith('E2E Training Duration sec : ') for line in lines)


def test_the_log_is_what_the_model_printed_byte_for_byte(project):
    odd = r'100% of C:\new\table, "quoted" $HOME `id` *' + '\n  indented\t\n'
    project.train.write_text(odd + training_log() + odd)
    project.script(PERFORMANCE)
    assert (project.output() / 'train_0.log').read_text() == project.train.read_text()


def test_checkpoints_go_to_the_results_folder(project, name):  # (16)
    project.script(name)
    assert project.flags()['model_path'] == str(project.output() / 'ckpt')
    assert (project.output() / 'ckpt').is_dir()


def test_the_evaluation_takes_the_checkpoint_that_was_just_trained(project):
    project.script(FULL)
    assert project.flags('test')['pre_trained_model'] == str(
        project.output() / 'ckpt/RCAN_X2_32_2_2-12')


def test_too_few_steps_for_a_speed_give_none_and_not_a_number(project):
    project.train.write_text(training_log(steps=3))
    done = project.script(PERFORMANCE, '--max_step=3')
    assert done.returncode == 0
    assert 'ActualFPS = None\n' in project.results()[f'{PERFORMANCE_CASE}.log']


def test_the_scripts_change_nothing_but_the_results(project, name):
    def state():
        return {p: p.read_bytes() for p in project.root.rglob('*')
                if p.is_file() and 'output' not in p.parts and '__pycache__' not in p.parts}

    before = state()
    project.script(name)
    assert state() == before


# --- failures -----------------------------------------------------------------------------------

def test_a_failed_training_fails_the_script(project, name):  # (4)
    done = project.script(name, TRAIN='exit 7')
    assert done.returncode == 7
    assert 'status 7' in done.stderr
    assert not project.results()


def test_a_training_that_crashes_on_the_way_leaves_no_result_file(project, name):  # (4)
    project.script(name)
    project.train.write_text(training_log(until_step=5))
    done = project.script(name, TRAIN=f'cat {project.train}; echo Traceback >&2; exit 1')
    assert done.returncode == 1
    assert not project.results()
    assert 'Traceback' in (project.output() / 'train_0.log').read_text()


def test_a_run_that_does_not_begin_leaves_the_last_results(project, name):
    project.script(name)
    before = project.results(), (project.output() / 'train_0.log').read_text()
    done = project.script(name, TRAIN='echo no such device >&2; exit 2')
    assert done.returncode == 2
    assert (project.results(), (project.output() / 'train_0.log').read_text()) == before
    assert (project.output() / 'failed_start.log').read_text() == 'no such device\n'
    assert 'failed_start.log' in done.stderr


def test_a_failed_evaluation_fails_the_script(project):
    done = project.script(FULL, TEST='exit 9')
    assert done.returncode == 9
    assert not project.results()


def test_a_training_that_ends_without_a_speed_is_no_success(project, name):
    done = project.script(name, TRAIN=f"grep -v 'Final images/sec' {project.train}")
    assert done.returncode != 0
    assert "no 'Final images/sec : '" in done.stderr
    assert not project.results()


# --- flags --------------------------------------------------------------------------------------

@pytest.mark.parametrize('flag', ['--batch=32', '--batch_size=32'])
def test_the_batch_size_reaches_the_training_and_the_label(project, name, flag):  # (3)
    project.script(name, flag)
    assert project.flags()['batch_size'] == '32'
    assert 'BatchSize = 32\n' in ''.join(project.results().values())
    assert all('_bs32_1p_' in case for case in project.results())


@pytest.mark.parametrize('given, expected', [  # (1, 2)
    ('--max_step=77', 'max_step=77'),
    ('--learning_rate=0.01', 'learning_rate=0.01'),
    ('--save_interval=5', 'model_save_freq=5'),
    ('--precision_mode=force_fp16', 'precision_mode=force_fp16'),
    ('--loss_scale=1024', 'loss_scale=1024'),
    ('--profiling=True', 'profiling=True'),
    ('--over_dump=True', 'over_dump=True'),
    ('--data_dump_flag=True', 'data_dump_flag=True'),
    ('--data_dump_step=0|5', 'data_dump_step=0|5'),
    ('--seed=3', 'seed=3'),
    ('--scale=3', 'scale=3'),
    ('--patch_size=24', 'patch_size=24'),
    ('--optimizer=lamb', 'optimizer=lamb'),
    ('--lr_schedule=cosine', 'lr_schedule=cosine'),
    ('--warmup_step=9', 'warmup_step=9'),
    ('--accumulate=2', 'accumulate=2'),
    ('--ema_decay=0.9', 'ema_decay=0.9'),
    ('--resume=True', 'resume=True'),
    ('--summary_path=/somewhere', 'summary_path=/somewhere'),
    ('--iterations_per_loop=6', 'iterations_per_loop=6'),
    ('--iterations_per_loop=6', 'log_freq=6'),
    ('--mix_compile_mode=True', 'mix_compile_mode=True'),
    ('--op_compiler_cache_dir=/somewhere', 'op_compiler_cache_dir=/somewhere'),
    ('--preset=paper', 'preset=paper'),
    ('--modeldir=/somewhere else', 'model_path=/somewhere else'),
])
def test_every_flag_reaches_the_training(project, name, given, expected):
    flag, value = expected.split('=', 1)
    project.script(name, given.replace('/somewhere', f'{project.bin}/somewhere'))
    assert project.flags()[flag] == value.replace('/somewhere', f'{project.bin}/somewhere')


def test_the_scale_is_in_the_label_the_evaluation_and_the_folder_of_lr_images(project):
    for split in ('train', 'valid'):
        (project.root / f'test/photos/DIV2K_{split}_LR_bicubic/X3').mkdir(parents=True)
    project.script(FULL, '--scale=3')
    assert list(project.results()) == ['RCAN_ID0268_for_TensorFlow_smoke_x3_bs16_1p_acc.log']
    assert project.flags('test')['scale'] == '3'
    assert project.flags('train')['train_LR_path'].endswith('DIV2K_train_LR_bicubic/X3')
    assert project.flags('test')['test_LR_path'].endswith('DIV2K_valid_LR_bicubic/X3')


def test_the_evaluation_is_on_the_device_as_the_training_was(project):
    flags = {'precision_mode': 'must_keep_origin_dtype', 'mix_compile_mode': 'True',
             'op_compiler_cache_dir': '/kernels'}
    project.script(FULL, *(f'--{name}={value}' for name, value in flags.items()))
    for mode in ('train', 'test'):
        given = project.flags(mode)
        assert {name: given[name] for name in flags} == flags


@pytest.mark.parametrize('kind, tiles', [('cpu', 'False'), ('npu', 'True')])
def test_an_npu_which_compiles_for_every_size_measures_in_tiles(project, kind, tiles):
    project.script(FULL, '--preset=smoke', RCAN_DEVICE_KIND=kind)
    assert project.flags('test')['chop_forward'] == tiles


@pytest.mark.parametrize('flag, kept', [('--resume=True', True), ('--resume=true', True),
                                        ('--resume=False', False), ('--seed=0', False)])
def test_a_run_that_goes_on_keeps_the_checkpoints_it_goes_on_from(project, name, flag, kept):
    project.script(name)
    (project.output() / 'ckpt/RCAN_X2_32_2_2-6.index').write_text('')
    assert project.script(name, flag).returncode == 0
    assert (project.output() / 'ckpt/RCAN_X2_32_2_2-6.index').exists() == kept


def test_the_training_knows_every_flag_that_the_scripts_give_it(project, name):
    from model.config import TrainConfig
    project.script(name, '--save_interval=5', '--seed=3')
    assert set(project.flags()) <= set(TrainConfig.__dataclass_fields__)


@pytest.mark.parametrize('args, complaint', [
    (['--bacth_size=32'], "unknown or empty argument '--bacth_size=32'"),
    (['--batch_size='], "unknown or empty argument '--batch_size='"),
    (['--max_step', '5'], "unknown or empty argument '--max_step'"),  # (8)
    (['--data_path', '/d'], "unknown or empty argument '--data_path'"),  # (8)
    (['train'], "unknown or empty argument 'train'"),
])
def test_a_wrong_argument_is_refused_before_anything_happens(project, name, args, complaint):
    done = project.script(name, *args)
    assert (done.returncode, done.stdout) == (2, '')
    assert complaint in done.stderr
    assert not project.trained()


def test_help_is_printed_and_is_no_failure(project, name):  # (10)
    for flag in ('-h', '--help'):
        done = project.script(name, flag)
        assert (done.returncode, done.stderr) == (0, '')
        assert f'bash test/{name} --data_path=DIR' in done.stdout


def test_a_full_run_trains_as_many_steps_as_the_preset_and_a_performance_run_102(project):
    from model.config import PRESETS
    project.script(FULL)
    assert project.flags()['max_step'] == str(PRESETS['smoke']['max_step'])
    project.script(PERFORMANCE)
    assert project.flags()['max_step'] == '102'


# --- data ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', ['npu', 'gpu'])
def test_without_data_an_npu_and_a_gpu_get_modelzoos_error(project, name, kind):
    done = project.script(name, RCAN_DEVICE_KIND=kind)
    assert done.returncode == 1
    assert '[Error] para "data_path" must be config' in done.stderr
    assert not project.trained()


def test_without_data_a_cpu_gets_the_photographs_and_the_small_preset(project, name):
    project.script(name)
    assert project.flags()['preset'] == 'smoke'
    assert project.flags()['train_GT_path'] == str(project.root / 'test/photos/DIV2K_train_HR')


def test_a_folder_that_is_not_there_is_named(project, name):  # (9)
    done = project.script(name, '--data_path=/no/such')
    assert done.returncode == 1
    assert '/no/such/DIV2K_train_HR' in done.stderr
    assert not project.trained()


def test_lr_images_are_used_where_there_are_some_and_made_elsewhere(project, name):
    project.script(name)
    assert project.flags()['train_LR_path'] == ''
    folder = project.root / 'test/photos/DIV2K_train_LR_bicubic/X2'
    folder.mkdir(parents=True)
    project.script(name)
    assert project.flags()['train_LR_path'] == str(folder)


def test_a_relative_data_path_is_the_callers(project, name, tmp_path):  # (7)
    for split in ('train', 'valid'):
        (tmp_path / f'here and there/DIV2K_{split}_HR').mkdir(parents=True)
    done = project.script(name, '--data_path=here and there', cwd=tmp_path)
    assert done.returncode == 0
    assert project.flags()['train_GT_path'] == str(tmp_path / 'here and there/DIV2K_train_HR')


# --- devices and folders ------------------------------------------------------------------------

@pytest.mark.parametrize('folder', ['.', 'test', '/'])
def test_the_scripts_run_from_any_folder_alike(project, name, folder):  # (7)
    project.script(name)
    here = project.flags(), sorted(os.listdir(str(project.output())))
    assert project.script(name, cwd=project.root / folder).returncode == 0
    assert (project.flags(), sorted(os.listdir(str(project.output())))) == here


def test_the_device_is_0_unless_somebody_says_otherwise(project, name):  # (5)
    project.script(name)
    assert (project.output(0) / 'train_0.log').exists()
    project.script(name, ASCEND_DEVICE_ID='3')
    assert (project.output(3) / 'train_3.log').exists()


def test_another_devices_results_are_never_touched(project, name):  # (5)
    project.script(name, ASCEND_DEVICE_ID='1')
    before = project.results(1)
    project.script(name)
    assert project.results(1) == before != {}


def test_what_the_scripts_did_not_make_is_never_removed(project, name):
    project.output().mkdir(parents=True)
    mine = project.output() / 'notes.txt'
    mine.write_text('mine')
    project.script(name)
    assert mine.read_text() == 'mine'


def test_a_new_run_leaves_nothing_of_the_old_one(project, name):
    project.script(name, '--batch=8')
    (project.output() / 'ckpt/old').write_text('')
    project.script(name)
    assert len(project.results()) == 1
    assert not (project.output() / 'ckpt/old').exists()
    assert len(list(project.output().glob('*_loss.txt'))) == 2


@pytest.mark.parametrize('device', ['../..', 'x', '-1'])
def test_a_device_that_is_no_number_is_refused(project, name, device):
    done = project.script(name, ASCEND_DEVICE_ID=device)
    assert done.returncode == 2
    assert f"'{device}'" in done.stderr
    assert not project.trained()


def test_where_python3_cannot_train_the_script_goes_on_through_env_run(project, name):  # (6)
    (project.root / 'env/run.sh').write_text('printf "%s\\n" "$@"; exit 5')
    done = project.script(name, '--max_step=9', HAVE='1')
    assert done.returncode == 5
    assert done.stdout.splitlines() == ['bash', str(project.root / 'test' / name), '--max_step=9']
    assert 'env/run.sh' in done.stderr


def test_a_build_of_tensorflow_that_is_asked_for_is_left_to_env_run(project, name):
    (project.root / 'env/run.sh').write_text('exit 5')
    done = project.script(name, RCAN_TENSORFLOW='intel-tensorflow')
    assert (done.returncode, done.stderr) == (
        5, f'{name}: going on through env/run.sh, for intel-tensorflow\n')


def test_inside_env_run_the_script_does_not_start_it_again(project, name):
    (project.root / 'env/run.sh').write_text('exit 5')
    assert project.script(name, HAVE='1', RCAN_ENV='1').returncode == 0
    assert project.script(name, RCAN_TENSORFLOW='intel-tensorflow', RCAN_ENV='1').returncode == 0


# --- env.sh -------------------------------------------------------------------------------------

def test_the_kind_of_device_is_cpu_where_nothing_else_is_there(project):
    project.program('nvidia-smi', '#!/bin/sh\nexit 9\n')
    assert project.script('env.sh').stdout == 'cpu\n'


def test_the_kind_of_device_is_gpu_where_nvidia_smi_lists_one(project):
    project.program('nvidia-smi', '#!/bin/sh\necho "GPU 0: Tesla V100 (UUID: x)"\n')
    assert project.script('env.sh').stdout == 'gpu\n'


def test_the_kind_of_device_is_npu_where_a_device_and_npu_bridge_are_there(project, tmp_path):
    (tmp_path / 'davinci0').write_text('')
    (tmp_path / 'packages/npu_bridge').mkdir(parents=True)
    (tmp_path / 'packages/npu_bridge/__init__.py').write_text('')
    assert project.script('env.sh', PYTHONPATH=str(tmp_path / 'packages')).stdout == 'npu\n'


def test_an_npu_without_npu_bridge_is_said_and_not_used(project, tmp_path):
    project.program('nvidia-smi', '#!/bin/sh\nexit 9\n')
    (tmp_path / 'davinci0').write_text('')
    done = project.script('env.sh')
    assert done.stdout == 'cpu\n'
    assert 'no npu_bridge' in done.stderr


def test_an_unknown_kind_of_device_is_refused(project, name):
    done = project.script(name, RCAN_DEVICE_KIND='tpu')
    assert done.returncode == 2
    assert "'tpu'" in done.stderr


# --- ModelZoo's gate ----------------------------------------------------------------------------

def test_the_gate_succeeds_where_speed_and_accuracy_were_measured(project):
    done = project.script('train_testcase.sh')
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, 'Run testcase success!')


@pytest.mark.parametrize('broken', [
    {'TRAIN': 'exit 1'},
    {'TEST': 'exit 1'},
])
def test_the_gate_fails_where_something_crashed(project, broken):
    done = project.script('train_testcase.sh', **broken)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, 'Run testcase failed!')


def test_the_gate_fails_where_the_network_is_worse_than_bicubic(project):
    from stand_in import test_log
    project.test.write_text(test_log(psnr_db=31.0))
    done = project.script('train_testcase.sh')
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, 'Run testcase failed!')


def test_the_gate_fails_where_no_speed_was_measured(project):
    project.train.write_text(training_log(steps=3))
    done = project.script('train_testcase.sh')
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, 'Run testcase failed!')


# --- accuracy on the way --------------------------------------------------------------------------

def test_the_small_network_is_evaluated_five_times_on_its_way(project):
    project.script('train_full_1p.sh', '--max_step=12', RCAN_DEVICE_KIND='cpu')
    flags = project.flags()
    assert (flags['test_with_train'], flags['model_save_freq']) == ('True', '3')
    assert flags['test_GT_path'].endswith('test/photos/DIV2K_valid_HR')


@pytest.mark.parametrize('script, flag', [
    ('train_performance_1p.sh', '--preset=smoke'), ('train_full_1p.sh', '--preset=paper')])
def test_a_speed_and_a_large_network_are_measured_without_evaluations(project, script, flag):
    project.script(script, flag, '--max_step=12', f'--data_path={project.root}/test/photos',
                   RCAN_DEVICE_KIND='cpu')
    assert 'test_with_train' not in project.flags()


def test_whoever_names_a_save_interval_has_it(project):
    project.script('train_full_1p.sh', '--max_step=12', '--save_interval=6', RCAN_DEVICE_KIND='cpu')
    assert project.flags()['model_save_freq'] == '6'
