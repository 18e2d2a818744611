# SPDX-License-Identifier: Apache-2.0
"""Is the machine quiet, and the same as before: load from outside, the canary, certificates."""

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from samples import MACHINE
from stand_in import ROOT

from harness import canary, certificate
from harness.disturbance import disturbance
from harness.errors import ConfigError
from harness.records import Certificate, Load, Trial


@pytest.mark.parametrize('percent, cpus, is_too_much', [
    (None, 2, False), (0.0, 2, False), (15.0, 2, False), (40.0, 2, True), (40.0, 96, False),
    (1000.0, 96, True)])
def test_what_others_may_take_is_a_share_of_all_cores(percent, cpus, is_too_much):
    said = disturbance(Load(1, 1.0, percent), cpus)
    assert bool(said) == is_too_much
    if said:
        assert said.startswith(f'other processes took {percent:.0f} % of a core on average')


@pytest.mark.parametrize('load, said', [
    (dict(foreign_cpu_percent=10.0, steal_percent=10.0),
     'other processes took 10 % of a core on average and the hypervisor withheld 10 % (of 2; up to '
     '16 % is taken for quiet)'),
    (dict(foreign_cpu_percent=10.0, steal_percent=5.0), ''),
    (dict(foreign_threads=1.0), '1 thread of others ran or waited for a core most of the time'),
    (dict(foreign_threads=0.5), ''),
    (dict(throttled_percent=9.0),
     'heat or the quota of its control group held the CPU back for 9 % of the time'),
    (dict(throttled_percent=7.0), ''),
    (dict(device_others=('python3 (77)', 'vllm (78)')),
     'the device was used by others as well: python3 (77), vllm (78)'),
    (dict(device_alarm='npu-smi calls its health Warning'),
     'the device is not well: npu-smi calls its health Warning'),
    (dict(device_slowed='hot', device_alarm='npu-smi calls its health Alarm'),
     'the device is not well: npu-smi calls its health Alarm; the device was slowed down: hot'),
    (dict(device_used='python3 (7) held 3021 MiB of it'), ''),
    (dict(device_slowed='its AI cores worked at 600 of 900 MHz'),
     'the device was slowed down: its AI cores worked at 600 of 900 MHz'),
    (dict(device_slowed='hot', foreign_threads=2.0),
     '2 threads of others ran or waited for a core most of the time; the device was slowed down: '
     'hot'),
    ({}, '')])
def test_all_that_disturbs_is_named(load, said):
    assert disturbance(Load(1, 1.0, **load), 2) == said


@pytest.mark.parametrize('output, values', [
    ('Canary seconds : 0.012345\n', (0.012345,)),
    ('a warning\nCanary seconds : 0.012345\n', (0.012345,)),
    ('', ()), ('Canary seconds : nan\n', ()), ('Canary seconds : 0.000000\n', ()),
    ('no Canary seconds : 0.5', ())])
def test_a_canary_that_did_not_run_has_no_value(output, values):
    assert canary.seconds(output) == values


def run_canary(**env):
    return subprocess.run(['bash', str(ROOT / 'test/canary.sh')], capture_output=True, text=True,
                          env={**os.environ, 'RCAN_ENV': '1', **env})


def test_the_canary_is_timed_on_the_cpu():
    done = run_canary(RCAN_DEVICE_KIND='cpu')
    assert done.returncode == 0, done.stderr
    value, = canary.seconds(done.stdout)
    assert 0 < value < 60


def test_a_canary_that_cannot_run_says_why_in_one_line():
    done = subprocess.run([sys.executable, str(ROOT / 'test/canary.py')], capture_output=True,
                          text=True, env={**os.environ, 'RCAN_DEVICE_KIND': 'npu'})
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.splitlines()[-1].startswith(
        'canary.py: the fixed workload does not run on the npu: No module named')


@pytest.mark.parametrize('kind, complaint', [
    ('npu', 'canary.py: the fixed workload does not run on the npu: TensorFlow ran it elsewhere'),
    ('gpu', 'canary.py: the fixed workload does not run on the gpu: TensorFlow ran it elsewhere')])
def test_a_canary_that_ran_elsewhere_has_no_value(kind, complaint):
    # The double of npu_bridge brings no NPU: TensorFlow ignores the optimizer that is not there.
    done = subprocess.run([sys.executable, str(ROOT / 'test/canary.py')], capture_output=True,
                          text=True, env={**os.environ, 'RCAN_DEVICE_KIND': kind,
                                          'PYTHONPATH': str(ROOT / 'test/unit/npu_double')})
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.splitlines()[-1] == complaint


@pytest.mark.parametrize('kind, op, device, proven', [
    ('npu', 'GeOp', '/job:localhost/replica:0/task:0/device:CPU:0', True),
    ('npu', 'Conv2D', '/job:localhost/replica:0/task:0/device:CPU:0', False),
    ('gpu', 'Conv2D', '/job:localhost/replica:0/task:0/device:GPU:0', True),
    ('gpu', 'Conv2D', '/job:localhost/replica:0/task:0/device:CPU:0', False),
    ('cpu', 'Conv2D', '/job:localhost/replica:0/task:0/device:CPU:0', True)])
def test_the_executed_graph_proves_where_the_canary_ran(kind, op, device, proven):
    graph = SimpleNamespace(node=[SimpleNamespace(op='NoOp', device=''),
                                  SimpleNamespace(op=op, device=device)])
    assert canary_program().ran_on(kind, [graph]) is proven


def canary_program():
    """test/canary.py as a module: it lies in no package."""
    spec = importlib.util.spec_from_file_location('canary_program', str(ROOT / 'test/canary.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = Certificate('2026-01-01', '0123456789ab', certificate.match(MACHINE),
                   (Trial(0.0, ('PASS', 'PASS'), (3, 5)), Trial(0.1, ('REGRESSION',), (3,))),
                   0.011, 14.5, (0.010, 0.011))


def test_a_certificate_is_of_one_machine(tmp_path):
    certificate.save(MADE, str(tmp_path))
    assert certificate.of(MACHINE, str(tmp_path)) == MADE
    assert certificate.of({**MACHINE, 'host': 'another', 'commit': 'f'}, str(tmp_path)) == MADE
    for name in certificate.MATCH:
        assert certificate.of({**MACHINE, name: 'other'}, str(tmp_path)) is None


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '{"schema": 2}'])
def test_a_damaged_certificate_is_named_with_what_to_do(tmp_path, text):
    path = certificate.save(MADE, str(tmp_path))
    with open(path, 'w') as f:
        f.write(text)
    with pytest.raises(ConfigError, match='is no certificate .*harness certify'):
        certificate.of(MACHINE, str(tmp_path))
