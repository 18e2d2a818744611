# SPDX-License-Identifier: Apache-2.0
"""Which run comes when (pure)."""

import shlex
from typing import Mapping, Sequence, Tuple

from harness.records import Case, Device, PlannedRun


def plan(cases: Sequence[Case], runs: int, session: str) -> Tuple[PlannedRun, ...]:
    """Every case once, then every case again: what drifts meets all cases alike."""
    return tuple(PlannedRun(f'{session}-{case.name}-{index}', case, index, seed=index - 1)
                 for index in range(1, runs + 1) for case in cases)


def describe(planned: Sequence[PlannedRun], device: Device, variables: Mapping[str, str]) -> str:
    """What would run, and with which variables, for --dry-run."""
    controlled = ('ASCEND_DEVICE_ID', 'RCAN_DEVICE_KIND', 'CUDA_VISIBLE_DEVICES',
                  'OMP_NUM_THREADS')
    shown = ' '.join(f'{name}={variables[name]}' for name in controlled if name in variables)
    return '\n'.join([f'device {device.kind}:{device.index}, {len(planned)} runs',
                      *(f'{shown} {" ".join(map(shlex.quote, p.argv))}' for p in planned)])
