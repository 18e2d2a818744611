# SPDX-License-Identifier: Apache-2.0
"""Rules of the scripts as they are written: flags, device, paths, what they delete."""

import re
from typing import Dict, Iterator, List, Tuple

from harness.compliance.rule import NotApplicable, Spot, Subject, of_scripts
from harness.compliance.shell import (
    Assignment,
    Flag,
    Line,
    Script,
    assignments,
    flags,
    is_read,
    launches,
)

MESSAGE = re.compile(r'\[Error\] para \\*"data_path\\*" must be confi?n?g', re.I)
REMOVES = re.compile(r'\brm\s+((?:-\S+\s+)*-\w*[rR]\w*)\s+([^;&|]+)')
# Paths of one machine, unless they are a default that a variable overrides, or ModelArts' own.
MACHINE = re.compile(r'(?<![\w.}/~:-])(?<!:-)(/(?:npu|home(?!/ma-user)|root|data|opt|mnt|autotest|'
                     r'usr/local/(?:Ascend|python))[\w./-]*)')
SCRIPT_FILES = re.compile(r'test/[^/]*\.sh')


def data_path_flag(subject: Subject) -> Iterator[Spot]:
    """--data_path= is a flag."""
    for script in of_scripts(subject):
        if 'data_path' not in _flags(script):
            yield Spot('it knows no --data_path=', script.path)


def data_path_message(subject: Subject) -> Iterator[Spot]:
    """ModelZoo's words where --data_path is missing; its template's misspelling counts as well."""
    for script in of_scripts(subject):
        if not any(MESSAGE.search(line.text) for line in script.lines):
            yield Spot('it never says [Error] para "data_path" must be config',
                       *data_path_place(script))


def flags_used(subject: Subject) -> Iterator[Spot]:
    """A flag that is parsed is read afterwards."""
    for script, flag in _all_flags(subject):
        if not any(is_read(name, script.lines, flag.body) for name in flag.variables):
            yield Spot(f'--{flag.name} is parsed, and its value is never used', *flag.line.place)


def flags_kept(subject: Subject) -> Iterator[Spot]:
    """No flag's value is overwritten after it has been parsed."""
    for script, flag in _all_flags(subject):
        later = script.lines[script.lines.index(flag.body[-1]) + 1:]
        for a in assignments(later):
            if a.name in flag.variables and not a.conditional and _is_literal(a):
                yield Spot(f'{a.name}={a.value} overwrites what --{flag.name} said',
                           *a.line.place)


def flags_not_fixed(subject: Subject) -> Iterator[Spot]:
    """What a flag sets is not fixed where Python is started."""
    for script, flag in _all_flags(subject):
        for line in launches(script.lines):
            fixed = re.search(rf'--{flag.name}[= ]+["\']?(?![$`"\'\s-])([\w.-]+)', line.text)
            if fixed:
                yield Spot(f'Python gets --{flag.name} {fixed.group(1)}, whatever --{flag.name}= '
                           'says', *line.place)


def device_kept(subject: Subject) -> Iterator[Spot]:
    """ASCEND_DEVICE_ID is the caller's; a default where it is unset is none of its own."""
    for script in of_scripts(subject):
        for a in assignments(script.lines):
            if a.name == 'ASCEND_DEVICE_ID' and not a.conditional and not re.search(
                    r'\$\{?ASCEND_DEVICE_ID', a.value):
                yield Spot(f'ASCEND_DEVICE_ID={a.value} overwrites the caller\'s', *a.line.place)


def data_not_deleted(subject: Subject) -> Iterator[Spot]:
    """No rm -rf of the data."""
    for line, target in _removed(subject):
        if re.match(r'["\']?\$\{?data_(path|dir)\}?', target):
            yield Spot(f'it removes {target}', *line.place)


def results_not_deleted(subject: Subject) -> Iterator[Spot]:
    """No rm -rf of all devices' results at once."""
    for line, target in _removed(subject):
        if re.search(r'(^|/)output/?\*?["\']?$', target):
            yield Spot(f'{target} holds the results of all devices', *line.place)


def paths_portable(subject: Subject) -> Iterator[Spot]:
    """No path that only one machine has."""
    of_scripts(subject)
    for path in filter(SCRIPT_FILES.fullmatch, subject.folder.texts):
        for number, text in enumerate(subject.folder.texts[path].splitlines(), 1):
            if text.lstrip().startswith('#'):
                continue
            for found in sorted(set(MACHINE.findall(text))):
                yield Spot(f'{found} is a path of one machine', path, number)


def sources_not_edited(subject: Subject) -> Iterator[Spot]:
    """No sed -i on what lies in the folder."""
    for script in of_scripts(subject):
        for line in script.lines:
            if re.search(r'\bsed\s+(-\w+\s+)*(-\w*i|--in-place)\b', line.text) and not re.search(
                    r'output/|\$\{?(log|TMPDIR|tmp)', line.text):
                yield Spot('it edits sources with sed -i: a second run edits them again',
                           *line.place)


def status_of_background(subject: Subject) -> Iterator[Spot]:
    """$? after & is that of starting, which always succeeds."""
    for script in of_scripts(subject):
        code = [line for line in script.lines if line.text.strip()]
        for before, after in zip(code, code[1:]):
            if re.search(r'(?<!&)&\s*$', before.text) and '$?' in after.text:
                yield Spot('$? after & is always 0: wait for the process and take its status',
                           *after.place)


def echo_apart(subject: Subject) -> Iterator[Spot]:
    """echo"usage" is a command of that name."""
    for script in of_scripts(subject):
        for line in script.lines:
            if re.search(r'(?:^|[;&|\s])echo["\'][^\s"\']', line.text):
                yield Spot('echo and its text are one word: command not found', *line.place)


def data_path_place(script: Script) -> Tuple[str, int]:
    """Where --data_path is parsed; the script's head where it is not."""
    flag = _flags(script).get('data_path')
    return flag.line.place if flag else (script.path, 1)


def _flags(script: Script) -> Dict[str, Flag]:
    return {flag.name: flag for flag in flags(script.lines)}


def _all_flags(subject: Subject) -> List[Tuple[Script, Flag]]:
    pairs = [(script, flag) for script in of_scripts(subject) for flag in flags(script.lines)]
    if not pairs:
        raise NotApplicable('no script parses a flag')
    return pairs


def _is_literal(a: Assignment) -> bool:
    return bool(re.match(r'["\']?[\w./-]+["\']?\s*(;|$)', a.value))


def _removed(subject: Subject) -> Iterator[Tuple[Line, str]]:
    for script in of_scripts(subject):
        for line in script.lines:
            for found in REMOVES.finditer(line.text):
                for target in found.group(2).split():
                    yield line, target
