# SPDX-License-Identifier: Apache-2.0
"""What a ModelZoo script claims in its <CaseName>.log, read leniently (pure).

A claim is no measurement: rules.py holds it against the training's own log.
"""

import collections
import math
import re
from typing import List, Mapping, NamedTuple, Optional, Pattern, Sequence, Tuple

# ActualFPS = 26.67       (E2ETrainingTime holds a digit; old scripts write `E2ETrainingTime= 9`)
LINE = re.compile(r'\s*([A-Za-z][A-Za-z0-9_]*)(\s*)=(\s*)(.*)', re.S)
SUMMARY = re.compile(r'^[ \t\ufeff\0]*CaseName[ \t]*=', re.M)
# 26.67   2.667e+01   26.67 images/s
NUMBER = re.compile(
    r'([-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][-+]?[0-9]{1,5})?)'
    r'[ \t]*([A-Za-z%][A-Za-z/]{0,20})?')
# What may stand behind a speed: 26.67 ms is none.
SPEED_UNIT = re.compile(r'(?!steps?/|it/)[a-z]+/s(?:ec)?|fps', re.I)
NOT_FINITE = re.compile(r'[-+]?(?:nan|inf|infinity)', re.I)   # awk's -nan as well
NOTHING = ('', 'None', 'NULL')
# ..._bs16_1p_perf, ..._bs16_1p_acc; 4 scripts write accu
KIND = re.compile(r'_(perf|accu?)(?=_|$)')
KINDS = {'performance': 'perf', 'full': 'acc'}
# What scripts write of cases that are known to fail.
KNOWN_FAILURE = ('Status', 'ModelStatus', 'DTS_Number', 'error_msg')
MOST_SHOWN = 60   # characters of a value in a sentence


class Claims(NamedTuple):
    """A summary file; None: it does not say so in a way that can be read."""

    pairs: Tuple[Tuple[str, str], ...]   # every key and value as written, in order
    fps: Optional[float]                 # items/s; of what items, the file never says
    accuracy: Optional[float]            # in the script's own unit
    loss: Optional[float]
    training_time: Optional[float]       # as written: ms, s or steps/s, by the model's rules
    e2e_s: Optional[float]
    batch_size: Optional[int]
    case_name: str
    notes: Tuple[str, ...]               # what is odd about the file, and no reason to refuse it

    @property
    def values(self) -> Mapping[str, str]:
        """Every key; of one that is there twice, the last value."""
        return dict(self.pairs)


def is_summary(head: str) -> bool:
    """True for a file that begins like this: the file's name follows no rule."""
    return SUMMARY.search(head) is not None


def read(text: str, kind: str = 'performance') -> Claims:
    """Read a summary; kind: of the script that wrote it, performance or full."""
    notes: List[str] = []
    pairs = _pairs(text, notes)
    values = dict(pairs)
    counts = collections.Counter(key for key, _ in pairs)
    notes += [f'{key} is there more than once' for key, count in counts.items() if count > 1]
    numbers = {key: _claim(key, values.get(key, ''), notes) for key in (
        'TrainAccuracy', 'ActualLoss', 'TrainingTime', 'E2ETrainingTime', 'BatchSize')}
    batch_size = numbers['BatchSize'] or 0
    case_name = values.get('CaseName', '')
    notes += _about_speed(_speeds(pairs)) + _about_kind(case_name, kind)
    notes += [f'{key} tells of a known failure: {_shown(values[key])}'
              for key in KNOWN_FAILURE if values.get(key)]
    return Claims(tuple(pairs), _speed(_speeds(pairs)), numbers['TrainAccuracy'],
                  numbers['ActualLoss'], numbers['TrainingTime'], numbers['E2ETrainingTime'],
                  int(batch_size) if batch_size >= 1 and batch_size % 1 == 0 else None,
                  case_name, tuple(dict.fromkeys(notes)))


def fault(claims: Claims) -> str:
    """Why these claims are no measurement; empty where they may be one."""
    if not claims.case_name:
        return 'the summary names no case: CaseName is absent or blank'
    if 'ActualFPS' not in claims.values:
        return 'the summary has no ActualFPS'
    if claims.fps is None:
        return _no_speed(_speeds(claims.pairs))
    failure = _told_failure(claims.values)
    if failure:
        return failure
    if NOT_FINITE.fullmatch(claims.values.get('ActualLoss', '')):
        return f'ActualLoss is {claims.values["ActualLoss"]}: the training diverged'
    return ''


def _told_failure(values: Mapping[str, str]) -> str:
    """ModelZoo's convention for cases known to fail: how many errors, and a word for it."""
    errors = _number(values.get('Status', ''))
    if errors or 'FAIL' in values.get('ModelStatus', '').upper():
        return ('its script found the failure that it looks for: '
                + _shown(values.get('ModelStatus') or f'Status = {values["Status"]}'))
    return ''


def _pairs(text: str, notes: List[str]) -> List[Tuple[str, str]]:
    """Keys and values; a line without a key goes on with the value before."""
    values: List[Tuple[str, List[str]]] = []
    for line in re.split(r'\r\n|\r|\n', text.replace('\0', '').lstrip('\ufeff')):
        found = LINE.fullmatch(line)
        if found:
            key, before, after, value = found.groups()
            values.append((key, [value.strip()]))
            notes += [f'{key} has no blank {side} its equals sign' for side, blank in (
                ('before', before), ('behind', after or not value)) if not blank]
        elif line.strip() and values:
            values[-1][1].append(line.strip())
    return [(key, '\n'.join(lines).strip()) for key, lines in values]


def _speeds(pairs: Sequence[Tuple[str, str]]) -> Tuple[str, ...]:
    """Every line of every ActualFPS: grep without tail finds many, and so do two runs in a file."""
    return tuple(line for key, value in pairs if key == 'ActualFPS' for line in value.split('\n'))


def _speed(lines: Sequence[str]) -> Optional[float]:
    """The one speed that all lines agree on, if it is one."""
    speeds = {_number(line, SPEED_UNIT) for line in lines}
    speed = speeds.pop() if len(speeds) == 1 else None
    return speed if speed and speed > 0 else None


def _no_speed(lines: Sequence[str]) -> str:
    different = list(dict.fromkeys(lines))
    if len(different) > 1:
        return (f'ActualFPS has {len(different)} different values, {_shown(different[0])} and '
                f'{_shown(different[1])} among them')
    if not different[0]:
        return 'ActualFPS is blank: the script has found no speed'
    return f'ActualFPS is {_shown(different[0])}, which is no speed'


def _about_speed(lines: Sequence[str]) -> List[str]:
    found = [NUMBER.fullmatch(line) for line in lines]
    notes = {f'ActualFPS has {len(lines)} lines': len(lines) > 1,
             'ActualFPS is in scientific notation': any(f and f.group(2) for f in found),
             'ActualFPS has a unit behind its number': any(f and f.group(3) for f in found)}
    return [note for note, holds in notes.items() if holds]


def _about_kind(case_name: str, kind: str) -> List[str]:
    """ModelZoo's dashboard takes the kind from the name: 38 full scripts call themselves perf."""
    said = [k[:4].replace('accu', 'acc') for k in KIND.findall(case_name)][-1:]
    return [f'CaseName says {s}, but the script is of kind {kind}' for s in said
            if s != KINDS[kind]]


def _claim(key: str, text: str, notes: List[str]) -> Optional[float]:
    number = _number(text)
    if number is None and text not in NOTHING:
        notes.append(f'{key} is no number: {_shown(text)}')
    return number


def _number(text: str, unit: Optional[Pattern] = None) -> Optional[float]:
    """A finite number, with a unit behind it or without."""
    found = NUMBER.fullmatch(text)
    if not found or unit and found.group(3) and not unit.fullmatch(found.group(3)):
        return None
    number = float(found.group(1))
    return number if math.isfinite(number) else None


def _shown(text: str) -> str:
    """A value in a sentence: on one line and short, in quotes unless it is a number."""
    plain = text if NUMBER.fullmatch(text) else repr(text)
    return plain if len(plain) <= MOST_SHOWN else f'{plain[:MOST_SHOWN]}...'
