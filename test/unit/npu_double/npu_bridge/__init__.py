# SPDX-License-Identifier: Apache-2.0
"""A double of CANN's npu_bridge: as much of its public surface as model/ uses, on stock TensorFlow.

Like the original it loads the adapter when it is imported, prints why it cannot, and then fails on
the name that is missing.  It brings no NPU: what is trained with it runs on the CPU.
"""

from npu_bridge.helper.helper import npu_bridge_handle  # noqa: F401
from npu_bridge.helper.helper import version as __version__  # noqa: F401
