# SPDX-License-Identifier: Apache-2.0
"""Loading of the adapter: $NPU_DOUBLE_LIBRARY, or where the package is installed its own library.

Where it lies among the tests it has none, and nothing of TensorFlow changes, as without an NPU.
"""

import os

import tensorflow as tf

import npu_bridge

version = 'v1.15.0'
_package = os.path.dirname(npu_bridge.__file__)
_library = os.environ.get('NPU_DOUBLE_LIBRARY')
if _library is None and os.path.basename(os.path.dirname(_package)) == 'site-packages':
    _library = os.path.join(_package, '_tf_adapter.so')

try:
    npu_bridge_handle = tf.load_op_library(_library) if _library else object()
except Exception as e:      # as the original: the reason goes to standard output and no further
    print(str(e))
