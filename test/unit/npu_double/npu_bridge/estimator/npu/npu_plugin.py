# SPDX-License-Identifier: Apache-2.0
"""The device's end.  As in the original hccl, a package of CANN's toolkit, has to be there."""

from hccl.manage.api import get_local_rank_size, get_rank_id  # noqa: F401


def npu_close():
    """Close the device; the double's holds nothing."""
