# SPDX-License-Identifier: Apache-2.0
"""What a number depends on: hardware, driver, CANN, packages, git."""

import glob
import hashlib
import os
import platform
import re
import socket
from typing import Any, Callable, Dict, Mapping, Sequence

import psutil

from harness.files import read
from harness.records import Device, Measurement

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails


def machine(device: Device, threads: int, ask: Ask) -> Dict[str, Any]:
    """The facts about this machine and this checkout."""
    return {
        'host': socket.gethostname(),
        'system': platform.platform(),
        'cpu_model': cpu_model(read('/proc/cpuinfo')) or platform.processor() or 'unknown',
        'cpus': usable_cpus(),
        'memory_gib': round(psutil.virtual_memory().total / 2 ** 30, 1),
        'threads': threads,
        'device': f'{device.kind}:{device.index}',
        'device_model': _device_model(device, ask),
        'driver': _driver(device, ask),
        'cann': _cann() if device.kind == 'npu' else 'none',
        'python': platform.python_version(),
        'commit': commit(ask),
    }


def facts(machine: Mapping[str, Any], measurement: Measurement) -> Dict[str, Any]:
    """Machine and training together: what one run's numbers depend on."""
    return {**machine, **measurement.config, 'device_kind': measurement.device_kind}


def usable_cpus() -> int:
    """The cores that this process may use, which in a container are not all."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def cpu_model(cpuinfo: str) -> str:
    """The processor's name and number; a name alone is shared by different chips."""
    known = dict(re.findall(r'^(model name|cpu family|model|CPU part)\s*: (.*)$', cpuinfo, re.M))
    number = '/'.join(known[k] for k in ('cpu family', 'model', 'CPU part') if k in known)
    return f'{known.get("model name", "unknown")} ({number})' if known else ''


def commit(ask: Ask) -> str:
    """The checkout's commit; one with changes carries a digest of them."""
    revision = ask(['git', 'rev-parse', '--short=12', 'HEAD'])
    changes = ask(['git', 'diff', 'HEAD'])
    if revision and changes:
        revision += '-dirty-' + hashlib.sha256(changes.encode()).hexdigest()[:8]
    return revision or 'none (no git checkout)'


def _device_model(device: Device, ask: Ask) -> str:
    if device.kind == 'npu':
        board = ask(['npu-smi', 'info', '-i', str(device.index), '-t', 'board'])
        found = re.search(r'PCI Device ID\s*:\s*(\S+)', board)
        return f'Ascend {found.group(1)}' if found else 'unknown'
    if device.kind == 'gpu':
        return ask(['nvidia-smi', '-i', str(device.index), '--query-gpu=name',
                    '--format=csv,noheader']) or 'unknown'
    return 'cpu'


def _driver(device: Device, ask: Ask) -> str:
    if device.kind == 'npu':
        text = read('/usr/local/Ascend/driver/version.info')
        found = (re.search(r'^package_version=(.*)$', text, re.M)
                 or re.search(r'^Version=(.*)$', text, re.M))
        return found.group(1) if found else 'unknown'
    if device.kind == 'gpu':
        return ask(['nvidia-smi', '-i', str(device.index), '--query-gpu=driver_version',
                    '--format=csv,noheader']) or 'unknown'
    return 'none'


def _cann() -> str:
    """CANN's version, from the file that its toolkit or its engine leaves."""
    homes = [os.environ.get('ASCEND_HOME_PATH'), os.environ.get('ASCEND_TOOLKIT_HOME'),
             '/usr/local/Ascend/cann', '/usr/local/Ascend/ascend-toolkit/latest',
             '/usr/local/Ascend/nnae/latest']
    for home in filter(None, homes):
        for path in sorted(glob.glob(f'{home}/*-linux/ascend_*_install.info')
                           + glob.glob(f'{home}/ascend_*_install.info')):
            found = re.search(r'^version=(.*)$', read(path), re.M)
            if found:
                return found.group(1)
    return 'unknown'
