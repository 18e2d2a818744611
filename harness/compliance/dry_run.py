# SPDX-License-Identifier: Apache-2.0
"""Try the scripts of a folder out in copies of it, with stand-ins for Python and what it needs.

No training takes place: the stand-in says that it crashed, or prints a short log.  Programs that
change files refuse paths outside of the copy, and nothing reaches the network by ordinary means.
"""

import os
import re
import shutil
import sys
import tempfile
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from harness.compliance.folder import Folder, text_of, walk
from harness.compliance.shell import Flag, Line, Script, flags
from harness.compliance.stand_ins import programs
from harness.files import read_bytes

# argv, folder, environment, seconds -> exit status (None: it had to be ended), what it printed
Run = Callable[[Sequence[str], str, Mapping[str, str], float], Tuple[Optional[int], str]]

TIMEOUT_S = 15.0
LARGEST_COPIED = 10 << 20    # bytes: checkpoints and archives are of no use to a stand-in
PROBE = 70001                # the flags' values are numbers from here on, which nothing else is
RESULTS_KEPT = ('test/output/1/train_1.log', 'test/output/kept.log')   # another device's, others'
# >/etc/x: no stand-in can refuse a redirection.
OUTSIDE = re.compile(r'>\s*["\']?(/(?!dev/|tmp/)[\w./-]+)')


class Trial(NamedTuple):
    """What became of one start of a script; paths are from the folder's root."""

    status: Optional[int]        # None: it did not end
    output: str
    calls: Sequence[Sequence[str]]   # what Python was started with
    traces: str                  # those, their environment, and the text of changed files
    changed: Sequence[str]       # files outside of test/output that changed, came or went
    made: Sequence[str]          # files in test/output
    lost: Sequence[str]          # other results that were there before
    data_changed: bool
    refused: Sequence[str]       # what it would have done to files outside of the folder
    results: Mapping[str, str]   # the result file, by key
    root: str                    # of the copy, which is gone


class Sandbox(NamedTuple):
    """The folders of one trial."""

    root: str    # the copy of the model's folder
    data: str
    bin: str
    notes: str   # what the stand-ins write down


def try_out(folder: Folder, scripts: Sequence[Script], run: Run,
            environment: Mapping[str, str]) -> Dict[Tuple[str, str], Trial]:
    """Start every script in every way, each time in a fresh copy; a way by its name."""
    trials = {}
    for script in scripts:
        if outside(script):
            continue
        for name, python, argv, unset in ways(script):
            with tempfile.TemporaryDirectory(prefix='check-') as place:
                sandbox = _make(os.path.realpath(place), folder, script, python)
                trials[script.path, name] = _try(sandbox, script, argv, run,
                                                 _environment(sandbox, environment, unset))
            if trials[script.path, name].status is None:
                break   # it hangs: each other way would take as long
    return trials


def outside(script: Script) -> List[Tuple[str, Line]]:
    """What a script writes outside of its folder, and where; such a script is not started."""
    return [(found.group(1), line) for line in script.lines
            for found in OUTSIDE.finditer(line.text)]


def ways(script: Script) -> Iterator[Tuple[str, str, Sequence[str], Sequence[str]]]:
    """Each way of starting: name, what Python does, arguments, variables that are not set."""
    data = '--data_path={data}'
    yield 'crash', 'crash', [data], ()
    yield 'success', 'succeed', [data], ()
    yield 'no data', 'crash', [], ()
    yield 'missing data', 'crash', ['--data_path={data}/no/such/folder'], ()
    yield 'unset device', 'crash', [data], ('ASCEND_DEVICE_ID',)
    yield 'help', 'crash', ['--help'], ()
    yield 'unknown flag', 'crash', [data, '--bacth_size=32'], ()
    yield 'value apart', 'crash', ['--data_path', '{data}'], ()
    yield 'flags', 'crash', [data, *(f'--{flag.name}={value}'
                                     for value, flag in probes(script))], ()


def probes(script: Script) -> List[Tuple[str, Flag]]:
    """The flags of a script, and the value that each gets to see whether it arrives.

    Two names of one flag get the same value, for the last of them counts.
    """
    known = {flag.name: flag for flag in flags(script.lines) if flag.name != 'data_path'}
    kinds: Dict[Tuple[str, ...], str] = {}
    return [(kinds.setdefault((*flag.variables, str(flag.line.place)), str(PROBE + i)), flag)
            for i, flag in enumerate(known.values())]


def _try(sandbox: Sandbox, script: Script, argv: Sequence[str], run: Run,
         environment: Mapping[str, str]) -> Trial:
    before, data = _state(sandbox.root), _state(sandbox.data)
    status, output = run(
        ['bash', script.name, *(word.format(data=sandbox.data) for word in argv)],
        os.path.join(sandbox.root, os.path.dirname(script.path)), environment, TIMEOUT_S)
    after = _state(sandbox.root)
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path)
                     and not path.startswith('test/output/'))
    calls = _note(sandbox, 'calls')
    made = sorted(path for path in after if path.startswith('test/output/')
                  and before.get(path) != after[path])
    return Trial(status, output, [line.split('\037')[:-1] for line in calls.splitlines()],
                 '\n'.join([calls, _note(sandbox, 'environment'), *(
                     text_of(os.path.join(sandbox.root, path)) for path in changed)]),
                 changed, made, [path for path in RESULTS_KEPT if path not in after],
                 _state(sandbox.data) != data, _note(sandbox, 'refused').splitlines(),
                 _results(sandbox.root, made), sandbox.root)


def _make(place: str, folder: Folder, script: Script, python: str) -> Sandbox:
    """A copy of the folder, data as the script wants them, and the stand-ins."""
    sandbox = Sandbox(os.path.join(place, 'zoo', folder.name), os.path.join(place, 'data'),
                      os.path.join(place, 'bin'), os.path.join(place, 'notes'))
    for path in folder.paths:
        if os.path.getsize(os.path.join(folder.root, path)) <= LARGEST_COPIED:
            _copy(os.path.join(folder.root, path), os.path.join(sandbox.root, path))
    for path in RESULTS_KEPT:
        _write(os.path.join(sandbox.root, path), 'another run\'s\n')
    _write(os.path.join(sandbox.data, 'kept'), 'data\n')
    for wanted in _wanted(script):
        _write(os.path.join(sandbox.data, wanted), 'data\n')
    for folder_path in ('notes', 'home', 'tmp'):
        os.makedirs(os.path.join(place, folder_path))
    for name, text in programs(place, python, sys.executable).items():
        _write(os.path.join(sandbox.bin, name), text)
        os.chmod(os.path.join(sandbox.bin, name), 0o755)
    return sandbox


def _environment(sandbox: Sandbox, given: Mapping[str, str],
                 unset: Sequence[str]) -> Mapping[str, str]:
    """The caller's, with ModelZoo's variables of one device and no way out."""
    place = os.path.dirname(sandbox.bin)
    environment = {
        **{name: value for name, value in given.items() if not name.startswith('ASCEND_')},
        'PATH': f'{sandbox.bin}:{given.get("PATH", os.defpath)}',
        'HOME': os.path.join(place, 'home'), 'TMPDIR': os.path.join(place, 'tmp'),
        'ASCEND_DEVICE_ID': '0', 'RANK_ID': '0', 'RANK_SIZE': '1', 'JOB_ID': '10087',
        'PIP_NO_INDEX': '1', 'http_proxy': 'http://127.0.0.1:9', 'https_proxy':
        'http://127.0.0.1:9', 'PYTHONDONTWRITEBYTECODE': '1'}
    return {name: value for name, value in environment.items() if name not in unset}


def _wanted(script: Script) -> Iterator[str]:
    """A file for each path below the data that the script names, so that it finds them."""
    text = '\n'.join(line.text for line in script.lines)
    for path in re.findall(r'\$\{?data_path\}?/([\w.-]+(?:/[\w.-]+)*)', text):
        if '..' not in path:
            yield path if os.path.splitext(path)[1] else f'{path}/kept'


def _results(root: str, made: Sequence[str]) -> Mapping[str, str]:
    """The keys of the newest file that holds a CaseName, wherever in test/output it is."""
    logs = sorted((path for path in made if path.endswith('.log')),
                  key=lambda path: os.stat(os.path.join(root, path)).st_mtime_ns)
    for path in reversed(logs):
        found = dict(re.findall(r'(?m)^\s*(\w+)\s*=[ \t]*(.*?)\s*$',
                                text_of(os.path.join(root, path))))
        if 'CaseName' in found:
            return found
    return {}


def _state(root: str) -> Mapping[str, bytes]:
    paths = [*walk(root), *(os.path.join('test/output', path)
                            for path in walk(os.path.join(root, 'test/output')))]
    return {path: read_bytes(os.path.join(root, path)) for path in paths}


def _note(sandbox: Sandbox, name: str) -> str:
    return text_of(os.path.join(sandbox.notes, name))


def _copy(source: str, target: str):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(source, target)


def _write(path: str, text: str):
    if os.path.isdir(path) or os.path.isfile(os.path.dirname(path)):
        return   # the script names a folder and something in it
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
