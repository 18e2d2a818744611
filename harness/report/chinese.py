# SPDX-License-Identifier: Apache-2.0
"""A report's English sentences -> Chinese, by the pairs of chinese.txt (pure).

The stages write English, and records keep it, so what is translated is the finished sentence.
What no pair fits stays as it is: better an English sentence than a wrong Chinese one.
"""

import functools
import os
import re
from typing import Dict, Iterator, List, Match, NamedTuple, Pattern, Tuple

PAIRS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'chinese.txt')
LONGEST = 10000   # characters; whatever is longer is a log, and no sentence of ours
DEEPEST = 6       # sentences within sentences

NUMBER = r'[-+]?(?:[0-9]+(?:[.,][0-9]+)*(?:e[-+]?[0-9]+)?|nan|inf)'
# What may stand for a {placeholder:kind}.  One pair may hold one of those without bounds at the
# most, so that no text takes longer than its length deserves.
KINDS = {
    'number': NUMBER,
    'change': NUMBER + r' (?:%|dB)',
    'value': NUMBER + r' (?:images/s|items/s|dB)',
    'code': r'`[^`]+`',
    'sign': r'[^\w\s]{1,3}',
    'name': r'\S{1,200}?',
    'text': r'.{1,600}?',
    'word': r'[\w-]{1,40}',     # these have pairs of their own
    'phrase': r'.{1,120}?',
    'said': r'.+?',
    'list': r'.+?',             # the same, between commas
}
PLACEHOLDER = re.compile(r'\{(\w+)(?::(\w+))?\}')   # {name} is a number

# Where a text is taken apart: not in `code`, and not in brackets.
CODE_OR_BRACKET = r'`[^`]*`|[()]|'
SENTENCES = re.compile(CODE_OR_BRACKET + r'(?<=\.) ')
PARTS = re.compile(CODE_OR_BRACKET + '; ')
ITEMS = re.compile(CODE_OR_BRACKET + ', ')


class Pair(NamedTuple):
    """An English template and the Chinese one; kinds are those of the placeholders, in order."""

    english: str
    chinese: str
    kinds: Tuple[Tuple[str, str], ...]    # name, kind


class Catalogue(NamedTuple):
    """All pairs, and one pattern that finds which of them fits a text."""

    pattern: Pattern
    pairs: Dict[int, Pair]                # by the number of the group that ends the pair's pattern


def to_chinese(text: str) -> str:
    """A sentence, several, or a word of a report in Chinese; what is not known, as it is."""
    return _chinese(text, DEEPEST) if len(text) <= LONGEST else text


def pairs() -> Iterator[Pair]:
    """The pairs of chinese.txt, in its order: English at the margin, Chinese indented below."""
    english = ''
    with open(PAIRS, encoding='utf-8') as f:
        for line in f:
            if line.startswith(' '):
                yield Pair(english, line.strip(), tuple(
                    (name, kind or 'number') for name, kind in PLACEHOLDER.findall(english)))
            elif line.strip() and not line.startswith('#'):
                english = line.strip()


@functools.lru_cache(maxsize=4096)
def _chinese(text: str, depth: int) -> str:
    said = ''
    for sentence in _split(text, SENTENCES):
        space = '' if not said or said.endswith('。') else ' '
        said += space + _sentence(sentence, depth)
    return said


def _sentence(text: str, depth: int) -> str:
    """One sentence; what has no full stop may be several clauses, each with a pair of its own."""
    whole = _clause(text, depth)
    if whole != text and text.endswith('.'):
        return whole
    parts = _split(text, PARTS)
    clauses = [_clause(part, depth) for part in parts]
    known = sum(new != old for new, old in zip(clauses, parts))
    return '；'.join(clauses) if known == len(parts) or known and whole == text else whole


def _clause(text: str, depth: int) -> str:
    found = _catalogue().pattern.fullmatch(text) if depth else None
    return _filled(found, depth - 1) if found else text


def _filled(found: Match, depth: int) -> str:
    """The Chinese of the pair that was found."""
    end = found.lastindex or 0
    pair = _catalogue().pairs[end]
    first = end - len(pair.kinds)
    return pair.chinese.format(**{
        name: _placed(found.group(number), kind, depth)
        for number, (name, kind) in enumerate(pair.kinds, first)})


def _placed(text: str, kind: str, depth: int) -> str:
    if kind == 'list':
        return '、'.join(_chinese(item, depth) for item in _split(text, ITEMS))
    return _chinese(text, depth) if kind in ('word', 'phrase', 'said') else text


def _split(text: str, separator: Pattern) -> List[str]:
    parts, start, depth = [], 0, 0
    for token in separator.finditer(text):
        mark = token.group()
        if mark[0] in '`()':
            depth = max(0, depth + {'(': 1, ')': -1}.get(mark, 0))
        elif not depth:
            parts.append(text[start:token.start()])
            start = token.end()
    return [*parts, text[start:]]


@functools.lru_cache(maxsize=None)
def _catalogue() -> Catalogue:
    """The pairs, those with the most words of their own first: they say the most exactly."""
    ordered = sorted(pairs(), key=lambda pair: -len(PLACEHOLDER.sub('', pair.english)))
    ends: Dict[int, Pair] = {}
    end = 0
    for pair in ordered:
        end += len(pair.kinds) + 1
        ends[end] = pair
    # An empty group ends each: the last group of a match tells which pair it was.
    return Catalogue(re.compile('|'.join(f'{_pattern(pair)}()' for pair in ordered)), ends)


def _pattern(pair: Pair) -> str:
    literals = PLACEHOLDER.split(pair.english)[::3]
    kinds = [f'({KINDS[kind]})' for _, kind in pair.kinds] + ['']
    return ''.join(re.escape(literal) + kind for literal, kind in zip(literals, kinds))
