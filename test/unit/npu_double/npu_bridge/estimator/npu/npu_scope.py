# SPDX-License-Identifier: Apache-2.0
"""Attributes for the operations that are made within."""

import contextlib

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue


def without_npu_compile_scope():
    """What is made within runs on the host."""
    return _attribute('_without_npu_compile', AttrValue(b=True))


def keep_dtype_scope():
    """What is made within keeps its type with a mixed precision."""
    return _attribute('_keep_dtype', AttrValue(i=1))


@contextlib.contextmanager
def _attribute(name, value):
    with tf.get_default_graph()._attr_scope({name: value}):
        yield
