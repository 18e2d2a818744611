# SPDX-License-Identifier: Apache-2.0
"""What a run needs, what of it is here, and what to do about the rest."""

import glob
import json
import os
import re
import textwrap
from typing import Callable, Mapping, NamedTuple, Sequence, Tuple

import psutil

from harness import config, device, machine, npu_smi, smi
from harness.records import Device

OK, MISSING, WARNING, NOT_NEEDED = 'ok', 'missing', 'warning', 'not needed'

NODES = ('davinci_manager', 'devmm_svm', 'hisi_hdc')   # beside davinci0, davinci1, ...
PHOTOS = os.path.join(config.ROOT, 'test', 'photos')
FOLDERS = ('DIV2K_train_HR', 'DIV2K_valid_HR')
LEAST_GIB = 1.0       # for the photographs' pixels, checkpoints and reports
DECODED_GIB = 10.0    # DIV2K's pixels, which are kept decoded
PYTHON_FOR_NPU = range(5, 12)   # TF Adapter's documentation: 3.7.5 to 3.7.11
WIDTH = 80

# npu-smi fails with its reason on standard output, and npu_bridge dies with its own on either:
# `ask` keeps the words of nobody who fails.
SAYS = ('bash', '-c', '"$@" 2>/dev/null; true', 'ask')
LOADS = 'npu_bridge loads'
BRIDGE = ('bash', '-c', 'source env/npu.sh 2>/dev/null; "$1" -W ignore -c "$2" 2>&1 || '
          'echo "it ended with status $?"', 'ask')
IMPORT = f'import npu_bridge; print("{LOADS}")'
# What npu_bridge says -> what to do; first match.
REMEDIES = (
    (r'No module named .?hccl', 'CANN\'s toolkit brings it: install that whole'),
    (r'No module named', 'install that package for this Python'),
    (r'_tf_adapter\.so: cannot open', 'install the TF Adapter anew'),
    (r'\blib(ascend_hal|drv\w*|dcmi)\.so', 'the driver brings it: install that (in a container: '
     'mount /usr/local/Ascend/driver)'),
    (r'\blib(?!tensorflow)[\w+-]+\.so', 'CANN brings it: install that whole, of the TF Adapter\'s '
     'version, or say where it is with ASCEND_HOME'),
    ('', 'see what it says: source env/npu.sh; python3 -c "import npu_bridge"'),
)


class Check(NamedTuple):
    """One thing that a run needs."""

    name: str
    state: str         # OK, MISSING: no run can start, WARNING: one can, NOT_NEEDED
    found: str
    remedy: str = ''   # where it is not well


class Facts(NamedTuple):
    """What was found; empty: nothing."""

    device: Device
    npu_is_here: bool
    chips: Tuple[Tuple[str, str], ...] = ()   # (bus id, PCI id) on the PCI bus
    nodes: Tuple[str, ...] = ()               # in /dev
    denied: Tuple[str, ...] = ()              # of them, those that we may not use
    home: str = ''                            # of Ascend's software
    board: npu_smi.Board = npu_smi.Board()
    smi_version: str = ''
    smi_fault: str = ''                       # what npu-smi says is wrong
    common: npu_smi.Common = npu_smi.Common()
    driver: str = ''
    firmware: str = ''
    cann: str = ''
    adapter: str = ''
    bridge: str = ''                          # what importing npu_bridge says
    trainer: machine.Trainer = machine.Trainer()
    look: smi.Look = smi.Look()
    free: Tuple[int, ...] = ()                # devices that nobody uses
    gpu: str = ''
    data_path: str = ''                       # empty: not named
    lacking: Tuple[str, ...] = ()             # folders of the data
    disk_gib: float = 0.0


def look(ask: machine.Ask, variables: Mapping[str, str], kind: str = '', index: int = 0,
         data_path: str = '', root: str = '/') -> Facts:
    """Look for all that a run on this device needs; kind: by default an NPU, if one is here.

    An NPU without its software is no reason to look at the CPU: that it is missing is the answer.
    """
    dev = variables.get('RCAN_DEV') or os.path.join(root, 'dev')   # as test/env.sh
    chips, nodes = machine.pci_chips(root), _nodes(dev)
    is_here = bool(chips or _numbered(nodes))
    kind = (kind or variables.get('RCAN_DEVICE_KIND')
            or ('npu' if is_here else ask(device.DETECT)))
    chosen = device.device(kind, index)
    data = data_path or (PHOTOS if kind == 'cpu' else '')
    facts = Facts(
        chosen, is_here, chips, nodes,
        denied=tuple(node for node in nodes
                     if not os.access(os.path.join(dev, node), os.R_OK | os.W_OK)),
        home=machine.ascend_home(variables, root),
        trainer=machine.trainer(kind, ask), look=smi.look(chosen, ask),
        data_path=data, lacking=tuple(name for name in FOLDERS if data
                                      and not os.path.isdir(os.path.join(data, name))),
        disk_gib=psutil.disk_usage(config.ROOT).free / 2 ** 30)
    if kind == 'gpu':
        return facts._replace(gpu=machine.gpu(index, 'name', ask))
    return _look_at_npu(facts, ask) if kind == 'npu' else facts


def checks(facts: Facts) -> Tuple[Check, ...]:
    """Every thing that a run needs, in the order in which one needs the other."""
    return tuple(check(facts) for check in CHECKS)


def can_run(found: Sequence[Check]) -> bool:
    """Whether a run could start."""
    return all(check.state != MISSING for check in found)


def sentence(facts: Facts, found: Sequence[Check]) -> str:
    """What it comes to."""
    where = 'the CPU' if facts.device.kind == 'cpu' else (
        f'{facts.device.kind.upper()} {facts.device.index}')
    none = '' if facts.npu_is_here else (
        'There is no NPU here: no /dev/davinci*, and no Ascend chip on the PCI bus. ')
    if not can_run(found):
        lacks = ', '.join(check.name for check in found if check.state == MISSING)
        return f'{none}No run can start on {where}. See below: {lacks}.'
    if facts.device.kind == 'cpu':
        return f'{none}The smoke preset will run on the CPU.'
    return f'{none}A run can start on {where}.'


def to_text(facts: Facts, found: Sequence[Check]) -> str:
    """One screen, 80 columns wide."""
    lines = textwrap.wrap(sentence(facts, found), WIDTH) + ['']
    for check in found:
        if check.state != NOT_NEEDED:
            lines += _row(check)
    spare = [check.name for check in found if check.state == NOT_NEEDED]
    return '\n'.join(lines + (_wrapped(f'{NOT_NEEDED:<12}', ', '.join(spare)) if spare else []))


def to_json(facts: Facts, found: Sequence[Check]) -> str:
    """The same for programs."""
    return json.dumps({'device': f'{facts.device.kind}:{facts.device.index}',
                       'can_run': can_run(found), 'says': sentence(facts, found),
                       'checks': [check._asdict() for check in found]}, indent=1)


# --- look -----------------------------------------------------------------------------------------

def _look_at_npu(facts: Facts, ask: machine.Ask) -> Facts:
    info, mapped = ask([*SAYS, 'npu-smi', 'info']), ask(['npu-smi', 'info', '-m'])
    npu, chip = npu_smi.where(mapped, facts.device.index)
    board = machine.board_of(facts.device.index, ask)
    version, inner = machine.cann(facts.trainer.cann)
    used = {(p.npu, p.chip) for p in npu_smi.processes(info)}
    return facts._replace(
        board=board, smi_version=npu_smi.version(ask(['npu-smi', '-v']) or info),
        smi_fault=npu_smi.failure(info),
        common=npu_smi.common(ask(['npu-smi', 'info', '-t', 'common', '-i', str(npu)]), chip),
        driver=machine.npu_driver(facts.home, board),
        firmware=machine.npu_firmware(facts.home, board),
        cann=f'{version} ({inner})' if inner else version,
        adapter=machine.adapter(facts.trainer),
        bridge=ask([*BRIDGE, facts.trainer.path or 'python3', IMPORT]),
        free=tuple(m.logic for m in npu_smi.mapping(mapped)
                   if m.logic is not None and (m.npu, m.chip) not in used))


def _nodes(dev: str) -> Tuple[str, ...]:
    paths = glob.glob(os.path.join(glob.escape(dev), 'davinci[0-9]*'))
    names = [os.path.basename(path) for path in paths]
    return (*sorted(names, key=lambda name: (len(name), name)),
            *(node for node in NODES if os.path.exists(os.path.join(dev, node))))


def _numbered(nodes: Sequence[str]) -> Tuple[str, ...]:
    return tuple(node for node in nodes if node not in NODES)


# --- checks ---------------------------------------------------------------------------------------

def _of(name: str, *kinds: str) -> Callable:
    """Make a check of what answers (state, found, remedy); kinds: that need it, else all."""
    def decorate(answer):
        def check(facts: Facts) -> Check:
            if kinds and facts.device.kind not in kinds:
                return Check(name, NOT_NEEDED, '')
            return Check(name, *answer(facts))
        return check
    return decorate


@_of('chip', 'npu')
def _chip(facts: Facts):
    pci_id = machine.pci_id_of(facts.board, facts.chips)
    generation = npu_smi.generation(pci_id.partition(':')[2])
    if generation:
        where = f', at {facts.board.bus_id}' if facts.board.bus_id else ''
        return OK, f'{generation}, PCI id {pci_id}{where}'
    if pci_id or facts.chips or _numbered(facts.nodes):
        found = pci_id or ', '.join(sorted({chip for _, chip in facts.chips})) or 'unknown'
        return (WARNING, f'PCI id {found}: not known to be an Ascend 910',
                'npu-smi info -t board -i 0 tells it; TensorFlow 1.15 trains on an Ascend 910 '
                '(19e5:d801 or 19e5:d802)')
    return (MISSING, 'no Ascend chip (19e5:d801 or 19e5:d802) on the PCI bus',
            'see lspci -d 19e5: and, in a virtual machine, pass the chip through; without one, '
            '--kind cpu')


@_of('device nodes', 'npu')
def _device_nodes(facts: Facts):
    numbered = _numbered(facts.nodes)
    lacking = [f'/dev/{node}' for node in NODES if node not in facts.nodes]
    if facts.device.index >= len(numbered):
        only = f' (only {", ".join(numbered)})' if numbered else ''
        lacking.insert(0, f'/dev/davinci* for device {facts.device.index}{only}')
    if lacking:
        return (MISSING, f'no {", no ".join(lacking)}',
                'install the driver (npu-smi info then answers); in a container: docker run '
                f'--device /dev/davinci{facts.device.index} '
                + ' '.join(f'--device /dev/{node}' for node in NODES))
    if facts.denied:
        return (MISSING, f'no permission for {", ".join("/dev/" + node for node in facts.denied)}',
                'join the group that owns them: sudo usermod -aG HwHiAiUser $USER, then log in '
                'again')
    return OK, ', '.join(f'/dev/{node}' for node in facts.nodes)


@_of('npu-smi', 'npu')
def _npu_smi(facts: Facts):
    if facts.smi_fault:
        said, quote, meaning = facts.smi_fault.partition('": ')
        return WARNING, said + quote[:1], meaning
    if not facts.smi_version:
        return (WARNING, 'not found, or it says nothing', 'put it on PATH: the driver has it in '
                '/usr/local/sbin or /usr/local/bin (in a container: mount it)')
    return OK, facts.smi_version


@_of('driver', 'npu')
def _driver(facts: Facts):
    if facts.driver:
        return OK, facts.driver
    return (MISSING, f'no {facts.home}/driver/version.info, and npu-smi tells no version',
            'install the driver for this chip (Ascend-hdk-...-npu-driver); in a container: mount '
            f'{facts.home}/driver')


@_of('firmware', 'npu')
def _firmware(facts: Facts):
    if facts.firmware:
        return OK, facts.firmware
    return (WARNING, f'no {facts.home}/firmware/version.info, and npu-smi tells no version',
            'install the firmware of the driver\'s series, on the host')


@_of('CANN', 'npu')
def _cann(facts: Facts):
    root = facts.trainer.cann
    if not root:
        return (MISSING, f'not in {facts.home}, nor where ASCEND_HOME_PATH, ASCEND_TOOLKIT_HOME or '
                'ASCEND_OPP_PATH points', 'install CANN\'s toolkit and the operators of this chip, '
                'or say where it is with ASCEND_HOME')
    if not facts.cann:
        return (WARNING, f'in {root}, version unknown', 'results cannot be told apart by version: '
                f'look for ascend_toolkit_install.info below {root}')
    return OK, f'{facts.cann} in {root}'


@_of('TF Adapter', 'npu')
def _adapter(facts: Facts):
    folder = facts.trainer.npu_bridge
    if not folder:
        return (MISSING, f'no package npu_bridge for {facts.trainer.path or "python3"}',
                'install the TF Adapter (tfplugin) of CANN\'s version, or say where pip put its '
                'wheel with TFPLUGIN_INSTALL_PATH')
    if not facts.adapter:
        return (WARNING, f'in {folder}, version unknown', 'check that it is of CANN\'s version')
    return OK, f'{facts.adapter} in {folder}'


@_of('npu_bridge', 'npu')
def _npu_bridge(facts: Facts):
    lines = list(filter(None, map(str.strip, facts.bridge.splitlines())))
    if LOADS in lines:
        return OK, 'loads'
    errors = [line for line in lines if re.search(r'\.so\b|Error\b', line)]
    libraries = [line for line in errors if '.so' in line]
    said = (libraries or errors or lines or ['it said nothing for a minute'])[-1]
    if not facts.trainer.npu_bridge:
        return MISSING, f'does not load: {said}', 'install the TF Adapter, see above'
    remedy = next(remedy for pattern, remedy in REMEDIES if re.search(pattern, said))
    return MISSING, f'does not load: {said}', remedy


@_of('Python')
def _python(facts: Facts):
    version, path = facts.trainer.version, facts.trainer.path
    if not version.startswith('3.7.'):
        return (MISSING, f'{version} ({path})' if version else 'no python3 answers',
                'TensorFlow 1.15 needs CPython 3.7: bash env/run.sh python -m harness doctor finds '
                'or brings one')
    number = re.sub('[^0-9].*', '', version[len('3.7.'):])
    if facts.device.kind == 'npu' and int(number or 0) not in PYTHON_FOR_NPU:
        return WARNING, f'{version} ({path})', 'the TF Adapter is made for 3.7.5 to 3.7.11'
    return OK, f'{version} ({path})'


@_of('TensorFlow')
def _tensorflow(facts: Facts):
    version = facts.trainer.tensorflow
    if version.startswith('1.15.'):
        return OK, version
    return (MISSING, version or 'none', 'bash env/run.sh python -m harness doctor installs 1.15; '
            'on aarch64 it must come with the machine, as in Ascend\'s images')


@_of('GPU', 'gpu')
def _gpu(facts: Facts):
    if facts.gpu:
        return OK, facts.gpu
    return (MISSING, f'nvidia-smi knows no GPU {facts.device.index}',
            'see nvidia-smi -L, and install NVIDIA\'s driver')


@_of('data')
def _data(facts: Facts):
    if not facts.data_path:
        return (WARNING, 'not named', 'name a folder in DIV2K\'s layout with --data_path, or train '
                'the small network on the photographs: --preset smoke')
    if facts.lacking:
        return (MISSING, f'no {" and no ".join(facts.lacking)} in {facts.data_path}',
                'unpack DIV2K there, or name another folder with --data_path')
    return OK, facts.data_path


@_of('disk')
def _disk(facts: Facts):
    found = f'{facts.disk_gib:.1f} GiB free'
    needed = LEAST_GIB if facts.data_path in ('', PHOTOS) else DECODED_GIB
    if facts.disk_gib >= needed:
        return OK, found
    return (MISSING if facts.disk_gib < LEAST_GIB else WARNING, found,
            f'free some: {needed:.0f} GiB hold the decoded images, checkpoints and reports')


@_of('health', 'npu')
def _health(facts: Facts):
    if facts.look.alarm:
        return (WARNING, facts.look.alarm, 'npu-smi info -t health says more; a run on it counts '
                'as disturbed')
    return _unless_silent(facts, 'no alarm')


@_of('free device', 'npu', 'gpu')
def _free_device(facts: Facts):
    others = ', '.join(map(_user, sorted(facts.look.processes.items())))
    if not others and '-8020' not in facts.smi_fault:
        return _unless_silent(facts, 'nobody uses it')
    free = [str(index) for index in facts.free if index != facts.device.index]
    return (MISSING, f'used by {others or "others"}', 'wait for its end'
            + (f', or take one that is free: --device {" or ".join(free)}' if free else ''))


@_of('clocks', 'npu', 'gpu')
def _clocks(facts: Facts):
    if facts.look.slowed:
        return WARNING, facts.look.slowed, 'let it cool, and see its power limit'
    rated, now = facts.common.aicore_rated_mhz, facts.common.aicore_mhz
    at = f', AI cores at {now:g} of {rated:g} MHz' if rated and now else ''
    return _unless_silent(facts, f'nothing holds them down{at}')


def _unless_silent(facts: Facts, found: str):
    """That all is well, if the device's tool has said anything of it at all."""
    if facts.look.reading != smi.Reading():
        return OK, found
    tool = {'npu': 'npu-smi', 'gpu': 'nvidia-smi'}[facts.device.kind]
    return WARNING, 'unknown', f'see what {tool} says of device {facts.device.index}'


def _user(user: Tuple[int, smi.User]) -> str:
    pid, (name, mib) = user
    memory = '' if mib is None else f' with {mib:.0f} MiB'
    return f'{name or "a process"} ({pid}){memory}'


CHECKS = (_chip, _device_nodes, _npu_smi, _driver, _firmware, _cann, _adapter, _npu_bridge, _gpu,
          _python, _tensorflow, _data, _disk, _health, _free_device, _clocks)


# --- text -----------------------------------------------------------------------------------------

def _row(check: Check) -> Sequence[str]:
    state = 'MISSING' if check.state == MISSING else check.state
    lines = _wrapped(f'{state:<12}{check.name:<14}', check.found)
    return lines + (_wrapped(' ' * 26, f'-> {check.remedy}') if check.remedy else [])


def _wrapped(head: str, text: str):
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=' ' * len(head),
                         break_on_hyphens=False) or [head.rstrip()]
