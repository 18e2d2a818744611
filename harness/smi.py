# SPDX-License-Identifier: Apache-2.0
"""What npu-smi and nvidia-smi say of one device: its use, by whom, and whether it is slowed down.

A CPU has no such tool: the host's own counters (telemetry.py) say it all.
"""

import re
from typing import Callable, Dict, NamedTuple, Optional, Sequence

from harness.records import Device

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

# nvidia-smi's names; a power cap is left out, for it holds in every run alike.
SLOWDOWNS = ('hw_slowdown', 'hw_thermal_slowdown', 'sw_thermal_slowdown', 'hw_power_brake_slowdown')
READINGS = ('utilization.gpu', 'memory.used', 'temperature.gpu', 'power.draw')


class Reading(NamedTuple):
    """A device at one moment; None: its tool does not tell, which is not zero."""

    percent: Optional[float] = None      # of the time, that it worked
    memory_mib: Optional[float] = None
    celsius: Optional[float] = None
    watts: Optional[float] = None


class Look(NamedTuple):
    """One look at a device; what its tool does not tell is empty."""

    processes: Dict[int, str] = {}   # the names, by process id
    slowed: str = ''                 # why it is slower than it can be
    reading: Reading = Reading()


def look(device: Device, ask: Ask) -> Look:
    """Ask the tool of a device's kind; a tool that fails has said nothing."""
    index = str(device.index)
    if device.kind == 'npu':
        info = ask(['npu-smi', 'info'])
        common = ask(['npu-smi', 'info', '-t', 'common', '-i', index])
        return Look(npu_processes(info, device.index), npu_slowed(common),
                    npu_reading(info, common, device.index))
    if device.kind == 'gpu':
        fields = ','.join([*READINGS, *(f'clocks_throttle_reasons.{name}' for name in SLOWDOWNS)])
        values = ask(['nvidia-smi', '-i', index, '--format=csv,noheader,nounits',
                      f'--query-gpu={fields}'])
        return Look(gpu_processes(ask(['nvidia-smi', '-i', index, '--format=csv,noheader',
                                       '--query-compute-apps=pid,process_name'])),
                    gpu_slowed(values), gpu_reading(values))
    return Look()


def npu_processes(info: str, npu: int) -> Dict[int, str]:
    """The rows of `npu-smi info`'s last table; older tools have no such table.

    | 0       0         | 12345         | python3            | 23140                |
    """
    found = {}
    _, _, table = info.partition('Process id')
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split('|')]   # the first and the last are outside
        if len(cells) >= 6 and cells[1].split()[:1] == [str(npu)] and cells[2].isdigit():
            found[int(cells[2])] = cells[3]
    return found


def npu_slowed(common: str) -> str:
    """From `npu-smi info -t common`: the AI cores' clock, where they work below their rated one.

    A clock may rest while nothing is to be done, so an idle device is not called slow.
    """
    rated, now, use = (_number(common, name) for name in (
        'Aicore Freq(MHZ)', 'Aicore curFreq(MHZ)', 'Aicore Usage Rate(%)'))
    if not (rated and now and use) or now >= rated:
        return ''
    return f'its AI cores worked at {now:g} of {rated:g} MHz'


def npu_reading(info: str, common: str, npu: int) -> Reading:
    """From `npu-smi info -t common`, which knows no sizes: the memory is from `npu-smi info`."""
    return Reading(_number(common, 'Aicore Usage Rate(%)'), _npu_memory_mib(info, npu),
                   _number(common, 'Temperature(C)'), _number(common, 'NPU Real-time Power(W)'))


def gpu_processes(apps: str) -> Dict[int, str]:
    """12345, python3"""
    rows = (line.partition(',') for line in apps.splitlines())
    return {int(pid): name.strip() for pid, _, name in rows if pid.strip().isdigit()}


def gpu_slowed(values: str) -> str:
    """97, 8012, 61, 213.40, Not Active, Not Active, Active, Not Active  (unknown: [N/A])"""
    reasons = [value.strip() for value in values.split(',')[len(READINGS):]]
    active = [name for name, value in zip(SLOWDOWNS, reasons) if value == 'Active']
    return f'its clocks were held down ({", ".join(active)})' if active else ''


def gpu_reading(values: str) -> Reading:
    """The first values of the line that gpu_slowed() reads."""
    return Reading(*map(_known, values.split(',')[:len(READINGS)]))


def _npu_memory_mib(info: str, npu: int) -> Optional[float]:
    """The last pair in the row below the NPU's own: HBM, or DDR where a chip has no HBM.

    | 0     910A          | OK            | 73.1        37                0    / 0             |
    | 0                   | 0000:61:00.0  | 97          920  / 13553      30710/ 32768         |
    """
    rows = [[cell.strip() for cell in line.split('|')]
            for line in info.partition('Process id')[0].splitlines() if line.count('|') == 4]
    for row, below in zip(rows, rows[1:]):
        # A chip's row has its bus id where an NPU's has its health.
        if row[1].split()[:1] == [str(npu)] and ':' not in row[2] and ':' in below[2]:
            used = re.findall(r'([0-9]+) */ *([0-9]+)', below[3])[-1:]
            return next((float(mib) for mib, total in used if int(total)), None)
    return None


def _number(common: str, name: str) -> Optional[float]:
    """A value of the first chip: what follows is of others on the board, under the same names."""
    first = ''.join(re.split(r'^\s*Chip (?:ID|Name)\b', common, flags=re.M)[:2])
    found = re.search(rf'^\s*{re.escape(name)}\s*:(.*)$', first, re.M)
    return _known(found.group(1)) if found else None


def _known(value: str) -> Optional[float]:
    """A number as the tools print it; None for -, [N/A], -1 and whatever else."""
    known = re.fullmatch(r'[0-9]{1,9}(\.[0-9]{1,9})?', value.strip())
    return float(known.group(0)) if known else None
