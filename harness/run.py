# SPDX-License-Identifier: Apache-2.0
"""The only module that starts processes: own group, deadline, ask, then kill."""

import os
import shutil
import signal
import subprocess
import time
from typing import BinaryIO, Callable, Iterable, List, Mapping, Optional, Sequence

from harness.errors import RunError
from harness.records import Device, Outcome, PlannedRun

POLL_S = 0.25
GRACE_S = 10.0      # between asking a script to stop and making it
SILENCE_S = 1800.0  # the longest we know is a compilation of some minutes on an NPU
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(planned: PlannedRun, device: Device, environment: Mapping[str, str], root: str,
        folder: str, watch: Callable[[int, Iterable[str]], None]) -> Outcome:
    """Run one script to its end, its output in folder/output.log, its training log in folder.

    watch(process id, new lines of the training log) is called all the while.  A script that
    fails, hangs or is interrupted gives an Outcome with a fault; RunError is for one that cannot
    be started.
    """
    written = os.path.join(root, 'test', 'output', str(device.index), f'train_{device.index}.log')
    output_path = os.path.join(folder, 'output.log')
    started_unix_s, started = time.time(), time.monotonic()
    returncode, fault, interrupted = None, '', False
    with open(output_path, 'wb') as output, LogTail(written) as tail:
        process = _start(planned.argv, root, environment, output)
        try:
            while returncode is None and not fault:
                time.sleep(POLL_S)
                returncode = process.poll()
                watch(process.pid, tail.new_lines())
                if returncode is None:
                    fault = _overdue(planned, time.monotonic() - started, tail.silent_s())
        except KeyboardInterrupt:
            fault = f'interrupted after {time.monotonic() - started:.0f} s'
            interrupted = True
        finally:
            _stop_group(process)
        log_path = tail.keep(folder)
    if returncode:
        fault = fault or f'exit status {returncode}'
    picture = os.path.join(os.path.dirname(written), 'result', 'comparison.png')
    return Outcome(returncode, fault, started_unix_s, time.monotonic() - started, log_path,
                   output_path, interrupted, _keep(picture, folder) if log_path else '')


def ask(argv: Sequence[str], root: str) -> str:
    """The standard output of a short command, without the line end; empty where it fails."""
    try:
        done = subprocess.run(argv, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ''
    return done.stdout.decode('utf-8', 'replace').strip()


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
            self.file = open(self.path, 'rb')
        return self.file is not None


def _keep(path: str, folder: str) -> str:
    """Copy a file to a folder; empty where there is none."""
    return shutil.copy(path, folder) if os.path.exists(path) else ''


def _state(path: str):
    """What changes when a file is replaced; None where there is none."""
    try:
        stat = os.stat(path)
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
    except OSError:
        return None


def _start(argv: Sequence[str], root: str, environment: Mapping[str, str], output):
    try:
        return subprocess.Popen(argv, cwd=root, env=dict(environment), stdin=subprocess.DEVNULL,
                                stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as e:
        raise RunError(f'cannot start {argv[0]}: {e.strerror}') from e


def _overdue(planned: PlannedRun, elapsed_s: float, silent_s: float) -> str:
    if elapsed_s > planned.case.deadline_s:
        return f'no end after {planned.case.deadline_s:.0f} s'
    if silent_s > SILENCE_S:
        return f'hung: not a line in its log for {SILENCE_S:.0f} s'
    return ''


def _stop_group(process: subprocess.Popen):
    """Leave nothing behind: ask the whole group to end, then make it."""
    # A second Ctrl-C must not stop this, nor must a CI system that asks in several ways.
    handlers = {s: signal.signal(s, signal.SIG_IGN) for s in STOP_SIGNALS}
    for sig in (signal.SIGTERM, signal.SIGKILL):
        if not _signal_group(process, sig):
            break
        deadline = time.monotonic() + GRACE_S
        while _signal_group(process, 0) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()
    for s, handler in handlers.items():
        signal.signal(s, handler)


def _signal_group(process: subprocess.Popen, sig: int) -> bool:
    """Send a signal (0: none, just look); False where nobody is left in the group."""
    process.poll()  # a dead process counts as there until it is waited for
    try:
        os.killpg(process.pid, sig)
    except ProcessLookupError:
        return False
    return True
