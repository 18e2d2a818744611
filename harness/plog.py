# SPDX-License-Identifier: Apache-2.0
"""CANN's own logs of a process (plog): which file is of a run, and its last errors.

An adapter that aborts leaves no Python exception; the reason is in there.
"""

import glob
import os
import re
from typing import Collection, List, Mapping, NamedTuple, Optional, Tuple

from harness.files import read_end

# debug/ has the errors, run/ the events; CANN 5.0 and older have one folder for both.
FOLDER = 'ASCEND_PROCESS_LOG_PATH'   # the variable that names another place
FOLDERS = ('debug/plog', 'run/plog', 'plog')
NAME = re.compile(r'plog-([0-9]{1,10})[_-][0-9]+\.log$')
TAIL_BYTES = 256 * 1024   # of a file that may have gigabytes
MOST_FILES = 64           # the newest: every process that compiles has one
LAST_ERRORS = 5
LONGEST = 300             # characters of a line


class Plog(NamedTuple):
    """A log of CANN, and its last lines that begin with [ERROR]."""

    path: str
    errors: Tuple[str, ...]

    @property
    def told(self) -> str:
        """Where it is, for the sentence that says why a run has failed."""
        return f'CANN\'s log of that time is {self.path}'


def root(environment: Mapping[str, str]) -> str:
    """The folder of all logs, in CANN's order; empty where nothing says where it is.

    hiascend.com, envref_07_0120: ASCEND_PROCESS_LOG_PATH, ASCEND_WORK_PATH, $HOME/ascend/log.
    """
    for name, below in ((FOLDER, ''), ('ASCEND_WORK_PATH', 'log'),
                        ('HOME', 'ascend/log')):
        if environment.get(name):
            return os.path.join(environment[name], below)
    return ''


def find(environment: Mapping[str, str], since_unix_s: float,
         pids: Collection[int] = ()) -> Optional[Plog]:
    """The newest log written since then, one with errors before one without; None: there is none.

    environment: of the run.  pids: of the run's processes; where they are not known, any process
    of the same user may have written it.
    """
    logs = [Plog(path, _errors(path)) for path in _written(root(environment), since_unix_s, pids)]
    return next((log for log in logs if log.errors), logs[0] if logs else None)


def _written(folder: str, since_unix_s: float, pids: Collection[int]) -> List[str]:
    """The paths, newest first."""
    found = []
    for part in FOLDERS if folder else ():
        for path in glob.glob(os.path.join(glob.escape(folder), part, 'plog-*.log')):
            name, written = NAME.search(path), _written_unix_s(path)
            if name and written >= since_unix_s and (not pids or int(name.group(1)) in pids):
                found.append((written, path))
    return [path for _, path in sorted(found, reverse=True)[:MOST_FILES]]


def _written_unix_s(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:   # rotated away meanwhile
        return 0.0


def _errors(path: str) -> Tuple[str, ...]:
    lines = [line[:LONGEST] for line in read_end(path, TAIL_BYTES).splitlines()
             if line.startswith('[ERROR]')]
    return tuple(lines[-LAST_ERRORS:])
