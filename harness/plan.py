# SPDX-License-Identifier: Apache-2.0
"""Which run comes when (pure)."""

import shlex
from typing import Dict, List, Mapping, Sequence, Tuple

from harness.records import Arm, Case, Device, PlannedRun, RunRecord


def run(case: Case, index: int, session: str) -> PlannedRun:
    """Run number 1, 2, ... of a case, each with a seed of its own."""
    return PlannedRun(f'{session}-{case.name}-{index}', case, index, seed=index - 1)


def pair(case: Case, index: int, session: str, slowdown: float = 0.0) -> Tuple[PlannedRun, ...]:
    """Both arms of a pair, with the same seed: A B, then B A, so that neither is always first.

    slowdown: of the new arm, from outside and on purpose.
    """
    old, new = (PlannedRun(f'{session}-{case.name}-{index}-{arm.value}', case, index,
                           seed=index - 1, arm=arm, slowdown=slowdown if arm is Arm.NEW else 0.0)
                for arm in (Arm.OLD, Arm.NEW))
    return (old, new) if index % 2 else (new, old)


def took_s(records: Sequence[RunRecord]) -> List[float]:
    """The seconds of each run or pair of a case; the arms of a pair that takes turns overlap."""
    walls_s: Dict[int, float] = {}
    for record in records:
        index, wall_s = record.run.index, record.outcome.wall_s
        before_s = walls_s.get(index, 0.0)
        walls_s[index] = max(before_s, wall_s) if record.outcome.turns else before_s + wall_s
    return list(walls_s.values())


def describe(cases: Sequence[Case], first: int, most: int, against: str, device: Device,
             variables: Mapping[str, str]) -> str:
    """What would run, and with which variables, for --dry-run."""
    controlled = ('ASCEND_DEVICE_ID', 'RCAN_DEVICE_KIND', 'CUDA_VISIBLE_DEVICES',
                  'OMP_NUM_THREADS')
    shown = ' '.join(f'{name}={variables[name]}' for name in controlled if name in variables)
    units = f'pairs with {against}' if against else 'runs'
    return '\n'.join([f'device {device.kind}:{device.index}, {first} to {most} {units} a case',
                      *(f'{shown} {" ".join(map(shlex.quote, run(case, 1, "").argv))}'
                        for case in cases)])
