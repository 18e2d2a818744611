# SPDX-License-Identifier: Apache-2.0
"""Rules of modelzoo_level.txt, what a model's state is said to be."""

import difflib
import re
from typing import Dict, Iterator, List, Tuple

from harness.compliance.rule import NotApplicable, Spot, Subject
from harness.compliance.rules_files import present

BUILT_IN = {'FuncStatus': ('OK', 'NOK'), 'PerfStatus': ('PERFECT', 'OK', 'POK', 'NOK'),
            'PrecisionStatus': ('OK', 'POK', 'NOK')}
CONTRIB = {'GPUStatus': ('OK', 'NOK'), 'NPUMigrationStatus': ('OK', 'POK', 'NOK'),
           'AutoTune': ('OK', 'POK', 'NOK')}
INFERENCE = {'ModelConvert': ('OK', 'POK', 'NOK'), 'QuantStatus': ('OK', 'POK', 'NOK')}
NOT_MERGED = ('FuncStatus', 'PrecisionStatus')   # NOK of these
LEVEL = 'modelzoo_level.txt'


def there(subject: Subject) -> Iterator[Spot]:
    """The level file."""
    return present(subject, re.escape(LEVEL))


def lines(subject: Subject) -> Iterator[Spot]:
    """Key:VALUE, each line, with an English colon and no blank."""
    for number, line in _lines(subject):
        if not re.fullmatch(r'\w+:[^\s:：]+', line):
            yield Spot(f'{line!r} is not Key:VALUE with an English colon and no blanks', LEVEL,
                       number)


def keys(subject: Subject) -> Iterator[Spot]:
    """The keys of a model that is trained, each known and none missing."""
    found = _entries(subject)
    wanted = _wanted(subject)
    known = {**BUILT_IN, **CONTRIB, **INFERENCE}
    for key, (_, number) in found.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            yield Spot(f'unknown key {key}' + (f': {near[0]} is meant' if near else ''), LEVEL,
                       number)
    for key in wanted:
        if key not in found:
            yield Spot(f'no {key}', LEVEL)


def values(subject: Subject) -> Iterator[Spot]:
    """One of a key's words, and none that keeps a model from being merged."""
    known = {**BUILT_IN, **CONTRIB, **INFERENCE}
    for key, (value, number) in _entries(subject).items():
        if key not in known:
            continue
        if re.search(r'[/;|,]', value):
            yield Spot(f'{key}: {value} is the template\'s choice, not one value', LEVEL, number)
        elif value not in known[key]:
            yield Spot(f'{key}: {value} is none of {", ".join(known[key])}', LEVEL, number)
        elif value == 'NOK' and key in NOT_MERGED:
            yield Spot(f'{key}: NOK must not be merged', LEVEL, number)


def _lines(subject: Subject) -> List[Tuple[int, str]]:
    if LEVEL not in subject.folder.texts:
        raise NotApplicable(f'no {LEVEL}')
    lines = subject.folder.texts[LEVEL].split('\n')
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _entries(subject: Subject) -> Dict[str, Tuple[str, int]]:
    """Value and line by key, read as leniently as can be: the format is a rule of its own."""
    entries = {}
    for number, line in _lines(subject):
        key, colon, value = re.sub(r'\s', '', line).replace('：', ':').partition(':')
        if colon:
            entries[key] = value, number
    return entries


def _wanted(subject: Subject) -> List[str]:
    parts = re.split(r'[/\\]', subject.folder.root)
    return [*BUILT_IN, *(CONTRIB if 'contrib' in parts else ())]
