# SPDX-License-Identifier: Apache-2.0
"""What a run takes from the host; the processes are real, the clock is not."""

import dataclasses
import queue
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest

from harness import telemetry
from harness.records import Telemetry
from harness.smi import Look, Reading, User

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


# --- the device -----------------------------------------------------------------------------------

@pytest.mark.parametrize('cpu_s, pace_s', [(0.0, 1.0), (0.004, 1.0), (0.005, 1.0), (0.05, 10.0),
                                           (0.6, 120.0)])
def test_looking_at_the_device_takes_half_a_percent_of_a_core_in_the_long_run(cpu_s, pace_s):
    pauses_s = [telemetry.INTERVAL_S]
    for _ in range(30):
        pauses_s.append(telemetry.pace_s(cpu_s, pauses_s[-1]))
    assert pauses_s[-1] == pytest.approx(pace_s)


def test_a_slow_tool_is_asked_several_times_in_a_short_run():
    pauses_s = [1.0]
    while sum(pauses_s) < 20:
        pauses_s.append(telemetry.pace_s(0.5, pauses_s[-1]))
    assert len(pauses_s) >= 5


class Tool:
    """Looks at a device: it hangs until it is told what to see, or is free to see nothing."""

    def __init__(self):
        self.told, self.free = queue.Queue(), threading.Event()

    def __call__(self):
        hangs_until = time.monotonic() + 30
        while not self.free.is_set() and time.monotonic() < hangs_until:
            try:
                return self.told.get(timeout=0.01)
            except queue.Empty:
                pass
        return Look()


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.setattr(telemetry, 'INTERVAL_S', 0.001)
    monkeypatch.setattr(telemetry, 'LOOK_CORE_SHARE', 1e9)
    tool = Tool()
    yield tool
    tool.free.set()
    wait_for(lambda: not threads())


def wait_for(ready):
    """Until something is true; a minute is for machines that are busy."""
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def threads():
    return [t for t in threading.enumerate() if t.name == 'device']


HOT, WELL = Look(slowed='hot'), Look(reading=Reading(97, 3000, 40, 70))


def test_each_look_is_told_once_and_in_order(tool):
    tool.told.put(WELL)
    watch, told = telemetry.Watch(tool), []
    assert watch.first == WELL
    assert watch.news() == []
    for seen in (HOT, WELL, HOT):
        tool.told.put(seen)
    wait_for(lambda: told.extend(watch.news()) or len(told) == 3)
    assert told == [HOT, WELL, HOT]
    assert watch.news() == []
    tool.free.set()
    watch.close()


def test_no_thread_is_left_after_a_run_and_what_it_saw_last_counts(tool):
    tool.told.put(Look())
    with telemetry.Sampler(tool) as sampler:
        sampler.sample(psutil.Process().pid)
        assert len(threads()) == 1
        tool.told.put(Look(alarm='npu-smi calls its health Alarm'))
        wait_for(tool.told.empty)
        tool.free.set()
    assert threads() == []
    assert sampler.load().device_alarm == 'npu-smi calls its health Alarm'


def test_a_tool_that_hangs_holds_up_neither_a_sample_nor_the_end(tool, monkeypatch):
    monkeypatch.setattr(telemetry, 'LOOK_TIMEOUT_S', 0.001)
    tool.told.put(WELL)
    with telemetry.Sampler(tool) as sampler:
        sampler.sample(psutil.Process().pid)
    assert len(threads()) == 1                       # it still hangs
    assert sampler.telemetry().device_percent == (None,)


@pytest.mark.parametrize('took_s, waits_s', [(0.25, [1, 0.75]), (3, [1, 0]), (0, [1, 1])])
def test_the_pace_counts_from_one_look_to_the_next(monkeypatch, clock, took_s, waits_s):
    waited_s = []

    class Over(threading.Event):
        def wait(self, timeout=None):
            waited_s.append(timeout)
            return len(waited_s) == 2

    def look():
        clock.s += took_s
        return Look()

    monkeypatch.setattr(telemetry, '_look_cpu_s', lambda: 0.0)
    monkeypatch.setattr(telemetry, 'threading', SimpleNamespace(Event=Over,
                                                                Thread=threading.Thread))
    telemetry.Watch(look).close()
    assert waited_s == waits_s


def test_a_device_without_a_tool_has_no_thread():
    with telemetry.Sampler() as sampler:
        sampler.sample(psutil.Process().pid)
        assert threads() == []


def test_the_cpu_time_of_the_tool_and_of_reading_it_stretches_the_pace(monkeypatch):
    monkeypatch.setattr(telemetry, 'INTERVAL_S', 0.01)
    spend = 'import time\nwhile time.process_time() < 0.2: pass'
    paces = []
    monkeypatch.setattr(telemetry, 'pace_s', lambda cpu_s, before_s: paces.append(cpu_s) or 1000.0)
    for count, look in enumerate((lambda: subprocess.run([sys.executable, '-c', spend]) and Look(),
                                  lambda: burn(psutil.Process(), 0.1) or Look()), 1):
        watch, waited_s = telemetry.Watch(look), time.monotonic() + 60
        while len(paces) < count and time.monotonic() < waited_s:
            time.sleep(0.01)
        watch.close()
    assert 0.18 <= paces[0] < 2
    assert 0.08 <= paces[1] < 2


class Told:
    """A Watch that sees what a test tells it."""

    def __init__(self):
        self.first, self.told = Look(), []

    def news(self):
        told, self.told = self.told, []
        return told

    def close(self):
        """Nothing is to be ended."""


@pytest.fixture
def device(monkeypatch):
    told = Told()
    monkeypatch.setattr(telemetry, 'Watch', lambda look: told)
    return told


def test_others_on_the_device_are_named_and_our_own_processes_are_not(clock, device):
    mine = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    here, gone = psutil.Process().pid, 2 ** 22 + 1     # no process has this number
    device.first = Look({77: User('left over'), 78: User('')})
    sampler = telemetry.Sampler(Look)
    device.told = [Look({mine.pid: User('python'), here: User('pytest'),
                         gone: User('the host\'s number of ours')}), Look()]
    clock.s += 1
    sampler.sample(mine.pid)
    mine.communicate(b'\n')
    load = sampler.load()
    named = {77: 'left over (77)', 78: 'process 78', here: f'pytest ({here})'}
    assert load.device_others == tuple(name for _, name in sorted(named.items()))
    assert load.device_used == f'python ({mine.pid}) held it'


@pytest.mark.parametrize('samples', [0, 1])
def test_a_process_that_has_ended_meanwhile_is_still_of_the_run(clock, device, samples):
    mine = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    with telemetry.Sampler(Look) as sampler:
        clock.s += 1
        sampler.sample(mine.pid)
        mine.communicate(b'\n')
        device.told = [Look({mine.pid: User('python3', 3021.4)}, reading=Reading(62.4, 3100))]
        for _ in range(samples):
            clock.s += 1
            sampler.sample(mine.pid)
    load = sampler.load()
    assert load.device_others == ()
    assert load.device_used == (
        f'python3 ({mine.pid}) held 3021 MiB of it, and it worked up to 62 % of the time')


UNKNOWN = Look()


def use(*looks, before=UNKNOWN, ours=(1,)):
    """What a run's looks say."""
    seen = telemetry.DeviceUse(before)
    for look in looks:
        seen.add(look, ours)
    return seen


def at(percent, mib, **of):
    return Look(reading=Reading(percent, mib), **of)


NOBODY = 2 ** 22 + 1    # no process has this number: it is the host's


@pytest.mark.parametrize('looks, before, used', [
    ([at(0, 3000, processes={1: User('a', 2000)}), at(62, 2000, processes={1: User('a', 1000)}),
      at(9, 5000, processes={2: User('b', 9)})], Look(),
     'a (1) held 2000 MiB of it, and it worked up to 62 % of the time'),
    ([at(None, None, processes={1: User('a', 2000), 2: User('b', 3000)})], Look(),
     'b (2) held 3000 MiB of it'),
    ([at(None, None, processes={1: User('', None)})], Look(), 'process 1 held it'),
    # In a container nobody knows the process: the memory grows while the device works.
    ([at(0, 150, processes={NOBODY: User('')}), at(62, 3100), at(5, 100)], at(0, 100),
     'its memory in use grew by 3000 MiB, and it worked up to 62 % of the time'),
    ([at(62, 164)], at(0, 100),
     'its memory in use grew by 64 MiB, and it worked up to 62 % of the time'),
    ([at(62, 163)], at(0, 100), ''),
    ([at(0, 3100)], at(0, 100), ''), ([at(None, 3100)], at(0, 100), ''),
    ([at(62, 3100)], Look(), ''),                        # what it was before is not known
    ([at(62, None)], at(0, 100), ''), ([Look()], at(0, 100), ''), ([], at(0, 100), ''),
    # It may be the work of whoever was there before.
    ([at(62, 3100)], at(0, 100, processes={77: User('x')}), ''),
    ([at(62, 3100, processes={1: User('x', 9)})], at(0, 100, processes={1: User('x')}), '')])
def test_a_run_used_the_device_where_that_was_seen(looks, before, used):
    assert use(*looks, before=before, ours=(1, 2)).used == used


@pytest.mark.parametrize('looks, slowed', [
    ([Look(), HOT, HOT, Look()], 'hot'), ([HOT, Look(), HOT], ''), ([HOT], ''), ([], '')])
def test_a_device_is_slowed_down_where_two_looks_in_a_row_say_so(looks, slowed):
    assert use(*looks).slowed == slowed


def test_the_worst_alarm_of_all_is_kept():
    warning, alarm = 'npu-smi calls its health Warning', 'npu-smi calls its health Alarm'
    assert use(Look(), Look()).alarm == ''
    assert use(Look(), before=Look(alarm=warning)).alarm == warning
    assert use(Look(alarm=warning), Look(alarm=alarm), Look(alarm=warning), Look()).alarm == alarm


# --- moment by moment -----------------------------------------------------------------------------

class Machine:
    """What the kernel says of a run's one process and of the whole machine, second by second."""

    def __init__(self, monkeypatch, clock):
        self.clock, self.counted = clock, telemetry.Counters(100.0, 1.0, 0.0, 0.0)
        self.cpu_s, self.mib, self.pids = 0.0, 0, [1]
        monkeypatch.setattr(telemetry, 'counters', lambda: self.counted)
        monkeypatch.setattr(telemetry, '_tree', lambda pid: [self.process(p) for p in self.pids])
        monkeypatch.setattr(telemetry, '_foreign_threads', lambda trees: [])

    def process(self, pid):
        return SimpleNamespace(
            pid=pid, oneshot=lambda: open('/dev/null'),
            cpu_times=lambda: SimpleNamespace(user=self.cpu_s, system=0.0),
            memory_info=lambda: SimpleNamespace(rss=self.mib * 2 ** 20))

    def go(self, sampler, seconds=1.0, cpu_s=0.0, others_s=0.0, own_s=0.0, mib=100):
        """So much happens, then the sampler looks."""
        self.clock.s += seconds
        self.cpu_s += cpu_s
        busy_s, own_before_s, *rest = self.counted
        self.counted = telemetry.Counters(busy_s + cpu_s + others_s + own_s, own_before_s + own_s,
                                          *rest)
        self.mib = mib
        sampler.sample(1)


@pytest.fixture
def machine(monkeypatch, clock):
    return Machine(monkeypatch, clock)


def test_before_the_first_moment_nothing_is_known(machine, device):
    device.first = Look(reading=Reading(50, 1000, 40, 70))
    sampler = telemetry.Sampler(Look)
    assert sampler.latest() is None
    assert sampler.telemetry() is None


def test_a_moment_has_the_shares_of_the_time_since_the_last_one(machine):
    sampler = telemetry.Sampler()
    machine.go(sampler, seconds=2, cpu_s=3, others_s=0.5, own_s=0.25, mib=300)
    assert sampler.latest()[:3] == pytest.approx((150, 25, 300))
    machine.go(sampler, seconds=4, cpu_s=1, others_s=0, own_s=1, mib=200)
    assert sampler.latest()[:3] == pytest.approx((25, 0, 200))
    machine.go(sampler, seconds=0.5, cpu_s=9)           # too early: not yet a moment
    kept = sampler.telemetry()
    assert kept.at_s == (2, 6)
    assert (kept.cpu_percent, kept.foreign_cpu_percent) == ((150, 25), (25, 0))
    assert kept.memory_mib == (300, 200)


def test_a_look_right_after_the_start_has_a_size_and_no_shares(machine):
    sampler = telemetry.Sampler()
    machine.go(sampler, seconds=0)
    assert sampler.latest()[:3] == (None, None, 100)


def test_what_a_process_took_before_it_ended_is_not_called_another_ones(machine):
    sampler = telemetry.Sampler()
    machine.pids = [1, 2]
    machine.go(sampler, cpu_s=0.5)
    machine.pids = [1]
    machine.go(sampler, cpu_s=0.25, others_s=0.75)   # of which it took some, that nobody saw
    machine.go(sampler, cpu_s=0.5)
    assert sampler.telemetry().cpu_percent == (100, None, 50)
    assert sampler.telemetry().foreign_cpu_percent == (0, None, 0)


def test_where_no_process_of_the_run_is_there_is_no_moment_of_it(machine):
    sampler = telemetry.Sampler()
    machine.go(sampler, cpu_s=0.5)
    machine.pids = []
    machine.go(sampler)
    assert sampler.telemetry().at_s == (1,)


def test_what_the_device_does_stands_where_it_was_looked_at_and_stays_the_latest(machine, device):
    device.first = Look(reading=Reading(0, 10, 30, 60))
    sampler = telemetry.Sampler(Look)
    machine.go(sampler)
    assert sampler.latest()[3:] == (0, 10, 30, 60)      # as before the run
    device.told = [Look(reading=Reading(1, 1, 1, 1)), Look(reading=Reading(90, 9000, 50, None))]
    machine.go(sampler)
    machine.go(sampler)
    assert sampler.latest()[3:] == (90, 9000, 50, None)
    device.told = [Look()]                               # it failed
    machine.go(sampler)
    kept = sampler.telemetry()
    assert kept.device_percent == (None, 90, None, None)
    assert kept.device_memory_mib == (None, 9000, None, None)
    assert kept.device_celsius == (None, 50, None, None)
    assert kept.device_watts == (None,) * 4
    assert sampler.latest()[3:] == (None,) * 4          # its tool tells no more


def test_however_long_a_run_takes_its_moments_are_few_and_no_peak_is_lost(machine, device):
    sampler = telemetry.Sampler(Look)
    seconds = 5000
    for second in range(1, seconds + 1):
        if second % 10 == 0:
            device.told = [Look(reading=Reading(*[100.0 if second % 1000 == 500 else 0.0] * 4))]
        machine.go(sampler, cpu_s=1 if second % 2 else 0, others_s=0.25,
                   mib=9000 if second == 777 else 100)
    kept = sampler.telemetry()
    columns = dataclasses.asdict(kept)
    assert {len(column) for column in columns.values()} == {len(kept.at_s)}
    assert telemetry.MOMENTS / 2 <= len(kept.at_s) <= telemetry.MOMENTS
    assert kept.at_s[-1] == seconds
    assert list(kept.at_s) == sorted(set(kept.at_s))
    assert set(kept.cpu_percent) == {50} and set(kept.foreign_cpu_percent) == {25}
    place = kept.memory_mib.index(9000)
    assert kept.at_s[place - 1] < 777 <= kept.at_s[place] and kept.memory_mib.count(9000) == 1
    assert max(kept.device_memory_mib) == max(kept.device_celsius) == 100   # one look of many
    assert 0 < max(kept.device_percent) == max(kept.device_watts) < 100     # of several looks


def test_the_last_moments_of_a_long_run_are_not_lost(machine):
    sampler = telemetry.Sampler()
    for _ in range(telemetry.MOMENTS):
        machine.go(sampler)
    assert len(sampler.telemetry().at_s) == telemetry.MOMENTS / 2
    machine.go(sampler, mib=500)                         # half of what becomes one
    assert sampler.telemetry().at_s[-2:] == (telemetry.MOMENTS, telemetry.MOMENTS + 1)
    assert sampler.telemetry().memory_mib[-1] == 500


def test_a_value_has_a_tenth_and_no_more_digits(machine, device):
    device.told = [Look(reading=Reading(33.333, 1024.49, 41.26, 71.75))]
    sampler = telemetry.Sampler(Look)
    machine.go(sampler, seconds=10.123, cpu_s=3.3333, others_s=1.1111)
    assert [column[0] for column in dataclasses.asdict(sampler.telemetry()).values()] == [
        10.1, 32.9, 11.0, 100.0, 33.3, 1024.5, 41.3, 71.8]


def test_a_record_has_a_column_for_everything_in_a_moment():
    assert [f.name for f in dataclasses.fields(Telemetry)] == ['at_s', *telemetry.Moment._fields]
