# SPDX-License-Identifier: Apache-2.0
"""The arithmetic (pure).  The run is the unit of evidence: never a step."""

import math
import statistics
from typing import NamedTuple, Optional, Sequence

from scipy import stats

CONFIDENCE = 0.95
POWER = 0.80
SHORT_HISTORY = 5  # baseline runs from which on their spread is believed


class Interval(NamedTuple):
    """The difference of two means with its 95 % interval, and the smallest one to be seen."""

    difference: float
    low: float
    high: float
    detectable: float


def prediction_interval(new: Sequence[float], base: Sequence[float]) -> Optional[Interval]:
    """Mean of new less mean of base, with the Student t prediction interval.

    The spread is the baseline's (df = B - 1), for it holds with a single new run.  With fewer
    than 5 baseline runs it is Welch's, for which both sides need 3 runs; else None: too few.
    """
    difference = statistics.mean(new) - statistics.mean(base)
    if len(base) >= SHORT_HISTORY:
        error = statistics.stdev(base) * math.sqrt(1 / len(new) + 1 / len(base))
        freedom = len(base) - 1.0
    elif min(len(new), len(base)) >= 3:
        a, b = (statistics.variance(x) / len(x) for x in (new, base))
        error = math.sqrt(a + b)
        freedom = ((a + b) ** 2 / (a ** 2 / (len(new) - 1) + b ** 2 / (len(base) - 1))
                   if error else 1.0)
    else:
        return None
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
    half = quantile * error
    return Interval(difference, difference - half, difference + half,
                    (quantile + stats.t.ppf(POWER, freedom)) * error)


def runs_to_decide(base: Sequence[float], slack: float, most: int = 100) -> Optional[int]:
    """How many new runs make the interval's half width at most slack; None: more than `most`."""
    if len(base) < SHORT_HISTORY or slack <= 0:
        return None
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(base) - 1)
    spread = quantile * statistics.stdev(base)
    return next((n for n in range(1, most + 1)
                 if spread * math.sqrt(1 / n + 1 / len(base)) <= slack), None)
