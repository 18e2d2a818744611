# SPDX-License-Identifier: Apache-2.0
"""How every Python that a script starts was called and how it ended, whatever its script says.

What stands for python3 on PATH starts the real one and waits for it, so that it knows its status.
One that a script finds elsewhere (an absolute path, conda) notes it by itself, through Python's
sitecustomize; of that a status is known as far as Python knows it, and none where it was killed.
"""

import os
import shlex
import shutil
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from harness.files import read

PYTHONS = ('python', 'python3', 'python3.7')
# Variables: where calls are noted, that a call is noted already, that a Python has started it.
CALLS, NOTED, INNER = 'HARNESS_CALLS', 'HARNESS_NOTED', 'HARNESS_INNER'
END = '.end'           # beside the file with its arguments: status and milliseconds
INNER_NAME = 'inner'   # the file's name begins so
ODD = 128              # statuses from here on are of signals

STAND_IN = """#!/bin/bash
asked=''
trap 'asked=yes; kill -TERM "$!" 2>/dev/null' TERM INT HUP
call="$(mktemp "${{{calls}}}/${{{inner}:+inner}}XXXXXXXXXX")"
printf '%s\\0' "$@" >"${{call}}"
began="$(date +%s%N)"
{noted}=yes {real} "$@" <&0 &
[[ -z "${{asked}}" ]] || kill -TERM "$!"
while wait "$!"; status=$?; kill -0 "$!" 2>/dev/null; do :; done
echo "${{status}} $(( ($(date +%s%N) - began) / 1000000 ))" >"${{call}}.end"
exit "${{status}}"
"""
# Runs in whatever Python there is, and must never be the reason why one fails.
SITE = """import atexit, os, sys, time

def _note():
    folder, inner = os.environ.get('{calls}'), os.environ.get('{inner}', '')
    os.environ['{inner}'] = 'inner'
    if os.environ.pop('{noted}', None) or not folder:
        return
    began, pid, status = time.time(), os.getpid(), [0]
    path = os.path.join(folder, '%s%d-%d' % (inner, pid, began * 1000))
    with open('/proc/self/cmdline', 'rb') as f, open(path, 'wb') as call:
        call.write(f.read().partition(b'\\0')[2])
    hook, leave = sys.excepthook, sys.exit

    def failed(*error):
        status[0] = 1
        hook(*error)

    def left(code=None):
        status[0] = code if isinstance(code, int) else int(code is not None)
        leave(code)

    def ended():
        if os.getpid() == pid:
            with open(path + '.end', 'w') as f:
                f.write('%d %d' % (status[0], (time.time() - began) * 1000))

    sys.excepthook, sys.exit = failed, left
    atexit.register(ended)

try:
    _note()
except Exception:
    pass
_here = os.path.dirname(os.path.abspath(__file__))
_ours, _paths = sys.modules.pop('sitecustomize'), sys.path
try:   # the one that this one hides
    sys.path = [p for p in sys.path if os.path.abspath(p) != _here]
    import sitecustomize
except ImportError:
    sys.modules['sitecustomize'] = _ours
finally:
    sys.path = _paths
"""


class Call(NamedTuple):
    """One start of a Python."""

    argv: Tuple[str, ...]
    status: Optional[int]    # None: it was killed, or had not ended when the script had
    wall_s: Optional[float]
    inner: bool = False      # another Python has started it, and answers for it

    @property
    def program(self) -> str:
        """The file or module that it ran; empty for a question such as python3 -V, or -c."""
        for i, argument in enumerate(self.argv):
            if argument == '-m' and self.argv[i + 1:i + 2] != ('pip',):
                return ' '.join(self.argv[i:i + 2])
            if argument in ('-m', '-c'):
                break
            if argument.endswith('.py'):
                return argument
        return ''

    @property
    def failed(self) -> bool:
        """Whether it did not end well; what becomes of an inner one by a signal is its parent's."""
        if self.inner:
            return self.status is not None and 0 < self.status < ODD
        return self.status != 0


def plant(folder: str, variables: Mapping[str, str]) -> Dict[str, str]:
    """Make the witnesses in folders below this one; the variables with which they see."""
    calls, binaries, site = (os.path.join(folder, name) for name in ('calls', 'bin', 'site'))
    for path in (calls, binaries, site):
        os.mkdir(path)
    path = variables.get('PATH', os.defpath)
    for name in PYTHONS:
        real = shutil.which(name, path=path)
        if real:
            _write(os.path.join(binaries, name), STAND_IN.format(
                calls=CALLS, inner=INNER, noted=NOTED, real=shlex.quote(os.path.abspath(real))))
    _write(os.path.join(site, 'sitecustomize.py'),
           SITE.format(calls=CALLS, inner=INNER, noted=NOTED))
    searched = filter(None, (site, variables.get('PYTHONPATH')))
    return {CALLS: calls, 'PATH': os.pathsep.join((binaries, path)),
            'PYTHONPATH': os.pathsep.join(searched)}


def calls(folder: str) -> List[Call]:
    """All that was noted below a folder, in the order in which it began."""
    noted = os.path.join(folder, 'calls')
    begun = [os.path.join(noted, name) for name in _names(noted) if not name.endswith(END)]
    return list(_read(sorted(begun, key=os.path.getmtime)))


def _read(paths: List[str]) -> Iterator[Call]:
    for path in paths:
        status, _, milliseconds = read(path + END).strip().partition(' ')
        ended = status.isdigit() and milliseconds.isdigit()
        yield Call(tuple(read(path).split('\0')[:-1]), int(status) if ended else None,
                   int(milliseconds) / 1000 if ended else None,
                   os.path.basename(path).startswith(INNER_NAME))


def _names(folder: str) -> List[str]:
    """A script may have removed it."""
    return os.listdir(folder) if os.path.isdir(folder) else []


def _write(path: str, text: str):
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    os.chmod(path, 0o755)
