# SPDX-License-Identifier: Apache-2.0
"""What a number depends on: hardware, driver, CANN, packages, variables, git, data."""

import glob
import hashlib
import json
import os
import platform
import re
import socket
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import psutil

from harness import npu_smi
from harness.files import read
from harness.records import Device, Measurement

Ask = Callable[[Sequence[str]], str]  # the output of a command in the root, empty where it fails

# The variables that can change a number; NAME_: all that begin so.
MATTERS = ('ASCEND_', 'RANK_', 'HCCL_', 'TE_', 'GE_', 'TF_', 'RCAN_', 'OMP_NUM_THREADS',
           'CUDA_VISIBLE_DEVICES')
SECRET = re.compile('TOKEN|SECRET|PASSW|KEY|CREDENTIAL|AUTH', re.I)
LOGIN = re.compile(r'://[^/\s]*@')   # in an address: user:password@

# What the training uses.
PACKAGES = ('tensorflow', 'tensorflow-cpu', 'tensorflow-gpu', 'intel-tensorflow', 'npu-bridge',
            'te', 'hccl', 'numpy', 'protobuf', 'h5py', 'Pillow')
# The scripts' own choice: python3, else what env/run.sh has made.
PYTHONS = ('python3', '.venv/bin/python')
ENTER = 'source "env/$1.sh" 2>/dev/null; exec "$2" -W ignore -c "$3" "${@:4}"'
SHOW = '''
import importlib.util, json, os, platform, sys
try:
    from importlib.metadata import version
except ImportError:   # before Python 3.8
    from pkg_resources import get_distribution
    version = lambda name: get_distribution(name).version
def versions():
    for name in sys.argv[1:]:
        try:
            yield name, version(name)
        except Exception:
            pass
bridge = importlib.util.find_spec('npu_bridge')
print(json.dumps({
    'version': platform.python_version(), 'path': sys.executable, 'packages': dict(versions()),
    'cann': os.environ.get('RCAN_CANN', ''),
    'npu_bridge': (list(bridge.submodule_search_locations or ['']) if bridge else [''])[0]}))
'''

# What the harness itself leaves in a checkout changes no number.
CODE = ('--', '.', ':!harness/baselines', ':!harness/certificates')

PCI_VENDOR = '19e5'          # Huawei, of whom network cards are too
PCI_ACCELERATOR = '0x1200'   # the class "processing accelerators"


class Trainer(NamedTuple):
    """The Python that trains, in the environment of a run; what it does not tell is empty."""

    version: str = ''
    path: str = ''
    packages: Mapping[str, str] = {}   # versions by name
    cann: str = ''                     # the folder that env/npu.sh has found
    npu_bridge: str = ''               # its package's folder

    @property
    def tensorflow(self) -> str:
        """The version of TensorFlow, whoever built it."""
        return next((self.packages[name] for name in PACKAGES
                     if 'tensorflow' in name and name in self.packages), '')

    @property
    def can_train(self) -> bool:
        """The only versions there are for an NPU."""
        return self.version.startswith('3.7.') and self.tensorflow.startswith('1.15.')


def machine(device: Device, threads: int, ask: Ask,
            variables: Optional[Mapping[str, str]] = None) -> Dict[str, Any]:
    """The facts about this machine and this checkout; variables: the run's, by default ours."""
    variables = os.environ if variables is None else variables
    home = ascend_home(variables)
    there = trainer(device.kind, ask)
    board = board_of(device.index, ask) if device.kind == 'npu' else npu_smi.Board()
    return {
        'host': socket.gethostname(),
        'system': platform.platform(),
        'cpu_model': cpu_model(read('/proc/cpuinfo')) or platform.processor() or 'unknown',
        'cpus': usable_cpus(),
        'memory_gib': round(psutil.virtual_memory().total / 2 ** 30, 1),
        'threads': threads,
        'device': f'{device.kind}:{device.index}',
        'device_model': _device_model(device, board, ask),
        'driver': _driver(device, home, board, ask),
        'cann': cann(there.cann)[0] or 'unknown' if device.kind == 'npu' else 'none',
        **(_npu(home, there, board, ask) if device.kind == 'npu' else {}),
        'python': platform.python_version(),
        'packages': dict(there.packages),
        'variables': matter(variables),
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
    """The checkout's commit; one with changes, new files among them, carries a digest of them."""
    revision = ask(['git', 'rev-parse', '--short=12', 'HEAD'])
    changes = ask(['git', 'diff', 'HEAD', *CODE])
    new = ask(['git', 'ls-files', '--others', '--exclude-standard', '-z', *CODE])
    # Where git cannot hash one of them, or there are too many, their names must do.
    changes += new and new + ask(['git', 'hash-object', '--', *new.strip('\0').split('\0')])
    if revision and changes:
        revision += '-dirty-' + hashlib.sha256(changes.encode()).hexdigest()[:8]
    return revision or 'none (no git checkout)'


def trainer(kind: str, ask: Ask) -> Trainer:
    """Ask the Python that trains, in the environment that a kind of device trains in."""
    first, other = PYTHONS
    found = _trainer(ask(in_training(kind, first, SHOW, PACKAGES)))
    made = Trainer() if found.can_train else _trainer(ask(in_training(kind, other, SHOW, PACKAGES)))
    return made if made.can_train else found


def in_training(kind: str, python: str, code: str, arguments: Sequence[str] = ()) -> Sequence[str]:
    """The command that runs code in the environment that a kind of device trains in."""
    return ['bash', '-c', ENTER, 'ask', kind, python, code, *arguments]


def matter(variables: Mapping[str, str]) -> Dict[str, str]:
    """Those of the variables that can change a number; never what smells of a secret."""
    return {name: value for name, value in sorted(variables.items())
            if any(name == known or known.endswith('_') and name.startswith(known)
                   for known in MATTERS)
            and not SECRET.search(name) and not LOGIN.search(value)}


def data_manifest(folder: str) -> str:
    """A digest of the names and sizes of all files of a folder, and how many files and bytes.

    Pixels are not read: the training gives their digest.
    """
    files = sorted(_files(folder))
    listing = '\n'.join(f'{name}\t{size}' for name, size in files)
    digest = hashlib.sha256(listing.encode('utf-8', 'surrogateescape')).hexdigest()[:16]
    return f'{digest} ({len(files)} files, {sum(size for _, size in files)} bytes)'


def ascend_home(variables: Mapping[str, str], root: str = '/') -> str:
    """Where Ascend's software lies, as env/npu.sh has it."""
    return variables.get('ASCEND_HOME') or os.path.join(root, 'usr/local/Ascend')


def board_of(index: int, ask: Ask) -> npu_smi.Board:
    """The board of a logical device, whose number need not be the NPU's."""
    npu, _ = npu_smi.where(ask(['npu-smi', 'info', '-m']), index)
    return npu_smi.board(ask(['npu-smi', 'info', '-i', str(npu), '-t', 'board']))


def gpu(index: int, what: str, ask: Ask) -> str:
    """What nvidia-smi says of a GPU (name, driver_version); empty where it says nothing."""
    return ask(['nvidia-smi', '-i', str(index), f'--query-gpu={what}', '--format=csv,noheader'])


def pci_chips(root: str = '/') -> Tuple[Tuple[str, str], ...]:
    """(bus id, PCI id such as 19e5:d801) of all of Ascend's chips that the kernel sees."""
    chips = []
    for folder in sorted(glob.glob(os.path.join(glob.escape(root), 'sys/bus/pci/devices/*'))):
        vendor, device, kind = (read(os.path.join(folder, name)).strip().lower()
                                for name in ('vendor', 'device', 'class'))
        is_chip = npu_smi.generation(device) or kind.startswith(PCI_ACCELERATOR)
        if vendor == f'0x{PCI_VENDOR}' and is_chip:
            chips.append((os.path.basename(folder), f'{PCI_VENDOR}:{device[2:]}'))
    return tuple(chips)


def npu_driver(home: str, board: npu_smi.Board) -> str:
    """The driver's version by its file, else by npu-smi; empty where neither says."""
    known = _values(read(f'{home}/driver/version.info'))
    return known.get('package_version') or known.get('Version') or board.software


def npu_firmware(home: str, board: npu_smi.Board) -> str:
    """The firmware's own version and its package's, which is of the driver's series."""
    known = _values(read(f'{home}/firmware/version.info'))
    own, package = known.get('Version', board.firmware), known.get('package_version', '')
    return f'{own} (package {package})' if own and package else own or package


def cann(root: str) -> Tuple[str, str]:
    """CANN's version and inner version, by the files in its folder; empty where none says."""
    if not root:
        return '', ''
    known = _install_info(root)
    running = re.search(r'running_version=\[[^:\]]*:([^\]]+)\]', read(f'{root}/version.cfg'))
    opp = _values(read(f'{root}/opp/version.info'))
    return (known.get('version') or (running.group(1) if running else '')
            or opp.get('version_dir') or '', known.get('innerversion', ''))


def adapter(there: Trainer) -> str:
    """The TF Adapter's version: CANN's up to CANN 7, the wheel's own later; empty: unknown."""
    plug_in = there.npu_bridge.partition('/python/site-packages')[0]
    known = _install_info(plug_in) if plug_in != there.npu_bridge else {}
    return known.get('version', '') or there.packages.get('npu-bridge', '')


def _npu(home: str, there: Trainer, board: npu_smi.Board, ask: Ask) -> Dict[str, str]:
    """What only an NPU has."""
    pci_id = pci_id_of(board, pci_chips())
    known = {
        'cann_inner': cann(there.cann)[1],
        'firmware': npu_firmware(home, board),
        'adapter': adapter(there),
        'npu_smi': npu_smi.version(ask(['npu-smi', '-v'])),
        'pci_id': pci_id,
        'generation': npu_smi.generation(pci_id.partition(':')[2]),
        'bus_id': board.bus_id,
    }
    return {name: value or 'unknown' for name, value in known.items()}


def pci_id_of(board: npu_smi.Board, chips: Sequence[Tuple[str, str]]) -> str:
    """A board's PCI id, such as 19e5:d801; where it does not tell, that of all chips, if one."""
    if board.pci_device:
        vendor, device = (text.lower().replace('0x', '')
                          for text in (board.pci_vendor or PCI_VENDOR, board.pci_device))
        return f'{vendor}:{device}'
    ids = {pci_id for _, pci_id in chips}
    return ids.pop() if len(ids) == 1 else ''


def _device_model(device: Device, board: npu_smi.Board, ask: Ask) -> str:
    if device.kind == 'npu':
        return f'Ascend {board.pci_device}' if board.pci_device else 'unknown'
    if device.kind == 'gpu':
        return gpu(device.index, 'name', ask) or 'unknown'
    return 'cpu'


def _driver(device: Device, home: str, board: npu_smi.Board, ask: Ask) -> str:
    if device.kind == 'npu':
        return npu_driver(home, board) or 'unknown'
    if device.kind == 'gpu':
        return gpu(device.index, 'driver_version', ask) or 'unknown'
    return 'none'


def _install_info(root: str) -> Dict[str, str]:
    """What the installer has noted: the toolkit's, where the engine's (nnae) is there as well."""
    paths = sorted(glob.glob(f'{glob.escape(root)}/ascend_*_install.info')
                   + glob.glob(f'{glob.escape(root)}/*-linux/ascend_*_install.info'))
    paths.sort(key=lambda path: 'toolkit' not in os.path.basename(path))
    return next(filter(None, (_values(read(path)) for path in paths)), {})


def _values(text: str) -> Dict[str, str]:
    """key=value lines; a # begins a comment."""
    return dict(re.findall(r'^[ \t]*([\w.-]+)[ \t]*=[ \t]*(.*?)[ \t\r]*$', text, re.M))


def _trainer(said: str) -> Trainer:
    try:
        return Trainer(**json.loads(said.splitlines()[-1]))
    except (IndexError, TypeError, ValueError):   # no answer, or another's
        return Trainer()


def _files(folder: str):
    """(name, bytes) of each file below a folder; links to folders are followed, once."""
    seen = set()
    for path, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(path) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(path))
        for name in names:
            whole = os.path.join(path, name)
            if os.path.isfile(whole):
                yield os.path.relpath(whole, folder), os.path.getsize(whole)
