# SPDX-License-Identifier: Apache-2.0
"""Rules of what the scripts do when they are started, with a stand-in for Python."""

import math
import os
import re
from typing import Iterator, List, Tuple

from harness.compliance.dry_run import TIMEOUT_S, Trial, outside, probes
from harness.compliance.rule import NotApplicable, Spot, Subject, of_scripts
from harness.compliance.rules_scripts import MESSAGE, data_path_place
from harness.compliance.shell import LAUNCH, Script

LAUNCHED = LAUNCH.pattern
RESULT = r'\bActualFPS\b'
DELETES = r'\brm\s+-\w*r'


def stays_inside(subject: Subject) -> Iterator[Spot]:
    """No script writes to files that are none of its folder's."""
    written = [Spot(f'it writes to {path}', *line.place)
               for script in of_scripts(subject) for path, line in outside(script)]
    yield from written
    for script, trial in _every(subject) if not written else ():
        for refused in trial.refused:
            program, _, path = refused.partition(' ')
            yield Spot(f'{program} would change {path}'.replace(trial.root, '.'),
                       *script.first(rf'\b{re.escape(program)}\b.*{re.escape(path)}'))


def ends(subject: Subject) -> Iterator[Spot]:
    """A script ends when Python does."""
    for script, trial in _every(subject):
        if trial.status is None:
            yield Spot(f'it still runs {TIMEOUT_S:g} s after a Python that ends at once',
                       *script.first(LAUNCHED))


def starts(subject: Subject) -> Iterator[Spot]:
    """With nothing but --data_path, and data that are there, Python is started."""
    for script, trial in _tried(subject, 'crash'):
        if not trial.calls:
            yield Spot(f'with --data_path alone: {_ended(trial)}', *script.first(LAUNCHED))


def crash_status(subject: Subject) -> Iterator[Spot]:
    """A training that crashes fails the script."""
    for script, trial in _reached(subject, 'crash'):
        if trial.status == 0:
            yield Spot('exit status 0, although Python crashed', *script.first(LAUNCHED))


def crash_numbers(subject: Subject) -> Iterator[Spot]:
    """A training that crashes has no speed and no loss."""
    for script, trial in _reached(subject, 'crash'):
        for key in ('ActualFPS', 'ActualLoss'):
            if _plausible(trial.results.get(key, '')):
                yield Spot(f'{key} = {trial.results[key]}, although Python crashed',
                           *script.first(rf'\b{key}\b'))


def data_kept(subject: Subject) -> Iterator[Spot]:
    """The data are as they were."""
    for script, trial in _every(subject):
        if trial.data_changed:
            yield Spot('it changes the data', *script.first(r'\b(rm|mv|sed|cp|ln)\b.*data'))


def sources_kept(subject: Subject) -> Iterator[Spot]:
    """Nothing but test/output changes."""
    for name in ('crash', 'success'):
        for script, trial in _tried(subject, name):
            for path in trial.changed:
                yield Spot(f'{path} is not as it was before the run',
                           *script.first(re.escape(os.path.basename(path))))


def output_folder(subject: Subject) -> Iterator[Spot]:
    """What a run makes lies in test/output/<device>/."""
    for script, trial in _reached(subject, 'success'):
        if not any(path.startswith('test/output/0/') for path in trial.made):
            yield Spot('nothing is written to test/output/0/, the folder of device 0',
                       *script.first(r'output/'))


def no_data(subject: Subject) -> Iterator[Spot]:
    """Without --data_path: ModelZoo's error, or data that come with the folder."""
    for script, trial in _tried(subject, 'no data'):
        if _brings_data(subject, trial):
            continue
        if trial.status != 1 or not MESSAGE.search(trial.output) or trial.calls:
            yield Spot(f'without --data_path: {_ended(trial)}', *script.first(r'data_path'))


def missing_data(subject: Subject) -> Iterator[Spot]:
    """A --data_path that is not there is refused before Python starts."""
    for script, trial in _tried(subject, 'missing data'):
        if trial.calls or trial.status == 0:
            yield Spot(f'with a --data_path that is not there: {_ended(trial)}',
                       *script.first(r'\$\{?data_path\b'))


def other_results(subject: Subject) -> Iterator[Spot]:
    """Results of other devices and other runs are kept, with ASCEND_DEVICE_ID and without."""
    for name in ('crash', 'success', 'unset device'):
        for script, trial in _tried(subject, name):
            for path in trial.lost:
                unset = ' where ASCEND_DEVICE_ID is unset' if name == 'unset device' else ''
                yield Spot(f'it deletes {os.path.dirname(path)}/ with another run\'s results'
                           f'{unset}', *script.first(DELETES + r'.*output'))


def help_works(subject: Subject) -> Iterator[Spot]:
    """--help tells what there is, and is no failure."""
    for script, trial in _tried(subject, 'help'):
        place = script.first(r'--help')
        if trial.calls:
            yield Spot('--help starts the training', *place)
        elif re.search(r'command not found|No such file', trial.output):
            yield Spot('--help runs into a command that is not there', *place)
        elif trial.status or not trial.output.strip():
            yield Spot(f'--help: {_ended(trial)}', *place)


def unknown_flags(subject: Subject) -> Iterator[Spot]:
    """A misspelt flag is refused."""
    for script, trial in _tried(subject, 'unknown flag'):
        if trial.status == 0 or trial.calls:
            yield Spot('--bacth_size=32 is ignored without a word', *data_path_place(script))


def value_apart(subject: Subject) -> Iterator[Spot]:
    """--data_path DIR is understood or refused, not misread."""
    for script, trial in _tried(subject, 'value apart'):
        if (trial.calls or trial.status == 0) and not _arrived(trial, '/data'):
            yield Spot('--data_path DIR is misread: the flag itself is taken for its value',
                       *data_path_place(script))


def flags_arrive(subject: Subject) -> Iterator[Spot]:
    """The value of each flag reaches Python: its arguments, its environment, or an edited file."""
    for script, trial in _reached(subject, 'flags'):
        for value, flag in probes(script):
            if value not in trial.traces:
                yield Spot(f'--{flag.name}={value} never reaches Python', *flag.line.place)


def _every(subject: Subject) -> List[Tuple[Script, Trial]]:
    _require(subject)
    return [(script, trial) for (path, _), trial in subject.trials.items()
            for script in subject.scripts if script.path == path]


def _tried(subject: Subject, name: str) -> List[Tuple[Script, Trial]]:
    _require(subject)
    found = list(subject.tried(name))
    if not found:
        raise NotApplicable('not tried: the scripts do not end, or were not started')
    return found


def _reached(subject: Subject, name: str) -> List[Tuple[Script, Trial]]:
    """The trials that got as far as starting Python."""
    tried = _tried(subject, name)
    found = [(script, trial) for script, trial in tried if trial.calls]
    if not found:
        raise NotApplicable(f'Python was not started: {_ended(tried[0][1])}')
    return found


def _require(subject: Subject):
    of_scripts(subject)
    if not subject.trials:
        raise NotApplicable('the scripts were not started')


def _ended(trial: Trial) -> str:
    """How a trial ended, in a few words."""
    lines = trial.output.strip().splitlines()
    said = f', "{lines[-1][:120]}"' if lines else ', no output'
    started = 'Python started, ' if trial.calls else ''
    return f'{started}exit status {trial.status}{said}'.replace(trial.root, '.')


def _plausible(value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return math.isfinite(number) and number > 0


def _brings_data(subject: Subject, trial: Trial) -> bool:
    """Python was given a folder of data that lies in the model's folder."""
    words = [re.sub(r'^--\w+=', '', word) for call in trial.calls for word in call]
    inside = [os.path.relpath(word, trial.root) for word in words
              if word.startswith(trial.root + '/')]
    folders = {os.path.dirname(path) for path in subject.folder.paths}
    return any(re.match(r'(?!test/output)\w', path) and path in folders for path in inside)


def _arrived(trial: Trial, value: str) -> bool:
    return any(word.endswith(value) for call in trial.calls for word in call)
