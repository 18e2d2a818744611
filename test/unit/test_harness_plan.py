# SPDX-License-Identifier: Apache-2.0
"""Which run comes when, and what --dry-run says of it."""

import dataclasses
import shlex

from samples import PSNR, SPEED, case, pair, record

from harness import device, plan
from harness.records import Arm, Device, Turn

CASES = (case(SPEED, '--data_path=/my data'), case(PSNR))


def test_every_run_has_an_id_of_its_own_that_names_session_case_and_number():
    ids = [plan.run(case, i, '20260102T030405Z-npu3').id for case in CASES for i in (1, 2)]
    assert len(set(ids)) == 4
    assert ids[3] == '20260102T030405Z-npu3-full-2'


def test_every_run_of_a_case_has_another_seed_and_the_first_has_the_default():
    assert [plan.run(CASES[1], i, 's').seed for i in (1, 2, 3)] == [0, 1, 2]
    assert plan.run(CASES[0], 2, 's').argv == (
        'bash', 'test/train_performance_1p.sh', '--data_path=/my data', '--seed=1')


def test_the_arms_of_a_pair_have_one_seed_and_take_turns_to_be_first():
    first, second = (plan.pair(CASES[0], i, 's') for i in (1, 2))
    assert [p.arm for p in (*first, *second)] == [Arm.OLD, Arm.NEW, Arm.NEW, Arm.OLD]
    assert [p.seed for p in (*first, *second)] == [0, 0, 1, 1]
    assert len({p.id for p in (*first, *second)}) == 4


def test_only_the_new_arm_is_slowed_on_purpose():
    assert {p.arm: p.slowdown for p in plan.pair(CASES[0], 1, 's', slowdown=0.05)} == {
        Arm.OLD: 0, Arm.NEW: 0.05}


def test_a_dry_run_shows_commands_that_can_be_pasted_with_what_is_controlled():
    variables = device.environment(Device('npu', 3), {'PATH': '/bin', 'HOME': '/home/me'}, 8)
    lines = plan.describe(CASES, 1, 5, '', Device('npu', 3), variables).splitlines()
    assert lines[0] == 'device npu:3, 1 to 5 runs a case'
    assert lines[1:] == [
        "ASCEND_DEVICE_ID=3 RCAN_DEVICE_KIND=npu OMP_NUM_THREADS=8 bash "
        "test/train_performance_1p.sh '--data_path=/my data' --seed=0",
        'ASCEND_DEVICE_ID=3 RCAN_DEVICE_KIND=npu OMP_NUM_THREADS=8 bash test/train_full_1p.sh '
        '--seed=0']
    assert '--data_path=/my data' in shlex.split(lines[1])


def test_a_dry_run_for_a_gpu_shows_which_one_is_visible():
    variables = device.environment(Device('gpu', 1), {}, 8)
    assert 'CUDA_VISIBLE_DEVICES=1' in plan.describe(CASES, 1, 5, '', Device('gpu', 1),
                                                          variables)


def test_a_pair_takes_as_long_as_both_arms_unless_they_take_turns():
    def arms(index, *walls_s, turns=()):
        return [dataclasses.replace(r, outcome=dataclasses.replace(
            r.outcome, wall_s=wall_s, turns=turns)) for r, wall_s in
            zip(pair(32.0, 32.0, index), walls_s)]

    one_by_one = [*arms(1, 10.0, 11.0), *arms(2, 12.0, 13.0)]
    assert plan.took_s(one_by_one) == [21.0, 25.0]
    assert plan.took_s(arms(1, 10.0, 11.0, turns=(Turn(1, 4),))) == [11.0]
    assert plan.took_s([record(32.0)]) == [61.5]
    assert plan.took_s([]) == []
