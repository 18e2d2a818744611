# SPDX-License-Identifier: Apache-2.0
"""What a rule is, what it looks at, and what it finds."""

import enum
from dataclasses import dataclass
from typing import (
    Callable,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from harness.compliance.dry_run import Trial
from harness.compliance.folder import Folder
from harness.compliance.shell import Script


class Severity(enum.Enum):
    """Whose rule it is: only the first two decide the exit status."""

    OFFICIAL = 'official'   # written down by ModelZoo
    DE_FACTO = 'de facto'   # what its dashboard takes, or nearly all of its folders keep
    ADVICE = 'advice'       # what many folders break, at a cost


class State(enum.Enum):
    """What became of a rule."""

    PASS = 'pass'
    FAIL = 'fail'
    NOT_APPLICABLE = 'not applicable'


class Subject(NamedTuple):
    """All that a rule may look at."""

    folder: Folder
    scripts: Sequence[Script]           # those that train on one device
    trials: Mapping[Tuple[str, str], Trial]   # by script and name; none where nothing was run

    def tried(self, name: str) -> Iterator[Tuple[Script, Trial]]:
        """The scripts that were tried out in this way."""
        for script in self.scripts:
            if (script.path, name) in self.trials:
                yield script, self.trials[script.path, name]


class Spot(NamedTuple):
    """Where a rule is broken; line None: the whole file."""

    what: str
    path: str = ''
    line: Optional[int] = None


class NotApplicable(Exception):
    """The rule says nothing of this folder; the message says why."""


@dataclass(frozen=True)
class Rule:
    """A rule, why it is one, and how to see that it is broken."""

    severity: Severity
    id: str
    title: str
    source: str
    cost: str     # what a folder that breaks it costs its users
    check: Callable[[Subject], Iterable[Spot]]


class Finding(NamedTuple):
    """What one rule says of one spot, or of the whole folder."""

    rule: Rule
    state: State
    what: str = ''
    path: str = ''
    line: Optional[int] = None

    @property
    def decides(self) -> bool:
        """True where it fails the folder."""
        return self.state is State.FAIL and self.rule.severity is not Severity.ADVICE


def apply(rules: Sequence[Rule], subject: Subject) -> List[Finding]:
    """What all rules find, in their order; a broken rule has a finding a spot."""
    return [finding for rule in rules for finding in _apply(rule, subject)]


def exit_status(findings: Iterable[Finding]) -> int:
    """1 where a rule that is more than advice is broken, else 0."""
    return int(any(finding.decides for finding in findings))


def of_scripts(subject: Subject) -> Sequence[Script]:
    """The scripts that train on one device; without any, their rules say nothing."""
    if not subject.scripts:
        raise NotApplicable('no script that trains on one device')
    return subject.scripts


def _apply(rule: Rule, subject: Subject) -> List[Finding]:
    try:
        spots = list(dict.fromkeys(rule.check(subject)))
    except NotApplicable as e:
        return [Finding(rule, State.NOT_APPLICABLE, str(e))]
    if not spots:
        return [Finding(rule, State.PASS)]
    return [Finding(rule, State.FAIL, spot.what, spot.path, spot.line) for spot in spots]
