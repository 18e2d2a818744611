# SPDX-License-Identifier: Apache-2.0
"""The commands that a report advises, exact enough to be pasted (pure)."""

import os
import shlex
from typing import Any, List, Mapping

from harness.records import Case


def again(case: Case, facts: Mapping[str, Any], *more: str) -> str:
    """Measure this case again, the same way on the same device."""
    return _code('python harness/run_all.py', *_flags(case, facts), *more)


def learn(case: Case, facts: Mapping[str, Any], reason: str) -> str:
    """Make a baseline of this case here; the reason is kept with it."""
    return _code('python -m harness baseline learn --runs 10', *_flags(case, facts),
                 f'--reason "{reason}"')


def _code(*parts: str) -> str:
    return f'`{" ".join(parts)}`'


def _flags(case: Case, facts: Mapping[str, Any]) -> List[str]:
    """--kind too: on another day another kind may be the best that is there."""
    kind, index = facts['device'].split(':')
    if not case.model_dir:
        return ['--device', index, '--kind', kind, '--cases', case.name,
                *map(shlex.quote, case.flags)]
    named = ['--model-dir', case.model_dir, '--scripts', os.path.basename(case.script),
             *(['--rules', case.rules] if case.rules else []),
             '--deadline', f'{case.deadline_s:g}s',
             *(flag for flag in case.flags if flag.startswith('--data_path='))]
    return ['--device', index, '--kind', kind, *map(shlex.quote, named)]
