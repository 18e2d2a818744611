# SPDX-License-Identifier: Apache-2.0
"""Bubblewrap's command: a script sees the whole machine, and can change none of it but its copy."""

import os
import shutil
from typing import Callable, Iterable, List, Mapping, Sequence, Tuple

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HIDDEN = ('/tmp/', '/var/tmp/')   # behind walls these are empty, but for what a run reads of them
SEARCHED = ('PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV')
# What root needs for files of its own; with more it could take the walls down.
CAPABILITIES = ('CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_KILL', 'CAP_SETGID',
                'CAP_SETUID')


def bubblewrap(ask: Ask) -> str:
    """The program that builds the walls; empty where it is not here, or may not build any."""
    found = shutil.which('bwrap') or ''
    return found if found and ask([found, *_options(), 'echo', 'well']) == 'well' else ''


def walls(program: str, work: str, data: str, variables: Mapping[str, str],
          beyond: Iterable[str]) -> Tuple[str, ...]:
    """The command before the script's own.

    work: the folder that may be written; the data are mounted in it, read-only, where there are
    any.  variables: of the run, for what it reads of the folders that are hidden.  beyond: files
    to which the data's links lead.
    """
    mounted = ['--ro-bind', data, os.path.join(work, 'data')] if data else []
    return (program, *_options(), *_seen(variables, beyond), '--bind', work, work, *mounted,
            '--die-with-parent')


def _options() -> List[str]:
    own_tmp = [word for path in ('/dev/shm', *HIDDEN) for word in ('--tmpfs', path.rstrip('/'))]
    rights = [word for name in CAPABILITIES for word in ('--cap-add', name)]
    return ['--ro-bind', '/', '/', '--dev-bind', '/dev', '/dev', '--proc', '/proc',
            '--ro-bind', '/proc/sys', '/proc/sys', *own_tmp, '--unshare-pid', '--unshare-ipc',
            *(['--cap-drop', 'ALL', *rights] if os.geteuid() == 0 else [])]


def _seen(variables: Mapping[str, str], beyond: Iterable[str]) -> List[str]:
    """What a run reads of the folders that are hidden: this project, and what is searched."""
    paths = [ROOT, *sorted(beyond)]
    for name in SEARCHED:
        for path in variables.get(name, '').split(os.pathsep):
            # An environment's programs need the libraries beside them.
            paths.append(os.path.dirname(path) if os.path.basename(path) == 'bin' else path)
    return [word for path in dict.fromkeys(paths) if path.startswith(HIDDEN)
            for word in ('--ro-bind-try', path, path)]
