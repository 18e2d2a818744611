# SPDX-License-Identifier: Apache-2.0
"""The arithmetic, held against simulated runs: every draw is seeded, every bound is binomial."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats as reference
from scipy.signal import lfilter

from harness import stats
from harness.records import SPEED
from harness.stats import prediction_interval, runs_to_narrow

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


@pytest.mark.parametrize('slack', [0.04, 0.03, 0.02, 0.016])
def test_so_many_runs_decide_and_one_less_does_not(slack):
    base = scaled_to(0.01, np.random.RandomState(4).standard_normal(10))

    def half(count):
        # With the share of the error that the last of so many looks has.
        interval = prediction_interval([0.0] * count, base, stats.share(stats.looks(1, count)))
        return interval.high - interval.difference

    needed = runs_to_narrow(statistics.stdev(base), slack, len(base))
    assert half(needed) <= slack
    assert needed == 1 or half(needed - 1) > slack


@pytest.mark.parametrize('slack', [
    0.0, -0.5,
    0.05])                                          # the baseline's own mean is less certain
def test_where_no_number_of_runs_decides_none_is_named(slack):
    assert runs_to_narrow(0.07, slack, 5) is None


def test_no_more_runs_are_named_than_anybody_would_make():
    needed = runs_to_narrow(0.08, 0.22, 5)
    assert needed is not None and needed > 1
    assert runs_to_narrow(0.08, 0.22, 5, most=needed) == needed
    assert runs_to_narrow(0.08, 0.22, 5, most=needed - 1) is None


# --- pairs ----------------------------------------------------------------------------------------

def test_the_interval_of_pairs_is_the_paired_t_tests():
    old, new = [10.0, 12.0, 9.0, 11.0], [9.7, 11.9, 8.6, 10.6]
    interval = stats.paired_interval([n - o for n, o in zip(new, old)])
    assert interval.p_value == pytest.approx(reference.ttest_rel(new, old).pvalue)
    half = reference.t.ppf(0.975, 3) * statistics.stdev([-0.3, -0.1, -0.4, -0.4]) / 2
    assert (interval.low, interval.high) == pytest.approx((-0.3 - half, -0.3 + half))


@pytest.mark.parametrize('count, enough', [(0, False), (2, False), (3, True)])
def test_fewer_than_three_pairs_prove_nothing(count, enough):
    assert (stats.paired_interval([0.1, 0.2, 0.3][:count]) is not None) == enough


def drifting(trials, runs, seed):
    """Log step times of runs one after the other on a machine that drifts, [trials, runs]."""
    random = np.random.RandomState(seed)
    walk = np.cumsum(random.standard_normal((trials, runs)) * 0.01, axis=1)
    return walk + 0.01 * random.standard_normal((trials, runs))


def test_under_drift_pairs_hardly_ever_alarm_and_one_arm_after_the_other_does():
    runs = drifting(TRIALS, 10, seed=5)
    turns = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0, 1])
    pairs = [[t[turns == 1][i] - t[turns == 0][i] for i in range(5)] for t in runs]
    alarms = [is_regression(stats.paired_interval(list(map(float, p)))) for p in pairs]
    assert sum(alarms) / TRIALS < 0.03
    blocks = [prediction_interval(list(map(float, t[5:])), list(map(float, t[:5]))) for t in runs]
    assert sum(map(is_regression, blocks)) > 3 * sum(alarms)


# --- looks and gates ------------------------------------------------------------------------------

@pytest.mark.parametrize('first, most, expected', [
    (1, 1, (1,)), (1, 2, (1, 2)), (1, 5, (1, 3, 5)), (1, 6, (1, 3, 5, 6)), (3, 3, (3,)),
    (3, 7, (3, 5, 7))])
def test_the_looks_are_known_before_the_first_run(first, most, expected):
    assert stats.looks(first, most) == expected
    assert stats.share(expected) * len(expected) == pytest.approx(stats.ERROR)


def called_at_some_look(runs, base, looks, interval_of):
    """Whether looking again and again, and stopping at a surprise, calls a difference."""
    error = stats.share(looks)
    return any(interval_of(runs[:n], base, error).p_value <= error for n in looks)


def test_looking_again_and_again_keeps_the_total_error(quiet):
    looks = stats.looks(1, MOST_RUNS)
    calls = [called_at_some_look(new, base, looks, prediction_interval) for base, new in quiet]
    assert sum(calls) / TRIALS <= at_most(stats.ERROR)
    # The share matters: with all of the error at each look it would be too many.
    greedy = [any(prediction_interval(new[:n], base).p_value <= stats.ERROR for n in looks)
              for base, new in quiet]
    assert sum(greedy) > sum(calls)


def test_looking_at_pairs_again_and_again_keeps_the_total_error_too():
    random = np.random.RandomState(6)
    looks = stats.looks(stats.PAIRS, 7)
    trials = [list(map(float, t)) for t in random.standard_normal((TRIALS, 7)) * 0.01]
    calls = [called_at_some_look(t, None, looks, lambda d, _, error: stats.paired_interval(
        d, error)) for t in trials]
    assert sum(calls) / TRIALS <= at_most(stats.ERROR)


def test_three_runs_against_twenty_alarm_once_in_a_hundred_and_see_3_percent(quiet):
    # The promise of facts: 1 % between runs, at most 1 % false alarms, 90 % power.
    assert share(quiet, 3, 0, is_regression) <= 0.01
    assert share(quiet, 3, math.log1p(-0.03), is_regression) >= 0.90


@pytest.mark.parametrize('p_values, expected', [
    ([], ()), ([0.04], (0.04,)), ([0.01, 0.04], (0.02, 0.04)), ([0.04, 0.01], (0.04, 0.02)),
    ([0.03, 0.04], (0.06, 0.06)), ([0.01, 0.03, 0.9], (0.03, 0.06, 0.9)), ([0.6, 0.7], (1.0, 1.0))])
def test_several_gates_share_one_error(p_values, expected):
    # Holm 1979: the smallest times their number, the next times one less, never falling.
    assert stats.holm(p_values) == pytest.approx(expected)


# --- loss curves ----------------------------------------------------------------------------------

def test_one_more_curve_lies_within_the_envelope_as_often_as_promised():
    random = np.random.RandomState(7)
    curves = random.standard_normal((TRIALS, 11, 20)) * 0.05
    outside = 0
    for trial in curves:
        band = stats.envelope([list(map(float, c)) for c in trial[:10]], 0.05)
        outside += any(not low <= x <= high for x, (low, high) in zip(trial[10], band))
    assert at_least(0.02) <= outside / TRIALS <= at_most(0.05)


def test_a_loss_curve_is_the_mean_log_loss_of_twenty_parts():
    losses = [math.exp(-i) for i in range(40)]
    curve = stats.loss_curve(losses)
    assert curve == pytest.approx([-(2 * i + 0.5) for i in range(20)])
    assert stats.loss_curve(losses[:19]) == ()      # too few steps for a curve
    assert stats.loss_curve(losses + [0.0]) == ()   # no logarithm
