# SPDX-License-Identifier: Apache-2.0
"""Which run comes when, and what --dry-run says of it."""

import shlex

from samples import PSNR, SPEED, case

from harness import device, plan
from harness.records import Device

CASES = (case(SPEED, '--data_path=/my data'), case(PSNR))


def planned(runs):
    return plan.plan(CASES, runs, '20260102T030405Z-npu3')


def test_the_cases_take_turns_so_that_what_drifts_meets_them_alike():
    assert [(p.case.name, p.index) for p in planned(3)] == [
        ('performance', 1), ('full', 1), ('performance', 2), ('full', 2), ('performance', 3),
        ('full', 3)]


def test_every_run_has_an_id_of_its_own_that_names_session_case_and_number():
    ids = [p.id for p in planned(3)]
    assert len(set(ids)) == 6
    assert ids[3] == '20260102T030405Z-npu3-full-2'


def test_every_run_of_a_case_has_another_seed_and_the_first_has_the_default():
    assert [p.seed for p in planned(3) if p.case.name == 'full'] == [0, 1, 2]
    assert planned(2)[2].argv == ('bash', 'test/train_performance_1p.sh', '--data_path=/my data',
                                  '--seed=1')


def test_a_dry_run_shows_commands_that_can_be_pasted_with_what_is_controlled():
    variables = device.environment(Device('npu', 3), {'PATH': '/bin', 'HOME': '/home/me'}, 8)
    lines = plan.describe(planned(1), Device('npu', 3), variables).splitlines()
    assert lines[0] == 'device npu:3, 2 runs'
    assert lines[1:] == [
        "ASCEND_DEVICE_ID=3 RCAN_DEVICE_KIND=npu OMP_NUM_THREADS=8 bash "
        "test/train_performance_1p.sh '--data_path=/my data' --seed=0",
        'ASCEND_DEVICE_ID=3 RCAN_DEVICE_KIND=npu OMP_NUM_THREADS=8 bash test/train_full_1p.sh '
        '--seed=0']
    assert '--data_path=/my data' in shlex.split(lines[1])


def test_a_dry_run_for_a_gpu_shows_which_one_is_visible():
    variables = device.environment(Device('gpu', 1), {}, 8)
    assert 'CUDA_VISIBLE_DEVICES=1' in plan.describe(planned(1), Device('gpu', 1), variables)
