# SPDX-License-Identifier: Apache-2.0
"""What a number depends on, read from files and commands that stand in."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from samples import CONFIG, measurement

from harness import baseline, machine, npu_smi, run
from harness.records import Device

X86 = '''processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R) Processor @ 2.90GHz
stepping\t: 6

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R) Processor @ 2.90GHz
stepping\t: 6
'''
ARM = '''processor\t: 0
BogoMIPS\t: 200.00
CPU implementer\t: 0x48
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd01
CPU revision\t: 0
'''


ROOT = str(Path(__file__).resolve().parents[2])
BOARD = 'Software Version : 23.0.5\nFirmware Version : 7.1.0.7.220\nPCIe Bus Info : 0000:61:00.0\n'


def nothing(command):
    return ''


def trains(**what):
    """An ask to which only the Python that trains answers, with this."""
    return lambda command: json.dumps(what) if command[0] == 'bash' else ''


@pytest.mark.parametrize('cpuinfo, expected', [
    (X86, 'Intel(R) Xeon(R) Processor @ 2.90GHz (6/106)'),
    (X86.replace('106', '85'), 'Intel(R) Xeon(R) Processor @ 2.90GHz (6/85)'),
    (ARM, 'unknown (0xd01)'),
    (ARM + 'model name\t: Kunpeng-920\n', 'Kunpeng-920 (0xd01)'),
    ('', ''),
])
def test_a_processor_is_known_by_name_and_number(cpuinfo, expected):
    assert machine.cpu_model(cpuinfo) == expected


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit; gives a function that says its commit."""
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    (tmp_path / 'file').write_text('one\n')
    for command in (['init', '-q'], ['add', 'file'],
                    ['-c', 'user.name=me', '-c', 'user.email=me@example.org', '-c',
                     'commit.gpgsign=false', 'commit', '-q', '-m', 'Add a file']):
        subprocess.run(['git', *command], cwd=str(tmp_path), check=True)
    return lambda: machine.commit(lambda command: run.ask(command, str(tmp_path)))


def test_a_clean_checkout_is_its_commit(checkout):
    assert re.fullmatch('[0-9a-f]{12}', checkout())


def test_a_changed_checkout_has_a_digest_of_its_changes(checkout, tmp_path):
    clean, names = checkout(), set()
    for content in ('two\n', 'three\n'):
        (tmp_path / 'file').write_text(content)
        assert re.fullmatch(f'{clean}-dirty-[0-9a-f]{{8}}', checkout())
        names.add(checkout())
    assert len(names) == 2
    (tmp_path / 'file').write_text('one\n')
    assert checkout() == clean


def test_a_new_file_is_a_change_and_an_ignored_one_is_none(checkout, tmp_path):
    clean, names = checkout(), set()
    (tmp_path / '.git/info/exclude').write_text('ignored\n')
    (tmp_path / 'ignored').write_text('one\n')
    assert checkout() == clean
    for name, content in (('new', 'one\n'), ('new', 'two\n'), ('né w', 'one\n')):
        (tmp_path / name).write_text(content)
        names.add(checkout())
        assert re.fullmatch(f'{clean}-dirty-[0-9a-f]{{8}}', checkout())
    assert len(names) == 3


def test_a_new_file_that_git_cannot_hash_is_known_by_its_name(checkout, tmp_path):
    clean = checkout()
    (tmp_path / 'link').symlink_to('/nowhere')
    first = checkout()
    (tmp_path / 'link').rename(tmp_path / 'other')
    assert len({clean, first, checkout()}) == 3


@pytest.mark.parametrize('folder', ['harness/baselines', 'harness/certificates'])
def test_what_the_harness_has_learned_is_no_change_of_the_code(checkout, tmp_path, folder):
    clean = checkout()
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / 'new.json').write_text('{}')
    assert checkout() == clean


def test_no_checkout_is_said_to_be_none(tmp_path, monkeypatch):
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    assert machine.commit(lambda command: run.ask(command, str(tmp_path))) == (
        'none (no git checkout)')


def test_a_cpu_needs_no_driver_and_no_cann():
    facts = machine.machine(Device('cpu', 0), 4, nothing)
    assert (facts['device'], facts['device_model'], facts['driver'], facts['cann']) == (
        'cpu:0', 'cpu', 'none', 'none')
    assert facts['threads'] == 4 and 1 <= facts['cpus'] <= os.cpu_count()
    assert facts['memory_gib'] > 0 and facts['python'].startswith('3.')
    assert all(value not in ('', None) for value in facts.values())


def test_an_npu_is_asked_for_its_board_by_number():
    asked = []

    def npu_smi(command):
        asked.append(command)
        return 'NPU ID        : 3\nPCI Device ID    : 0xD801\n' if 'npu-smi' in command else ''

    facts = machine.machine(Device('npu', 3), 4, npu_smi)
    assert facts['device_model'] == 'Ascend 0xD801'
    assert ['npu-smi', 'info', '-i', '3', '-t', 'board'] in asked


def test_a_logical_device_is_asked_for_by_the_number_of_its_npu():
    said = {('-m',): 'NPU ID Chip ID Chip Logic ID Chip Name\n5 0 0 Ascend 910A\n',
            ('-i', '5', '-t', 'board'): BOARD + 'PCI Device ID : 0xD802\n'}

    facts = machine.machine(Device('npu', 0), 4, lambda command: (
        said.get(tuple(command[2:]), '') if command[0] == 'npu-smi' else ''))
    assert (facts['device_model'], facts['pci_id'], facts['bus_id']) == (
        'Ascend 0xD802', '19e5:d802', '0000:61:00.0')
    assert '910B' in facts['generation']


def test_a_gpu_is_asked_for_name_and_driver_by_number():
    def nvidia_smi(command):
        assert command[0] != 'nvidia-smi' or command[1:3] == ['-i', '2']
        return {'--query-gpu=name': 'Tesla T4', '--query-gpu=driver_version': '535.1'}.get(
            command[3] if len(command) > 3 else '', '')

    facts = machine.machine(Device('gpu', 2), 4, nvidia_smi)
    assert (facts['device_model'], facts['driver'], facts['cann']) == ('Tesla T4', '535.1', 'none')


@pytest.mark.parametrize('kind', ['npu', 'gpu'])
def test_what_a_device_does_not_tell_is_unknown(kind, monkeypatch):
    monkeypatch.setattr(machine, 'read', lambda path: '')
    facts = machine.machine(Device(kind, 0), 4, nothing, {})
    assert (facts['device_model'], facts['driver']) == ('unknown', 'unknown')
    assert facts['cann'] == {'npu': 'unknown', 'gpu': 'none'}[kind]
    assert {facts.get(name, 'unknown') for name in (
        'cann_inner', 'firmware', 'adapter', 'npu_smi', 'pci_id', 'generation', 'bus_id')} == {
            'unknown'}


@pytest.mark.parametrize('kind', ['npu', 'gpu', 'cpu'])
def test_the_facts_are_small_and_can_be_stored(kind):
    facts = machine.machine(Device(kind, 0), 4, lambda command: run.ask(command, ROOT),
                            {'OMP_NUM_THREADS': '2'})
    assert json.loads(json.dumps(facts)) == facts and len(json.dumps(facts)) < 4000


# --- Ascend's files -------------------------------------------------------------------------------

@pytest.fixture
def home(tmp_path):
    """Writes files below ASCEND_HOME; gives the facts of an NPU there."""
    def facts(ask=nothing, **files):
        for path, text in files.items():
            path = tmp_path / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return machine.machine(Device('npu', 0), 4, ask, {'ASCEND_HOME': str(tmp_path)})
    return facts


@pytest.mark.parametrize('text, version', [
    ('Version=24.1.rc1\nascendhal_version=7\n', '24.1.rc1'),
    ('Version=1\npackage_version=24.1.0\n', '24.1.0'),
    ('Version=1\r\npackage_version=24.1.0\r\n', '24.1.0'),
    ('nothing\n', '23.0.5'), ('#Version=1\n', '23.0.5')])   # the board's
def test_the_npus_driver_is_read_from_its_file(home, text, version):
    assert home(lambda command: BOARD if 'board' in command else '',
                **{'driver/version.info': text})['driver'] == version


@pytest.mark.parametrize('text, version', [
    ('Version=7.1.0.11.220\nfirmware_version=1.0\npackage_version=23.0.7\n',
     '7.1.0.11.220 (package 23.0.7)'),
    ('Version=7.1.0.11.220\n', '7.1.0.11.220'),
    ('package_version=23.0.7\n', '7.1.0.7.220 (package 23.0.7)'),
    ('', '7.1.0.7.220')])
def test_both_versions_of_the_firmware_are_told(home, text, version):
    assert home(lambda command: BOARD if 'board' in command else '',
                **{'firmware/version.info': text})['firmware'] == version


INSTALLED = 'package_name=Ascend-cann\nversion=8.0.RC1\ninnerversion=V100R001C20SPC001B251\n'


@pytest.mark.parametrize('files, version', [
    ({'x86_64-linux/ascend_toolkit_install.info': INSTALLED}, ('8.0.RC1', 'V100R001C20SPC001B251')),
    ({'aarch64-linux/ascend_toolkit_install.info': 'version=5.1'}, ('5.1', '')),
    ({'ascend_nnae_install.info': 'version=5.1', 'version.cfg': '[1:9]'}, ('5.1', '')),
    ({'ascend_nnae_install.info': 'version=1',
      'x86_64-linux/ascend_toolkit_install.info': 'version=2'}, ('2', '')),
    ({'version.cfg': '# version: 1.0\nruntime_running_version=[1.84.15.1.310:6.0.1]\n'},
     ('6.0.1', '')),
    ({'opp/version.info': 'Version=8.5.0.2.220\nversion_dir=8.5.0\n'}, ('8.5.0', '')),
    ({'opp/version.info': ''}, ('', '')),
])
def test_canns_version_is_found_where_it_was_installed(tmp_path, files, version):
    root = tmp_path / 'ascend-toolkit [1]'   # no pattern
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    assert machine.cann(str(root)) == version
    facts = machine.machine(Device('npu', 0), 4, trains(cann=str(root)), {})
    assert (facts['cann'], facts['cann_inner']) == tuple(v or 'unknown' for v in version)


def test_no_cann_has_no_version():
    assert machine.cann('') == ('', '')


@pytest.mark.parametrize('folder, packages, version', [
    ('tfplugin/latest/python/site-packages', {}, '6.3.RC1'),
    ('wheel', {'npu-bridge': '1.15.0'}, '1.15.0'),   # CANN 8 and later
    ('wheel', {}, 'unknown'),
])
def test_the_adapters_version_is_canns_or_that_of_its_wheel(tmp_path, folder, packages, version):
    plug_in = tmp_path / 'tfplugin/latest'
    plug_in.mkdir(parents=True)
    (plug_in / 'ascend_tfplugin_install.info').write_text('version=6.3.RC1\n')
    ask = trains(npu_bridge=f'{tmp_path}/{folder}/npu_bridge', packages=packages)
    assert machine.machine(Device('npu', 0), 4, ask, {})['adapter'] == version


@pytest.mark.parametrize('pci, board, pci_id', [
    ([('d801', '0x120000')], '', '19e5:d801'),
    ([('d801', '0x120000'), ('d801', '0x120000'), ('1822', '0x020000')], '', '19e5:d801'),
    ([('d801', '0x120000'), ('d802', '0x120000')], '', ''),   # which of them?
    ([('d801', '0x120000')], 'PCI Vendor ID : 0x19E5\nPCI Device ID : 0xD802\n', '19e5:d802'),
    ([('d500', '0x120000')], '', '19e5:d500'),
    ([('1822', '0x020000')], '', ''), ([], '', ''),
])
def test_the_pci_id_is_the_boards_else_that_of_all_chips(tmp_path, pci, board, pci_id):
    for number, (device, kind) in enumerate(pci):
        folder = tmp_path / f'sys/bus/pci/devices/0000:0{number}:00.0'
        folder.mkdir(parents=True)
        for name, text in (('vendor', '0x19e5'), ('device', f'0x{device}'), ('class', kind)):
            (folder / name).write_text(f'{text}\n')
    chips = machine.pci_chips(str(tmp_path))
    assert machine.pci_id_of(npu_smi.board(board), chips) == pci_id


# --- the Python that trains -----------------------------------------------------------------------

def path_of(python):
    """The variables with which python3 is this Python."""
    return {**os.environ, 'PATH': f'{os.path.dirname(python)}{os.pathsep}{os.environ["PATH"]}'}


def test_the_python_that_trains_tells_its_packages():
    there = machine.trainer('cpu', lambda command: run.ask(command, ROOT, path_of(sys.executable)))
    assert there.version == platform.python_version()
    assert re.fullmatch(r'[0-9.]+', there.packages['numpy'])
    assert set(there.packages) <= set(machine.PACKAGES)
    assert there.npu_bridge == '' and (there.can_train or 'tensorflow' not in there.packages)


def test_cann_and_npu_bridge_are_those_that_the_training_finds(tmp_path):
    packages = tmp_path / 'tfplugin/python/site-packages'
    for folder in (tmp_path / 'cann/opp', packages / 'npu_bridge'):
        folder.mkdir(parents=True)
    (packages / 'npu_bridge/__init__.py').write_text('raise SystemExit("it is not imported")\n')
    variables = {**path_of(sys.executable), 'ASCEND_HOME': str(tmp_path)}
    there = machine.trainer('npu', lambda command: run.ask(command, ROOT, variables))
    assert there.cann == f'{tmp_path}/cann'
    assert there.npu_bridge == f'{packages}/npu_bridge'


def test_where_python3_cannot_train_the_made_one_counts():
    newer = {'version': '3.11.2', 'path': '/usr/bin/python3', 'packages': {'tensorflow': '2.13.0'}}
    made = {'version': '3.7.16', 'path': 'made', 'packages': {'intel-tensorflow': '1.15.2'}}

    def ask(command):
        return json.dumps(made if '.venv/bin/python' in command else newer)

    assert machine.trainer('cpu', ask).path == 'made'
    assert machine.trainer('cpu', ask).tensorflow == '1.15.2'
    made['packages'] = {}
    assert machine.trainer('cpu', ask).path == '/usr/bin/python3'


@pytest.mark.parametrize('said', ['', 'Killed', '[]', '3', '{"odd": 1}', '{"version": '])
def test_a_python_that_says_nothing_known_is_unknown(said):
    assert machine.trainer('cpu', lambda command: said) == machine.Trainer()


# --- variables ------------------------------------------------------------------------------------

def test_only_variables_that_can_change_a_number_are_told():
    shown = {'ASCEND_DEVICE_ID': '0', 'RANK_SIZE': '1', 'HCCL_CONNECT_TIMEOUT': '120',
             'TE_PARALLEL_COMPILER': '8', 'GE_USE_STATIC_MEMORY': '1', 'TF_CPP_MIN_LOG_LEVEL': '3',
             'RCAN_CANN': '/usr/local/Ascend/cann', 'OMP_NUM_THREADS': '4',
             'CUDA_VISIBLE_DEVICES': ''}
    hidden = {'PATH': '/bin', 'HOME': '/root', 'OMP_NUM_THREADS_2': '1', 'TEMP': '/tmp'}
    facts = machine.machine(Device('cpu', 0), 4, nothing, {**hidden, **shown})
    assert facts['variables'] == shown


@pytest.mark.parametrize('name, value', [
    ('RCAN_TOKEN', 'x'), ('TF_SECRET_KEY', 'x'), ('ASCEND_PASSWORD', 'x'), ('RCAN_Api_Key', 'x'),
    ('HCCL_CREDENTIALS', 'x'), ('RCAN_AUTH', 'x'), ('RCAN_HISTORY', 'postgresql://me:x@host/db'),
    ('TF_CONFIG', '{"url": "https://x@host"}'),
])
def test_nothing_that_smells_of_a_secret_is_told(name, value):
    assert machine.matter({name: value, 'RCAN_URL': 'https://host/a@b'}) == {
        'RCAN_URL': 'https://host/a@b'}


# --- data -----------------------------------------------------------------------------------------

@pytest.fixture
def data(tmp_path):
    folder = tmp_path / 'data'
    (folder / 'HR').mkdir(parents=True)
    (folder / 'HR/0001.png').write_bytes(b'12345')
    (folder / 'HR/0002.png').write_bytes(b'678')
    return folder


def test_data_are_known_by_names_and_sizes(data):
    known = machine.data_manifest(str(data))
    assert re.fullmatch(r'[0-9a-f]{16} \(2 files, 8 bytes\)', known)
    assert machine.data_manifest(f'{data}/') == known
    (data / 'HR/0001.png').write_bytes(b'54321')
    assert machine.data_manifest(str(data)) == known   # pixels are the training's to tell
    (data / 'HR/0001.png').write_bytes(b'1234')
    (data / 'HR/0002.png').write_bytes(b'5678')
    assert machine.data_manifest(str(data)) != known
    (data / 'HR/0001.png').rename(data / 'HR/0003.png')
    assert machine.data_manifest(str(data)) != known


def test_linked_data_count_and_a_link_to_itself_ends(data, tmp_path):
    known, linked = machine.data_manifest(str(data)), tmp_path / 'linked'
    linked.mkdir()
    (linked / 'HR').symlink_to(data / 'HR')
    assert machine.data_manifest(str(linked)) == known
    (data / 'HR/self').symlink_to(data)
    (data / 'HR/broken.png').symlink_to('/nowhere')
    assert machine.data_manifest(str(data)) == known


def test_the_facts_of_a_run_are_machine_and_training_and_have_all_that_a_baseline_matches():
    here = machine.machine(Device('cpu', 0), 4, nothing)
    facts = machine.facts(here, measurement(device_kind='npu'))
    assert {**here, **CONFIG, 'device_kind': 'npu'} == facts   # proven, not asked for
    assert set(baseline.TRAINED + baseline.WHERE) <= set(facts)
