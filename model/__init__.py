# SPDX-License-Identifier: Apache-2.0
"""RCAN in TensorFlow 1.15: config -> data -> network -> train -> evaluate.

device.py alone knows what differs between an NPU, a GPU and a CPU; progress.py alone writes the
training log.
"""
