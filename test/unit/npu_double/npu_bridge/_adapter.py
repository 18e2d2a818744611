# SPDX-License-Identifier: Apache-2.0
"""Which branch of the TF Adapter this is: $NPU_DOUBLE_ADAPTER, such as r1.8.0."""

import os


def since(branch: str) -> bool:
    """True where the branch that is doubled is this one or a later one."""
    return _numbers(os.environ.get('NPU_DOUBLE_ADAPTER', 'r1.15.0')) >= _numbers(branch)


def _numbers(branch: str):
    return [int(part) for part in branch[1:].split('.')]
