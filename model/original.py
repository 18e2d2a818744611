# SPDX-License-Identifier: Apache-2.0
"""The arrangement of the original TensorFlow RCAN, to be compared with: bench.py and the tests.

The same network and variables as network.py, put together as github.com/dongheehand/RCAN-tf and
ModelZoo's port of it do: a broadcast addition for every bias, a convolution to shift the mean, fed
images and a fed step, drawn initial values, tf.train.Saver, a summary by a second forward pass.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.network import RGB_MEAN


class Original(NamedTuple):
    """Its graph; a step is fed lr, hr and the number of the step."""

    lr: tf.Tensor
    hr: tf.Tensor
    number: tf.Tensor
    output: tf.Tensor       # float32 [n, s*h, s*w, 3]
    loss: tf.Tensor
    step: tf.Operation
    summary: tf.Tensor
    saver: tf.train.Saver


def build(config) -> Original:
    """The whole training graph in the default graph."""
    lr, hr = (tf.placeholder(tf.float32, [None, None, None, 3]) for _ in range(2))
    number = tf.placeholder(tf.int32, None)
    output = _network(lr, config)
    loss = tf.reduce_mean(tf.abs(hr - output))
    rate = tf.train.exponential_decay(config.learning_rate, number, config.decay_step,
                                      config.decay_rate, staircase=True)
    step = tf.train.AdamOptimizer(rate).minimize(loss)
    shown = tf.cast(tf.round(tf.clip_by_value(output, 0.0, 255.0)), tf.uint8)
    tf.summary.scalar('train_loss', loss)
    tf.summary.scalar('train_RGB_PSNR', tf.reduce_mean(
        tf.image.psnr(shown, tf.cast(hr, tf.uint8), max_val=255)))
    return Original(lr, hr, number, output, loss, step, tf.summary.merge_all(),
                    tf.train.Saver(max_to_keep=None))


def _network(lr, config):
    size, features = config.kernel_size, config.n_feats
    x = head = _conv(_shift(lr, -1), features, size, 'conv_SF')
    for g in range(config.n_RG):
        group = x
        for b in range(config.n_RCAB):
            x = _block(x, config, f'RG{g:02d}_{b:02d}_RCAB')
        x = _conv(x, features, size, f'RG{g:02d}_conv_last') + group
    x = _conv(x, features, size, 'conv_LSC') + head
    if config.scale == 3:
        x = tf.depth_to_space(_conv(x, 9 * features, size, 'up_sample_conv'), 3)
    else:
        for i in range(int(math.log2(config.scale))):
            x = tf.depth_to_space(_conv(x, 4 * features, size, f'up_sample_conv{i:02d}'), 2)
    return _shift(_conv(x, 3, size, 'conv_rec'), 1)


def _block(x, config, name):
    y = tf.nn.relu(_conv(x, config.n_feats, config.kernel_size, f'{name}_conv1'))
    y = _conv(y, config.n_feats, config.kernel_size, f'{name}_conv2')
    gate = tf.reduce_mean(y, axis=[1, 2], keepdims=True)
    gate = tf.nn.relu(_conv(gate, config.n_feats // config.ratio, 1, f'{name}_CA_conv1'))
    gate = tf.nn.sigmoid(_conv(gate, config.n_feats, 1, f'{name}_CA_conv2'))
    return gate * y + x


def _conv(x, filters, size, name):
    channels = int(x.shape[-1])
    limit = 1 / math.sqrt(size * size * channels)
    with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        drawn = tf.random_uniform_initializer(-limit, limit)
        weights = tf.get_variable('filter', [size, size, channels, filters], initializer=drawn)
        bias = tf.get_variable('bias', [filters], initializer=drawn)
        return tf.nn.conv2d(x, weights, strides=1, padding='SAME') + bias


def _shift(x, sign):
    kernel = tf.constant(np.eye(3).reshape(1, 1, 3, 3), tf.float32)
    return tf.nn.conv2d(x, kernel, strides=1, padding='SAME') + tf.constant(
        [sign * mean for mean in RGB_MEAN], tf.float32)
