# SPDX-License-Identifier: Apache-2.0
"""Where a series of runs changed its level (pure): a permutation test of the best split.

The strength of a split into a and b values is the difference of the mean ranks of its two parts,
times sqrt(a * b / n).  The largest over all splits is held against that of shuffled series, so no
shape of the noise is assumed, only that quiet runs could have come in any order; a slow drift or
noise that lasts from run to run is called a change.  Simulated with normal noise: about 1 % false
alarms in quiet series of 20 to 400 runs; in the middle of series of 20 / 30 / 50 runs a change of
2 standard deviations is seen in 78 / 95 / 100 % of them, and one of 3 in 99 % or more; one of 3
that is only five runs old in some 80 %.  A history that is looked at again with every run has more
false alarms than a single look, and a level that came and went again between equally long others
may not be seen.
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
    ranks = _ranks(values)
    weights = _weights(len(ranks))
    strength = _strength(ranks, weights)
    if _most(strength, len(ranks)) <= 1 / (SHUFFLES + 1):
        return 1 / (SHUFFLES + 1)   # proven: shuffles could only say the same
    shuffle = random.Random(0).shuffle
    as_strong = 1   # the order that was found is one of them
    for _ in range(SHUFFLES):
        shuffle(ranks)
        as_strong += _strength(ranks, weights) >= strength
        if as_strong > ERROR * (SHUFFLES + 1):
            return None   # more shuffles cannot make it rare: most series end here
    return as_strong / (SHUFFLES + 1)


def _ranks(values: Sequence[float]) -> List[float]:
    """Each value's place among all, less the mean place; equals share one."""
    ordered = sorted(values)
    return [(bisect.bisect_left(ordered, v) + bisect.bisect_right(ordered, v) - len(ordered)) / 2
            for v in values]


def _weights(n: int) -> List[float]:
    """1 / sqrt(a * b / n) of each split into a and b values."""
    return [1 / math.sqrt(a * (n - a) / n) for a in range(LEAST, n - LEAST + 1)]


def _strength(ranks: Sequence[float], weights: Sequence[float]) -> float:
    """How strongly the best split divides; the mean of all ranks is 0."""
    sums = itertools.islice(itertools.accumulate(ranks), LEAST - 1, None)
    return max(abs(total) * weight for weight, total in zip(weights, sums))


def _most(strength: float, n: int) -> float:
    """A p value that is surely not too low, without shuffles; small in long series only.

    Serfling's inequality (1974) for the sum of values that are drawn without replacement, here of
    the ranks of the smaller part, which are between -n / 2 and n / 2; added up over all splits.
    """
    return 2 * (n - 2 * LEAST + 1) * math.exp(-2 * n / (n + 2) * (strength / n) ** 2)


def _place(values: Sequence[float]) -> int:
    """Where two levels fit best: the least sum of distances from each part's own median.

    The strongest split is no good place: to ranks, the highest value of a level is as far from the
    others as the first of a new level far above.
    """
    n = len(values)
    before, after = _distances(values), _distances(values[::-1])
    return min(range(LEAST, n - LEAST + 1), key=lambda a: before[a - 1] + after[n - a - 1])


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
