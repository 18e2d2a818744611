# SPDX-License-Identifier: Apache-2.0
"""What was found, as text for a terminal, as Markdown and as JSON."""

import json
from collections import Counter
from itertools import groupby
from typing import Dict, Iterator, List, Sequence, Tuple

from harness.compliance.rule import Finding, Rule, Severity, State, exit_status

SHOWN = 10   # spots of one rule; JSON has them all
ORDER = list(Severity)


def to_text(name: str, findings: Sequence[Finding]) -> str:
    """Failures first, with where, cost and source; then, in one line each, the others."""
    lines = []
    for rule, spots in _failed(findings):
        lines += [f'FAIL  {rule.id}: {rule.title} ({rule.severity.value})']
        lines += [f'      {_where(spot)}{spot.what}' for spot in spots[:SHOWN]]
        lines += _more(spots, '      ')
        lines += [f'      costs: {rule.cost}', f'      rule:  {rule.source}', '']
    for finding in findings:
        if finding.state is State.NOT_APPLICABLE:
            lines.append(f'n/a   {finding.rule.id}: {finding.what}')
    passed = [finding.rule.id for finding in findings if finding.state is State.PASS]
    if passed:
        lines.append(f'pass  {", ".join(passed)}')
    return '\n'.join([*lines, '', f'{name}: {conclusion(findings)}', ''])


def to_markdown(name: str, findings: Sequence[Finding]) -> str:
    """The same for a pull request: a table of what fails, the rest folded."""
    lines = [f'# {_escaped(name)}: {conclusion(findings)}', '']
    failed = _failed(findings)
    if failed:
        lines += ['| rule | where | what it costs | source |', '|---|---|---|---|']
    for rule, spots in failed:
        where = [f'`{_where(spot)[:-2]}` {_escaped(spot.what)}' if spot.path else
                 _escaped(spot.what) for spot in spots[:SHOWN]]
        lines.append(f'| **{rule.id}** ({rule.severity.value})<br>{_escaped(rule.title)} '
                     f'| {"<br>".join([*where, *_more(spots)])} | {_escaped(rule.cost)} '
                     f'| {_escaped(rule.source)} |')
    lines += ['', '<details><summary>All rules</summary>', '', '| rule | | source |',
              '|---|---|---|']
    for rule, found in _by_rule(findings):
        why = f': {_escaped(found[0].what)}' if found[0].state is State.NOT_APPLICABLE else ''
        lines.append(f'| {rule.id}: {_escaped(rule.title)} | {found[0].state.value}{why} '
                     f'| {_escaped(rule.source)} |')
    return '\n'.join([*lines, '', '</details>', ''])


def to_json(name: str, findings: Sequence[Finding]) -> str:
    """Every rule with its findings; line is null where a rule is about a whole file."""
    rules = [{'rule': rule.id, 'title': rule.title, 'severity': rule.severity.value,
              'state': found[0].state.value, 'source': rule.source, 'cost': rule.cost,
              'findings': [{'path': f.path, 'line': f.line, 'what': f.what}
                           for f in found if f.state is State.FAIL],
              'why': found[0].what if found[0].state is State.NOT_APPLICABLE else ''}
             for rule, found in _by_rule(findings)]
    return json.dumps({'folder': name, 'compliant': not exit_status(findings), 'rules': rules},
                      indent=2, ensure_ascii=False) + '\n'


def conclusion(findings: Sequence[Finding]) -> str:
    """The result in a line."""
    count = _count(findings)
    broken = [f'{count[severity.value]} {severity.value}' for severity in ORDER
              if count[severity.value]]
    word = 'does not keep' if exit_status(findings) else 'keeps'
    return (f'{word} ModelZoo\'s rules: {count["pass"]} passed, '
            f'{count["not applicable"]} not applicable, {sum(count[s.value] for s in ORDER)} '
            f'failed' + (f' ({", ".join(broken)})' if broken else ''))


def _count(findings: Sequence[Finding]) -> Dict[str, int]:
    """Rules by their state; those that are broken, by their severity."""
    return Counter(rule.severity.value if found[0].state is State.FAIL else found[0].state.value
                   for rule, found in _by_rule(findings))


def _failed(findings: Sequence[Finding]) -> List[Tuple[Rule, List[Finding]]]:
    """The broken rules, the heaviest first."""
    failed = [(rule, found) for rule, found in _by_rule(findings)
              if found[0].state is State.FAIL]
    return sorted(failed, key=lambda pair: ORDER.index(pair[0].severity))


def _by_rule(findings: Sequence[Finding]) -> Iterator[Tuple[Rule, List[Finding]]]:
    for rule, found in groupby(findings, key=lambda finding: finding.rule):
        yield rule, list(found)


def _more(spots: Sequence[Finding], indent: str = '') -> List[str]:
    more = len(spots) - SHOWN
    return [f'{indent}and {more} more (--format json has them all)'] if more > 0 else []


def _where(finding: Finding) -> str:
    line = '' if finding.line is None else f':{finding.line}'
    return f'{finding.path}{line}: ' if finding.path else ''


def _escaped(text: str) -> str:
    for special in '\\|<>*_`[]':
        text = text.replace(special, f'\\{special}')
    return text
