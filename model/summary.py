# SPDX-License-Identifier: Apache-2.0
"""What TensorBoard shows.  Written from the host: a summary in the graph never leaves an NPU."""

import os

import tensorflow as tf


class Summary:
    """Writes scalars into a folder; without a folder it writes nothing."""

    def __init__(self, folder: str):
        if folder:
            os.makedirs(folder, exist_ok=True)      # TensorFlow's own complaint is a traceback
        self._writer = tf.summary.FileWriter(folder) if folder else None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self._writer:
            self._writer.close()

    def write(self, step: int, **values: float):
        """Add a point to the curve of every name."""
        if self._writer:
            self._writer.add_summary(tf.Summary(value=[
                tf.Summary.Value(tag=name, simple_value=value) for name, value in values.items()
            ]), step)
