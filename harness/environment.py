# SPDX-License-Identifier: Apache-2.0
"""Go on through env/run.sh where this Python lacks what the harness needs."""

import importlib.util
import os
import sys
from typing import Sequence

NEEDED = ('pandas', 'psutil', 'rich', 'scipy', 'sqlalchemy')
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def ensure(command: Sequence[str]):
    """Replace this process by `env/run.sh python command...` unless every package is here.

    Which TensorFlow RCAN_TENSORFLOW names, and whether it is here, env/run.sh alone knows.
    """
    missing = ', '.join(name for name in NEEDED if importlib.util.find_spec(name) is None)
    inside, build = os.environ.get('RCAN_ENV'), os.environ.get('RCAN_TENSORFLOW')
    if not missing and (inside or not build):
        return
    if inside:
        print(f'harness: the environment of env/run.sh lacks {missing}: remove .venv and run '
              'again', file=sys.stderr)
        sys.exit(3)   # as all that cannot be measured
    why = f'this Python lacks {missing}' if missing else f'RCAN_TENSORFLOW={build}'
    print(f'harness: {why}: going on through env/run.sh', file=sys.stderr, flush=True)
    os.execvp('bash', ['bash', os.path.join(ROOT, 'env', 'run.sh'), 'python', *command])
