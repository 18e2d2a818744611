# SPDX-License-Identifier: Apache-2.0
"""The fixed workload that tells a changed machine from changed code (pure)."""

import re
from typing import Tuple

COMMAND = ('bash', 'test/canary.sh')

# Canary seconds : 0.034567
SECONDS = re.compile(r'^Canary seconds : ([0-9]+\.[0-9]+)$', re.M)


def seconds(output: str) -> Tuple[float, ...]:
    """What test/canary.sh has printed: one value, or none where it did not run."""
    return tuple(float(s) for s in SECONDS.findall(output) if float(s) > 0)
