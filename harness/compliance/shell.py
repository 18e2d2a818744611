# SPDX-License-Identifier: Apache-2.0
"""What can be told of a shell script by reading it: flags, assignments, results, launches.

It knows both families of ModelZoo's scripts (`if [[ $para == --x* ]]`) and a `case` of flags.  It
is no shell: what it cannot follow it leaves out, so that a rule rather misses than accuses.
"""

import os
import re
from typing import Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

NAME = r'[A-Za-z_]\w*'
# An assignment where a statement may begin: not --flag=value, not [[ a == b ]].
ASSIGNMENT = re.compile(
    rf'(?:^|(?P<before>\|\||&&)|[;{{(]|\)(?=\s)|\b(?:then|do|else)\b)\s*'
    rf'(?:(?:export|local|readonly|declare|typeset)\s+(?:-\w+\s+)*)?'
    rf'(?P<name>{NAME})\+?=(?P<value>(?!=).*)')
WRITE = re.compile(rf'echo\s+(?:-\w+\s+)?["\']?(?P<key>{NAME})(?P<separator>\s*=\s*)(?P<value>.*?)'
                   r'["\']?\s*>>?\s*(?P<target>[^>\s][^;&|]*)')
HERE = re.compile(r'cat\s.*>\s*(?P<target>\S*\.log\S*)\s*<<-?\s*["\']?(?P<end>\w+)')
HERE_WRITE = re.compile(rf'(?P<key>{NAME})(?P<separator>\s*=\s*)(?P<value>.*)')
SOURCED = re.compile(r'(?:^|[;&|]\s*|\bthen\s+)(?:source|\.)\s+(\S.*)')
# Where a command may begin, and a branch of the script begins or ends.
OPENS, CLOSES = (re.compile(rf'(?:^\s*|[;&|{{(]\s*|\b(?:then|do|else)\s+)(?:{word})\b')
                 for word in ('if|case', 'fi|esac'))
VARIABLE = re.compile(rf'\$\{{?({NAME})')
DEPTH = 4   # further away lie paths and numbers of devices
IF = re.compile(r'^\s*(el)?if\b')
LAUNCH = re.compile(r'\bpython[\d.]*\s.*\.py\b')


class Line(NamedTuple):
    """A line of a script: continued lines are one, comments are gone."""

    path: str
    number: int      # the first of them, from 1
    text: str
    in_branch: bool  # inside of if or case: it may never be reached

    @property
    def place(self) -> Tuple[str, int]:
        """Where it stands, as a Spot has it."""
        return self.path, self.number


class Script(NamedTuple):
    """A script that trains, with what it sources where it sources it."""

    path: str
    kind: str        # full or performance
    lines: Sequence[Line]

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)

    def first(self, pattern: str) -> Tuple[str, int]:
        """Where a regular expression is first found; the script's head where it is not."""
        return next((line.place for line in self.lines if re.search(pattern, line.text)),
                    (self.path, 1))


class Assignment(NamedTuple):
    """name=value; it may depend on a condition."""

    line: Line
    name: str
    value: str
    conditional: bool


class Flag(NamedTuple):
    """--name=value as a script parses it, the variables it sets, and the lines that do."""

    name: str
    line: Line
    variables: Sequence[str]
    body: Sequence[Line]


class Write(NamedTuple):
    """One line of a result file."""

    line: Line
    key: str
    separator: str
    value: str


def scripts(texts: Mapping[str, str]) -> List[Script]:
    """Those of a folder that train on one device; some have words in their names."""
    found = []
    for path in sorted(texts):
        name = re.fullmatch(r'test/train\w*?_(full|performance)(?=_)[\w.-]*1p[\w.-]*\.sh', path)
        if name and not is_broken(texts[path]):
            found.append(Script(path, name.group(1), read_lines(path, texts, set())))
    return found


def is_broken(text: str) -> bool:
    """An empty file, or the licence in place of a script."""
    head = text[:2000]
    return not text.strip() or ('#' not in head.lstrip()[:1] and 'Apache License' in head)


def read_lines(path: str, texts: Mapping[str, str], seen: Set[str]) -> List[Line]:
    """The lines of a script and, in their places, of what it sources."""
    seen.add(path)
    found, depth = [], 0
    for number, text in _logical(texts[path]):
        opens, closes = (len(pattern.findall(text)) for pattern in (OPENS, CLOSES))
        found.append(Line(path, number, text, depth > 0 or opens > 0))
        depth = max(0, depth + opens - closes)
        sourced = _sourced(path, text, texts)
        if sourced and sourced not in seen:
            found += read_lines(sourced, texts, seen)
    return found


def assignments(lines: Sequence[Line]) -> Iterator[Assignment]:
    """All that can be seen: of several in one statement, the first."""
    for line in lines:
        for found in ASSIGNMENT.finditer(line.text):
            yield Assignment(line, found.group('name'), found.group('value').strip(),
                             line.in_branch or bool(found.group('before')))


def flags(lines: Sequence[Line]) -> List[Flag]:
    """The flags that a script parses, but for --help."""
    loops = '|'.join({'1', '2', *(word for line in lines for word in re.findall(
        rf'\bfor\s+({NAME})\s+in\b', line.text)),
        *(word for line in lines for word in re.findall(rf'\bcase\s+"?\$\{{?({NAME})', line.text))})
    given = re.compile(rf'\$\{{?(?:{loops})\b')
    found = []
    for i, line in enumerate(lines):
        names = _flag_names(line.text)
        if not names:
            continue
        body = _branch(lines[i:])
        variables = [a.name for a in assignments(body) if given.search(a.value)]
        variables += [name for piece in body for name, value in re.findall(
            rf'({NAME})\+=\(([^)]*)\)', piece.text) if given.search(value)]
        found += [Flag(name, line, sorted(set(variables)), body) for name in names]
    return found


def is_read(name: str, lines: Sequence[Line], but: Sequence[Line]) -> bool:
    """True where a variable's value is used outside of these lines."""
    use = re.compile(rf'\$\{{?[!#]?{name}\b|\(\([^)]*\b{name}\b|\blet\b.*\b{name}\b')
    return any(use.search(line.text) for line in lines if line not in but)


def writes(lines: Sequence[Line]) -> List[Write]:
    """What goes to the result file, in its order: by echo, or by a here-document."""
    found, end = [], ''
    for line in lines:
        text = line.text.strip()
        if end:
            match = HERE_WRITE.fullmatch(text)
            end = '' if text == end else end
        else:
            match = WRITE.search(text)
            if match and not re.search(r'\.log\b', match.group('target')):
                match = None
            here = HERE.search(text)
            end = here.group('end') if here else ''
        if match:
            found.append(Write(line, *match.group('key', 'separator', 'value')))
    return found


def traced(value: str, lines: Sequence[Line]) -> List[Assignment]:
    """The assignments that a value comes from, through as many variables as DEPTH."""
    every = list(assignments(lines))
    found: List[Assignment] = []
    names, known = set(VARIABLE.findall(value)), set()
    for _ in range(DEPTH):
        known |= names
        new = [a for a in every if a.name in names and a.name not in VARIABLE.findall(a.value)]
        found += new
        names = {name for a in new for name in VARIABLE.findall(a.value)} - known
    return found


def launches(lines: Sequence[Line]) -> List[Line]:
    """Where Python is started with a program."""
    return [line for line in lines if LAUNCH.search(line.text)]


def _logical(text: str) -> Iterator[Tuple[int, str]]:
    """The lines with their numbers: continued ones joined, without comments."""
    held, start = '', 0
    for number, line in enumerate(text.replace('\r', '').split('\n'), 1):
        start = start if held else number
        line = held + _uncommented(line)
        if re.search(r'(\\|\||&&)\s*$', line):
            held = re.sub(r'\\$', '', line) + ' '
        else:
            yield start, line
            held = ''
    if held:
        yield start, held


def _uncommented(line: str) -> str:
    quote = ''
    for i, c in enumerate(line):
        if c in '"\'' and line[i - 1:i] != '\\':
            quote = '' if quote == c else quote or c
        elif c == '#' and not quote and (i == 0 or line[i - 1].isspace()):
            return line[:i]
    return line


def _sourced(path: str, text: str, texts: Mapping[str, str]) -> str:
    """The file that a line sources, where it can be told from its end; else empty."""
    found = SOURCED.search(text.strip())
    tail = re.search(r'[\w./-]+\.sh', re.split(r'[)}]', found.group(1))[-1]) if found else None
    if not tail:
        return ''
    end = tail.group().lstrip('./')
    beside = os.path.join(os.path.dirname(path), os.path.basename(end))
    return next((p for p in (end, beside) if p in texts), '')


def _flag_names(text: str) -> List[str]:
    """[[ $para == --name* ]], or --name=*) of a case."""
    names = re.findall(r'==?\s*["\']?--([A-Za-z]\w*)', text) if IF.search(text) else []
    case = re.match(r'\s*\(?(-[^()$]*)\)', text)
    if case:
        names += re.findall(r'--([A-Za-z]\w*)', case.group(1))
    return [name for name in names if name not in ('help', 'h')]


def _branch(lines: Sequence[Line]) -> List[Line]:
    """The lines of one branch: up to ;; of a case, or to the next elif, else or fi."""
    is_case = not IF.search(lines[0].text)
    if is_case and ';;' in lines[0].text:
        return [lines[0]]
    stop = r';;|\besac\b' if is_case else r'^\s*(elif|else|fi)\b'
    end = next((i for i, line in enumerate(lines[1:], 1) if re.search(stop, line.text)),
               len(lines))
    return list(lines[:end + is_case])
