# SPDX-License-Identifier: Apache-2.0
"""RCAN: image super-resolution by very deep residual channel attention (arXiv 1807.02758).

Variables have the names of the reference checkpoints, such as RG00_03_RCAB_conv1/filter.
"""

import math
from typing import Dict

import numpy as np
import tensorflow as tf

RGB_MEAN = (114.444, 111.4605, 103.02)  # of DIV2K's training images, in 0..255
TAIL = ('up_sample', 'conv_rec')        # prefixes of the variables that depend on the scale


def rcan(lr, config):
    """float32 [n, h, w, 3] low resolution -> [n, s*h, s*w, 3] high resolution, both in 0..255.

    A second call shares the first one's variables.
    """
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        x = head = _conv(lr - RGB_MEAN, config.n_feats, config.kernel_size, 'conv_SF')
        for g in range(config.n_RG):
            x = _residual_group(x, config, f'RG{g:02d}')
        x = head + _conv(x, config.n_feats, config.kernel_size, 'conv_LSC')    # [n, h, w, f]
        x = _upscale(x, config, 'up_sample')                                   # [n, s*h, s*w, f]
        return _conv(x, 3, config.kernel_size, 'conv_rec') + RGB_MEAN


def variables():
    """The network's own variables: not the optimizer's, not the step counter."""
    return tf.trainable_variables()


def initial_values(seed: int) -> Dict[str, np.ndarray]:
    """The first values of a training, by name of the variable, of the network in this graph.

    Filter and bias are drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)) as the paper's.
    """
    random, values = np.random.RandomState(seed), {}
    for variable in variables():
        shape = variable.shape.as_list()
        if variable.op.name.endswith('filter'):     # which comes before the bias of its layer
            limit = 1 / math.sqrt(np.prod(shape[:-1]))
        values[variable.op.name] = random.uniform(-limit, limit, shape).astype(np.float32)
    return values


def _residual_group(x, config, name):
    y = x
    for b in range(config.n_RCAB):
        y = _attention_block(y, config, f'{name}_{b:02d}_RCAB')
    return x + _conv(y, config.n_feats, config.kernel_size, f'{name}_conv_last')


def _attention_block(x, config, name):
    """Residual block whose channels are reweighted by what they hold (sections 3.2 and 3.3)."""
    y = tf.nn.relu(_conv(x, config.n_feats, config.kernel_size, f'{name}_conv1'))
    y = _conv(y, config.n_feats, config.kernel_size, f'{name}_conv2')
    gate = tf.reduce_mean(y, axis=[1, 2], keepdims=True)                       # [n, 1, 1, f]
    gate = tf.nn.relu(_conv(gate, config.n_feats // config.ratio, 1, f'{name}_CA_conv1'))
    gate = tf.nn.sigmoid(_conv(gate, config.n_feats, 1, f'{name}_CA_conv2'))
    return x + y * gate


def _upscale(x, config, name):
    """Pixel shuffle (arXiv 1609.05158); 4 and 8 go in steps of 2."""
    steps = {2: [('_conv00', 2)],
             3: [('_conv', 3)],
             4: [('_conv00', 2), ('_conv01', 2)],
             8: [('_conv00', 2), ('_conv01', 2), ('_conv02', 2)]}[config.scale]
    for suffix, factor in steps:
        x = _conv(x, factor ** 2 * config.n_feats, config.kernel_size, name + suffix)
        x = tf.depth_to_space(x, factor)
    return x


def _conv(x, filters, size, name):
    """Convolution with bias."""
    with tf.variable_scope(name):
        weights = _variable('filter', [size, size, int(x.shape[-1]), filters])
        bias = _variable('bias', [filters])
        return tf.nn.bias_add(tf.nn.conv2d(x, weights, strides=1, padding='SAME'), bias)


def _variable(name, shape):
    """A variable whose first value is fed (checkpoint.load): to draw it takes seven operations."""
    return tf.get_variable(name, shape, initializer=_fed)


def _fed(shape, dtype, partition_info):
    return tf.placeholder(dtype, shape)
