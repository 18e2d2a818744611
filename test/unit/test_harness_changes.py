# SPDX-License-Identifier: Apache-2.0
"""Where a series changed, held against seeded simulations; and how a series is shown."""

import math
import random

import pytest

from harness.changes import change_points
from harness.history import Entry
from harness.records import PSNR, SPEED
from harness.report.series import BARS, MOST_BARS, to_text

SPREAD = 0.01
DAY_S = 86400
START_UNIX_S = 1767312000   # 2026-01-02, midnight UTC


def noise(runs, seed):
    """A quiet series: logarithms of speeds that differ by 1 %."""
    draw = random.Random(seed)
    return [draw.gauss(0, SPREAD) for _ in range(runs)]


def stepped(*levels, runs=15, seed=0):
    """So many runs of each level in turn."""
    quiet = noise(runs * len(levels), seed)
    return [levels[i // runs] + x for i, x in enumerate(quiet)]


# The change points.

def test_quiet_series_raise_few_false_alarms():
    alarms = sum(bool(change_points(noise(30, seed))) for seed in range(200))
    assert alarms <= 0.03 * 200


def test_some_quiet_series_raise_one_or_the_test_would_see_nothing():
    alarms = sum(bool(change_points(noise(30, seed))) for seed in range(600))
    assert alarms >= 1   # 6 are expected; none comes by chance once in 400 times


@pytest.mark.parametrize('sign', [1, -1])
def test_a_change_of_two_standard_deviations_is_mostly_found(sign):
    found = [change_points(stepped(0, sign * 2 * SPREAD, seed=seed)) for seed in range(100)]
    assert sum(map(bool, found)) >= 87   # 95 are expected
    near = [points for points in found if points and abs(points[0].index - 15) <= 2]
    assert len(near) >= 75


def test_a_change_is_placed_at_the_first_value_of_the_new_level():
    point, = change_points([1.0] * 12 + [2.0] * 9)
    assert (point.index, point.before, point.after) == (12, 1.0, 2.0)


@pytest.mark.parametrize('at', [6, 15, 24])
def test_a_large_change_is_placed_right_wherever_it_is(at):
    found = [[p.index for p in change_points([x + 0.2 * (at <= i) for i, x in
                                              enumerate(noise(30, seed))])] for seed in range(20)]
    assert all(at in indices for indices in found)
    assert sum(len(indices) > 1 for indices in found) <= 2   # false alarms beside it


@pytest.mark.parametrize('at', [10, 17])
def test_runs_that_repeat_their_value_exactly_change_too(at):
    point, = change_points([32.0] * at + [31.8] * (30 - at))
    assert point.index == at


def test_the_p_value_counts_the_order_that_was_found():
    point, = change_points([1.0] * 15 + [2.0] * 15)
    assert point.p_value == 1 / 200


def test_p_values_never_exceed_the_error():
    points = [p for seed in range(60) for p in change_points(stepped(0, 0.016, seed=seed))]
    assert {p.p_value for p in points} == {0.005, 0.01}


def test_every_step_of_a_staircase_is_named_with_the_levels_on_its_two_sides():
    points = change_points([1.0] * 15 + [2.0] * 15 + [5.0] * 15 + [9.0] * 15)
    assert [(p.index, p.before, p.after) for p in points] == [
        (15, 1.0, 2.0), (30, 2.0, 5.0), (45, 5.0, 9.0)]


@pytest.mark.parametrize('values', [
    [], [1.0], [1.0] * 4 + [9.0] * 5, [7.0] * 50,
    [1.0] * 30 + [9.0] * 2])
def test_too_few_values_on_a_side_or_none_that_differ_are_no_change(values):
    assert change_points(values) == ()


def test_five_values_of_a_new_level_are_enough_beside_many():
    point, = change_points([1.0] * 30 + [9.0] * 5)
    assert point.index == 30


def test_a_single_outlier_is_no_change():
    values = noise(40, seed=3)
    values[20] = 5.0
    assert change_points(values) == ()


def test_outliers_do_not_hide_a_change():
    found = 0
    for seed in range(20):
        values = stepped(0, 4 * SPREAD, runs=25, seed=seed)
        values[4], values[32] = 2.0, -2.0
        found += bool(change_points(values))
    assert found >= 16


def test_the_same_series_gives_the_same_answer_whatever_else_draws():
    values = stepped(0, 0.015, 0.03, seed=5)
    first = change_points(values)
    random.seed(99)
    assert change_points(tuple(values)) == first


def test_a_series_is_left_as_it_was():
    values = stepped(0, 1)
    kept = list(values)
    change_points(values)
    assert values == kept


def test_a_large_change_of_a_long_series_needs_no_shuffles(monkeypatch):
    values = stepped(0, 5 * SPREAD, runs=300)
    shuffled = []
    monkeypatch.setattr(random.Random, 'shuffle', lambda self, x: shuffled.append(len(x)))
    assert 300 in [p.index for p in change_points(values)]
    assert 600 not in shuffled   # else it would have lasted seconds in histories of 10,000 runs


def test_what_needs_no_shuffles_would_pass_them(monkeypatch):
    found = change_points(stepped(0, SPREAD, 3 * SPREAD, runs=60))
    monkeypatch.setattr('harness.changes._most', lambda strength, n: 1.0)
    assert found == change_points(stepped(0, SPREAD, 3 * SPREAD, runs=60))
    assert len(found) >= 2


def test_quiet_long_series_raise_few_false_alarms():
    assert sum(bool(change_points(noise(400, seed))) for seed in range(100)) <= 4


def test_a_long_series_is_searched_to_its_end():
    points = change_points(stepped(*(0.2 * i for i in range(10)), runs=100))   # 1,000 runs
    assert {p.index for p in points} >= set(range(100, 1000, 100))
    assert len(points) <= 10   # one false alarm at the most


# How it is shown.

def entries(values, metric=SPEED, match='abcdef0123456789', case='performance', faults=()):
    """A run a day; `faults`: the numbers of those that failed."""
    return [Entry(f'{case}-{match}-{i}', 'session', case, metric.name, metric.unit,
                  None if i in faults else v, 'exit status 1' if i in faults else '',
                  f'commit{i:03}', START_UNIX_S + i * DAY_S, 60.0, match)
            for i, v in enumerate(values)]


def speeds(*levels, runs=15):
    """Speeds around 32 images/s, shifted by these logarithms."""
    return [32 * math.exp(x) for x in stepped(*levels, runs=runs)]


def test_a_quiet_series_is_shown_in_a_block():
    assert to_text(entries([31.0, 32.0, 33.0])) == '''\
performance, throughput, 3 runs 2026-01-02 to 2026-01-04 (match abcdef012345)
  ▁▅█  31 images/s to 33 images/s
  median 32 images/s, spread 3.2 %
  no change
'''


def test_a_slowdown_is_named_with_its_size_day_and_first_commit():
    text = to_text(entries([32.0] * 15 + [30.4] * 15))
    assert ('  slower from 2026-01-17, commit commit015: -5.0 %, p = 0.005\n') in text
    assert 'no change' not in text


@pytest.mark.parametrize('metric, before, after, words', [
    (SPEED, 32.0, 33.6, 'faster from 2026-01-17, commit commit015: +5.0 %'),
    (PSNR, 32.0, 31.8, 'worse from 2026-01-17, commit commit015: -0.200 dB'),
    (PSNR, 32.0, 32.3, 'better from 2026-01-17, commit commit015: +0.300 dB')])
def test_the_direction_is_said_in_words(metric, before, after, words):
    assert words in to_text(entries([before] * 15 + [after] * 15, metric))


def test_after_a_change_median_and_spread_are_of_the_newest_level():
    text = to_text(entries([32.0] * 15 + [30.0, 30.2, 30.1, 29.9, 29.8] * 3))
    assert 'median 30 images/s, spread 0.5 %, of the 15 runs since the last change' in text


def test_failed_runs_are_counted_and_not_plotted():
    text = to_text(entries([32.0, 1.0, 32.0, 1.0], faults={1, 3}))
    assert '4 runs 2026-01-02 to 2026-01-05, 2 without a value' in text
    bars, = [line for line in text.splitlines() if set(line) & set(BARS)]
    assert bars.split()[0] == BARS[4] * 2


def test_a_value_of_a_run_with_a_fault_does_not_count():
    good = entries([32.0] * 3)
    bad = Entry(**{**vars(good[2]), 'run': 'bad', 'value': 1.0, 'fault': 'loss is nan'})
    assert '32 images/s to 32 images/s' in to_text([*good, bad])


def test_failed_runs_do_not_shift_the_day_of_a_change():
    text = to_text(entries([32.0] * 17 + [30.4] * 15, faults={0, 3}))
    assert 'slower from 2026-01-19, commit commit017' in text


def test_a_series_without_any_value_says_so():
    assert to_text(entries([1.0], faults={0})) == '''\
performance, throughput, 1 run 2026-01-02 to 2026-01-02, 1 without a value (match abcdef012345)
  nothing measured
'''


def test_a_single_run_has_no_spread():
    assert '\n  median 32 images/s\n' in to_text(entries([32.0]))


def test_only_the_newest_values_are_plotted():
    text = to_text(entries([1.0] + [32.0] * 70))
    bars = text.splitlines()[1].split()[0]
    assert bars == BARS[4] * MOST_BARS
    assert '32 images/s to 32 images/s' in text


def test_runs_that_may_not_be_compared_are_never_in_one_series():
    text = to_text([*entries([32.0] * 10, match='one'), *entries([64.0] * 10, match='two'),
                    *entries([32.0] * 10, PSNR, match='one', case='full')])
    heads = [line for line in text.splitlines() if not line.startswith(' ') and line]
    assert [h.split(',')[0] + h[-12:] for h in heads] == [
        'full (match one)', 'performance (match one)', 'performance (match two)']
    assert text.count('no change') == 3


def test_the_order_in_which_entries_come_does_not_matter():
    made = entries(speeds(0, 0.05))
    assert to_text(made[::-1]) == to_text(made)


def test_an_empty_history_says_how_to_get_runs():
    text = to_text([])
    assert 'harness/run_all.py' in text
    assert text.count('\n') == 1


def test_a_line_fits_into_a_hundred_characters():
    text = to_text(entries(speeds(0, 0.05, runs=100)))
    assert max(map(len, text.splitlines())) <= 100
