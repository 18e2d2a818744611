# SPDX-License-Identifier: Apache-2.0
"""The main job on an NPU of doubles: real TensorFlow, real scripts, real processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from npu_double import cann

ROOT = Path(__file__).resolve().parents[2]
DOUBLE = Path(__file__).resolve().parent / 'npu_double'
# Beside the double's other state: every python3 of the training holds memory of the device.
SMI = """#!/bin/sh
export NPU_DOUBLE_SMI="{state}"
pgrep -f 'model/main.py .*--mode=train' | sed 's/.*/0 & python3 3021/' >"$NPU_DOUBLE_SMI/processes"
exec "{double}/npu-smi" "$@"
"""


@pytest.fixture(scope='module')
def libraries(tmp_path_factory):
    if not shutil.which('g++'):
        pytest.skip('no g++ to compile the double of the adapter with')
    return cann.compile_libraries(tmp_path_factory.mktemp('libraries'))


class Lab:
    """A machine with an NPU, and what the main job on it comes to."""

    def __init__(self, folder, libraries):
        self.folder, self.machine = folder, cann.install(folder, 'ascend-toolkit', libraries)
        self.state, self.reports = folder / 'state', folder / 'reports'
        for name in ('bin', 'state', 'home'):
            (folder / name).mkdir()
        (folder / 'bin' / 'npu-smi').write_text(SMI.format(double=DOUBLE, state=self.state))
        (folder / 'bin' / 'npu-smi').chmod(0o755)
        (self.state / 'busy').write_text('62')

    def run(self, **variables):
        """Run a short training under the harness; its status, output and report."""
        environment = {**os.environ, **self.machine.env(), 'HOME': str(self.folder / 'home'),
                       'PATH': f'{self.folder / "bin"}{os.pathsep}{os.environ["PATH"]}',
                       'TF_CPP_MIN_LOG_LEVEL': '3'}
        for name in ('RCAN_DEVICE_KIND', 'ASCEND_DEVICE_ID', 'CUDA_VISIBLE_DEVICES'):
            environment.pop(name, None)
        done = subprocess.run(
            [sys.executable, 'harness/run_all.py', '--device', '0', '--cases', 'performance',
             '--preset', 'smoke', '--max_step', '8', '--max-runs', '1', '--quiet', '--reports',
             str(self.reports)], cwd=str(ROOT), env={**environment, **variables},
            capture_output=True, text=True, check=False)
        summary = json.loads((self.reports / 'summary.json').read_text())
        return done, summary


@pytest.fixture
def lab(tmp_path, libraries):
    return Lab(tmp_path, libraries)


def test_a_run_on_the_npu_is_measured_proven_and_described(lab):
    done, summary = lab.run()
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('NO_BASELINE')
    record, = summary['records']
    facts = record['facts']
    assert (record['measurement']['device_kind'], facts['device']) == ('npu', 'npu:0')
    assert (facts['driver'], facts['cann'], facts['pci_id'].lower()) == (
        '23.0.5', '6.3.RC1', '19e5:d801')
    assert '7.1.0.7.220' in str(facts['firmware'])
    assert 'first generation' in facts['generation']
    assert facts['variables']['ASCEND_DEVICE_ID'] == '0'
    assert record['load']['device_used'].endswith(
        'held 3021 MiB of it, and it worked up to 62 % of the time')
    assert record['load']['device_others'] == []


def test_an_alarm_of_the_device_makes_its_speed_no_evidence(lab):
    (lab.state / 'health').write_text('Alarm')
    done, summary = lab.run()
    verdict, = summary['verdicts']
    assert (done.returncode, verdict['status']) == (3, 'INVALID')
    assert 'npu-smi calls its health Alarm' in verdict['reason']


def test_a_device_that_cannot_be_opened_is_explained_with_canns_own_log(lab):
    with (lab.machine.home / lab.machine.layout.script).open('a') as script:
        script.write('export NPU_DOUBLE_FAULT=init\n')   # the variables of a run are few
    done, summary = lab.run(ASCEND_PROCESS_LOG_PATH=str(lab.folder / 'l'))
    verdict, = summary['verdicts']
    assert (done.returncode, verdict['status']) == (3, 'INVALID')
    record, = summary['records']
    assert 'exit status 134' in record['fault']
    assert f"CANN's log of that time is {lab.folder / 'l'}" in record['fault']
    assert any(line.startswith('[ERROR]') for line in record['last_lines'])


def test_an_adapter_that_is_not_there_means_no_npu_and_says_so(lab):
    shutil.rmtree(str(lab.machine.packages / 'npu_bridge'))
    asked = subprocess.run(
        ['bash', 'test/env.sh'], cwd=str(ROOT), capture_output=True, text=True, check=True,
        env={'PATH': os.environ['PATH'], **lab.machine.env()})
    assert asked.stdout == 'cpu\n'
    assert 'an Ascend device is here, but python3 finds no npu_bridge' in asked.stderr


def test_the_doctor_finds_the_npu_ready_and_says_what_is_missing_where_it_is_not(lab):
    def doctor():
        return subprocess.run(
            [sys.executable, '-m', 'harness', 'doctor', '--data_path', 'test/photos'],
            cwd=str(ROOT), stdout=subprocess.PIPE, text=True, check=False,
            env={**os.environ, **lab.machine.env(),
                 'PATH': f'{lab.folder / "bin"}{os.pathsep}{os.environ["PATH"]}'})
    well = doctor()
    assert 'npu_bridge' in well.stdout and '19e5:d801' in well.stdout
    (lab.machine.kit / 'lib64' / 'libge_runner.so').unlink()
    ill = doctor()
    assert ill.returncode == 3
    assert 'libge_runner.so' in ill.stdout
