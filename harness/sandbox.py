# SPDX-License-Identifier: Apache-2.0
"""A fresh copy of a model's folder to run its scripts in, so that nothing outside of it changes.

Of 873 scripts of ModelZoo one in five deletes results that are not its own, 198 edit their sources,
some delete their data or what lies in the user's home.
"""

import hashlib
import os
import shlex
import shutil
import tempfile
from typing import (
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from harness.errors import ConfigError
from harness.files import read, read_bytes
from harness.records import Case, Device, Launch
from harness.run import end_strays, log_path

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STARTER = os.path.join(ROOT, 'harness', 'sandbox.sh')
PYTHONS = ('python', 'python3', 'python3.7')
AWKS = ('gawk', 'mawk', 'original-awk')   # what a failed script reports depends on the flavour
SEARCHED = ('PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV')
HIDDEN = ('/tmp/', '/var/tmp/')   # a sandbox has its own
# Not copied: results of others, which a script may take for its own, and what no script needs.
LEFT_OUT = ('.git', '__pycache__')
KEPT = ('.log', '.txt', '.json', '.csv')
HASHED_BYTES = 2 ** 20       # of each file of a folder that git does not know
KEPT_BYTES = 64 * 2 ** 20   # of each file: what is beyond says no more
MARK = 'HARNESS_RUN'        # a variable that all processes of a run have
SINGLE = {'RANK_ID': '0', 'RANK_SIZE': '1', 'RANK_ID_START': '0', 'JOB_ID': '10087'}


class Call(NamedTuple):
    """One start of a Python program, as seen by what stands for python3 on PATH."""

    argv: Tuple[str, ...]
    status: Optional[int]    # None: it had not ended when the script had
    wall_s: Optional[float]

    @property
    def program(self) -> str:
        """The file or module that it ran; empty for a question such as python3 -V."""
        for i, argument in enumerate(self.argv):
            if argument == '-m' and self.argv[i + 1:i + 2] != ('pip',):
                return ' '.join(self.argv[i:i + 2])
            if argument in ('-m', '-c'):
                break
            if argument.endswith('.py'):
                return argument
        return ''


class Left(NamedTuple):
    """What a script of a model's folder has left."""

    files: Tuple[str, ...]     # of test/output, as kept: logs and result files, newest last
    calls: Tuple[Call, ...]
    edited: Tuple[str, ...]    # files of its own that it changed, from its folder
    strays: Tuple[str, ...]    # processes that went on when the script had ended
    data_changed: str          # the first file of the data that is not as it was; empty: none
    facts: Mapping[str, str]   # what the numbers depend on: commit, data, awk, sandbox


class Sandbox:
    """One copy, for one run; it is gone when the run is over."""

    def __init__(self, case: Case, device: Device, variables: Mapping[str, str], ask: Ask):
        """Raises ConfigError where the folder cannot be copied."""
        self.case, self.data, self.awk = case, data_path(case), ''
        self.bubblewrap, self.commit = bubblewrap(ask), _commit(case.model_dir, ask)
        self.work = tempfile.mkdtemp(prefix='harness-')
        self.model = os.path.join(self.work, 'copy', os.path.basename(case.model_dir))
        try:
            self._copy()
            self.launch = self._launch(device, variables)
            self._before = _manifest(self.model)
            self._data_before = _manifest(self.data) if self.data else {}
        except (OSError, shutil.Error) as e:
            self.remove()
            raise ConfigError(f'cannot copy {case.model_dir} to {self.work} ({e}): free some '
                              'space, or name another folder with TMPDIR') from e

    def __enter__(self) -> 'Sandbox':
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        """Remove the copy; symbolic links to the data go, the data do not."""
        shutil.rmtree(self.work, ignore_errors=True)

    def collect(self, folder: str) -> Left:
        """Keep the texts that the script has left, in a folder; see what else it did."""
        self._keep_plogs(folder)
        strays = tuple(end_strays(MARK, self.work))
        after, data_after = _manifest(self.model), _manifest(self.data) if self.data else {}
        return Left(tuple(self._keep(folder)), tuple(_calls(os.path.join(self.work, 'calls'))),
                    tuple(sorted(_differing(self._before, after))), strays,
                    next(iter(sorted(_differing(self._data_before, data_after))), ''),
                    {'commit': self.commit, 'data': _digest(self._data_before),
                     'awk': os.path.basename(os.path.realpath(self.awk)) or 'none',
                     'sandbox': 'bubblewrap' if self.bubblewrap else 'a copy'})

    def _copy(self):
        def left_out(folder: str, names: Sequence[str]) -> List[str]:
            here = os.path.relpath(folder, self.case.model_dir)
            return [n for n in names if n in LEFT_OUT or (here, n) == ('test', 'output')
                    or not os.path.isdir(os.path.join(folder, n))
                    and not _is_file_or_link(os.path.join(folder, n))]

        shutil.copytree(self.case.model_dir, self.model, symlinks=True, ignore=left_out)
        for name in ('home', 'tmp', 'bin', 'calls'):
            os.mkdir(os.path.join(self.work, name))

    def _launch(self, device: Device, variables: Mapping[str, str]) -> Launch:
        index = str(device.index)
        path = variables.get('PATH', os.defpath)
        binaries = os.path.join(self.work, 'bin')
        self.awk = next(filter(None, (shutil.which(name, path=path) for name in AWKS)), '')
        if self.awk:
            os.symlink(self.awk, os.path.join(binaries, 'awk'))
        for name in PYTHONS:
            real = shutil.which(name, path=path)
            if real:
                _write_witness(os.path.join(binaries, name), real,
                               os.path.join(self.work, 'calls'))
        flags = [flag for flag in self.case.flags if not flag.startswith('--data_path=')]
        if self.data:
            flags.insert(0, f'--data_path={self._offer_data()}')
        environment = {
            **variables, **SINGLE, 'PATH': f'{binaries}{os.pathsep}{path}',
            'HOME': os.path.join(self.work, 'home'), 'TMPDIR': os.path.join(self.work, 'tmp'),
            'ASCEND_PROCESS_LOG_PATH': os.path.join(self.work, 'home', 'ascend', 'log'),
            'ASCEND_DEVICE_ID': index, 'DEVICE_ID': index, 'DEVICE_INDEX': index,
            MARK: self.work}
        start = ['bash', STARTER, device.kind, os.path.join(self.model, 'test'),
                 os.path.basename(self.case.script), *flags]
        return Launch((*self._walls(variables), *start), self.work, environment,
                      log_path(os.path.join(self.model, 'test'), device))

    def _offer_data(self) -> str:
        """The data below a path without blanks: mounted read-only, else as links to each file.

        Deleting or replacing a link leaves the file as it is.
        """
        offered = os.path.join(self.work, 'data')
        if self.bubblewrap:
            os.mkdir(offered)
        else:
            shutil.copytree(self.data, offered, copy_function=_link)
        return offered

    def _walls(self, variables: Mapping[str, str]) -> List[str]:
        """Bubblewrap's command: everything is read-only but the copy and a /tmp of its own."""
        if not self.bubblewrap:
            return []
        data = ['--ro-bind', self.data, os.path.join(self.work, 'data')] if self.data else []
        return [self.bubblewrap, '--ro-bind', '/', '/', '--dev-bind', '/dev', '/dev',
                '--proc', '/proc', *(word for path in ('/dev/shm', *HIDDEN)
                                     for word in ('--tmpfs', path.rstrip('/'))),
                *self._needed_of_tmp(variables), '--bind', self.work, self.work, *data,
                # Root could mount the data writable again.
                '--cap-drop', 'CAP_SYS_ADMIN', '--unshare-pid', '--die-with-parent']

    def _needed_of_tmp(self, variables: Mapping[str, str]) -> List[str]:
        """Bubblewrap's options for what a run reads of the folders that its own /tmp hides."""
        paths = [ROOT]
        for name in SEARCHED:
            paths += variables.get(name, '').split(os.pathsep)
        return [word for path in dict.fromkeys(paths) if path.startswith(HIDDEN)
                for word in ('--ro-bind-try', path, path)]

    def _keep_plogs(self, folder: str):
        """CANN's own logs, which are in the copy's home as well."""
        for path in _files(os.path.join(self.work, 'home', 'ascend', 'log')):
            if os.path.basename(path).startswith('plog-'):
                os.makedirs(os.path.join(folder, 'plog'), exist_ok=True)
                shutil.copy2(path, os.path.join(folder, 'plog'))

    def _keep(self, folder: str) -> Iterator[str]:
        """Copy what the script wrote below test/output, flat, each at most KEPT_BYTES long."""
        output = os.path.join(self.model, 'test', 'output')
        found = [path for path in _files(output) if path.endswith(KEPT)
                 and not os.path.islink(path)]
        for path in sorted(found, key=os.path.getmtime):
            kept = os.path.join(folder, _flat(os.path.relpath(path, output)))
            with open(path, 'rb') as source, open(kept, 'wb') as copy:
                copy.write(source.read(KEPT_BYTES))
            yield kept


def bubblewrap(ask: Ask) -> str:
    """The program that builds the walls; empty where it is not here, or may not build any."""
    found = shutil.which('bwrap') or ''
    tried = found and ask([found, '--ro-bind', '/', '/', '--proc', '/proc', '--unshare-pid',
                           '--cap-drop', 'CAP_SYS_ADMIN', 'echo', 'well'])
    return found if tried == 'well' else ''


def data_path(case: Case) -> str:
    """The data that a case's flags name; empty where they name none."""
    return next((flag.partition('=')[2] for flag in case.flags
                 if flag.startswith('--data_path=')), '')


def _write_witness(path: str, real: str, calls: str):
    """A python3 that is the real one, and notes how it was called and how it ended."""
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f"""#!/bin/bash
asked=''
trap 'asked=yes; kill -TERM "$!" 2>/dev/null' TERM INT HUP
call="$(mktemp {shlex.quote(calls)}/XXXXXXXXXX)"
printf '%s\\0' "$@" >"${{call}}"
began="$(date +%s%N)"
{shlex.quote(real)} "$@" <&0 &
[[ -z "${{asked}}" ]] || kill -TERM "$!"
while wait "$!"; status=$?; kill -0 "$!" 2>/dev/null; do :; done
echo "${{status}} $(( ($(date +%s%N) - began) / 1000000 ))" >"${{call}}.end"
exit "${{status}}"
""")
    os.chmod(path, 0o755)


def _calls(folder: str) -> Iterator[Call]:
    """In the order in which they began."""
    begun = [path for path in _files(folder) if not path.endswith('.end')]
    for path in sorted(begun, key=os.path.getmtime):
        status, _, milliseconds = read(f'{path}.end').partition(' ')
        ended = bool(milliseconds)
        yield Call(tuple(read(path).split('\0')[:-1]), int(status) if ended else None,
                   int(milliseconds) / 1000 if ended else None)


def _files(folder: str) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        yield from filter(_is_file_or_link, (os.path.join(where, name) for name in names))


def _is_file_or_link(path: str) -> bool:
    """Whoever opens another, such as a pipe, may wait for ever."""
    return os.path.islink(path) or os.path.isfile(path)


def _manifest(folder: str) -> Dict[str, Tuple[int, int]]:
    """What changes when a file is edited, by its path from the folder; without test/output."""
    output = os.path.join('test', 'output') + os.sep
    found = {}
    for path in _files(folder):
        name = os.path.relpath(path, folder)
        if not name.startswith(output) and not name.endswith('.pyc'):
            stat = os.lstat(path)
            found[name] = (stat.st_size, stat.st_ctime_ns)   # which nobody can set back
    return found


def _differing(before: Mapping[str, Tuple[int, int]],
               after: Mapping[str, Tuple[int, int]]) -> List[str]:
    """Names of files that were there and are not as they were; new ones do not count."""
    return [name for name, state in before.items() if after.get(name) != state]


def _commit(folder: str, ask: Ask) -> str:
    """Git's, with a digest of the changes; of a folder that git does not know, of its files."""
    commit = ask(['git', '-C', folder, 'rev-parse', '--short=12', 'HEAD'])
    changes = ask(['git', '-C', folder, 'status', '--porcelain', '.']) if commit else ''
    if commit and not changes:
        return commit
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        digest.update(os.path.relpath(path, folder).encode('utf-8', 'surrogateescape'))
        small = os.path.isfile(path) and os.path.getsize(path) <= HASHED_BYTES   # no broken link
        digest.update(read_bytes(path) if small else b'')
    return f'{commit}-dirty-{digest.hexdigest()[:8]}' if commit else (
        f'files-{digest.hexdigest()[:8]}')


def _digest(manifest: Mapping[str, Tuple[int, int]]) -> str:
    """A short name of files by their names and sizes; times differ between copies."""
    sizes = repr(sorted((name, size) for name, (size, _) in manifest.items()))
    return hashlib.sha256(sizes.encode()).hexdigest()[:8] if manifest else 'none'


def _link(source: str, target: str):
    os.symlink(os.path.abspath(source), target)


def _flat(name: str) -> str:
    """0/train_0.log -> train_0.log; what lies deeper keeps its folders in its name."""
    parts = name.split(os.sep)
    return '-'.join(parts[1:] if len(parts) > 1 else parts)
