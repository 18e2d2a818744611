# SPDX-License-Identifier: Apache-2.0
"""The only module that starts processes: own group, deadline, ask, then kill."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from typing import Any, BinaryIO, Callable, Iterable, List, Mapping, Optional, Sequence, Tuple

import psutil

from harness.errors import RunError
from harness.records import Arm, Device, Launch, Outcome, PlannedRun, Turn

POLL_S = 0.25
STOP_S = 0.005      # a run slowed on purpose is stopped for so long at the least
SLOWED_S = 0.05     # and looked at so often
GRACE_S = 10.0      # between asking a script to stop and making it
SILENCE_S = 1800.0  # the longest we know is a compilation of some minutes on an NPU
MOST_OUTPUT_BYTES = 2 ** 31   # of a run; whatever prints more is out of its mind
# Kills a group once its own input closes, as it does when the harness dies, however it dies.
GUARD = 'read -r _; kill -KILL -- "-$1"'
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(planned: PlannedRun, device: Device, environment: Mapping[str, str],
           root: str) -> Launch:
    """How a script of a checkout of this project is started."""
    return Launch(planned.argv, root, environment,
                  log_path(os.path.join(root, 'test'), device))


def log_path(test: str, device: Device) -> str:
    """Where ModelZoo's scripts write the training log, in the folder that they lie in."""
    return os.path.join(test, 'output', str(device.index), f'train_{device.index}.log')


def run(planned: PlannedRun, how: Launch, folder: str,
        watch: Callable[[int, Iterable[str]], Any]) -> Outcome:
    """Run one script to its end, its output in folder/output.log, its training log in folder.

    watch(process id, new lines of the training log) is called all the while.  A script that
    fails, hangs or is interrupted gives an Outcome with a fault; RunError is for one that cannot
    be started.
    """
    script = Script(planned, how, folder)
    try:
        while not script.over:
            script.let_run(POLL_S)
            watch(script.process.pid, script.tail.new_lines())
            script.check()
    except KeyboardInterrupt:
        script.interrupt()
    finally:
        script.end()
    return script.outcome()


def ask(argv: Sequence[str], root: str, environment: Optional[Mapping[str, str]] = None,
        timeout_s: float = 60) -> str:
    """The standard output of a short command, without the line end; empty where it fails."""
    try:
        done = subprocess.run(argv, cwd=root, env=environment and dict(environment),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return ''
    return done.stdout.decode('utf-8', 'replace').strip()


def end_strays(variable: str, value: str) -> List[str]:
    """Kill every process that has this variable, in whatever group; their names."""
    ended = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                ended.append(process.name())
                process.kill()
        except psutil.Error:   # of somebody else, or gone
            pass
    return ended


class Script:
    """One script on its way: its process group, its log, its end."""

    def __init__(self, planned: PlannedRun, how: Launch, folder: str):
        self.planned, self.folder = planned, folder
        self.output_path = os.path.join(folder, 'output.log')
        self.picture_path = os.path.join(os.path.dirname(how.log_path), 'result', 'comparison.png')
        self.tail = LogTail(how.log_path)
        self.returncode: Optional[int] = None
        self.fault, self.interrupted = '', False
        self.steps, self.log_path = 0, ''
        self.turns: List[Turn] = []
        self.started_unix_s, self.started = time.time(), time.monotonic()
        self.wall_s, self.owed_s, self.going_since = 0.0, 0.0, self.started
        with open(self.output_path, 'wb') as output:
            self.process = _start(how, output)
        self.guard = subprocess.Popen(['bash', '-c', GUARD, 'guard', str(self.process.pid)],
                                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, start_new_session=True)

    @property
    def over(self) -> bool:
        """True once it has ended, or has to be ended."""
        return self.returncode is not None or bool(self.fault)

    def let_run(self, seconds: float):
        """Wait so long; a run that is slowed on purpose is stopped for its share of the time."""
        slowdown = self.planned.slowdown
        time.sleep(min(seconds, SLOWED_S) if slowdown else seconds)
        if slowdown:
            self._slow_down()
        self.returncode = self.process.poll()

    def check(self):
        """Note where it is overdue, or fills the disk; reading its log may have taken a while."""
        self.returncode = self.process.poll()
        if self.returncode is None and not self.fault:
            self.fault = _overdue(self.planned, time.monotonic() - self.started,
                                  self.tail.silent_s()) or self._too_much()

    def _too_much(self) -> str:
        size = sum(state[2] for state in map(_state, (self.output_path, self.tail.path)) if state)
        return (f'it printed more than {MOST_OUTPUT_BYTES >> 20} MiB'
                if size > MOST_OUTPUT_BYTES else '')

    def signal(self, sig: int):
        """Send a signal to the whole group, if anybody is left."""
        _signal_group(self.process, sig)

    def resume(self):
        """Go on after a stop, which was no silence of its own."""
        self.tail.last_growth = self.going_since = time.monotonic()
        self.signal(signal.SIGCONT)

    def _slow_down(self):
        """Stop it for its share of the time that it has run; what a stop takes too long counts."""
        now = time.monotonic()
        self.owed_s += (now - self.going_since) * self.planned.slowdown
        self.going_since = now
        if self.owed_s >= STOP_S:
            self.signal(signal.SIGSTOP)
            time.sleep(self.owed_s)
            self.signal(signal.SIGCONT)
            self.going_since = time.monotonic()
            self.owed_s -= self.going_since - now

    def interrupt(self):
        """Somebody sat before it and stopped it."""
        if self.returncode is None:
            self.fault = f'interrupted after {time.monotonic() - self.started:.0f} s'
            self.interrupted = True

    def end(self):
        """Leave no process behind, and keep the log."""
        _stop_group(self.process)
        self.guard.kill()   # first: it must not act on the number of a group that is gone
        self.guard.communicate()
        self.wall_s = time.monotonic() - self.started
        with self.tail:
            self.log_path = self.tail.keep(self.folder)

    def outcome(self) -> Outcome:
        """How it ended."""
        if self.returncode:
            self.fault = self.fault or f'exit status {self.returncode}'
        return Outcome(self.returncode, self.fault, self.started_unix_s, self.wall_s,
                       self.log_path, self.output_path, self.interrupted,
                       _keep(self.picture_path, self.folder) if self.log_path else '',
                       tuple(self.turns))


class LogTail:
    """The lines of a log as they are written; a log that is already there is another run's."""

    def __init__(self, path: str):
        self.path, self.other = path, _state(path)
        self.file: Optional[BinaryIO] = None
        self.partial = b''
        self.last_growth = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()

    def new_lines(self) -> List[str]:
        """The whole lines that have come since the last call."""
        if not self.file and not self._open():
            return []
        assert self.file
        read = self.file.read()
        if read:
            self.last_growth = time.monotonic()
        *whole, self.partial = (self.partial + read).split(b'\n')
        return [line.decode('utf-8', 'replace') for line in whole]

    def keep(self, folder: str) -> str:
        """Copy the log to a folder, be it replaced meanwhile; empty where none was written."""
        if not self.file and not self._open():
            return ''
        assert self.file
        self.file.seek(0)
        kept = os.path.join(folder, os.path.basename(self.path))
        with open(kept, 'wb') as f:
            shutil.copyfileobj(self.file, f)
        return kept

    def silent_s(self) -> float:
        """Seconds since the log has last grown."""
        return time.monotonic() - self.last_growth

    def _open(self) -> bool:
        if _state(self.path) not in (self.other, None):
            self.file = open(self.path, 'rb', opener=_without_waiting)
        return self.file is not None


def _keep(path: str, folder: str) -> str:
    """Copy a file to a folder; empty where there is none."""
    return shutil.copy(path, folder) if os.path.exists(path) else ''


def _state(path: str) -> Optional[Tuple[int, int, int]]:
    """What changes when a file is replaced, its size last; None where there is none, but a pipe."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return ((found.st_ino, found.st_mtime_ns, found.st_size)
            if stat.S_ISREG(found.st_mode) else None)


def _without_waiting(path: str, flags: int) -> int:
    """As open() opens it, but a pipe that has come in its place waits for nobody."""
    return os.open(path, flags | os.O_NONBLOCK)


def _start(how: Launch, output):
    try:
        return subprocess.Popen(how.argv, cwd=how.cwd, env=dict(how.environment),
                                stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as e:
        raise RunError(f'cannot start {how.argv[0]}: {e.strerror}') from e


def _overdue(planned: PlannedRun, elapsed_s: float, silent_s: float) -> str:
    # An arm of a pair is stopped half of the time.
    deadline_s = planned.case.deadline_s * (1 if planned.arm is Arm.ALONE else 2)
    if elapsed_s > deadline_s:
        return f'no end after {deadline_s:.0f} s'
    # Other models log where and as seldom as they like.
    if silent_s > SILENCE_S and not planned.case.model_dir:
        return f'hung: not a line in its log for {SILENCE_S:.0f} s'
    return ''


def _stop_group(process: subprocess.Popen):
    """Leave nothing behind: ask the whole group to end, then make it."""
    # A second Ctrl-C must not stop this, nor must a CI system that asks in several ways.
    handlers = {s: signal.signal(s, signal.SIG_IGN) for s in STOP_SIGNALS}
    for sig in (signal.SIGTERM, signal.SIGKILL):
        if not _signal_group(process, sig):
            break
        _signal_group(process, signal.SIGCONT)  # one that is stopped could not obey
        deadline = time.monotonic() + GRACE_S
        while _goes_on(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()
    for s, handler in handlers.items():
        signal.signal(s, handler)


def _goes_on(process: subprocess.Popen) -> bool:
    """Whether anybody is left in the group who is not dead: in a container nobody may wait for
    those whose parent has gone.
    """
    return _signal_group(process, 0) and any(
        _lives_in(process.pid, one) for one in psutil.process_iter())


def _lives_in(group: int, process: psutil.Process) -> bool:
    try:
        return (os.getpgid(process.pid) == group
                and process.status() != psutil.STATUS_ZOMBIE)
    except (OSError, psutil.Error):   # gone meanwhile
        return False


def _signal_group(process: subprocess.Popen, sig: int) -> bool:
    """Send a signal (0: none, just look); False where nobody is left in the group."""
    process.poll()  # a dead process counts as there until it is waited for
    try:
        os.killpg(process.pid, sig)
    except ProcessLookupError:
        return False
    return True


def try_out(argv: Sequence[str], cwd: str, environment: Mapping[str, str],
            timeout_s: float) -> Tuple[Optional[int], str]:
    """Run a command and then end all that it left behind: its status and what it printed.

    The status is None where it had to be ended at its deadline; of the output, the last megabyte.
    """
    with tempfile.TemporaryFile() as output:   # a pipe would wait for those left behind
        process = _start(Launch(tuple(argv), cwd, environment, ''), output)
        try:
            status: Optional[int] = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        output.seek(max(0, output.seek(0, os.SEEK_END) - (1 << 20)))
        return status, output.read().decode('utf-8', 'replace')
