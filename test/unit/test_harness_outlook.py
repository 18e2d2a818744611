# SPDX-License-Identifier: Apache-2.0
"""How far a session is, by its records, and how long the rest takes."""

import dataclasses

import pytest
from samples import PSNR, baseline, case, pair, record, session

from harness import judge
from harness.outlook import Aim, Estimate, Standing, ahead, outlook
from harness.records import Turn

FAST, FULL = case(), case(PSNR)


def standings(records, aim, *cases, **changes):
    of = session(*(cases or (FAST,)), max_runs=7, **changes)
    return outlook(judge.summarize(of, records), aim).standings


def lasting(wall_s, made):
    return dataclasses.replace(made, outcome=dataclasses.replace(made.outcome, wall_s=wall_s))


def test_before_the_first_run_nothing_is_known_but_how_many_there_are():
    aim = Aim('verdict', (FAST, FULL), (1, 3, 5, 7))
    assert standings([], aim, FAST, FULL) == tuple(
        Standing(name, 'run', 0, 7, '', to_look=1, to_end=7) for name in ('performance', 'full'))


def test_after_a_look_that_is_not_clear_the_verdict_so_far_stands_and_the_next_look_counts():
    runs = [lasting(s, record(31.9, index=i)) for i, s in ((1, 50.0), (2, 70.0))]
    aim = Aim('verdict', (FAST,), (1, 3, 5, 7), index=3)
    one, = standings(runs, aim, baselines=[baseline()])
    assert (one.made, one.most, one.to_look, one.to_end, one.run_s) == (2, 7, 1, 5, 60.0)
    assert one.verdict in ('PASS', 'INCONCLUSIVE')


def test_a_case_that_is_decided_has_its_verdict_and_nothing_to_come():
    done, open_ = standings([record()], Aim('verdict', (FULL,), (1, 3)), FAST, FULL)
    assert done == Standing('performance', 'run', 1, verdict='NO_BASELINE')
    assert (open_.made, open_.to_look, open_.to_end) == (0, 1, 3)


def test_each_arm_of_a_pair_is_a_run_and_no_verdict_counts_before_the_first_look():
    aim = Aim('verdict', (FAST,), (3, 5, 7), index=2, pairs=True)
    old, new = (lasting(s, r) for s, r in zip((50.0, 70.0), pair(32.0, 32.0)))
    half = dataclasses.replace(old, run=dataclasses.replace(old.run, index=2))
    one, = standings([old, new, half], aim, against='aaaaaaaaaaaa')
    assert one == Standing('performance', 'pair', 1, 7, '', 6 - 3, 14 - 3, run_s=60.0)


def test_arms_that_took_turns_lasted_as_long_as_the_longer_of_them():
    made = [dataclasses.replace(r, outcome=dataclasses.replace(
        r.outcome, wall_s=s, turns=(Turn(2, 5),))) for r, s in zip(pair(32.0, 32.0), (90.0, 100.0))]
    one, = standings(made, Aim('verdict', (FAST,), (3, 5), 2, True), against='aaaaaaaaaaaa')
    assert one.run_s == 50.0


def test_runs_alone_do_not_count_for_the_pairs_that_confirm_them():
    aim = Aim('verdict', (FAST,), (3, 5, 7), pairs=True)
    one, = standings([record(index=i) for i in (1, 2, 3)], aim)
    assert (one.unit, one.made, one.to_look, one.run_s) == ('pair', 0, 6, None)


def test_a_baseline_needs_undisturbed_runs_and_has_no_verdict():
    runs = [record(), dataclasses.replace(record(index=2), disturbance='a hog')]
    aim = Aim('the end', (FAST,), (10,))
    assert standings(runs, aim) == (
        Standing('performance', 'run', 1, 10, '', 9, 9, run_s=61.5),)
    assert standings(runs, Aim('the end')) == (Standing('performance', 'run', 2),)


def test_the_outlook_keeps_the_goal_and_the_end_of_the_budget():
    made = outlook(judge.summarize(session(FAST), []), Aim('the end'), 1234.5)
    assert (made.goal, made.end) == ('the end', 1234.5)


@pytest.mark.parametrize('to_end, left, whole, seconds', [
    (False, Estimate(10.0), True, 10 + 2 * 60), (True, Estimate(10.0), False, 10 + 4 * 60),
    (False, Estimate(10.0, False), False, 10 + 2 * 60)])
def test_what_is_not_known_comes_on_top_of_an_estimate(to_end, left, whole, seconds):
    known = Standing('a', 'run', 1, 7, '', 2, 4, 60.0)
    unknown = Standing('b', 'run', 0, 7, '', 0, 2)
    assert ahead(left, (known, unknown), to_end) == Estimate(seconds, whole)
