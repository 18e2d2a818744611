# SPDX-License-Identifier: Apache-2.0
"""Go on through env/run.sh where this Python lacks what the harness needs."""

import importlib.util
import os
import sys
from typing import Sequence

NEEDED = ('pandas', 'psutil', 'rich', 'scipy', 'sqlalchemy')
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def ensure(command: Sequence[str]):
    """Replace this process by `env/run.sh python command...` unless every package is here."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    if os.environ.get('RCAN_ENV'):
        sys.exit(f'harness: the environment of env/run.sh lacks {", ".join(missing)}: '
                 'remove .venv and run again')
    print(f'harness: this Python lacks {", ".join(missing)}: going on through env/run.sh',
          file=sys.stderr, flush=True)
    os.execvp('bash', ['bash', os.path.join(ROOT, 'env', 'run.sh'), 'python', *command])
