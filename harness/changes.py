# SPDX-License-Identifier: Apache-2.0
"""Where a series of runs changed its level (pure): a permutation test of the best split.

The largest |difference of medians| * sqrt(a * b / n) over all splits into a and b values is held
against the same of shuffled series, so no shape of the noise is assumed, only that quiet runs
could have come in any order; a slow drift or noise that lasts from run to run is called a change.
Simulated with normal noise: about 1 % false alarms in quiet series of 20 to 100 runs, and a change
of 3 standard deviations in the middle is seen in 79 / 94 / 99 % of series of 20 / 30 / 50 runs.
A history that is looked at again with every run has more false alarms than a single look, and a
level that came and went again between equally long others may not be seen.
"""

import bisect
import itertools
import math
import random
import statistics
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

LEAST = 5         # values on either side of a split: fewer are outliers, not a level
SHUFFLES = 199    # the smallest p value is 1 in 200
ERROR = 0.01      # of calling a change in a quiet series


@dataclass(frozen=True)
class ChangePoint:
    """A new level; `before` and `after` are the medians of the levels that meet here."""

    index: int        # of the first value of the new level
    p_value: float    # of no change, in the part of the series where it was looked for
    before: float
    after: float


def change_points(values: Sequence[float]) -> Tuple[ChangePoint, ...]:
    """The changes of a series of finite values, oldest first; the same series, the same answer.

    Ratios are compared as differences: pass the logarithms of values such as speeds.
    Both parts of a split are searched again (binary segmentation).
    """
    found = _splits(values)
    splits = sorted(found)
    edges = [0, *splits, len(values)]
    for i in range(1, len(edges) - 1):
        # The part where it was found may have held more levels: only the two that meet count.
        edges[i] = edges[i - 1] + _place(values[edges[i - 1]:edges[i + 1]])
    levels = [statistics.median(values[a:b]) for a, b in zip(edges, edges[1:]) if b > a]
    return tuple(ChangePoint(at, found[split], before, after) for at, split, before, after
                 in zip(edges[1:], splits, levels, levels[1:]))


def _splits(values: Sequence[float]) -> Dict[int, float]:
    """The p value of every split that is no chance, by the index of its second part."""
    found = {}
    parts = [(0, len(values))]
    while parts:
        first, end = parts.pop()
        if end - first < 2 * LEAST:
            continue
        part = values[first:end]
        p_value = _p_value(part)
        if p_value is not None:
            at = first + _place(part)
            found[at] = p_value
            parts += [(first, at), (at, end)]
    return found


def _p_value(values: Sequence[float]) -> Optional[float]:
    """The share of orders that split as strongly by chance; None: more than ERROR of them."""
    strength = _strength(values)
    shuffled, shuffle = list(values), random.Random(0).shuffle
    as_strong = 1   # the order that was found is one of them
    for _ in range(SHUFFLES):
        shuffle(shuffled)
        as_strong += _strength(shuffled) >= strength
        if as_strong > ERROR * (SHUFFLES + 1):
            return None   # more shuffles cannot make it rare: most series end here
    return as_strong / (SHUFFLES + 1)


def _strength(values: Sequence[float]) -> Tuple[float, float]:
    """How strongly the best split divides: by its medians, and among equals by its means.

    Equals are no accident: with fixed seeds a run repeats its PSNR, so that a level is one
    number, and any split with most of each level on one side has the same medians.
    """
    n = len(values)
    before, after = _medians(values), _medians(values[::-1])
    sums = list(itertools.accumulate(values))
    weights = ((a, math.sqrt(a * (n - a) / n)) for a in range(LEAST, n - LEAST + 1))
    return max((abs(before[a - 1] - after[n - a - 1]) * weight,
                abs(sums[a - 1] / a - (sums[-1] - sums[a - 1]) / (n - a)) * weight)
               for a, weight in weights)


def _place(values: Sequence[float]) -> int:
    """Where two levels fit best: the least sum of distances from each part's own median.

    The strongest split is no good place: that of medians is drawn to the middle of the series.
    """
    n = len(values)
    before, after = _distances(values), _distances(values[::-1])
    return min(range(LEAST, n - LEAST + 1), key=lambda a: before[a - 1] + after[n - a - 1])


def _medians(values: Sequence[float]) -> List[float]:
    """The medians of the first 1, 2, 3, ... values."""
    ordered: List[float] = []
    medians = []
    for value in values:
        bisect.insort(ordered, value)
        middle = len(ordered) // 2
        medians.append((ordered[middle] + ordered[~middle]) / 2)
    return medians


def _distances(values: Sequence[float]) -> List[float]:
    """The sums of distances from their median, of the first 1, 2, 3, ... values."""
    ordered = [values[0]]
    sums = [0.0]
    for value in values[1:]:
        middle = len(ordered) // 2
        # A new value adds its distance from what is the median, or from the two in the middle.
        sums.append(sums[-1] + max(ordered[~middle] - value, value - ordered[middle], 0.0))
        bisect.insort(ordered, value)
    return sums
