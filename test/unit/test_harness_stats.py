# SPDX-License-Identifier: Apache-2.0
"""The arithmetic, held against simulated runs: every draw is seeded, every bound is binomial."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats as reference
from scipy.signal import lfilter

from harness.records import SPEED
from harness.stats import prediction_interval, runs_to_decide

TRIALS, BASELINE_RUNS, MOST_RUNS = 1000, 20, 5
STEPS, WARMUP = 100, 5
RUNS = (1, 3, 5)
MARGIN = SPEED.margin


def simulated_runs(trials, runs, seed):
    """Log median step times, [trials, runs]: 1 % between runs; within a run 3 % that lasts from
    step to step, 2 % of the steps far out, and a first step twenty times as long."""
    random = np.random.RandomState(seed)
    shape = (trials, runs, STEPS)
    lasting = lfilter([math.sqrt(1 - 0.6 ** 2) * 0.03], [1, -0.6], random.standard_normal(shape))
    steps = lasting + 0.01 * random.standard_normal((trials, runs, 1))
    steps += np.where(random.random_sample(shape) < 0.02, random.exponential(0.5, shape), 0)
    steps[..., 0] += math.log(20)
    return np.median(steps[..., WARMUP:], axis=-1)


@pytest.fixture(scope='module')
def quiet():
    """Baseline and new runs of the same code, for every trial."""
    runs = simulated_runs(TRIALS, BASELINE_RUNS + MOST_RUNS, seed=1)
    return [(list(trial[:BASELINE_RUNS]), list(trial[BASELINE_RUNS:])) for trial in runs]


def share(trials, count, shift, says):
    """How often the interval of `count` new runs says so."""
    intervals = [prediction_interval([x + shift for x in new[:count]], base)
                 for base, new in trials]
    return sum(map(says, intervals)) / len(intervals)


def at_most(expected):
    """The share that a true probability of `expected` exceeds once in ten thousand times."""
    return reference.binom.ppf(0.9999, TRIALS, expected) / TRIALS


def at_least(expected):
    return reference.binom.ppf(0.0001, TRIALS, expected) / TRIALS


def excludes_zero(interval):
    return interval.low > 0 or interval.high < 0


def is_regression(interval):
    """The judge's rule, on the scale of logarithms."""
    return interval.high < 0 and interval.difference <= math.log1p(-MARGIN)


@pytest.mark.parametrize('count', RUNS)
def test_the_interval_covers_95_percent(quiet, count):
    assert at_least(0.05) <= share(quiet, count, 0, excludes_zero) <= at_most(0.05)


@pytest.mark.parametrize('count, expected', list(zip(RUNS, (0.025, 0.005, 0.002))))
def test_a_quiet_series_is_hardly_ever_called_a_regression(quiet, count, expected):
    assert share(quiet, count, 0, is_regression) <= at_most(expected) <= 0.06


# Against 20 baseline runs and with a margin of 2 %.
@pytest.mark.parametrize('count, power', list(zip(RUNS, (0.62, 0.90, 0.94))))
def test_a_slowdown_of_3_percent_is_seen_as_often_as_the_method_promises(quiet, count, power):
    seen = share(quiet, count, math.log1p(-0.03), is_regression)
    assert at_least(power - 0.04) <= seen <= at_most(min(power + 0.04, 0.99))


@pytest.mark.parametrize('count', RUNS)
def test_the_detectable_loss_is_seen_four_times_in_five(count):
    random = np.random.RandomState(2)
    runs = random.standard_normal((TRIALS, BASELINE_RUNS + MOST_RUNS)) * 0.01
    trials = [(list(t[:BASELINE_RUNS]), list(t[BASELINE_RUNS:])) for t in runs]
    exact = scaled_to(0.01, trials[0][0])
    detectable = prediction_interval(exact[:count], exact).detectable
    seen = share(trials, count, -detectable, lambda interval: interval.high < 0)
    assert at_least(0.78) <= seen <= at_most(0.82)


def scaled_to(spread, values):
    """The same values with mean 0 and exactly this standard deviation."""
    mean, sd = statistics.mean(values), statistics.stdev(values)
    return [(v - mean) / sd * spread for v in values]


@pytest.mark.parametrize('count, percent', list(zip(RUNS, (3.0, 1.8, 1.5))))
def test_with_20_baseline_runs_of_1_percent_spread_so_much_can_be_seen(count, percent):
    base = scaled_to(0.01, np.random.RandomState(3).standard_normal(BASELINE_RUNS))
    assert prediction_interval([0.0] * count, base).detectable * 100 == pytest.approx(percent,
                                                                                      abs=0.05)


def test_the_interval_is_the_textbook_prediction_interval():
    # NIST/SEMATECH e-Handbook: mean of m new less mean of n old, t(n-1) * s * sqrt(1/m + 1/n).
    base, new = [9.8, 10.1, 10.0, 9.9, 10.2], [10.6, 10.4]
    half = 2.776445 * statistics.stdev(base) * math.sqrt(1 / 2 + 1 / 5)
    interval = prediction_interval(new, base)
    assert interval.difference == pytest.approx(0.5)
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_the_spread_is_the_baselines_even_where_the_new_runs_scatter():
    base = [1.0, 1.1, 0.9, 1.05, 0.95]
    calm, wild = (prediction_interval(new, base) for new in ([1.0, 1.0, 1.0], [0.5, 1.0, 1.5]))
    assert calm == pytest.approx(wild)


def test_a_short_history_is_compared_by_welch():
    base, new = [10.0, 10.2, 9.7, 10.1], [9.1, 9.4, 9.3]
    # Moved until the interval just touches zero, the runs have Welch's p-value of 0.05.
    for border in prediction_interval(new, base)[1:3]:
        moved = [x - border for x in new]
        assert reference.ttest_ind(moved, base, equal_var=False).pvalue == pytest.approx(0.05)


@pytest.mark.parametrize('new, base', [(1, 1), (1, 4), (2, 4), (5, 2), (2, 3), (9, 1)])
def test_too_few_runs_give_no_interval(new, base):
    assert prediction_interval([1.0] * new, [1.0] * base) is None


@pytest.mark.parametrize('new, base', [(1, 5), (3, 3), (3, 4), (1, 20)])
def test_these_are_enough(new, base):
    assert prediction_interval([1.0] * new, list(np.linspace(1, 2, base))) is not None


@pytest.mark.parametrize('base', [[1.0] * 3, [1.0] * 10])
def test_runs_without_any_spread_give_an_interval_without_width(base):
    interval = prediction_interval([0.9] * 3, base)
    assert interval.low == interval.high == interval.difference == pytest.approx(-0.1)


@pytest.mark.parametrize('slack', [0.03, 0.015, 0.012, 0.0105])
def test_so_many_runs_decide_and_one_less_does_not(slack):
    base = scaled_to(0.01, np.random.RandomState(4).standard_normal(10))

    def half(count):
        interval = prediction_interval([0.0] * count, base)
        return interval.high - interval.difference

    needed = runs_to_decide(base, slack)
    assert half(needed) <= slack
    assert needed == 1 or half(needed - 1) > slack


@pytest.mark.parametrize('base, slack', [
    ([1.0, 1.1, 0.9, 1.0], 0.5),                    # too short a history
    ([1.0, 1.1, 0.9, 1.0, 1.05], 0.0),
    ([1.0, 1.1, 0.9, 1.0, 1.05], -0.5),
    ([1.0, 1.1, 0.9, 1.0, 1.05], 0.01),             # the baseline's own mean is less certain
])
def test_where_no_number_of_runs_decides_none_is_named(base, slack):
    assert runs_to_decide(base, slack) is None


def test_no_more_runs_are_named_than_anybody_would_make():
    base = [1.0, 1.1, 0.9, 1.0, 1.05]
    needed = runs_to_decide(base, 0.1)
    assert needed is not None
    assert runs_to_decide(base, 0.1, most=needed) == needed
    assert runs_to_decide(base, 0.1, most=needed - 1) is None
