# SPDX-License-Identifier: Apache-2.0
"""The block of the terminal, rendered from given states at several widths."""

import dataclasses

import pytest
from samples import planned

from harness import scene
from harness.outlook import Estimate, Outlook, Standing
from harness.records import Arm, Progress
from harness.scene import Moment, Running, Scene

NOW = 1000.0
TRAINING = Progress('training', 102, 300, 4.8211, 132.14, 2.31)
# It has made a step every 0.4 s since its second.
RUN = Running(planned(2), TRAINING, first=(NOW - 40, 2), last=(NOW, 102))
CASES = (Standing('performance', 'run', 1, 7, 'INCONCLUSIVE', to_look=2, to_end=6, run_s=150.0),
         Standing('full', 'run', 1, 0, 'PASS'))
MOMENT = Moment(187.0, 12.0, 812.4, 97.0, 20480.0, 61.2, 233.0)
STATE = Scene(Outlook('verdict', CASES), '', (RUN,), NOW - 50, MOMENT)


def lines(state, width=72):
    return [line.plain for line in scene.block(state, NOW, width)]


def test_at_eighty_columns_and_more_all_is_shown():
    assert lines(STATE) == [
        '',
        'performance  run 2 of at most 7, INCONCLUSIVE so far',
        'full         PASS after 1 run',
        'run 2   training   ' + '━' * 13 + '─' * 26 + ' 102/300 steps',
        'speed   132.1 ± 2.3 images/s, loss 4.821',
        'time    2 min left, after 50 s',
        'verdict 4 min if clear, at most 14 min',
        'host    this run 1.9 cores, others 0.1, 812 MiB',
        'device  97 % busy, 61 °C, 20480 MiB, 233 W']


def test_at_forty_columns_what_does_not_fit_is_left_out_whole():
    assert lines(STATE, 40) == [
        '',
        'performance  run 2 of at most 7',
        'full         PASS after 1 run',
        'run 2   training   ━━───── 102/300 steps',
        'speed   132.1 ± 2.3 images/s, loss 4.821',
        'time    2 min left, after 50 s',
        'verdict 4 min if clear, at most 14 min',
        'host    this run 1.9 cores, others 0.1',
        'device  97 % busy, 61 °C, 20480 MiB']


@pytest.mark.parametrize('width', range(1, 120))
def test_no_line_is_wider_than_the_terminal_and_their_number_is_the_same(width):
    assert max(line.cell_len for line in scene.block(STATE, NOW, width)) <= width
    assert len(lines(STATE, width)) == len(lines(STATE))


def test_what_is_not_known_is_left_out_and_is_not_zero():
    bare = dataclasses.replace(STATE, runs=(Running(planned(2)),), moment=Moment(
        cpu_percent=150.0))
    shown = '\n'.join(lines(bare))
    assert 'run 2   starting\nspeed\n' in shown
    assert shown.endswith('host    this run 1.5 cores')   # and no device
    assert '0' not in shown.split('host')[1].replace('1.5', '')


def test_a_pair_in_turns_shows_both_arms():
    old, new = (dataclasses.replace(RUN, planned=dataclasses.replace(planned(1), arm=arm))
                for arm in (Arm.OLD, Arm.NEW))
    shown = lines(dataclasses.replace(STATE, runs=(old, dataclasses.replace(
        new, progress=Progress('compiling', 0, 300)))))
    starts = [line[:19] for line in shown if line.startswith(('old', 'new'))]
    assert starts == ['old 1   training   ', 'new 1   compiling  ']
    assert any('this pair 1.9 cores' in line for line in shown)


def test_between_runs_the_block_says_what_goes_on():
    assert lines(Scene(STATE.outlook, 'canary: timing'))[-3:] == [
        'performance  INCONCLUSIVE so far, after 1 run', 'full         PASS after 1 run',
        'canary: timing']


@pytest.mark.parametrize('standing, running, said', [
    (Standing('performance', 'run', 0, 7, '', 1, 7), False, 'to come'),
    (Standing('performance', 'pair', 2, 7, '', 2, 10), True, 'pair 3 of at most 7'),
    (Standing('performance', 'run', 9, 10, '', 1, 1), True, 'run 10 of 10'),
    (Standing('performance', 'pair', 3, 0, 'REGRESSION'), False, 'REGRESSION after 3 pairs'),
    (Standing('performance', 'run', 10, 0), False, '10 runs made')])
def test_a_case_says_how_far_it_is(standing, running, said):
    state = Scene(Outlook(standings=(standing,)), runs=(RUN,) if running else ())
    assert lines(state)[1] == f'performance  {said}'


def test_a_verdict_has_its_colour_beside_its_word():
    line = scene.block(STATE, NOW, 72)[2]
    assert [(line.plain[s.start:s.end], s.style) for s in line.spans][1:] == [('PASS', 'green')]


# --- time left ------------------------------------------------------------------------------------

def left(progress=TRAINING, run_s=None, began_s=NOW - 50, first=RUN.first, last=RUN.last):
    run = dataclasses.replace(RUN, progress=progress, first=first, last=last)
    standing = dataclasses.replace(CASES[0], run_s=run_s)
    return Scene(Outlook(standings=(standing,)), '', (run,), began_s).left(NOW)


def test_before_it_trains_only_earlier_runs_say_how_long_it_takes():
    compiling = Progress('compiling', 0, 300)
    assert left(compiling, first=(0.0, 0), last=(0.0, 0)) is None
    assert left(compiling, 150.0, first=(0.0, 0), last=(0.0, 0)) == Estimate(100.0)


def test_while_it_trains_its_own_pace_says_so_too_and_the_longer_counts():
    assert left() == Estimate(pytest.approx(198 * 0.4), whole=False)   # and what comes after it
    assert left(run_s=150.0) == Estimate(100.0)
    assert left(run_s=60.0) == Estimate(pytest.approx(198 * 0.4))


def test_the_first_step_which_compiles_does_not_count():
    run = Running(planned())
    for now_s, step in ((100.0, 0), (160.0, 1), (161.0, 1), (162.0, 2), (164.0, 3)):
        run = run.seen(Progress('training', step, 10), now_s)
    assert run.training_left_s(164.5) == pytest.approx(7 * 2.0 - 0.5)


def test_a_run_that_has_lasted_longer_than_any_has_no_time_left_that_is_known():
    done = Progress('evaluating', 300, 300)
    assert left(done, run_s=40.0, last=(NOW - 5, 300)) is None
    assert left(run_s=40.0, last=(NOW - 500, 102)) is None   # the next step is long overdue


@pytest.mark.parametrize('outlook, said', [
    (Outlook(standings=CASES), ['4 min if clear', 'at most 14 min']),   # 100, 250 and 850 s
    (Outlook(standings=CASES, end=NOW + 300), ['4 min if clear', 'at most 5 min']),
    (Outlook(standings=CASES, end=NOW + 200), ['in 3 min']),    # the budget ends it before
    (Outlook(standings=CASES, end=NOW - 1), ['in 2 min']),      # but not the run that goes on
    (Outlook(standings=(dataclasses.replace(CASES[0], to_end=2),)), ['in 4 min']),
    (Outlook(standings=(CASES[0], Standing('full', 'run', 0, 7, '', 1, 7))), ['in at least 4 min']),
    (Outlook(standings=(CASES[0], Standing('full', 'run', 0, 7, '', 1, 7, 600.0))),
     ['14 min if clear', 'at most 84 min'])])
def test_the_verdict_comes_after_the_runs_to_the_next_look_or_to_the_last(outlook, said):
    assert scene.goal_parts(dataclasses.replace(STATE, outlook=outlook), NOW) == said


def test_until_the_first_run_has_ended_the_time_to_the_verdict_is_a_lower_bound():
    first = dataclasses.replace(CASES[0], run_s=None)
    state = dataclasses.replace(STATE, outlook=Outlook(standings=(first,)))
    # 79 s are left of this one, and one more will take 50 + 79 s.
    assert scene.goal_parts(state, NOW) == ['in at least 3 min']
    nothing = dataclasses.replace(state, runs=(Running(planned()),))
    assert scene.goal_parts(nothing, NOW) == ['?']


# --- plain lines ----------------------------------------------------------------------------------

@pytest.mark.parametrize('progress, text', [
    (Progress('loading'), ''), (Progress('training', 1, 2, 4.56789), 'loss 4.568'),
    (Progress('training', 1, 2, 4.5, 31.96), 'loss 4.500 32.0 images/s'),
    (Progress('training', 1, 2, 4.5, 31.96, 0.25), 'loss 4.500 32.0 ± 0.2 images/s'),
    (Progress('training', 1, 2, 0.0, 0.0, 0.0), 'loss 0.000 0.0 ± 0.0 images/s')])
def test_figures_are_shown_as_far_as_they_are_known(progress, text):
    assert scene.figures(progress) == text


def test_the_time_left_is_in_a_plain_line_where_there_is_room_for_it():
    said = 'performance 2: training step 102/300 loss 4.821 132.1 ± 2.3 images/s'
    assert scene.plain_line(RUN, Estimate(79.0, False)) == f'{said}, at least 79 s left'
    many = dataclasses.replace(RUN, progress=Progress('training', 102, 10 ** 30, 4.8, 132.1, 2.3))
    assert len(scene.plain_line(many, Estimate(79.0))) < 100
    assert 'left' not in scene.plain_line(many, Estimate(79.0))


@pytest.mark.parametrize('seconds, said', [
    (0.4, '0 s'), (99.4, '99 s'), (125, '2 min'), (5400, '90 min'), (7200, '2.0 h')])
def test_a_time_has_the_digits_that_it_deserves(seconds, said):
    assert scene.duration(seconds) == said
