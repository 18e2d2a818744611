# SPDX-License-Identifier: Apache-2.0
"""Rules of what the scripts write down: keys, names of files, where the numbers come from."""

import re
from typing import Iterator, List, Tuple

from harness.compliance.rule import NotApplicable, Spot, Subject, of_scripts
from harness.compliance.shell import Script, Write, assignments, traced, writes

KEYS = ('Network', 'RankSize', 'BatchSize', 'DeviceType', 'CaseName', 'ActualFPS',
        'TrainAccuracy', 'TrainingTime', 'ActualLoss', 'E2ETrainingTime')
SUFFIX = {'full': 'acc', 'performance': 'perf'}
LAST = re.compile(r'\btail\s+(?:-n\s*)?-?1\b|\bEND\s*\{\s*print|\bsed\s+-n\s+["\']?\$p')
AVERAGES = re.compile(r'\+=|\bNR\s*[><=]|\bsum\b|mean|avg|average|median', re.I)
SCIENTIFIC = re.compile(r'%[\d.]*[eEgG]')
MILLISECONDS = re.compile(r'1000|\bms\b|_ms\b|milli', re.I)
# Template B builds the name from its own: ${0} tells which script runs.
BY_OWN_NAME = re.compile(r'\$\{?0\b')


def keys(subject: Subject) -> Iterator[Spot]:
    """All ten, by their exact names."""
    for script in of_scripts(subject):
        written = writes(script.lines)
        for key in KEYS if written else ():
            if key not in [write.key for write in written]:
                yield _missing(key, script, written)
        if not written:
            yield Spot('it writes no "Key = value" to a result file', script.path)


def separators(subject: Subject) -> Iterator[Spot]:
    """A blank before and after the equals sign."""
    for _, write in _all_writes(subject):
        if write.separator != ' = ':
            yield Spot(f'{write.key}{write.separator}... needs one blank on both sides of =',
                       *write.line.place)


def order(subject: Subject) -> Iterator[Spot]:
    """The template's order."""
    for _, written in _scripts(subject):
        positions = [(KEYS.index(w.key), w) for w in written if w.key in KEYS]
        for (before, _), (after, write) in zip(positions, positions[1:]):
            if after < before:
                yield Spot(f'{write.key} comes too late: the order is {", ".join(KEYS)}',
                           *write.line.place)


def case_suffix(subject: Subject) -> Iterator[Spot]:
    """_acc of a full run, _perf of a performance run."""
    for script in of_scripts(subject):
        values = _case_names(script)
        if any(BY_OWN_NAME.search(line.text) for line in script.lines
               if 'performance' in line.text):
            continue   # grep performance in its own name: right by construction
        wanted, other = SUFFIX[script.kind], SUFFIX[
            'full' if script.kind == 'performance' else 'performance']
        text = ' '.join(value for value, _, _ in values)
        if re.search(rf'_{other}(?![a-z])', text) or not re.search(
                rf'_{wanted}(?![a-z])|\$\{{?\w*suffix', text) or not _ends(script, text, wanted):
            yield Spot(f'CaseName of a {script.kind} script must end in _{wanted}',
                       *(values[-1][1:] if values else (script.path, 1)))


def case_conditions(subject: Subject) -> Iterator[Spot]:
    """CaseName names the network, the batch size and the number of devices."""
    for script in of_scripts(subject):
        values = _case_names(script)
        text = ' '.join(value for value, _, _ in values)
        if values and not re.search(r'_bs\$\{?\w+\}?_[^\s]*p', text) and 'get_casename' not in text:
            yield Spot('CaseName must be ${Network}_bs${BatchSize}_${RANK_SIZE}p_...',
                       *values[-1][1:])


def log_name(subject: Subject) -> Iterator[Spot]:
    """train_<device>.log."""
    for script in of_scripts(subject):
        if not any(re.search(r'train_["\']?\$\{?ASCEND_DEVICE_ID\}?["\']?\.log', line.text)
                   for line in script.lines):
            yield Spot('no train_${ASCEND_DEVICE_ID}.log is written',
                       *script.first(r'train\w*\.log'))


def loss_name(subject: Subject) -> Iterator[Spot]:
    """train_<CaseName>_loss.txt."""
    for script in of_scripts(subject):
        if not any(re.search(r'train_["\']?\$\{?(CaseName|case_name)\}?["\']?_loss\.txt', line.text)
                   for line in script.lines):
            yield Spot('no train_${CaseName}_loss.txt is written', *script.first(r'_loss\.txt'))


def plain_numbers(subject: Subject) -> Iterator[Spot]:
    """No scientific notation."""
    for script, write in _all_writes(subject):
        for a in traced(write.value, script.lines) if write.key == 'ActualFPS' else ():
            if SCIENTIFIC.search(a.value):
                yield Spot('ActualFPS may be written as 1.2e+03', *a.line.place)


def averaged(subject: Subject) -> Iterator[Spot]:
    """The speed is not that of one step."""
    for script, write in _all_writes(subject):
        origin = traced(write.value, script.lines) if write.key == 'ActualFPS' else []
        if not any(AVERAGES.search(a.value) for a in origin):
            for a in origin:
                if LAST.search(a.value):
                    yield Spot('ActualFPS comes from the last line alone', *a.line.place)


def milliseconds(subject: Subject) -> Iterator[Spot]:
    """TrainingTime is milliseconds a step."""
    for script, write in _all_writes(subject):
        if write.key == 'TrainingTime' and not any(MILLISECONDS.search(text) for text in (
                write.value, *(a.value for a in traced(write.value, script.lines)))):
            yield Spot('TrainingTime is not in milliseconds', *write.line.place)


def accuracy_measured(subject: Subject) -> Iterator[Spot]:
    """A full run says how accurate the network is."""
    full = [(script, write) for script, write in _all_writes(subject) if script.kind == 'full']
    if not full:
        raise NotApplicable('no full script writes results')
    for script, write in full:
        origin = traced(write.value, script.lines)
        values = [a.value.strip(' "\'') for a in origin] or [write.value]
        if write.key == 'TrainAccuracy' and {*values} <= {'None', 'NULL', 'Loss', ''}:
            yield Spot('TrainAccuracy is always None: the full run measures no accuracy',
                       *(origin[-1].line if origin else write.line).place)


def _missing(key: str, script: Script, written: List[Write]) -> Spot:
    """A key that is not written, or not by this name."""
    near = next((write for write in written if write.key.lower() == key.lower()), None)
    if near:
        return Spot(f'{near.key} must be {key}', *near.line.place)
    return Spot(f'it writes no {key}', script.path, next(
        (w.line.number for w in written if w.line.path == script.path), None))


def _scripts(subject: Subject) -> List[Tuple[Script, List[Write]]]:
    """Those that write results; one that writes none is keys()'s."""
    found = [(script, writes(script.lines)) for script in of_scripts(subject)]
    if not any(written for _, written in found):
        raise NotApplicable('no script writes "Key = value" in a way that can be read')
    return [(script, written) for script, written in found if written]


def _all_writes(subject: Subject) -> List[Tuple[Script, Write]]:
    return [(script, write) for script, written in _scripts(subject) for write in written]


def _case_names(script: Script) -> List[Tuple[str, str, int]]:
    return [(re.sub('["\']', '', a.value), *a.line.place) for a in assignments(script.lines)
            if a.name in ('CaseName', 'case_name')]


def _ends(script: Script, text: str, wanted: str) -> bool:
    """Where a variable is the suffix: the script itself names the one of its kind."""
    if re.search(rf'_{wanted}(?![a-z])', text):
        return True
    own = [line.text for line in script.lines if line.path == script.path]
    return any(re.search(rf'\b{wanted}\b', line) for line in own)
