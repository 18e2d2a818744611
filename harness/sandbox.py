# SPDX-License-Identifier: Apache-2.0
"""A fresh copy of a model's folder to run its scripts in, so that nothing outside of it changes.

Of 873 scripts of ModelZoo one in five deletes results that are not its own, 198 edit their sources,
some delete their data or what lies in the user's home.
"""

import os
import shutil
import tempfile
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from harness import tree, walls, witness
from harness.errors import ConfigError
from harness.records import Case, Device, Launch
from harness.run import end_strays, log_path

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails

STARTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sandbox.sh')
AWKS = ('gawk', 'mawk', 'original-awk')   # what a failed script reports depends on the flavour
LEFT_OUT = ('.git', '__pycache__')        # no script needs them
KEPT = ('.log', '.txt', '.json', '.csv')
KEPT_BYTES = 64 * 2 ** 20   # of each file: what is beyond says no more
MARK = 'HARNESS_RUN'        # a variable that all processes of a run have
SINGLE = {'RANK_ID': '0', 'RANK_SIZE': '1', 'RANK_ID_START': '0', 'JOB_ID': '10087'}


class Left(NamedTuple):
    """What a script of a model's folder has left."""

    files: Tuple[str, ...]     # of test/output, as kept: logs and result files, newest last
    calls: Tuple[witness.Call, ...]
    edited: Tuple[str, ...]    # files of its own that it changed, from its folder
    strays: Tuple[str, ...]    # processes that went on when the script had ended
    data_changed: str          # the first file of the data that is not as it was; empty: none
    facts: Mapping[str, str]   # what the numbers depend on: commit, data, awk, sandbox


class Sandbox:
    """One copy, for one run; it is gone when the run is over."""

    def __init__(self, case: Case, device: Device, variables: Mapping[str, str], ask: Ask):
        """Raises ConfigError where the folder cannot be copied."""
        self.case, self.data, self.awk = case, data_path(case), ''
        self.bubblewrap, self.commit = walls.bubblewrap(ask), tree.commit(case.model_dir, ask)
        self.work = tempfile.mkdtemp(prefix='harness-')
        self.model = os.path.join(self.work, 'copy', os.path.basename(case.model_dir))
        try:
            self._require_no_blank()
            self._copy()
            self.launch = self._launch(device, variables)
            self._before = tree.manifest(self.model)
            self._data_before = tree.manifest(self.data, follow=True) if self.data else {}
        except OSError as e:   # shutil.Error is one, with every file that failed
            self.remove()
            why = e.args[0][0][-1] if isinstance(e, shutil.Error) else e
            raise ConfigError(f'cannot copy {case.model_dir} to {self.work} ({why}): make it '
                              'readable, free some space, or name another folder with '
                              'TMPDIR') from e
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> 'Sandbox':
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        """Remove the copy, whatever rights the script gave it; links to the data go, no data do."""
        end_strays(MARK, self.work)
        _allow(self.work)
        shutil.rmtree(self.work, ignore_errors=True)

    def collect(self, folder: str) -> Left:
        """Keep the texts that the script has left, in a folder; see what else it did."""
        strays = tuple(sorted(map(tree.printable, end_strays(MARK, self.work))))
        self._keep_plogs(folder)
        after = tree.manifest(self.model)
        data_after = tree.manifest(self.data, follow=True) if self.data else {}
        data_changed = tree.differing(self._data_before, data_after)
        return Left(tuple(self._keep(os.path.join(folder, 'left'))),
                    tuple(witness.calls(self.work)),
                    tuple(tree.differing(self._before, after)), strays,
                    data_changed[0] if data_changed else '',
                    {'commit': self.commit, 'data': tree.digest(self._data_before),
                     'awk': os.path.basename(os.path.realpath(self.awk)) or 'none',
                     'sandbox': 'bubblewrap' if self.bubblewrap else 'a copy'})

    def _require_no_blank(self):
        for path, remedy in ((self.work, 'name another folder with TMPDIR'),
                             (os.path.basename(self.model), 'rename it')):
            if len(path.split()) != 1:
                raise ConfigError(f'{tree.printable(path)!r} has blanks, at which ModelZoo\'s '
                                  f'scripts take their paths apart: {remedy}')

    def _copy(self):
        """Without results of earlier runs, which a script may take for its own."""
        def left_out(folder: str, names: Sequence[str]) -> List[str]:
            here = os.path.relpath(folder, self.case.model_dir)
            return [name for name in names
                    if name in LEFT_OUT or (here, name) == ('test', 'output')
                    or not _is_wanted(os.path.join(folder, name), self.work)]

        shutil.copytree(self.case.model_dir, self.model, symlinks=True, ignore=left_out)
        _allow(self.model)
        self._mend_links()
        for name in ('home', 'tmp'):
            os.mkdir(os.path.join(self.work, name))

    def _mend_links(self):
        """A link out of the folder, ../common/main.py, points to where it pointed."""
        for path in list(tree.files(self.model)):
            if os.path.islink(path) and not os.path.exists(path):
                origin = os.path.join(self.case.model_dir, os.path.relpath(path, self.model))
                if os.path.exists(origin):
                    os.unlink(path)
                    os.symlink(os.path.realpath(origin), path)

    def _launch(self, device: Device, variables: Mapping[str, str]) -> Launch:
        seeing = witness.plant(self.work, variables)
        self.awk = next(filter(None, (shutil.which(name, path=variables.get('PATH'))
                                      for name in AWKS)), '')
        if self.awk:
            os.symlink(self.awk, os.path.join(self.work, 'bin', 'awk'))
        flags = [flag for flag in self.case.flags if not flag.startswith('--data_path=')]
        if self.data:
            flags.insert(0, f'--data_path={self._offer_data()}')
        command = ('bash', STARTER, device.kind, os.path.join(self.model, 'test'),
                   os.path.basename(self.case.script), *flags)
        if self.bubblewrap:
            command = (*walls.walls(self.bubblewrap, self.work, self.data, variables,
                                    tree.beyond(self.data) if self.data else ()), *command)
        return Launch(command, self.work, {**variables, **self._own(device, variables), **seeing},
                      log_path(os.path.join(self.model, 'test'), device))

    def _own(self, device: Device, variables: Mapping[str, str]) -> Dict[str, str]:
        """The variables that a run has for itself."""
        index, home = str(device.index), os.path.join(self.work, 'home')
        packages = os.path.join(variables.get('HOME', ''), '.local')   # of pip install --user
        kept = {'PYTHONUSERBASE': packages} if self.bubblewrap and os.path.isdir(packages) else {}
        return {**SINGLE, **kept, 'HOME': home, 'TMPDIR': os.path.join(self.work, 'tmp'),
                'XDG_CACHE_HOME': os.path.join(home, '.cache'),
                'ASCEND_PROCESS_LOG_PATH': os.path.join(home, 'ascend', 'log'),
                'ASCEND_DEVICE_ID': index, 'DEVICE_ID': index, 'DEVICE_INDEX': index,
                MARK: self.work}

    def _offer_data(self) -> str:
        """The data below a path without blanks: mounted read-only, else as links to each file.

        Deleting or replacing a link leaves the file as it is.
        """
        offered = os.path.join(self.work, 'data')
        os.mkdir(offered)
        if not self.bubblewrap:
            for path in tree.files(self.data, follow=True):
                link = os.path.join(offered, os.path.relpath(path, self.data))
                os.makedirs(os.path.dirname(link), exist_ok=True)
                os.symlink(os.path.abspath(path), link)
        return offered

    def _keep_plogs(self, folder: str):
        """CANN's own logs, which are in the copy's home as well."""
        for path in tree.files(os.path.join(self.work, 'home', 'ascend', 'log')):
            if os.path.basename(path).startswith('plog-') and not os.path.islink(path):
                os.makedirs(os.path.join(folder, 'plog'), exist_ok=True)
                shutil.copy2(path, os.path.join(folder, 'plog'))

    def _keep(self, folder: str) -> Iterator[str]:
        """Copy the texts that the script wrote below test/output, each at most KEPT_BYTES long.

        What cannot be read is not there.  A script may have made a link of its output.
        """
        output = os.path.join(self.model, 'test', 'output')
        if os.path.realpath(output) != os.path.join(os.path.realpath(self.model), 'test', 'output'):
            return
        found = [path for path in tree.files(output)
                 if path.endswith(KEPT) and not os.path.islink(path)]
        for path in sorted(found, key=lambda path: os.stat(path).st_ctime_ns):
            kept = os.path.join(folder, os.path.relpath(path, output))
            try:
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                with open(path, 'rb') as source, open(kept, 'wb') as copy:
                    copy.write(source.read(KEPT_BYTES))
            except OSError:
                continue
            yield kept


def data_path(case: Case) -> str:
    """The data that a case's flags name; empty where they name none."""
    return next((flag.partition('=')[2] for flag in case.flags
                 if flag.startswith('--data_path=')), '')


def _is_wanted(path: str, work: str) -> bool:
    """No pipe, no socket, and not the copy itself, where TMPDIR lies in the folder."""
    known = os.path.islink(path) or os.path.isfile(path) or os.path.isdir(path)
    return known and not os.path.samefile(path, work) if os.path.exists(path) else known


def _allow(folder: str):
    """Give the owner all rights on what is in a folder, which a copy of read-only files lacks."""
    for where, folders, names in os.walk(folder):
        for path in (where, *(os.path.join(where, name) for name in (*folders, *names))):
            try:
                if not os.path.islink(path):
                    rights = os.stat(path).st_mode | (0o700 if os.path.isdir(path) else 0o600)
                    os.chmod(path, rights & 0o7777)
            except OSError:   # gone, or of another user
                pass
