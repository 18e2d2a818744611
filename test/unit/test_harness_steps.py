# SPDX-License-Identifier: Apache-2.0
"""What the step times of a run say, by simulation with fixed seeds."""

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import parse
from harness import steps as under_test
from harness.steps import interquartile_mean, outlier_share, percentile_95

MINIMUM = parse.WARMUP_STEPS
RUNS = 200


def steps(count, seed, sd=0.05, correlation=0.6, trend=lambda i: 0.0):
    """Steps of about 0.1 s: AR(1) noise on the logarithm, 2 % outliers, a trend; the first is 20x.

    Two outliers in a hundred and noise like this are what shared machines show.
    """
    draw = random.Random(seed)
    noise, seconds = draw.gauss(0, sd), []
    for i in range(count):
        outlier = draw.uniform(1.5, 4) if draw.random() < 0.02 else 1
        seconds.append(0.1 * math.exp(noise + trend(i)) * outlier * (20 if i == 0 else 1))
        noise = correlation * noise + draw.gauss(0, sd * math.sqrt(1 - correlation ** 2))
    return seconds


def steady_start(seconds, minimum):
    """As an index of all the steps; the parser leaves the least warm-up out."""
    found = under_test.steady_start(seconds[minimum:])
    return None if found is None else found + minimum


def share(count, is_so, **how):
    """The share of runs whose steady start is so."""
    return sum(is_so(steady_start(steps(count, seed, **how), MINIMUM))
               for seed in range(RUNS)) / RUNS


def never(start):
    return start is None


@pytest.mark.parametrize('sd', [0.01, 0.03, 0.07])
@pytest.mark.parametrize('count', [12, 30, 40, 60, 102, 300])
def test_few_stationary_runs_are_called_not_steady(count, sd):
    assert share(count, never, sd=sd) <= 0.03


def test_stationary_runs_keep_almost_all_their_steps():
    assert share(102, lambda start: start == MINIMUM, sd=0.05) >= 0.95


@pytest.mark.parametrize('count', range(25))
def test_a_short_run_counts_from_the_least_warm_up_whatever_its_steps(count):
    assert steady_start([2.0] + [0.1 * (1 + i % 3) for i in range(count)], MINIMUM) == MINIMUM


@pytest.mark.parametrize('trend', [lambda i: 0.5 * math.exp(-i / 10),
                                   lambda i: 0.4 * max(0, 1 - i / 30)], ids=['decay', 'ramp'])
def test_a_warm_up_of_thirty_steps_in_102_is_cut(trend):
    starts = [steady_start(steps(102, seed, sd=0.03, trend=trend), MINIMUM) for seed in range(RUNS)]
    assert sum(start is not None and 15 <= start <= 52 for start in starts) >= 0.9 * RUNS
    # What it is cut for: the speed is right to the per cent, mostly.
    errors = [abs(math.log(statistics.median(
        steps(102, seed, sd=0.03, trend=trend)[start or MINIMUM:]) / 0.1))
              for seed, start in enumerate(starts)]
    assert statistics.median(errors) < 0.01


@pytest.mark.parametrize('sd, least', [(0.01, 1), (0.03, 0.98), (0.05, 0.9), (0.07, 0.75)])
def test_a_run_that_gets_slower_all_the_time_is_not_steady(sd, least):
    assert share(102, never, sd=sd, trend=lambda i: math.log(1.3) * i / 102) >= least


def test_a_run_that_jumps_late_is_not_steady():
    assert share(102, never, trend=lambda i: 0.18 * (i > 70)) >= 0.9


def test_a_clear_but_immaterial_drift_is_steady():
    seconds = [0.1 * (1 + 0.005 * i / 200) for i in range(200)]
    assert steady_start(seconds, MINIMUM) == MINIMUM


def test_a_change_at_the_start_of_a_long_run_is_cut_without_delay():
    seconds = [0.2] * 100 + [0.1] * 100000      # seconds of work, were it not one pass
    assert steady_start(seconds, MINIMUM) == 100


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(1e-6, 1e6), max_size=80), st.integers(0, 10))
def test_a_start_is_never_below_the_minimum_and_leaves_half_of_the_steps(seconds, minimum):
    start = steady_start(seconds, minimum)
    if start is not None:
        assert start >= minimum
        assert start == minimum or len(seconds) - start >= (len(seconds) - minimum) // 2 - 5


# --- tail and outliers ----------------------------------------------------------------------------

@pytest.mark.parametrize('seconds, p95', [
    ([0.3], 0.3), ([1.0, 2.0], 1.95), (list(range(101)), 95), (list(range(100, -1, -1)), 95),
    ([0.1] * 100, 0.1)])
def test_the_95th_percentile_is_interpolated_between_steps(seconds, p95):
    assert percentile_95(seconds) == pytest.approx(p95)


def test_an_outlier_is_slower_than_the_median_by_five_scaled_deviations():
    quiet = [0.9, 0.95, 1.0, 1.05, 1.1] * 9     # median 1, median absolute deviation 0.05
    limit = 1 + 5 * 1.4826 * 0.05
    assert outlier_share(quiet) == 0
    assert outlier_share(quiet + [limit - 0.01]) == 0
    assert outlier_share(quiet + [limit + 0.01]) == pytest.approx(1 / 46)
    assert outlier_share(quiet + [0.01]) == 0       # a fast step is none
    assert outlier_share([0.5]) == 0


def test_normal_steps_have_no_outliers_and_two_per_cent_are_found():
    draw = random.Random(1)
    normal = [draw.gauss(1, 0.05) for _ in range(5000)]
    assert outlier_share(normal) == 0
    assert outlier_share(normal[:4900] + [2.0] * 100) == pytest.approx(0.02)


@pytest.mark.parametrize('seconds, expected', [
    ([0.5], 0.5), ([1.0, 3.0], 2.0), ([1.0, 2.0, 9.0], 4.0), ([9.0, 1.0, 3.0, 2.0], 2.5),
    ([1.0] * 6 + [2.0, 2.0], 1.0), ([1.0] * 4 + [2.0] * 4, 1.5)])
def test_the_interquartile_mean_is_the_mean_of_the_middle_half(seconds, expected):
    assert interquartile_mean(seconds) == pytest.approx(expected)


def test_on_a_machine_of_two_speeds_the_interquartile_mean_is_steadier_than_the_median():
    # Six turns of three steps, each turn fast or slow by 20 %, as a neighbour comes and goes.
    draw = random.Random(8)
    runs = [[draw.gauss(0.27, 0.005) * speed for speed in draw.choices((1.0, 1.2), k=6)
             for _ in range(3)] for _ in range(RUNS)]
    spread = {of: statistics.stdev(map(of, runs)) for of in (interquartile_mean, statistics.median)}
    assert spread[interquartile_mean] < 0.9 * spread[statistics.median]
