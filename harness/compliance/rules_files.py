# SPDX-License-Identifier: Apache-2.0
"""Rules of what lies in the folder: files, headers, names, requirements, the level file."""

import re
from typing import Iterator, List, Tuple

from harness.compliance.rule import NotApplicable, Spot, Subject, of_scripts
from harness.compliance.shell import assignments, is_broken

NAME = re.compile(r'.+_ID\d+_for_TensorFlow(2\.X)?')
HEADER = re.compile(r'SPDX-License-Identifier|Licensed under|\bCopyright\b')
HEADER_LINES = 40
SENTENCES = ('Run testcase success!', 'Run testcase failed!')
TESTCASE = r'(?:.*/)?(?:train|online_inference|offline_inference)_testcase\.sh'
TESTCASE_S = 600


def readme(subject: Subject) -> Iterator[Spot]:
    """A README of whatever kind."""
    return present(subject, r'readme[^/]*')


def licence(subject: Subject) -> Iterator[Spot]:
    """A LICENSE that is not empty."""
    return present(subject, r'licen[cs]e[^/]*')


def requirements(subject: Subject) -> Iterator[Spot]:
    """A list of packages."""
    return present(subject, r'requirements?\.txt')


def both_scripts(subject: Subject) -> Iterator[Spot]:
    """A full script and a performance script; one that is broken is there."""
    for kind in ('full', 'performance'):
        if not subject.folder.matching(rf'test/train\w*_{kind}(_[\w.-]*)?1p[\w.-]*\.sh'):
            yield Spot(f'no test/train_{kind}_1p.sh')


def env_script(subject: Subject) -> Iterator[Spot]:
    """What prepares the environment of a device."""
    if not subject.folder.matching(r'test/(set_)?env[\w.-]*\.sh'):
        yield Spot('no test/env.sh')


def pinned(subject: Subject) -> Iterator[Spot]:
    """Each package with its version."""
    text = subject.folder.texts.get('requirements.txt', '')
    packages = [(number, line.split('#')[0].strip())
                for number, line in enumerate(text.splitlines(), 1)]
    packages = [(number, line) for number, line in packages if line and line[0] != '-']
    if not packages:
        raise NotApplicable('no requirements.txt, or no package in it')
    for number, line in packages:
        if not re.search(r'[=~]=|\s@\s|^git\+', line):
            yield Spot(f'{line} has no version of its own', 'requirements.txt', number)


def headers(subject: Subject) -> Iterator[Spot]:
    """Each Python file names its licence; an empty one has nothing to license."""
    sources = [path for path in subject.folder.matching(r'.*\.py')
               if subject.folder.texts.get(path, '').strip()]
    if not sources:
        raise NotApplicable('no Python file')
    for path in sources:
        head = subject.folder.texts[path].splitlines()[:HEADER_LINES]
        if not HEADER.search('\n'.join(head)):
            yield Spot('no licence in its header', path, 1)


def folder_name(subject: Subject) -> Iterator[Spot]:
    """The folder, where it claims to be a model's of the zoo by its name."""
    name = subject.folder.name
    if '_for_' not in name and '_ID' not in name:
        raise NotApplicable(f'{name} is a checkout under a name of its own: see network-name')
    if not NAME.fullmatch(name):
        yield Spot(f'{name} is not <Network>_ID<number>_for_TensorFlow')


def network_name(subject: Subject) -> Iterator[Spot]:
    """Network in the scripts is the folder's name, or such a name where the folder has none."""
    folder = subject.folder.name if NAME.fullmatch(subject.folder.name) else ''
    names = [(script, a) for script in of_scripts(subject) for a in assignments(script.lines)
             if a.name in ('Network', 'NETWORK') and '$' not in a.value and '`' not in a.value]
    if not names:
        raise NotApplicable('no script assigns Network a name')
    for _, a in names:
        name = a.value.split(';')[0].strip(' "\'')
        if name != folder if folder else not NAME.fullmatch(name):
            yield Spot(f'Network is {name}, not {folder or "<Network>_ID<number>_for_TensorFlow"}',
                       *a.line.place)


def testcase(subject: Subject) -> Iterator[Spot]:
    """The gate's entry, by its exact name."""
    if not subject.folder.matching(TESTCASE):
        yield Spot('no train_testcase.sh')


def testcase_sentences(subject: Subject) -> Iterator[Spot]:
    """What the gate waits for."""
    for path, text in _testcases(subject):
        for sentence in SENTENCES:
            if sentence not in text:
                yield Spot(f'never prints "{sentence}"', path)


def testcase_time(subject: Subject) -> Iterator[Spot]:
    """No more than ten minutes, where the script has a limit that can be read."""
    limits = [(path, number, int(limit)) for path, text in _testcases(subject)
              for number, line in enumerate(text.splitlines(), 1)
              for limit in re.findall(r'\btimeout\s+(?:-\S+\s+)*(\d+)\b', line)]
    if not limits:
        raise NotApplicable('it sets no limit that can be read: only a run on the gate\'s machine '
                            'can tell')
    for path, number, limit in limits:
        if limit > TESTCASE_S:
            yield Spot(f'may take {limit} s', path, number)


def scripts_have_code(subject: Subject) -> Iterator[Spot]:
    """No script is empty, or the licence's text."""
    for path, text in _shell(subject):
        if not text.strip():
            yield Spot('it is empty', path)
        elif is_broken(text):
            yield Spot('it holds the text of the licence and no code', path, 1)


def line_ends(subject: Subject) -> Iterator[Spot]:
    """Unix line ends: bash takes the other for a part of the words."""
    for path, text in _shell(subject):
        lines = text.split('\n')
        crlf = [number for number, line in enumerate(lines, 1) if line.endswith('\r')]
        if crlf:
            yield Spot(f'{len(crlf)} of {len(lines)} lines end in CR LF', path, crlf[0])


def written_once(subject: Subject) -> Iterator[Spot]:
    """No script stands twice in its file."""
    for path, text in _shell(subject):
        lines = [line.rstrip() for line in text.strip().splitlines()]
        heads = [i for i, line in enumerate(lines) if i and line == lines[0]]
        if len(lines) > 5 and any(lines[i:] == lines[:len(lines) - i] for i in heads
                                  if len(lines) - i > len(lines) // 3):
            yield Spot('the whole script stands in it twice', path, heads[0] + 1)


def scripts_differ(subject: Subject) -> Iterator[Spot]:
    """A full script is no copy of the performance script, unless it looks at its own name."""
    full, performance = ([s for s in of_scripts(subject) if s.kind == kind]
                         for kind in ('full', 'performance'))
    if not full or not performance:
        raise NotApplicable('there are not both')
    texts = subject.folder.texts
    for script in full:
        if '$0' not in texts[script.path] and texts[script.path] in (
                texts[p.path] for p in performance):
            yield Spot('byte for byte the performance script', script.path)


def present(subject: Subject, pattern: str) -> Iterator[Spot]:
    """A file by this name that is not empty."""
    paths = subject.folder.matching(pattern)
    if not any(subject.folder.texts.get(path, 'too large to read').strip() for path in paths):
        yield Spot('it is empty', paths[0]) if paths else Spot('it is not there')


def _shell(subject: Subject) -> List[Tuple[str, str]]:
    texts = subject.folder.texts
    return [(path, texts[path]) for path in subject.folder.matching(r'test/[^/]*\.sh')
            if path in texts]


def _testcases(subject: Subject) -> List[Tuple[str, str]]:
    paths = subject.folder.matching(TESTCASE)
    if not paths:
        raise NotApplicable('no train_testcase.sh')
    return [(path, subject.folder.texts.get(path, '')) for path in paths]
