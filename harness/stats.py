# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of verdicts (pure).  The run is the unit of evidence: never a step."""

import math
import statistics
from typing import NamedTuple, Optional, Sequence, Tuple

from scipy import stats

ERROR = 0.05       # of calling a difference where there is none, all looks together
POWER = 0.80
SHORT_HISTORY = 5  # baseline runs from which on their spread is believed
PAIRS = 3          # pairs of runs from which on theirs is
CURVE_POINTS = 20  # of a loss curve: enough to see where it leaves, few enough for a file in git


class Interval(NamedTuple):
    """A difference of means, its interval, and how surprising it would be without any."""

    difference: float
    low: float
    high: float
    p_value: float        # two-sided, of a true difference of 0
    detectable: float     # the smallest true loss that is called 4 times in 5
    rule: str


def prediction_interval(new: Sequence[float], base: Sequence[float], error: float = ERROR,
                        margin: float = 0.0) -> Optional[Interval]:
    """Mean of new less mean of base, with the Student t prediction interval.

    The spread is the baseline's (df = B - 1), for it holds with a single new run.  With fewer
    than 5 baseline runs it is Welch's, for which both sides need 3 runs; else None: too few.
    margin: the loss that is accepted.
    """
    difference = statistics.mean(new) - statistics.mean(base)
    if len(base) >= SHORT_HISTORY:
        spread = statistics.stdev(base) * math.sqrt(1 / len(new) + 1 / len(base))
        return _interval(difference, spread, len(base) - 1, error, margin, 'Student t prediction')
    if min(len(new), len(base)) < 3:
        return None
    a, b = (statistics.variance(x) / len(x) for x in (new, base))
    freedom = ((a + b) ** 2 / (a ** 2 / (len(new) - 1) + b ** 2 / (len(base) - 1))
               if a + b else 1.0)
    return _interval(difference, math.sqrt(a + b), freedom, error, margin, 'Welch t')


def paired_interval(differences: Sequence[float], error: float = ERROR,
                    margin: float = 0.0) -> Optional[Interval]:
    """Mean of the differences within pairs, with the paired t interval; None: fewer than 3.

    What drifts from pair to pair cancels, so it needs no history and no steady machine.
    """
    if len(differences) < PAIRS:
        return None
    spread = statistics.stdev(differences) / math.sqrt(len(differences))
    return _interval(statistics.mean(differences), spread, len(differences) - 1, error, margin,
                     'paired t')


def looks(first: int, most: int) -> Tuple[int, ...]:
    """After how many runs to look: first, two more each time, and at the most that there may be.

    No fewer than first, whatever the most: before, there is nothing to see.

    Fixed in advance, so that stopping early is paid for: each look gets share() of the error
    (Bonferroni, which holds however the looks depend on each other).
    """
    return (*range(first, most, 2), max(first, most))


def share(looks: Sequence[int]) -> float:
    """The error that each look may spend."""
    return ERROR / len(looks)


def holm(p_values: Sequence[float]) -> Tuple[float, ...]:
    """The p values adjusted for being several (Holm 1979): none is called by their number alone."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return tuple(adjusted)


def runs_to_narrow(spread: float, half_width: float, base: int = 0, max_runs: int = 0,
                   power: float = 0.5, margin: float = 0.0, most: int = 100) -> Optional[int]:
    """How many runs (of `base` in the baseline; 0: pairs) make the interval as narrow as that.

    spread is the standard deviation of runs, or of differences within pairs.  The error is that of
    the last look, where there may be so many runs, or max_runs anyway.  With a power, a true loss
    of half_width is called with that probability: clear of zero and beyond the margin.
    None: more than `most`.
    """
    first = 1 if base else PAIRS
    for n in range(first, most + 1):
        error, freedom = share(looks(first, max(n, max_runs))), base - 1 if base else n - 1
        deviation = spread * math.sqrt(1 / n + (1 / base if base else 0))
        clear = max(stats.t.ppf(1 - error / 2, freedom) * deviation, margin)
        if clear + stats.t.ppf(power, freedom) * deviation <= half_width:
            return n
    return None


def loss_curve(losses: Sequence[float]) -> Tuple[float, ...]:
    """The logarithm of the loss, as means over 20 equal parts of the training; else nothing."""
    if len(losses) < CURVE_POINTS or min(losses) <= 0:
        return ()
    ends = [len(losses) * i // CURVE_POINTS for i in range(CURVE_POINTS + 1)]
    return tuple(round(statistics.mean(map(math.log, losses[a:b])), 5)
                 for a, b in zip(ends, ends[1:]))


def envelope(curves: Sequence[Sequence[float]],
             error: float = ERROR) -> Tuple[Tuple[float, float], ...]:
    """Low and high at each point of a curve, between which one more curve lies with 1 - error.

    The prediction interval of a single new run at every point, its error shared over the points.
    curves: one a run, all of the same length, 3 or more.
    """
    factor = (stats.t.ppf(1 - error / 2 / len(curves[0]), len(curves) - 1)
              * math.sqrt(1 + 1 / len(curves)))
    band = []
    for values in zip(*curves):
        mean, half = statistics.mean(values), factor * statistics.stdev(values)
        band.append((mean - half, mean + half))
    return tuple(band)


def _interval(difference: float, spread: float, freedom: float, error: float, margin: float,
              rule: str) -> Interval:
    """The t interval of a difference whose standard error is `spread`.

    A loss is called where it is clear of zero and beyond the margin, so it takes both.
    """
    quantile = stats.t.ppf(1 - error / 2, freedom)
    if spread:
        p_value = 2 * stats.t.sf(abs(difference) / spread, freedom)
    else:  # runs that agree to the last digit
        p_value = float(difference == 0)
    half = quantile * spread
    return Interval(difference, difference - half, difference + half, p_value,
                    max(half, margin) + stats.t.ppf(POWER, freedom) * spread, rule)
