# SPDX-License-Identifier: Apache-2.0
"""How far a session is, and how long it will go on (pure)."""

import statistics
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from harness import plan
from harness.records import Arm, Case, RunRecord, Summary, Verdict


@dataclass(frozen=True)
class Aim:
    """What runs are made for just now."""

    goal: str = 'verdict'
    cases: Tuple[Case, ...] = ()  # that are not decided
    looks: Tuple[int, ...] = ()   # after how many runs, or pairs
    index: int = 1                # of the runs that come now
    pairs: bool = False


@dataclass(frozen=True)
class Estimate:
    """How long something takes."""

    seconds: float
    whole: bool = True            # False: what is not known comes on top of that


@dataclass(frozen=True)
class Standing:
    """How far a case is."""

    case: str
    unit: str                     # what is counted: run or pair
    made: int
    most: int = 0                 # that there may be; 0: no more of them come
    verdict: str = ''             # so far
    to_look: int = 0              # runs until the next look, where each arm of a pair is one
    to_end: int = 0               # the same, if no look is clear before the last
    run_s: Optional[float] = None   # that such a run has taken, the median; None: not known


@dataclass(frozen=True)
class Outlook:
    """What may still come."""

    goal: str = 'verdict'
    standings: Tuple[Standing, ...] = ()
    end: Optional[float] = None   # of --budget, on the clock of time.monotonic()


def outlook(summary: Summary, aim: Aim, end: Optional[float] = None) -> Outlook:
    """How far each case of a session is on its way to what its runs are made for."""
    verdicts = {v.case: v for v in summary.verdicts} if aim.goal == 'verdict' else {}
    return Outlook(aim.goal, tuple(
        _standing(case, [r for r in summary.records if r.run.case == case], aim,
                  verdicts.get(case.name)) for case in summary.session.cases), end)


def ahead(left: Estimate, standings: Sequence[Standing], to_end: bool) -> Estimate:
    """Until the next look, or to_end: the last; left: of what runs now, which is in no standing."""
    runs = [(s.to_end if to_end else s.to_look, s.run_s) for s in standings]
    return Estimate(left.seconds + sum(number * (run_s or 0.0) for number, run_s in runs),
                    left.whole and all(run_s for number, run_s in runs if number))


def _standing(case: Case, records: Sequence[RunRecord], aim: Aim,
              verdict: Optional[Verdict]) -> Standing:
    word = verdict.status.value if verdict else ''
    if case not in aim.cases:
        return Standing(case.name, 'pair' if verdict and verdict.against else 'run',
                        verdict.runs if verdict else len(records), verdict=word)
    arms = 2 if aim.pairs else 1
    mine = [r for r in records if (r.run.arm is not Arm.ALONE) == aim.pairs]
    sound = [r for r in mine if aim.goal == 'verdict' or not r.disturbed]
    made, last = len(sound) // arms, aim.looks[-1]
    look = min(n for n in aim.looks if n >= aim.index)
    return Standing(case.name, 'pair' if aim.pairs else 'run', made, last,
                    word if made >= aim.looks[0] else '',   # else no look has been taken
                    arms * look - len(sound), arms * last - len(sound), _run_s(mine, arms))


def _run_s(records: Sequence[RunRecord], arms: int) -> Optional[float]:
    """What a run takes; of whole pairs half their time, for in turns both arms go on at once."""
    indices = [r.run.index for r in records]
    whole = [r for r in records if indices.count(r.run.index) == arms]
    return statistics.median(plan.took_s(whole)) / arms if whole else None
