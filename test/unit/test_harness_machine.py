# SPDX-License-Identifier: Apache-2.0
"""What a number depends on, read from files and commands that stand in."""

import os
import re
import subprocess

import pytest
from samples import CONFIG, measurement

from harness import baseline, machine, run
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


def nothing(command):
    return ''


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
    facts = machine.machine(Device(kind, 0), 4, nothing)
    assert (facts['device_model'], facts['driver']) == ('unknown', 'unknown')
    assert facts['cann'] == {'npu': 'unknown', 'gpu': 'none'}[kind]


@pytest.mark.parametrize('text, version', [
    ('Version=24.1.rc1\nascendhal_version=7\n', '24.1.rc1'),
    ('Version=1\npackage_version=24.1.0\n', '24.1.0'), ('nothing\n', 'unknown')])
def test_the_npus_driver_is_read_from_its_file(monkeypatch, text, version):
    monkeypatch.setattr(machine, 'read', lambda path: {
        '/usr/local/Ascend/driver/version.info': text}.get(path, ''))
    assert machine.machine(Device('npu', 0), 4, nothing)['driver'] == version


@pytest.mark.parametrize('place', ['x86_64-linux/ascend_toolkit_install.info',
                                   'aarch64-linux/ascend_toolkit_install.info',
                                   'ascend_nnae_install.info'])
def test_canns_version_is_found_where_it_was_installed(tmp_path, monkeypatch, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('package_name=Ascend-cann\nversion=8.0.RC1\n')
    monkeypatch.setenv('ASCEND_HOME_PATH', str(tmp_path))
    assert machine.machine(Device('npu', 0), 4, nothing)['cann'] == '8.0.RC1'


def test_the_facts_of_a_run_are_machine_and_training_and_have_all_that_a_baseline_matches():
    here = machine.machine(Device('cpu', 0), 4, nothing)
    facts = machine.facts(here, measurement(device_kind='npu'))
    assert {**here, **CONFIG, 'device_kind': 'npu'} == facts   # proven, not asked for
    assert set(baseline.TRAINED + baseline.WHERE) <= set(facts)
