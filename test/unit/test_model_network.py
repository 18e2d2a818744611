# SPDX-License-Identifier: Apache-2.0
"""RCAN: the paper's network, with the reference checkpoints' names."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from model import network
from model.config import TrainConfig

SCALES = [2, 3, 4, 8]
PAPER_X2_PARAMETERS = 15444643
RGB_MEAN = (114.444, 111.4605, 103.02)


@pytest.fixture(autouse=True)
def graph():
    """A graph of its own for every test."""
    with tf.Graph().as_default() as graph:
        yield graph


def build(config, shape=(1, 5, 7, 3)):
    """Input and output of the network."""
    lr = tf.placeholder(tf.float32, shape)
    return lr, network.rcan(lr, config)


def parameters(config):
    """How many numbers the network learns; counted without making them, which takes its time."""
    sizes = {}

    def count(getter, name, shape, **options):
        sizes[name] = int(np.prod(shape))
        return tf.placeholder(tf.float32, shape)

    with tf.Graph().as_default(), tf.variable_scope('', custom_getter=count):
        build(config)
    return sum(sizes.values())


def shapes(config):
    with tf.Graph().as_default():
        build(config)
        return {v.op.name: v.shape.as_list() for v in network.variables()}


# --- size and names -----------------------------------------------------------------------------

def test_the_paper_network_has_as_many_parameters_as_the_authors():
    assert parameters(TrainConfig()) == PAPER_X2_PARAMETERS


def test_the_count_is_that_of_the_variables_that_are_trained():
    config = tiny.config(n_RG=2, n_RCAB=2)
    build(config)
    assert parameters(config) == sum(v.shape.num_elements() for v in tf.trainable_variables())
    assert network.variables() == tf.global_variables()


# x2, x3 and x4 are published.  x8 has a third upsampling convolution of 64 * 256 * 9 + 256.
@pytest.mark.parametrize('scale, expected', [(3, 15629283), (4, 15592355), (8, 15740067)])
def test_the_paper_networks_of_other_scales_differ_in_the_tail_as_the_authors(scale, expected):
    short = {'n_RG': 1, 'n_RCAB': 1}    # the tail does not depend on what is before it
    tail = parameters(TrainConfig(scale=scale, **short)) - parameters(TrainConfig(**short))
    assert PAPER_X2_PARAMETERS + tail == expected


@pytest.mark.parametrize('scale, upsampling', [
    (2, ['up_sample_conv00']),
    (3, ['up_sample_conv']),
    (4, ['up_sample_conv00', 'up_sample_conv01']),
    (8, ['up_sample_conv00', 'up_sample_conv01', 'up_sample_conv02']),
])
def test_variables_have_the_names_of_the_reference_checkpoints(scale, upsampling):
    blocks = [f'RG{g}_{b}_RCAB_{part}' for g in ('00', '01') for b in ('00', '01', '02')
              for part in ('conv1', 'conv2', 'CA_conv1', 'CA_conv2')]
    layers = ['conv_SF', *blocks, 'RG00_conv_last', 'RG01_conv_last', 'conv_LSC', *upsampling,
              'conv_rec']
    names = shapes(tiny.config(scale=scale, n_RG=2, n_RCAB=3))
    assert sorted(names) == sorted(f'{layer}/{part}' for layer in layers
                                   for part in ('filter', 'bias'))


def test_groups_and_blocks_have_two_digits():
    names = set(shapes(tiny.config(n_RG=11, n_RCAB=1)))
    assert {'RG00_conv_last/filter', 'RG09_conv_last/filter', 'RG10_conv_last/filter'} <= names


def test_kernel_size_features_and_reduction_reach_the_layers():
    found = shapes(tiny.config(kernel_size=5, n_feats=6, ratio=3))
    assert found['conv_SF/filter'] == [5, 5, 3, 6]
    assert found['RG00_00_RCAB_conv2/filter'] == [5, 5, 6, 6]
    assert found['RG00_00_RCAB_CA_conv1/filter'] == [1, 1, 6, 2]
    assert found['RG00_00_RCAB_CA_conv2/filter'] == [1, 1, 2, 6]
    assert found['up_sample_conv00/filter'] == [5, 5, 6, 24]
    assert found['conv_rec/filter'] == [5, 5, 6, 3]


def test_only_the_tail_depends_on_the_scale():
    of_scale = [{name: shape for name, shape in shapes(tiny.config(scale=scale)).items()
                 if not name.startswith(network.TAIL)} for scale in SCALES]
    assert len(of_scale[0]) == 14
    assert all(found == of_scale[0] for found in of_scale)


# --- shapes -------------------------------------------------------------------------------------

@pytest.mark.parametrize('scale', SCALES)
def test_the_output_is_as_many_times_larger_as_the_scale(scale):
    lr, sr = build(tiny.config(scale=scale), shape=(None, None, None, 3))
    with tf.Session() as session:
        tiny.begin(session)
        for n, height, width in [(1, 5, 7), (2, 1, 3)]:
            out = session.run(sr, {lr: np.zeros([n, height, width, 3])})
            assert (out.dtype, out.shape) == (np.float32, (n, scale * height, scale * width, 3))


@pytest.mark.parametrize('scale', SCALES)
def test_from_a_known_input_every_shape_is_known(graph, scale):
    build(tiny.config(scale=scale))
    unknown = [t.name for op in graph.get_operations() for t in op.outputs
               if not t.shape.is_fully_defined()]
    assert unknown == []


# --- what it computes ---------------------------------------------------------------------------

def conv(x, values, name):
    """Convolution of [h, w, c] with zeros around it, written out."""
    weights, bias = values[f'{name}/filter'], values[f'{name}/bias']
    reach = weights.shape[0] // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode='constant')
    height, width = x.shape[:2]
    return bias + sum(padded[dy:dy + height, dx:dx + width] @ weights[dy, dx]
                      for dy in range(weights.shape[0]) for dx in range(weights.shape[1]))


def pixel_shuffle(x, factor):
    """[h, w, factor * factor * c] -> [factor * h, factor * w, c] (arXiv 1609.05158)."""
    height, width, channels = x.shape
    blocks = x.reshape(height, width, factor, factor, channels // factor ** 2)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height * factor, width * factor, -1)


def rcan(lr, values, config, upsampling):
    """The paper's equations 1 to 14 once more, in NumPy."""
    shallow = x = conv(lr - RGB_MEAN, values, 'conv_SF')
    for g in range(config.n_RG):
        group_input = x
        for b in range(config.n_RCAB):
            name = f'RG{g:02d}_{b:02d}_RCAB'
            residual = conv(x, values, f'{name}_conv1')
            residual = conv(np.maximum(residual, 0), values, f'{name}_conv2')
            statistic = residual.mean(axis=(0, 1), keepdims=True)
            hidden = np.maximum(conv(statistic, values, f'{name}_CA_conv1'), 0)
            gate = 1 / (1 + np.exp(-conv(hidden, values, f'{name}_CA_conv2')))
            x = x + gate * residual
        x = group_input + conv(x, values, f'RG{g:02d}_conv_last')
    x = shallow + conv(x, values, 'conv_LSC')
    for name, factor in upsampling:
        x = pixel_shuffle(conv(x, values, name), factor)
    return conv(x, values, 'conv_rec') + RGB_MEAN


@pytest.mark.parametrize('scale, upsampling', [
    (2, [('up_sample_conv00', 2)]),
    (3, [('up_sample_conv', 3)]),
    (4, [('up_sample_conv00', 2), ('up_sample_conv01', 2)]),
])
def test_it_computes_what_the_paper_says(scale, upsampling):
    config = tiny.config(scale=scale, n_RG=2, n_RCAB=2)
    lr, sr = build(config)
    image = tiny.noise(5, 7).astype(np.float32)
    with tf.Session() as session:
        tiny.begin(session)
        values = {v.op.name: session.run(v).astype(np.float64) for v in network.variables()}
        out = session.run(sr, {lr: image[np.newaxis]})[0]
    assert np.allclose(out, rcan(image, values, config, upsampling), rtol=0, atol=1e-2)


def test_without_weights_the_output_is_the_mean_colour():
    lr, sr = build(tiny.config())
    with tf.Session() as session:
        session.run([tf.assign(v, tf.zeros_like(v)) for v in network.variables()])
        out = session.run(sr, {lr: tiny.noise(5, 7)[np.newaxis]})
    assert np.allclose(out, RGB_MEAN, rtol=0, atol=1e-4)


def test_a_second_call_shares_the_variables():
    config = tiny.config()
    lr, sr = build(config)
    names = [v.op.name for v in network.variables()]
    larger, sr_of_larger = build(config, shape=(1, 10, 14, 3))
    assert [v.op.name for v in network.variables()] == names
    corner, corner_sr = build(config)
    image = tiny.noise(5, 7)[np.newaxis]
    with tf.Session() as session:
        tiny.begin(session)
        assert np.array_equal(session.run(sr, {lr: image}),
                              session.run(corner_sr, {corner: image}))
        assert session.run(sr_of_larger, {larger: np.zeros([1, 10, 14, 3])}).shape[1] == 20


@pytest.mark.parametrize('scale', SCALES)
def test_the_gradient_reaches_every_variable(scale):
    config = tiny.config(scale=scale, n_feats=8, n_RG=2, n_RCAB=2)
    lr, sr = build(config)
    variables = network.variables()
    gradients = tf.gradients(tf.reduce_mean(tf.abs(sr)), variables)
    with tf.Session() as session:
        tiny.begin(session, seed=1)
        values = session.run(gradients, {lr: tiny.noise(5, 7)[np.newaxis]})
    assert [v.op.name for v, g in zip(variables, values) if not np.any(g)] == []
    assert all(np.isfinite(g).all() for g in values)


# --- how it begins ------------------------------------------------------------------------------

def test_filter_and_bias_begin_uniform_within_one_over_the_root_of_the_fan_in():
    build(tiny.config(n_feats=64))
    with tf.Session() as session:
        tiny.begin(session)
        for name, fan_in in [('conv_SF', 27), ('RG00_00_RCAB_conv1', 576), ('conv_rec', 576),
                             ('RG00_00_RCAB_CA_conv1', 64), ('up_sample_conv00', 576)]:
            for part in ('filter', 'bias'):
                (variable,) = [v for v in network.variables() if v.op.name == f'{name}/{part}']
                values = session.run(variable) * fan_in ** 0.5
                assert np.abs(values).max() <= 1
                if values.size > 1000:
                    assert np.abs(values).max() > 0.98
                    assert abs(np.mean(values)) < 0.1
                    assert np.std(values) == pytest.approx(3 ** -0.5, abs=0.03)
                assert len(np.unique(values)) > 1


def first_weights(seed):
    with tf.Graph().as_default(), tf.Session() as session:
        build(tiny.config())
        tiny.begin(session, seed)
        return b''.join(session.run(v).tobytes() for v in network.variables())


def test_the_seed_decides_the_first_weights():  # (31)
    assert first_weights(1) == first_weights(1)
    assert first_weights(1) != first_weights(2)
