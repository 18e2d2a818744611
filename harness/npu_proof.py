# SPDX-License-Identifier: Apache-2.0
"""What a training log says of an NPU having worked, for models that prove nothing else (pure)."""

import re
from typing import Iterable

LONGEST = 200   # characters; a progress bar has no line ends

# Only what a running adapter prints, with its numbers filled in: the same words stand in scripts
# that look for them, and a config with NpuOptimizer is ignored silently where no adapter is.
EVIDENCE = re.compile(
    # ... I tf_adapter/kernels/geop_npu.cc:712] The model has been compiled on the Ascend AI
    # processor, current graph id is:1
    r'The model has been compiled on the Ascend AI processor, current graph id is: ?[0-9]'
    # Internal: GeOp1_0GEOP::::DoRunAsync Failed: it failed, but there
    r'|\bGeOp[0-9]+_[0-9]+'
    # Insert op success, name:..., type:StreamSwitch.: the device loops by itself
    r'|\bInsert op success, name:[\w/]')


def npu_evidence(lines: Iterable[str]) -> str:
    """The first words that only a graph given to an NPU leaves in a log; empty where none are.

    It reads no further than these, and keeps no line.
    """
    for line in lines:
        found = EVIDENCE.search(line)
        if found:
            return line[found.start():found.start() + LONGEST].strip()
    return ''
