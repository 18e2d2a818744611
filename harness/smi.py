# SPDX-License-Identifier: Apache-2.0
"""What npu-smi and nvidia-smi say of one device: its use, by whom, and whether it is well.

A CPU has no such tool: the host's own counters (telemetry.py) say it all.
"""

import functools
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from harness import npu_smi
from harness.records import Device

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

# nvidia-smi's names; a power cap is left out, for it holds in every run alike.
SLOWDOWNS = ('hw_slowdown', 'hw_thermal_slowdown', 'sw_thermal_slowdown', 'hw_power_brake_slowdown')
READINGS = ('utilization.gpu', 'memory.used', 'temperature.gpu', 'power.draw')
ALARMS = ('Warning', 'Alarm', 'Critical')   # npu-smi's words, from mild to severe


class Reading(NamedTuple):
    """A device at one moment; None: its tool does not tell, which is not zero."""

    percent: Optional[float] = None      # of the time, that it worked
    memory_mib: Optional[float] = None
    celsius: Optional[float] = None
    watts: Optional[float] = None


class User(NamedTuple):
    """A process that uses a device."""

    name: str                            # empty: not known, as often in a container
    memory_mib: Optional[float] = None   # of the device


class Look(NamedTuple):
    """One look at a device; what its tool does not tell is empty."""

    processes: Dict[int, User] = {}  # by process id
    slowed: str = ''                 # why it is slower than it can be
    reading: Reading = Reading()
    alarm: str = ''                  # what its tool complains of


def look(device: Device, ask: Ask) -> Look:
    """Ask the tool of a device's kind; a tool that fails has said nothing."""
    if device.kind == 'npu':
        return _look_at_npu(device.index, ask)
    if device.kind == 'gpu':
        index = str(device.index)
        fields = ','.join([*READINGS, *(f'clocks_throttle_reasons.{name}' for name in SLOWDOWNS)])
        values = ask(['nvidia-smi', '-i', index, '--format=csv,noheader,nounits',
                      f'--query-gpu={fields}'])
        return Look(gpu_processes(ask(['nvidia-smi', '-i', index, '--format=csv,noheader,nounits',
                                       '--query-compute-apps=pid,used_memory,process_name'])),
                    gpu_slowed(values), gpu_reading(values))
    return Look()


def severity(alarm: str) -> int:
    """How bad an alarm of a Look is; 0: there is none."""
    return max((i for i, word in enumerate(ALARMS, 1) if word in alarm), default=0)


def npu_slowed(common: npu_smi.Common) -> str:
    """The AI cores' clock, where they work below their rated one.

    A clock may rest while nothing is to be done, so an idle device is not called slow.
    """
    rated, now = common.aicore_rated_mhz, common.aicore_mhz
    if not (rated and now and common.aicore_percent) or now >= rated:
        return ''
    return f'its AI cores worked at {now:g} of {rated:g} MHz'


def npu_reading(common: npu_smi.Common, chip: Optional[npu_smi.Chip]) -> Reading:
    """`-t common` knows no sizes: the memory is the table's, and what `-t common` leaves out.

    The memory is HBM, or DDR where the table has no column for HBM.
    """
    if not chip:
        return Reading(common.aicore_percent, None, common.celsius, common.watts)
    return Reading(
        _first(common.aicore_percent, chip.aicore_percent),
        chip.memory_used_mib if chip.hbm_total_mib is None else chip.hbm_used_mib,
        _first(common.celsius, chip.celsius), _first(common.watts, chip.watts))


def gpu_processes(apps: str) -> Dict[int, User]:
    """12345, 8012, python3"""
    rows = (line.split(',', 2) for line in apps.splitlines() if line.count(',') > 1)
    return {int(pid): User(name.strip(), npu_smi.known(mib)) for pid, mib, name in rows
            if pid.strip().isdecimal()}


def gpu_slowed(values: str) -> str:
    """97, 8012, 61, 213.40, Not Active, Not Active, Active, Not Active  (unknown: [N/A])"""
    reasons = [value.strip() for value in values.split(',')[len(READINGS):]]
    active = [name for name, value in zip(SLOWDOWNS, reasons) if value == 'Active']
    return f'its clocks were held down ({", ".join(active)})' if active else ''


def gpu_reading(values: str) -> Reading:
    """The first values of the line that gpu_slowed() reads."""
    return Reading(*map(npu_smi.known, values.split(',')[:len(READINGS)]))


def _look_at_npu(logic: int, ask: Ask) -> Look:
    """A tool that does not answer is not asked for more: each answer may take its time."""
    info = ask(['npu-smi', 'info'])
    if not info:
        return Look()
    npu, number = _place(logic, ask)
    common = npu_smi.common(ask(['npu-smi', 'info', '-t', 'common', '-i', str(npu)]), number)
    chip = next((c for c in npu_smi.chips(info) if (c.npu, c.chip) == (npu, number)), None)
    users = {p.pid: User(p.name, p.memory_mib) for p in npu_smi.processes(info)
             if (p.npu, p.chip) == (npu, number)}
    health = chip.health if chip else ''
    return Look(users, npu_slowed(common), npu_reading(common, chip),
                f'npu-smi calls its health {health}' if health in ALARMS else '')


def _place(logic: int, ask: Ask) -> Tuple[int, int]:
    try:
        return _mapped(logic, ask)
    except LookupError:
        return npu_smi.where('', logic)


@functools.lru_cache(maxsize=16)
def _mapped(logic: int, ask: Ask) -> Tuple[int, int]:
    """Asked once, for it stays; an answer that says nothing is not kept, and so asked for again."""
    text = ask(['npu-smi', 'info', '-m'])
    if not npu_smi.mapping(text):
        raise LookupError(logic)
    return npu_smi.where(text, logic)


def _first(value: Optional[float], other: Optional[float]) -> Optional[float]:
    return other if value is None else value
