# SPDX-License-Identifier: Apache-2.0
"""What the step times of one run say: where they get steady, their tail, their outliers (pure)."""

import math
import statistics
from typing import List, Optional, Sequence

BATCH = 5              # steps; their median lets no single outlier decide
LEAST_BATCHES = 4      # of fewer nothing can be found
CLEAR = 4.0            # standard errors: 1 to 3 % of stationary runs are called not steady
MATERIAL = 0.01        # of the step time: less is no change, however clear
OUTLIER = 5.0          # scaled median absolute deviations above the median
MAD_TO_SD = 1.4826     # scales the median absolute deviation to a normal sd


def steady_start(step_seconds: Sequence[float]) -> Optional[int]:
    """The index of the first steady step of those after the least warm-up; None: never steady.

    MSER-5 (White 1997, Simulation 69(6); reviewed by Hoad, Robinson and Davies 2010): cut where
    the standard error of what is left is least, over batches of 5 steps, here of the medians of
    their logarithms; a minimum in the second half of the run is no steady state.  MSER alone sees
    something in 17 % of quiet runs of 102 steps, so a cut also has to part batches that differ
    clearly, and what is left must neither drift nor jump.  A cut of more than a quarter must drop
    slow steps, as a warm-up has: a run that gets slower is not steady.

    Fewer than four batches are taken as steady: they show nothing.
    """
    batches = _batches(step_seconds)
    if len(batches) < LEAST_BATCHES:
        return 0
    noise = _noise(batches)
    cut = _mser(batches, len(batches) // 2)
    if not _differ(batches[:cut], batches[cut:], noise):
        cut = 0
    if _slowed_down(batches, cut) or not _is_steady(batches[cut:], noise):
        return None
    return len(step_seconds) - BATCH * (len(batches) - cut) if cut else 0


def interquartile_mean(step_seconds: Sequence[float]) -> float:
    """The mean of the middle half, in seconds; of at least one step.

    As deaf to outliers as a benchmark needs, and steadier than the median where a machine is now
    fast and now slow: there the median jumps from one to the other, and this moves with the share.
    """
    ordered = sorted(step_seconds)
    quarter = len(ordered) // 4
    return _mean(ordered[quarter:len(ordered) - quarter])


def percentile_95(step_seconds: Sequence[float]) -> float:
    """In seconds, interpolated between the two nearest steps; of at least one step."""
    ordered = sorted(step_seconds)
    place = 0.95 * (len(ordered) - 1)
    low = ordered[int(place)]
    return low + (place - int(place)) * (ordered[math.ceil(place)] - low)


def outlier_share(step_seconds: Sequence[float]) -> float:
    """The share of steps slower than the median by more than 5 scaled MADs, of at least one step.

    A normal distribution has none such in a million.
    """
    median = statistics.median(step_seconds)
    mad = statistics.median(abs(s - median) for s in step_seconds)
    limit = median + OUTLIER * MAD_TO_SD * mad
    return sum(s > limit for s in step_seconds) / len(step_seconds)


def _batches(step_seconds: Sequence[float]) -> List[float]:
    """The median log of every five steps; what is left over is at the start, with the warm-up."""
    count = len(step_seconds) // BATCH
    logs = [math.log(s) for s in step_seconds[len(step_seconds) - BATCH * count:]]
    return [statistics.median(logs[i:i + BATCH]) for i in range(0, len(logs), BATCH)]


def _noise(batches: Sequence[float]) -> float:
    """The sd of a batch, from neighbours, so that neither a drift nor a jump makes it large."""
    squares = [(b - a) ** 2 for a, b in zip(batches, batches[1:])]
    return math.sqrt(sum(squares) / (2 * len(squares)))


def _mser(batches: Sequence[float], last: int) -> int:
    """The cut of at most `last` batches that leaves the least standard error of the mean."""
    centre = statistics.median(batches)    # so that the difference of the two sums is exact
    total = squares = 0.0
    best, least = 0, math.inf
    for cut in reversed(range(len(batches))):   # backwards the sums only grow: one pass
        value, count = batches[cut] - centre, len(batches) - cut
        total, squares = total + value, squares + value ** 2
        squared_error = (squares / count - (total / count) ** 2) / count
        if cut <= last and squared_error <= least:
            best, least = cut, squared_error
    return best


def _differ(before: Sequence[float], after: Sequence[float], noise: float) -> bool:
    if not before or not after:
        return False
    error = noise * math.sqrt(1 / len(before) + 1 / len(after))
    return abs(_mean(after) - _mean(before)) > max(MATERIAL, CLEAR * error)


def _slowed_down(batches: Sequence[float], cut: int) -> bool:
    return cut > len(batches) / 4 and _mean(batches[:cut]) < _mean(batches[cut:])


def _is_steady(batches: Sequence[float], noise: float) -> bool:
    """True where its halves are alike, and where MSER finds no cut in the second of them."""
    half = len(batches) // 2
    # MSER leaves the last five batches alone: the least error of so few is chance.
    late = _mser(batches, len(batches) - min(5, max(2, len(batches) // 3)))
    return not (_differ(batches[:half], batches[half:], noise)
                or late > half and _differ(batches[:late], batches[late:], noise))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)   # statistics.mean is exact and a hundred times slower
