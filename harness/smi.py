# SPDX-License-Identifier: Apache-2.0
"""What npu-smi and nvidia-smi say of one device: who uses it, and whether it is slowed down.

A CPU has no such tool: the host's own counters (telemetry.py) say it all.
"""

import re
from typing import Callable, Dict, NamedTuple, Optional, Sequence

from harness.records import Device

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

# nvidia-smi's names; a power cap is left out, for it holds in every run alike.
SLOWDOWNS = ('hw_slowdown', 'hw_thermal_slowdown', 'sw_thermal_slowdown', 'hw_power_brake_slowdown')


class Look(NamedTuple):
    """One look at a device; what its tool does not tell is empty."""

    processes: Dict[int, str] = {}   # the names, by process id
    slowed: str = ''                 # why it is slower than it can be


def look(device: Device, ask: Ask) -> Look:
    """Ask the tool of a device's kind; a tool that fails has said nothing."""
    index = str(device.index)
    if device.kind == 'npu':
        return Look(npu_processes(ask(['npu-smi', 'info']), device.index),
                    npu_slowed(ask(['npu-smi', 'info', '-t', 'common', '-i', index])))
    if device.kind == 'gpu':
        fields = ','.join(f'clocks_throttle_reasons.{name}' for name in SLOWDOWNS)
        return Look(
            gpu_processes(ask(['nvidia-smi', '-i', index, '--format=csv,noheader',
                               '--query-compute-apps=pid,process_name'])),
            gpu_slowed(ask(['nvidia-smi', '-i', index, '--format=csv,noheader',
                            f'--query-gpu={fields}'])))
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


def gpu_processes(apps: str) -> Dict[int, str]:
    """12345, python3"""
    rows = (line.partition(',') for line in apps.splitlines())
    return {int(pid): name.strip() for pid, _, name in rows if pid.strip().isdigit()}


def gpu_slowed(reasons: str) -> str:
    """Not Active, Not Active, Active, Not Active  (a field that it does not know: [N/A])"""
    values = [value.strip() for value in reasons.split(',')]
    active = [name for name, value in zip(SLOWDOWNS, values) if value == 'Active']
    return f'its clocks were held down ({", ".join(active)})' if active else ''


def _number(text: str, name: str) -> Optional[float]:
    """The first value of that name: what follows may be of another chip on the board."""
    found = re.search(rf'^\s*{re.escape(name)}\s*:\s*(.*?)\s*$', text, re.M)
    known = found and re.fullmatch(r'[0-9]+(\.[0-9]+)?', found.group(1))
    return float(known.group(0)) if known else None
