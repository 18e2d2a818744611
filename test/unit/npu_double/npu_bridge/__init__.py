# SPDX-License-Identifier: Apache-2.0
"""A double of CANN's npu_bridge: a part of its public surface (../surface.py), on stock TensorFlow.

Like the original it loads the adapter when it is imported, prints why it cannot, and then fails on
the name that is missing.  Importing it opens no device.
"""

import atexit

from npu_bridge._adapter import since
from npu_bridge.helper.helper import npu_bridge_handle  # noqa: F401
from npu_bridge.helper.helper import version as __version__  # noqa: F401

# isort: split
from npu_bridge.estimator.npu.npu_plugin import npu_close  # after the library, as the original

if since('r1.5.0'):
    atexit.register(npu_close)
