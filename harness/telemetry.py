# SPDX-License-Identifier: Apache-2.0
"""What a run takes from its machine, and what disturbs it meanwhile; sampled while it goes on."""

import collections
import dataclasses
import glob
import os
import re
import resource
import statistics
import threading
import time
from typing import (
    Callable,
    Collection,
    Deque,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import psutil

from harness.files import read
from harness.records import Load, Moment, Telemetry
from harness.smi import Look, Reading, User, severity

INTERVAL_S = 1.0
LOOK_CORE_SHARE = 0.005   # of one core, that looking at the device may take
SLOWER = 1.5              # times the last pause, that the next may be
LOOK_TIMEOUT_S = 10.0     # for whoever asks a device's tool: one that takes longer hangs
LEAST_S = 8.0   # in less, the clock ticks of /proc say too little about others
MOMENTS = 240   # that are kept of a run, at most; an even number
MIB = 2 ** 20
USED_MIB = 64   # that the memory in use grows by at the least where a run uses a device


class Counters(NamedTuple):
    """What the kernel has counted so far, on the cores that this process may use."""

    busy_s: float        # of CPU, by whoever
    own_s: float         # of them, by the harness itself
    steal_s: float       # in which the hypervisor let others run
    throttled_s: float   # for which heat, or a quota, held it back (time, not CPU)


class Series:
    """The moments of a run of any length, at most MOMENTS.

    Where they would be more, two neighbours become one, again and again: of shares and power it
    has their mean, of memory and temperature the higher one, so that no peak is lost.
    """

    MERGES: Tuple[Callable[[Sequence[float]], float], ...] = (
        statistics.mean, statistics.mean, max, statistics.mean, max, max, statistics.mean)

    def __init__(self):
        self._merged: List[Tuple[float, Moment]] = []
        self._single: List[Tuple[float, Moment]] = []   # those that are still to become one
        self._each = 1   # so many become one

    def add(self, at_s: float, moment: Moment):
        """One more."""
        self._single.append((at_s, moment))
        if len(self._single) < self._each:
            return
        self._merged.append(self._one(self._single))
        self._single = []
        if len(self._merged) == MOMENTS:
            self._merged = [self._one(self._merged[i:i + 2]) for i in range(0, MOMENTS, 2)]
            self._each *= 2

    def telemetry(self) -> Optional[Telemetry]:
        """All of them, to a tenth; None where there is none."""
        kept = self._merged + ([self._one(self._single)] if self._single else [])
        if not kept:
            return None
        columns = zip(*(moment for _, moment in kept))
        return Telemetry(at_s=tuple(round(at_s, 1) for at_s, _ in kept), **{
            name: tuple(None if value is None else round(value, 1) for value in column)
            for name, column in zip(Moment._fields, columns)})

    def _one(self, several: Sequence[Tuple[float, Moment]]) -> Tuple[float, Moment]:
        """What stands for them all, at the time of the last."""
        columns = zip(*(moment for _, moment in several))
        known = [[value for value in column if value is not None] for column in columns]
        return several[-1][0], Moment(*(
            merge(values) if values else None for merge, values in zip(self.MERGES, known)))


class Watch:
    """Looks at a device in a thread of its own, for its tool may take seconds, or hang."""

    def __init__(self, look: Callable[[], Look]):
        """The first look is made at once, before the run."""
        self._look = look
        self._over = threading.Event()
        self._news: Deque[Look] = collections.deque()
        self.first, _ = self._timed_look()
        self._thread = threading.Thread(target=self._go_on, name='device', daemon=True)
        self._thread.start()

    def news(self) -> List[Look]:
        """The looks since the last call, none of them twice; from old to new."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self):
        """End the thread; one whose tool hangs for good must not hold up the harness."""
        self._over.set()
        self._thread.join(2 * LOOK_TIMEOUT_S)

    def _go_on(self):
        took_s, wait_s = 0.0, INTERVAL_S
        while not self._over.wait(max(0.0, wait_s - took_s)):
            began = time.monotonic()
            seen, cpu_s = self._timed_look()
            self._news.append(seen)
            took_s, wait_s = time.monotonic() - began, pace_s(cpu_s, wait_s)

    def _timed_look(self) -> Tuple[Look, float]:
        """A look, and the CPU time that it took."""
        before = _look_cpu_s()
        seen = self._look()
        return seen, _look_cpu_s() - before


def pace_s(cpu_s: float, before_s: float) -> float:
    """Seconds from one look at the device to the next, where one takes so much CPU time.

    before_s: the seconds before.  It takes its time to slow down, for a short run shall be seen on
    its device however slow the tool is.
    """
    return min(max(INTERVAL_S, cpu_s / LOOK_CORE_SHARE), SLOWER * before_s)


class DeviceUse:
    """What the looks at a device say of a run, and of whoever else uses it."""

    def __init__(self, before: Look):
        """before: a look before the run: whoever is there is foreign."""
        self._before, self._last = before, before
        self._others = dict(before.processes)
        self._ours: Dict[int, User] = {}   # the most that each has held
        self._peak_percent = self._peak_mib = 0.0
        self.alarm, self.slowed = before.alarm, ''

    def add(self, seen: Look, ours: Collection[int]):
        """One more look; ours: the processes of the run."""
        # A clock that is just rising is below its rate once, not twice.
        if seen.slowed and self._last.slowed:
            self.slowed = self.slowed or seen.slowed
        self._last = seen
        self.alarm = max(self.alarm, seen.alarm, key=severity)
        self._peak_percent = max(self._peak_percent, seen.reading.percent or 0.0)
        self._peak_mib = max(self._peak_mib, seen.reading.memory_mib or 0.0)
        for pid, user in seen.processes.items():
            if pid in self._before.processes:
                continue
            # In a container the tool may give the host's number of a process, our own among them:
            # one that is not to be seen here counts only where it was there before.
            if pid in ours:
                self._ours[pid] = max(self._ours.get(pid, user), user, key=_held_mib)
            elif psutil.pid_exists(pid):
                self._others[pid] = user

    @property
    def others(self) -> Tuple[str, ...]:
        """Other processes that used it."""
        return tuple(_named(pid, user) for pid, user in sorted(self._others.items()))

    @property
    def used(self) -> str:
        """What proves that the run used it; empty: nothing that was seen."""
        worked = (f', and it worked up to {self._peak_percent:.0f} % of the time'
                  if self._peak_percent else '')
        if self._ours:
            pid, user = max(self._ours.items(), key=lambda item: _held_mib(item[1]))
            held = '' if user.memory_mib is None else f'{user.memory_mib:.0f} MiB of '
            return f'{_named(pid, user)} held {held}it{worked}'
        before_mib = self._before.reading.memory_mib
        grown_mib = 0.0 if before_mib is None else self._peak_mib - before_mib
        # Where others are on it, its memory and its work may be theirs.
        if grown_mib < USED_MIB or not worked or self._others:
            return ''
        return f'its memory in use grew by {grown_mib:.0f} MiB{worked}'


class Sampler:
    """Memory and CPU of process trees, and what others take meanwhile; it keeps its own pace.

    It ends with close(), or as a context.
    """

    def __init__(self, look: Optional[Callable[[], Look]] = None):
        """look: at the device; the first is made before the run.  None: it has no tool."""
        self._watch = Watch(look) if look else None
        first = self._watch.first if self._watch else Look()
        self._device, self._reading = DeviceUse(first), first.reading
        self._peak_bytes = 0
        self._cpu_s: Dict[int, float] = {}   # by process: those that have ended count too
        self._foreign_threads: List[int] = []
        self._series = Series()
        self._alive: Set[int] = set()
        self._latest: Optional[Moment] = None
        self._began = self._last_counters = counters()
        self._started = self._last = self._next = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the looking at the device; what was seen by then still counts."""
        if self._watch:
            self._watch.close()
            self._news_of_device(self._alive)

    def sample(self, *pids: int):
        """Look at the trees below these processes, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        wall_s, counted, cpu_s = now - self._last, self._last_counters, self._cpu_total_s()
        self._next, self._last = now + INTERVAL_S, now
        trees = {p.pid: p for pid in pids for p in _tree(pid)}
        self._foreign_threads += _foreign_threads(trees)
        resident = sum(map(self._add, trees.values()))
        self._peak_bytes = max(self._peak_bytes, resident)
        self._last_counters = counters()
        reading = self._news_of_device(self._alive | set(trees))
        # What a process that has ended took since the last look is neither seen nor of others.
        ended, self._alive = self._alive - set(trees), set(trees)
        if resident:   # else there is no run: it has ended, or not begun
            shares = (None, None) if ended else _shares(
                wall_s, counted, self._last_counters, self._cpu_total_s() - cpu_s)
            self._latest = Moment(*shares, resident / MIB, *reading)
            self._series.add(now - self._started, self._latest)

    def latest(self) -> Optional[Moment]:
        """The newest, with the device as the newest look has found it; None before the first."""
        return self._latest and Moment(*self._latest[:3], *self._reading)

    def telemetry(self) -> Optional[Telemetry]:
        """Moment by moment; of the device only where it was looked at.  None: no moment."""
        return self._series.telemetry()

    def load(self) -> Optional[Load]:
        """What was seen; None where nothing was."""
        wall_s = self._last - self._started
        if not self._peak_bytes or wall_s <= 0:
            return None
        cpu_s = self._cpu_total_s()
        device = self._device
        load = Load(self._peak_bytes, 100 * cpu_s / wall_s, device_slowed=device.slowed,
                    device_others=device.others, device_alarm=device.alarm,
                    device_used=device.used)
        if wall_s < LEAST_S:
            return load
        spent = _spent(self._began, self._last_counters)
        threads = self._foreign_threads
        return dataclasses.replace(
            load, foreign_cpu_percent=_foreign_percent(wall_s, spent, cpu_s),
            foreign_threads=statistics.median(threads) if threads else None,
            steal_percent=100 * spent.steal_s / wall_s,
            throttled_percent=100 * spent.throttled_s / wall_s)

    def _cpu_total_s(self) -> float:
        return sum(self._cpu_s.values())

    def _add(self, process: psutil.Process) -> int:
        """Note a process's CPU time; its resident bytes, 0 where it has just ended."""
        try:
            with process.oneshot():
                times = process.cpu_times()
                self._cpu_s[process.pid] = times.user + times.system
                return process.memory_info().rss
        except psutil.Error:
            return 0

    def _news_of_device(self, ours: Collection[int]) -> Reading:
        """Note what was seen since the last moment; of it the newest, unknown where nothing was."""
        news = self._watch.news() if self._watch else []
        for seen in news:
            self._device.add(seen, ours)
            self._reading = seen.reading
        return news[-1].reading if news else Reading()


def counters() -> Counters:
    """As they are now."""
    usable = _usable_cores()
    cores = [t for i, t in enumerate(psutil.cpu_times(percpu=True)) if i in usable]
    busy = ('user', 'system', 'nice', 'irq', 'softirq')
    own = psutil.Process().cpu_times()
    return Counters(
        sum(getattr(t, name, 0.0) for t in cores for name in busy), own.user + own.system,
        sum(getattr(t, 'steal', 0.0) for t in cores),
        _too_hot_s() + _over_quota_s() / max(1, len(cores)))


def _look_cpu_s() -> float:
    """Of this thread, and of the commands that have ended: a look's are waited for in it."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + ended.ru_utime + ended.ru_stime


def _held_mib(user: User) -> float:
    return -1.0 if user.memory_mib is None else user.memory_mib


def _named(pid: int, user: User) -> str:
    return f'{user.name} ({pid})' if user.name else f'process {pid}'


def _spent(before: Counters, after: Counters) -> Counters:
    return Counters(*(b - a for a, b in zip(before, after)))


def _foreign_percent(wall_s: float, spent: Counters, cpu_s: float) -> float:
    """What others took while the run took so much CPU time."""
    return 100 * max(0.0, spent.busy_s - spent.own_s - cpu_s) / wall_s


def _shares(wall_s: float, before: Counters, after: Counters,
            cpu_s: float) -> Tuple[Optional[float], Optional[float]]:
    """Of the run and of others between two moments, to some percent: the kernel counts in ticks.

    The first moment may come right after the start, when there is nothing to take a share of.
    """
    if wall_s < INTERVAL_S / 2:
        return None, None
    return (100 * max(0.0, cpu_s) / wall_s,
            _foreign_percent(wall_s, _spent(before, after), cpu_s))


def _usable_cores() -> Collection[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return range(os.cpu_count() or 1)


def _too_hot_s() -> float:
    """Seconds in which the hottest core was held back; 0 where the kernel does not tell.

    https://docs.kernel.org/admin-guide/thermal/intel_thermal_throttle.html
    """
    paths = glob.glob('/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_total_time_ms')
    return max([int(read(path) or 0) / 1000 for path in paths], default=0.0)


def _over_quota_s() -> float:
    """CPU seconds for which our control group had to wait, as its quota was used up.

    https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.stat); 0 with version 1.
    """
    group = re.search(r'^0::(/.*)$', read('/proc/self/cgroup'), re.M)
    stat = read(f'/sys/fs/cgroup{group.group(1)}/cpu.stat') if group else ''
    found = re.search(r'^throttled_usec ([0-9]+)$', stat, re.M)
    return int(found.group(1)) / 1e6 if found else 0.0


def _foreign_threads(ours: Collection[int]) -> List[int]:
    """Threads of others in the run queue at this moment; nothing where that is not known.

    Ours come and go while they are counted, so they count as the more of before and after.
    """
    before = sum(map(_runnable_threads, ours))
    found = re.search(r'^procs_running ([0-9]+)$', read('/proc/stat'), re.M)
    after = sum(map(_runnable_threads, ours))
    if not found or len(_usable_cores()) != os.cpu_count():   # it counts those of all cores
        return []
    return [max(0, int(found.group(1)) - max(before, after) - 1)]   # 1: the harness itself


def _runnable_threads(pid: int) -> int:
    """Of one process; its state follows its name in brackets, which may hold others."""
    stats = map(read, glob.glob(f'/proc/{pid}/task/*/stat'))
    return sum(stat[stat.rfind(')') + 2:].startswith('R') for stat in stats)


def _tree(pid: int) -> List[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
