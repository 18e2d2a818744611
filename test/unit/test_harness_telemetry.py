# SPDX-License-Identifier: Apache-2.0
"""What a run takes from the host; the processes are real, the clock is not."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from harness import telemetry
from harness.smi import Look

MEMORY_BYTES, CPU_S = 64 * 2 ** 20, 0.3

# A process whose child takes memory and CPU time and then says so.
PARENT = f'''
import subprocess, sys
subprocess.run([sys.executable, '-c', """
import sys, time
held = bytearray(b'x') * {MEMORY_BYTES}
while time.process_time() < {CPU_S}: pass
print('ready', flush=True)
sys.stdin.read()
"""])
print('gone', flush=True)
sys.stdin.read()
'''


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(telemetry, 'time', SimpleNamespace(monotonic=lambda: now.s))
    return now


@pytest.fixture
def parent():
    process = subprocess.Popen([sys.executable, '-c', PARENT], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'ready\n'
    yield process
    process.communicate()
    assert process.returncode == 0


def test_memory_and_cpu_of_a_child_count(clock, parent):
    sampler = telemetry.Sampler()
    clock.s += 2
    sampler.sample(parent.pid)
    load = sampler.load()
    root = psutil.Process(parent.pid)
    assert load.peak_memory_bytes > MEMORY_BYTES
    assert load.peak_memory_bytes == pytest.approx(
        sum(p.memory_info().rss for p in [root, *root.children(recursive=True)]), rel=0.02)
    # At least the child's 0.3 s in 2 s, but for what the kernel's ticks of 0.01 s may miss.
    assert load.mean_cpu_percent >= 0.9 * 100 * CPU_S / 2


def test_the_peak_stays_and_the_cpu_time_of_an_ended_child_counts(clock, parent):
    sampler = telemetry.Sampler()
    clock.s += 2
    sampler.sample(parent.pid)
    before = sampler.load()
    for child in psutil.Process(parent.pid).children():
        child.kill()
    assert parent.stdout.readline() == b'gone\n'
    clock.s += 2
    sampler.sample(parent.pid)
    assert sampler.load().peak_memory_bytes == before.peak_memory_bytes
    assert sampler.load().mean_cpu_percent >= 0.9 * 100 * CPU_S / 4


def test_it_keeps_its_own_pace_however_often_it_is_called(clock, monkeypatch):
    looked = []
    monkeypatch.setattr(telemetry, '_tree', lambda pid: looked.append(clock.s) or [])
    sampler = telemetry.Sampler()
    for _ in range(30):
        clock.s += 0.1
        sampler.sample(1)
    assert 3 <= len(looked) <= 4
    assert all(b - a >= telemetry.INTERVAL_S - 1e-9 for a, b in zip(looked, looked[1:]))


def test_nothing_seen_is_nothing_said(clock):
    process = subprocess.Popen(['true'])
    process.wait()
    sampler = telemetry.Sampler()
    assert sampler.load() is None
    clock.s += 1
    sampler.sample(process.pid)   # it has ended
    assert sampler.load() is None


BUSY = 'import time\nprint("on", flush=True)\nwhile time.process_time() < 600: pass'


@pytest.fixture
def hog():
    """A process that takes a core, started before the sampling."""
    process = subprocess.Popen([sys.executable, '-c', BUSY], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield psutil.Process(process.pid)
    process.kill()
    process.communicate()


def burn(process, seconds):
    """Wait until a process has taken so much CPU."""
    before = process.cpu_times().user
    while process.cpu_times().user - before < seconds:
        pass


def test_a_process_that_is_not_ours_is_foreign(clock, hog):
    idle = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    sampler = telemetry.Sampler()
    burn(hog, 1.0)
    clock.s += 10
    sampler.sample(idle.pid)
    idle.communicate(b'\n')
    assert sampler.load().foreign_cpu_percent >= 4.0   # most of its second in ten


def test_what_our_own_processes_take_is_not_foreign(clock, hog, monkeypatch):
    # All that the machine does is what the watched process does.
    monkeypatch.setattr(telemetry, 'counters', lambda: telemetry.Counters(
        busy_s=sum(hog.cpu_times()[:2]), own_s=0.0, steal_s=0.0, throttled_s=0.0))
    sampler = telemetry.Sampler()
    burn(hog, 0.5)
    clock.s += 10
    sampler.sample(hog.pid)
    load = sampler.load()
    assert load.mean_cpu_percent >= 4.0
    assert load.foreign_cpu_percent < 1.0


def test_too_short_a_look_says_nothing_of_others(clock):
    sampler = telemetry.Sampler()
    clock.s += 1
    sampler.sample(psutil.Process().pid)
    load = sampler.load()
    assert load.foreign_cpu_percent is load.foreign_threads is load.steal_percent is None


@pytest.mark.parametrize('running, cores, median', [(4, 2, 1), (3, 2, 0), (9, 2, 6), (4, 3, None)])
def test_threads_of_others_are_those_in_the_queue_less_ours(clock, monkeypatch, running, cores,
                                                            median):
    # Ours are the harness itself and two threads of the process that it watches.
    pid = psutil.Process().pid
    stats = {f'/proc/{pid}/task/{n}/stat': f'{n} (a) b) {state} 1' for n, state in
             ((1, 'R'), (2, 'R'), (3, 'S'))}
    files = {'/proc/stat': f'cpu 1 2\nprocs_running {running}\nprocs_blocked 7\n', **stats}
    monkeypatch.setattr(telemetry, 'read', lambda path: files.get(path, ''))
    monkeypatch.setattr(telemetry.glob, 'glob', lambda pattern: list(stats) if str(pid) in pattern
                        else [])
    monkeypatch.setattr(telemetry, '_usable_cores', lambda: range(2))
    monkeypatch.setattr(telemetry.os, 'cpu_count', lambda: cores)   # more than we may use: unknown
    sampler = telemetry.Sampler()
    for _ in range(10):
        clock.s += 1
        sampler.sample(pid)
    assert sampler.load().foreign_threads == median


def test_what_the_hypervisor_and_a_quota_took_is_a_share_of_the_time(clock, monkeypatch):
    now = [telemetry.Counters(100.0, 1.0, 5.0, 2.0)]
    monkeypatch.setattr(telemetry, 'counters', lambda: now[0])
    sampler = telemetry.Sampler()
    now[0] = telemetry.Counters(100.0, 1.0, 8.0, 4.5)
    clock.s += 10
    sampler.sample(psutil.Process().pid)
    assert (sampler.load().steal_percent, sampler.load().throttled_percent) == (30.0, 25.0)


@pytest.mark.parametrize('files, seconds', [
    ({}, 0.0),
    ({'/proc/self/cgroup': '0::/job/7\n', '/sys/fs/cgroup/job/7/cpu.stat':
      'usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n'}, 2.5),
    ({'/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup//cpu.stat': 'usage_usec 9\n'}, 0.0),
    ({'/proc/self/cgroup': '4:cpu:/job\n'}, 0.0)])
def test_the_time_over_a_quota_is_what_the_control_group_says(monkeypatch, files, seconds):
    monkeypatch.setattr(telemetry, 'read', lambda path: files.get(path, ''))
    assert telemetry._over_quota_s() == seconds


def test_the_counters_are_of_this_machine_and_grow():
    before = telemetry.counters()
    burn(psutil.Process(), 0.2)
    after = telemetry.counters()
    assert after.own_s - before.own_s >= 0.1
    assert after.busy_s - before.busy_s >= 0.1
    assert all(b >= a for a, b in zip(before, after))


def test_others_on_the_device_are_named_and_our_own_processes_are_not(clock):
    mine = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    here, gone = psutil.Process().pid, 2 ** 22 + 1     # no process has this number
    looks = iter([Look({77: 'left over'}),
                  Look({mine.pid: 'python', here: 'pytest', gone: 'the host\'s number of ours'}),
                  Look({}, 'hot'), Look()])
    sampler = telemetry.Sampler(lambda: next(looks))
    for _ in range(3):
        clock.s += telemetry.DEVICE_INTERVAL_S
        sampler.sample(mine.pid)
    mine.communicate(b'\n')
    load = sampler.load()
    assert load.device_others == tuple(
        f'{name} ({pid})' for pid, name in sorted({77: 'left over', here: 'pytest'}.items()))
    assert load.device_slowed == 'hot'


def test_the_device_is_looked_at_less_often_than_the_host(clock):
    looked = []
    sampler = telemetry.Sampler(lambda: looked.append(clock.s) or Look())
    for _ in range(30):
        clock.s += 1
        sampler.sample(psutil.Process().pid)
    assert len(looked) == 1 + 3
