# SPDX-License-Identifier: Apache-2.0
"""What doctor finds on a server that stands in: files below a folder, and an npu-smi of texts."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from harness import doctor, machine, npu_smi, run, smi
from harness.errors import ConfigError
from harness.records import Device

ROOT = Path(__file__).resolve().parents[2]
TRAINS = machine.Trainer('3.7.9', '/usr/bin/python3', {'tensorflow': '1.15.0'})
CPU = doctor.Facts(Device('cpu', 0), False, trainer=TRAINS, data_path=doctor.PHOTOS, disk_gib=9.0)

SMI = '''#!/bin/sh
cat "$(dirname "$0")/says/$*" 2>/dev/null || cat "$(dirname "$0")/says/else"
exit "$(cat "$(dirname "$0")/says/status" 2>/dev/null || echo 0)"
'''
INFO = '''\
| npu-smi 23.0.5                   Version: 23.0.5                                               |
+===========================+===============+====================================================+
| 4     910A                | OK            | 73.1        37                0    / 0             |
| 0                         | 0000:61:00.0  | 0           920  / 13553      0    / 32768         |
+===========================+===============+====================================================+
| 5     910A                | OK            | 71.7        36                0    / 0             |
| 0                         | 0000:62:00.0  | 0           920  / 13553      0    / 32768         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
{processes}
+===========================+===============+====================================================+
'''
FREE = '| No running processes found in NPU 4                           |'
BUSY = '| 4       0         | 4711          | python3                  | 23140                   |'
MAPPED = '''\
	NPU ID                         Chip ID                        Chip Logic ID                  Chip Name
	4                              0                              0                              Ascend 910A
	5                              0                              1                              Ascend 910A
'''  # noqa: E501
BOARD = '''\
	NPU ID                         : 4
	Software Version               : 23.0.5
	Firmware Version               : 7.1.0.7.220
	PCIe Bus Info                  : 0000:61:00.0
	PCI Vendor ID                  : 0x19E5
	PCI Device ID                  : 0xD801
'''
COMMON = '''\
	NPU ID                         : 4
	Chip Count                     : 1

	Chip ID                        : 0
	Aicore Usage Rate(%)           : {use}
	Aicore Freq(MHZ)               : 1000
	Aicore curFreq(MHZ)            : {mhz}
	Temperature(C)                 : 41
'''
BROKEN = ("print('libge_runner.so: cannot open shared object file: No such file or directory')\n"
          "raise ImportError(\"cannot import name 'npu_bridge_handle'\")\n")


class Server:
    """A server with two NPUs, numbers 4 and 5, and everything on it."""

    def __init__(self, there):
        self.there, self.root, self.ascend = there, there / 'root', there / 'Ascend'
        self.variables = {'PATH': f'{there}/bin:{os.path.dirname(sys.executable)}:/usr/bin:/bin',
                          'HOME': str(there), 'ASCEND_HOME': str(self.ascend)}
        for node in ('davinci0', 'davinci1', *doctor.NODES):
            self.write(self.root / 'dev' / node)
        self.pci('0000:61:00.0', '0xd801', '0x120000')
        self.pci('0000:03:00.0', '0x1822', '0x020000')   # a network card, from Huawei too
        self.write(self.ascend / 'driver/version.info', 'Version=23.0.rc1\npackage_version=23.0.5')
        self.write(self.ascend / 'firmware/version.info', 'Version=7.1.0\npackage_version=23.0.5')
        self.toolkit = self.ascend / 'ascend-toolkit/latest'
        (self.toolkit / 'opp').mkdir(parents=True)
        self.write(self.toolkit / 'x86_64-linux/ascend_toolkit_install.info',
                   'version=6.3.RC1\ninnerversion=V100R001C30SPC001B251\n')
        self.plug_in = self.ascend / 'tfplugin/latest'
        self.write(self.plug_in / 'ascend_tfplugin_install.info', 'version=6.3.RC1\n')
        self.bridge = self.plug_in / 'python/site-packages/npu_bridge/__init__.py'
        self.write(self.bridge)
        self.write(there / 'bin/npu-smi', SMI).chmod(0o755)
        self.says(info=INFO.format(processes=FREE), m=MAPPED, board=BOARD, common=COMMON.format(
            use=0, mhz=800))
        for folder in doctor.FOLDERS:
            (there / 'data' / folder).mkdir(parents=True)

    def write(self, path, text=''):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def pci(self, bus_id, device, kind):
        folder = self.root / 'sys/bus/pci/devices' / bus_id
        for name, value in (('vendor', '0x19e5'), ('device', device), ('class', kind)):
            self.write(folder / name, f'{value}\n')

    def says(self, **texts):
        for name, text in texts.items():
            self.write(self.there / 'bin/says' / {
                'info': 'info', 'm': 'info -m', 'board': 'info -i 4 -t board', 'status': 'status',
                'common': 'info -t common -i 4', 'anything': 'else'}[name], text)
        self.write(self.there / 'bin/says/-v', 'npu-smi version: 23.0.5\n')

    def ask(self, command):
        return run.ask(command, str(ROOT), self.variables)

    def look(self, kind='', index=0, data='data'):
        """What is found; the Python and the TensorFlow that run the tests do not matter."""
        facts = doctor.look(self.ask, self.variables, kind, index, str(self.there / data),
                            str(self.root))
        return facts._replace(disk_gib=99.0, trainer=facts.trainer._replace(
            version='3.7.9', packages={'tensorflow': '1.15.0'}))

    def checks(self, **how):
        return {check.name: check for check in doctor.checks(self.look(**how))}


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


def screen(facts):
    return doctor.to_text(facts, doctor.checks(facts))


def check(facts, name):
    return next(c for c in doctor.checks(facts) if c.name == name)


# --- a server with everything ---------------------------------------------------------------------

def test_a_server_with_everything_can_run(server):
    facts = server.look()
    found = doctor.checks(facts)
    assert {c.name: c.state for c in found if c.state != doctor.OK} == {'GPU': doctor.NOT_NEEDED}
    assert doctor.can_run(found) and not any(c.remedy for c in found)
    assert doctor.sentence(facts, found) == 'A run can start on NPU 0.'


def test_all_versions_are_those_of_the_files(server):
    found = {name: c.found for name, c in server.checks().items()}
    assert found['driver'] == '23.0.5'
    assert found['firmware'] == '7.1.0 (package 23.0.5)'
    assert found['CANN'] == f'6.3.RC1 (V100R001C30SPC001B251) in {server.toolkit}'
    assert found['TF Adapter'] == f'6.3.RC1 in {server.bridge.parent}'
    assert found['npu-smi'] == '23.0.5'
    assert found['clocks'].endswith('AI cores at 800 of 1000 MHz')


@pytest.mark.parametrize('device, generation', [('D801', '910A'), ('D802', '910B')])
def test_the_generation_is_known_by_the_pci_id_and_never_by_the_name(server, device, generation):
    server.pci('0000:61:00.0', f'0x{device.lower()}', '0x120000')
    server.says(board=BOARD.replace('D801', device),
                info=INFO.format(processes=FREE).replace('910A', '910B'))
    assert generation in server.checks()['chip'].found
    server.says(board='')   # then the PCI bus tells it
    assert generation in server.checks()['chip'].found


def test_a_chip_that_is_no_910_is_said_to_be_none(server):
    server.says(board=BOARD.replace('D801', 'D500'))
    assert server.checks()['chip'].state == doctor.WARNING


# --- with one thing missing -----------------------------------------------------------------------

@pytest.mark.parametrize('gone, name, state, found, remedy', [
    ('root/dev/davinci*', 'device nodes', 'missing', 'no /dev/davinci', '--device /dev/davinci0'),
    ('root/dev/devmm_svm', 'device nodes', 'missing', 'no /dev/devmm_svm', 'install the driver'),
    ('root/dev/davinci_manager', 'device nodes', 'missing', 'davinci_manager', 'docker run'),
    ('root/dev/hisi_hdc', 'device nodes', 'missing', 'no /dev/hisi_hdc', 'docker run'),
    ('Ascend/ascend-toolkit', 'CANN', 'missing', 'ASCEND_HOME_PATH', 'install CANN'),
    ('Ascend/ascend-toolkit/latest/x86*', 'CANN', 'warning', 'version unknown', 'install.info'),
    ('Ascend/tfplugin', 'TF Adapter', 'missing', 'no package npu_bridge', 'TFPLUGIN_INSTALL_PATH'),
    ('Ascend/tfplugin', 'npu_bridge', 'missing', "No module named 'npu_bridge'", 'TF Adapter'),
    ('Ascend/tfplugin/latest/*.info', 'TF Adapter', 'warning', 'version unknown', "CANN's version"),
    ('bin/npu-smi', 'npu-smi', 'warning', 'not found', 'PATH'),
    ('bin/npu-smi', 'free device', 'warning', 'unknown', 'npu-smi'),
    ('bin/npu-smi', 'health', 'warning', 'unknown', 'npu-smi'),
    ('data/DIV2K_valid_HR', 'data', 'missing', 'no DIV2K_valid_HR in', '--data_path'),
])
def test_what_is_missing_is_said_with_its_remedy(server, gone, name, state, found, remedy):
    for path in server.there.glob(gone):
        shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
    checks = server.checks()
    assert checks[name].state == state
    assert found in checks[name].found and remedy in checks[name].remedy
    assert doctor.can_run(checks.values()) == (state == 'warning')


def test_without_version_files_the_board_tells_of_driver_and_firmware(server):
    for name in ('driver', 'firmware'):
        shutil.rmtree(str(server.ascend / name))
    found = {name: c.found for name, c in server.checks().items()}
    assert (found['driver'], found['firmware']) == ('23.0.5', '7.1.0.7.220')
    server.says(board='')
    checks = server.checks()
    assert (checks['driver'].state, checks['firmware'].state) == ('missing', 'warning')


def test_a_device_beyond_the_last_has_no_node(server):
    assert server.checks(index=1)['device nodes'].state == doctor.OK
    missing = server.checks(index=2)['device nodes']
    assert missing.found == 'no /dev/davinci* for device 2 (only davinci0, davinci1)'


def test_a_node_that_we_may_not_use_is_as_good_as_none(server, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: not path.endswith('devmm_svm'))
    denied = server.checks()['device nodes']
    assert denied.state == doctor.MISSING
    assert denied.found == 'no permission for /dev/devmm_svm' and 'HwHiAiUser' in denied.remedy


def test_an_npu_without_its_software_is_no_cpu(server):
    shutil.rmtree(str(server.ascend))
    facts = server.look()
    assert facts.device == Device('npu', 0)
    assert doctor.sentence(facts, doctor.checks(facts)) == (
        'No run can start on NPU 0. See below: CANN, TF Adapter, npu_bridge.')


def test_whoever_wants_the_cpu_is_not_told_of_the_npu(server):
    for facts in (server.look('cpu'), doctor.look(
            server.ask, {**server.variables, 'RCAN_DEVICE_KIND': 'cpu'}, root=str(server.root))):
        assert facts.device.kind == 'cpu'
        assert check(facts, 'CANN').state == doctor.NOT_NEEDED


# --- npu_bridge, in a process of its own ----------------------------------------------------------

@pytest.mark.parametrize('code, found, remedy', [
    (BROKEN, 'libge_runner.so: cannot open shared object file', 'CANN brings it'),
    (BROKEN.replace('ge_runner', 'ascend_hal'), 'libascend_hal.so', 'the driver brings it'),
    (BROKEN.replace('libge_runner', '/x/_tf_adapter'), '_tf_adapter.so', 'TF Adapter anew'),
    ('import hccl\n', "No module named 'hccl'", 'toolkit brings it'),
    ('import no_such_thing\n', "No module named 'no_such_thing'", 'for this Python'),
    ('raise RuntimeError("odd")\n', 'RuntimeError: odd', 'source env/npu.sh'),
    ('import os\nos.abort()\n', 'it ended with status 134', 'source env/npu.sh'),
])
def test_npu_bridge_that_does_not_load_says_why(server, code, found, remedy):
    server.bridge.write_text(code)
    failed = server.checks()['npu_bridge']
    assert failed.state == doctor.MISSING
    assert found in failed.found and remedy in failed.remedy


def test_npu_bridge_that_says_nothing_does_not_load():
    facts = CPU._replace(device=Device('npu', 0), bridge='')
    assert check(facts, 'npu_bridge').state == doctor.MISSING


# --- a device in use ------------------------------------------------------------------------------

def test_a_busy_device_is_not_free_and_another_is_named(server):
    server.says(info=INFO.format(processes=BUSY))
    busy = server.checks()['free device']
    assert busy.state == doctor.MISSING
    assert busy.found == 'used by python3 (4711) with 23140 MiB'
    assert '--device 1' in busy.remedy
    assert server.checks(index=1)['free device'].state == doctor.OK


def test_a_device_that_another_container_holds_is_not_free(server):
    server.says(info='dcmi model initialized failed, because the device is used. ret is -8020\n',
                status='172')   # npu-smi's own
    checks = server.checks()
    assert checks['free device'].state == doctor.MISSING
    assert '-8020' in checks['npu-smi'].found and checks['npu-smi'].remedy


def test_a_tool_that_cannot_reach_the_driver_is_cited(server):
    server.says(info='dcmi module initialize failed. ret is -8005\n', anything='', status='187')
    said = server.checks()['npu-smi']
    assert said.state == doctor.WARNING and '-8005' in said.found
    assert 'the driver does not answer' in said.remedy


def test_clocks_and_health_are_seen(server):
    server.says(common=COMMON.format(use=50, mhz=400),
                info=INFO.format(processes=FREE).replace('| OK   ', '| Alarm'))
    checks = server.checks()
    assert checks['clocks'].state == doctor.WARNING and '400 of 1000 MHz' in checks['clocks'].found
    assert checks['health'].state == doctor.WARNING and 'Alarm' in checks['health'].found


# --- Python, data, disk ---------------------------------------------------------------------------

@pytest.mark.parametrize('kind, version, state', [
    ('npu', '3.7.5', 'ok'), ('npu', '3.7.11', 'ok'), ('npu', '3.7.4', 'warning'),
    ('npu', '3.7.16', 'warning'), ('cpu', '3.7.16', 'ok'), ('cpu', '3.8.1', 'missing'),
    ('npu', '3.11.7', 'missing'), ('cpu', '', 'missing'),
])
def test_the_training_needs_python_37(kind, version, state):
    facts = CPU._replace(device=Device(kind, 0), trainer=TRAINS._replace(version=version))
    assert check(facts, 'Python').state == state


@pytest.mark.parametrize('packages, state', [
    ({'tensorflow': '1.15.0'}, 'ok'), ({'intel-tensorflow': '1.15.2'}, 'ok'), ({}, 'missing'),
    ({'tensorflow-cpu': '1.15.0'}, 'ok'), ({'tensorflow': '2.6.5'}, 'missing'),
])
def test_the_training_needs_tensorflow_115(packages, state):
    facts = CPU._replace(trainer=TRAINS._replace(packages=packages))
    assert check(facts, 'TensorFlow').state == state


def test_data_that_are_not_named_are_only_a_warning(server):
    facts = server.look()._replace(data_path='', lacking=())
    assert check(facts, 'data').state == doctor.WARNING
    assert '--preset smoke' in check(facts, 'data').remedy


@pytest.mark.parametrize('data, free_gib, state', [
    (doctor.PHOTOS, 1.5, 'ok'), (doctor.PHOTOS, 0.5, 'missing'), ('/div2k', 0.5, 'missing'),
    ('/div2k', 5.0, 'warning'), ('/div2k', 20.0, 'ok'),
])
def test_large_data_need_more_of_the_disk(data, free_gib, state):
    assert check(CPU._replace(data_path=data, disk_gib=free_gib), 'disk').state == state


# --- other machines -------------------------------------------------------------------------------

def test_a_machine_without_an_npu_is_told_so_in_plain_words(server):
    shutil.rmtree(str(server.root / 'dev'))
    shutil.rmtree(str(server.root / 'sys/bus/pci/devices/0000:61:00.0'))

    def ask(command):
        return 'cpu' if tuple(command) == doctor.device.DETECT else server.ask(command)

    facts = doctor.look(ask, server.variables, root=str(server.root))
    facts = facts._replace(trainer=TRAINS, disk_gib=9.0)
    found, text = doctor.checks(facts), screen(facts)
    assert doctor.sentence(facts, found) == (
        'There is no NPU here: no /dev/davinci*, and no Ascend chip on the PCI bus. The smoke '
        'preset will run on the CPU.')
    assert text.startswith('There is no NPU here') and doctor.can_run(found)
    assert facts.data_path == doctor.PHOTOS
    assert len(text.splitlines()) <= 10   # what only an NPU needs takes no space


def test_an_npu_that_is_wanted_where_there_is_none_is_missing(server):
    facts = CPU._replace(device=Device('npu', 0))
    said = doctor.sentence(facts, doctor.checks(facts))
    assert said.startswith('There is no NPU here') and 'No run can start on NPU 0.' in said
    assert check(facts, 'chip').state == doctor.MISSING


@pytest.mark.parametrize('name, state', [('Tesla T4', 'ok'), ('', 'missing')])
def test_a_gpu_is_asked_for_its_name(name, state):
    def ask(command):
        return name if '--query-gpu=name' in command else ''

    assert check(doctor.look(ask, {}, 'gpu', root='/nowhere'), 'GPU').state == state


def test_a_kind_that_nobody_knows_is_a_bad_request():
    with pytest.raises(ConfigError):
        doctor.look(lambda command: '', {'RCAN_DEVICE_KIND': 'tpu'}, root='/nowhere')


# --- the screen -----------------------------------------------------------------------------------

FACTS = {
    'cpu': CPU,
    'nothing': doctor.Facts(Device('npu', 7), False),
    'all': doctor.Facts(
        Device('npu', 0), True, (('0000:61:00.0', '19e5:d801'),), ('davinci0', *doctor.NODES),
        home='/usr/local/Ascend', board=npu_smi.board(BOARD), smi_version='23.0.5',
        driver='23.0.5', firmware='7', cann='8.0', adapter='8.0', bridge=doctor.LOADS,
        trainer=TRAINS._replace(cann='/c', npu_bridge='/b'), disk_gib=99.0, data_path='/d',
        look=smi.Look(reading=smi.Reading(0.0))),
}


@pytest.mark.parametrize('facts', FACTS.values(), ids=list(FACTS))
def test_the_screen_fits_80_columns_and_tells_every_check_once(facts):
    text = screen(facts)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert 'None' not in text
    for name in (c.name for c in doctor.checks(facts)):
        assert name in text


def test_the_screen_has_a_word_for_each_state():
    text = screen(FACTS['nothing'])
    rows = {line[12:26].strip(): line[:12].strip() for line in text.splitlines()[2:]}
    assert rows['device nodes'] == 'MISSING'
    assert rows['npu-smi'] == 'warning'
    assert screen(FACTS['all']).count('ok  ') == len(doctor.CHECKS) - 1
    assert screen(FACTS['all']).endswith('not needed  GPU')


@pytest.mark.parametrize('facts', FACTS.values(), ids=list(FACTS))
def test_whatever_is_not_well_has_a_remedy_and_nothing_else_has(facts):
    for found in doctor.checks(facts):
        assert bool(found.remedy) == (found.state in (doctor.MISSING, doctor.WARNING))


def test_programs_read_the_same():
    facts = FACTS['nothing']
    found = doctor.checks(facts)
    said = json.loads(doctor.to_json(facts, found))
    assert (said['device'], said['can_run']) == ('npu:7', False)
    assert said['says'] == doctor.sentence(facts, found)
    assert [(c['name'], c['state'], c['found'], c['remedy']) for c in said['checks']] == list(
        map(tuple, found))
