# SPDX-License-Identifier: Apache-2.0
"""A model's rules, a small TOML file: where its log tells speed, loss and accuracy.

With them a summary that its script made up is held against the log of the training itself.
"""

import math
import os
import re
import sys
from typing import (
    Any,
    Callable,
    Dict,
    NamedTuple,
    Optional,
    Pattern,
    Tuple,
)

from harness.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'modelrules')

Rule = Tuple[str, Callable[[Any], bool]]
SPEED_UNITS = ('s/step', 'ms/step', 'step/s', 'item/s')


class Speed(NamedTuple):
    """The lines that tell how fast the training is."""

    pattern: Pattern
    unit: str                   # of what the group matches: s/step, ms/step, step/s, item/s
    aggregate: str = 'median'   # of the numbers as logged
    skip: int = 5               # matches at the start, which compile and warm up
    steps_per_match: int = 1    # that s/step or ms/step is the time of: `100 steps took 13 s`
    log: str = ''               # another file of the output folder, may hold *; '': the training's


class Loss(NamedTuple):
    """The lines that tell the loss; a pattern ending in (\\S+) sees nan as well."""

    pattern: Pattern
    log: str = ''


class Accuracy(NamedTuple):
    """The lines that tell how good the model is; more is better."""

    pattern: Pattern
    margin: float               # a loss up to this is accepted, in the unit
    unit: str = ''
    name: str = 'accuracy'
    aggregate: str = 'last'
    log: str = ''


class Rules(NamedTuple):
    """All that the harness is told of a model that it does not know."""

    speed: Optional[Speed] = None
    loss: Optional[Loss] = None
    accuracy: Optional[Accuracy] = None
    training_time: str = ''            # the unit of the summary's TrainingTime
    batch_size: Optional[int] = None   # what the training takes, whatever its scripts call it
    flags: Tuple[str, ...] = ()        # for the scripts, beside --data_path
    deadline_s: Optional[float] = None
    source: str = ''                   # where all this was found

    @property
    def logs(self) -> Tuple[str, ...]:
        """The names of the files to feed beside the training's own log."""
        return tuple(sorted({s.log for s in (self.speed, self.loss, self.accuracy) if s and s.log}))


def find(folder_name: str, folder: str = FOLDER) -> Optional[str]:
    """The path of the rules that come with the harness for a model's folder of this name."""
    path = os.path.join(folder, f'{os.path.basename(folder_name)}.toml')
    return path if os.path.isfile(path) else None


def load(path: str) -> Rules:
    """The rules of a file; raises ConfigError that names file, key and what is wrong with it."""
    try:
        with open(path, encoding='utf-8') as f:
            table = tomllib.loads(f.read())
    except (OSError, ValueError, RecursionError) as e:
        reason = getattr(e, 'strerror', None) or ' '.join(str(e).split())[:200]
        raise ConfigError(f'{path} cannot be read as rules (TOML): {reason}') from None
    return _checked(Rules, table, path)


def _checked(kind: Any, table: Any, path: str, section: str = '') -> Any:
    """A record of the kind, every key checked."""
    where = f'{path}: [{section}] ' if section else f'{path}: '
    if not isinstance(table, dict):
        raise ConfigError(f'{path}: {section} must be a table: write [{section}]')
    for key in table:
        if key not in kind._fields:
            raise ConfigError(f'{where}{key[:80]} is unknown: one of {", ".join(kind._fields)}')
    for key in kind._fields:
        if key not in kind._field_defaults and key not in table:
            raise ConfigError(f'{where}{key} is missing: it {_rule(section, key)[0]}')
    values = {key: _checked(SECTIONS[key], value, path, key) if key in SECTIONS
              else _value(_rule(section, key), value, where + key) for key, value in table.items()}
    if values.get('steps_per_match', 1) > 1 and values['unit'] not in ('s/step', 'ms/step'):
        raise ConfigError(f'{where}steps_per_match is for s/step and ms/step: leave it out, '
                          f'for a speed in {values["unit"]} is the same over many steps')
    return kind(**values)


def _rule(section: str, key: str) -> Rule:
    return RULES.get(f'{section} {key}') or RULES[key]


def _value(rule: Rule, value: Any, what: str) -> Any:
    words, holds = rule
    if not holds(value):
        raise ConfigError(f'{what} {words}, not {repr(value)[:80]}')
    if rule is RULES['pattern']:
        return _pattern(value, f'{what} {value!r}')
    return tuple(value) if isinstance(value, list) else value


def _pattern(text: str, what: str) -> Pattern:
    """A compiled pattern that takes no longer than a line deserves."""
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as e:
        raise ConfigError(f'{what} is no regular expression: {e}') from None
    if pattern.groups != 1:
        raise ConfigError(f'{what} has {pattern.groups} groups: it takes one, around the number; '
                          'write (?:...) for others')
    if text.startswith(('.*', '.+', '(.*', '(.+')):
        raise ConfigError(f'{what} begins with a wildcard, which takes long: '
                          'begin with what the line says')
    if _repeats_repeats(text):
        raise ConfigError(f'{what} repeats a group that holds *, +, ?, {{}} or |, which may take '
                          'for ever: repeat single characters only')
    return pattern


def _repeats_repeats(pattern: str) -> bool:
    """True for (a+)* and the like, whose time grows exponentially with the line."""
    tokens = re.findall(r'\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[0-9,]+\}|.', pattern, re.S)
    groups = [False]   # for each open one, whether its length may vary
    for token, following in zip(tokens, [*tokens[1:], '']):
        if token == '(':
            groups.append(False)
        elif token == ')':
            varies = groups.pop()
            if varies and following[:1] in ('*', '+', '{'):
                return True
            groups[-1] = groups[-1] or varies
        elif token[:1] in ('*', '+', '{', '|') or following == '?' and token != '(':
            groups[-1] = True
    return False


def _one_of(*values: str) -> Rule:
    return f'must be one of {", ".join(values)}', lambda value: value in values


def _fits(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != '' and value.isprintable()


def _is_count(value: Any, least: int = 1) -> bool:
    return type(value) is int and least <= value <= 10 ** 9   # True is an int as well


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _is_log(value: Any) -> bool:
    return _is_text(value) and not _fits(r'.*[/\\].*|train_[0-9]*\.log', value)


SECTIONS: Dict[str, Any] = {'speed': Speed, 'loss': Loss, 'accuracy': Accuracy}
# What a key must be, in words and as a test; where sections differ, the section stands before it.
RULES: Dict[str, Rule] = {
    'pattern': ('must be a regular expression of at most 500 characters with one group, around '
                'the number', lambda value: _is_text(value) and len(value) <= 500),
    'speed unit': _one_of(*SPEED_UNITS),
    'speed aggregate': _one_of('median', 'mean', 'last'),
    'skip': ('must be a whole number, 0 or more', lambda value: _is_count(value, 0)),
    'steps_per_match': ('must be a whole number, 1 or more', _is_count),
    'log': ("must be the name of a file in the output folder, other than the training's own "
            'train_<id>.log', _is_log),
    'margin': ('must be a number above 0, in the unit of the accuracy', _is_amount),
    'unit': ('must be a text, such as dB', _is_text),
    'name': ('must be a text, such as PSNR', _is_text),
    'aggregate': _one_of('last', 'mean', 'max'),
    'training_time': _one_of('s/step', 'ms/step', 'step/s'),
    'batch_size': ('must be a whole number, 1 or more', _is_count),
    # The scripts take their flags apart at blanks.
    'flags': ("must be a list of '--name=value' without blanks, and without --data_path",
              lambda value: isinstance(value, list) and all(
                  _fits(r'--(?!data_path=)[A-Za-z0-9_-]+=\S*', flag) for flag in value)),
    'deadline_s': ('must be a number of seconds above 0', _is_amount),
    'source': ('must be a text on one line', _is_text)}
