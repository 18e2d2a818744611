# SPDX-License-Identifier: Apache-2.0
"""Who or what else had a hand in a run's speed, in a sentence (pure)."""

from typing import Iterator

from harness.records import Load

# Shares of all cores.
CPU_SHARE = 0.08     # of others and of the hypervisor together; a quiet machine shows 1 to 3 %
QUEUE_SHARE = 0.25   # of threads of others, as many as are sampled at a moment
THROTTLED_SHARE = 0.08   # of the time


def disturbance(load: Load, cpus: int) -> str:
    """What others took of this machine and of the device, where it is too much; else nothing."""
    return '; '.join(_reasons(load, cpus))


def _reasons(load: Load, cpus: int) -> Iterator[str]:
    foreign, steal = load.foreign_cpu_percent or 0.0, load.steal_percent or 0.0
    if foreign + steal > 100 * cpus * CPU_SHARE:
        stolen = f' and the hypervisor withheld {steal:.0f} %' if steal >= 1 else ''
        yield (f'other processes took {foreign:.0f} % of a core on average{stolen} '
               f'(of {cpus}; up to {100 * cpus * CPU_SHARE:.0f} % is taken for quiet)')
    threads = load.foreign_threads or 0.0
    if threads > cpus * QUEUE_SHARE:
        several = 'threads' if round(threads) > 1 else 'thread'
        yield f'{threads:.0f} {several} of others ran or waited for a core most of the time'
    throttled = load.throttled_percent or 0.0
    if throttled > 100 * THROTTLED_SHARE:
        yield (f'heat or the quota of its control group held the CPU back for {throttled:.0f} % of '
               'the time')
    if load.device_others:
        yield f'the device was used by others as well: {", ".join(load.device_others)}'
    if load.device_alarm:
        yield f'the device is not well: {load.device_alarm}'
    if load.device_slowed:
        yield f'the device was slowed down: {load.device_slowed}'
