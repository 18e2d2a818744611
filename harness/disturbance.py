# SPDX-License-Identifier: Apache-2.0
"""Who else took the machine while a run went on, in a sentence (pure)."""

from harness.records import Load

# Of all cores.  A quiet machine shows 1 to 3 %: the kernel and what the sampling misses.
FOREIGN_SHARE = 0.08


def disturbance(load: Load, cpus: int) -> str:
    """What others took of the CPUs of this machine, where it is too much; else nothing."""
    if load.foreign_cpu_percent is None or load.foreign_cpu_percent <= 100 * cpus * FOREIGN_SHARE:
        return ''
    return (f'other processes took {load.foreign_cpu_percent:.0f} % of a core on average '
            f'(of {cpus}; up to {100 * cpus * FOREIGN_SHARE:.0f} % is taken for quiet)')
