# SPDX-License-Identifier: Apache-2.0
"""How an image goes through the network: whole or in tiles, once or eight times, on a device.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
import tiny

from model import data, device, network, upscale
from model.errors import TrainError


class Recorder:
    """Upscales like a network that looks `reach` pixels around; keeps what it was given."""

    def __init__(self, scale=2, reach=0):
        self.scale, self.reach, self.seen = scale, reach, []

    def __call__(self, lr):
        self.seen.append(lr)
        padded = np.pad(lr.astype(np.float32), ((self.reach,) * 2, (self.reach,) * 2, (0, 0)),
                        mode='constant')
        height, width = lr.shape[:2]
        around = sum(padded[y:y + height, x:x + width] * (1 + y + 3 * x)
                     for y in range(2 * self.reach + 1) for x in range(2 * self.reach + 1))
        return tiny.enlarge(around, self.scale)


def as_bytes(upscale):
    """The same in uint8, as what becomes of an image is."""
    return lambda lr: upscale(lr).astype(np.int64).astype(np.uint8)


# --- the ensemble -------------------------------------------------------------------------------

def test_the_self_ensemble_has_eight_distinct_passes():  # (24)
    lr, record = tiny.noise(6, 6), Recorder()
    assert np.allclose(upscale.ensemble(record, lr), tiny.enlarge(lr))
    assert [image.tobytes() for image in record.seen] == [
        data.flip_rotate(lr, turn).tobytes() for turn in range(8)]
    assert len({image.tobytes() for image in record.seen}) == 8


def test_the_self_ensemble_is_the_mean_with_every_pass_turned_back():
    def brighter_at_its_top_left(lr):
        sr = tiny.enlarge(lr).astype(np.float32)
        sr[0, 0] += 8
        return sr

    lr = tiny.noise(5, 7)
    gained = upscale.ensemble(brighter_at_its_top_left, lr) - tiny.enlarge(lr)
    expected = np.zeros((10, 14, 3))
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        expected[corner] = 2        # two of the eight passes have this corner at their top left
    assert np.allclose(gained, expected)


@pytest.mark.parametrize('flags, passes', [({}, 1), ({'self_ensemble': True}, 8),
                                           ({'chop_forward': True}, 4),
                                           ({'chop_forward': True, 'self_ensemble': True}, 32)])
def test_as_many_passes_are_made_as_the_flags_ask_for(flags, passes):
    record = Recorder()
    config = tiny.config(chop_size=64, chop_shave=1, **flags)
    sr = upscale.super_resolve(record, tiny.noise(12, 12), config)
    assert len(record.seen) == passes
    assert np.array_equal(sr, tiny.enlarge(tiny.noise(12, 12)))


def test_the_ensemble_of_a_tiled_image_has_one_size_of_tile():
    record = Recorder()
    config = tiny.config(chop_size=300, chop_shave=2, chop_forward=True, self_ensemble=True)
    upscale.super_resolve(record, tiny.noise(31, 64), config)
    assert {tile.shape[:2] for tile in record.seen} == {(17, 17)}


# --- bytes --------------------------------------------------------------------------------------

def test_the_result_is_rounded_and_clipped_to_bytes():
    values = np.array([[[-7, 0.4, 0.6], [254.6, 255.4, 300]]], np.float32)
    sr = upscale.super_resolve(lambda lr: values, np.zeros([1, 1, 3], np.uint8), tiny.config())
    assert sr.dtype == np.uint8
    assert sr.tolist() == [[[0, 0, 1], [255, 255, 255]]]


@pytest.mark.parametrize('flags', [{}, {'self_ensemble': True}])
def test_of_a_tiled_image_only_the_bytes_of_the_result_are_held_whole(flags):
    def enlarged(lr):
        return tiny.enlarge(lr.astype(np.float32))

    config = tiny.config(chop_forward=True, chop_size=3600, chop_shave=2, **flags)
    lr = tiny.noise(600, 500)
    samples = 4 * lr.size       # of the result; in float32 it would be 4 bytes each
    assert samples < peak_memory(upscale.super_resolve, enlarged, lr, config) < 2 * samples


def peak_memory(function, *args):
    """The most bytes that a call holds at a time."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- tiles --------------------------------------------------------------------------------------

@pytest.mark.parametrize('chop_size, chop_shave', [(300, 2), (300, 0), (25, 2), (49, 3), (1, 0),
                                                   (40000, 10)])
@pytest.mark.parametrize('height, width', [(12, 12), (1, 1), (1, 40), (40, 1), (31, 33), (64, 17),
                                           (20, 21)])
@pytest.mark.parametrize('scale', [2, 3])
def test_tiles_with_overlap_equal_the_whole_image(height, width, chop_size, chop_shave, scale):
    lr = tiny.noise(height, width)      # (26)
    whole = as_bytes(Recorder(scale, reach=chop_shave))(lr)
    record = Recorder(scale, reach=chop_shave)
    config = tiny.config(scale=scale, chop_size=chop_size, chop_shave=chop_shave)
    assert np.array_equal(upscale.tiled(as_bytes(record), lr, config), whole)
    assert max(tile.shape[0] * tile.shape[1] for tile in record.seen) <= chop_size


@pytest.mark.parametrize('seed', range(10))
def test_tiles_of_any_image_have_one_size_and_cover_it(seed):
    random = np.random.RandomState(seed)
    for _ in range(20):
        height, width = random.randint(1, 60, 2)
        shave = random.randint(4)
        chop_size = random.randint((2 * shave + 1) ** 2, 400)
        record = Recorder(reach=shave)
        config = tiny.config(chop_size=chop_size, chop_shave=shave)
        lr = tiny.noise(height, width)
        assert np.array_equal(upscale.tiled(as_bytes(record), lr, config),
                              as_bytes(Recorder(reach=shave))(lr))
        (size,) = {tile.shape for tile in record.seen}
        assert size[0] * size[1] <= chop_size


@pytest.mark.parametrize('height, width', [(1, 3000), (3000, 1), (2, 2000), (2000, 3)])
def test_a_strip_is_cut_along_its_length_only(height, width):
    record, lr = Recorder(), tiny.noise(height, width)
    sr = upscale.tiled(as_bytes(record), lr, tiny.config(chop_size=441, chop_shave=10))
    assert np.array_equal(sr, tiny.enlarge(lr))
    (size,) = {tile.shape for tile in record.seen}
    assert min(size[:2]) == min(height, width)


def test_an_image_that_fits_is_one_tile():
    record = Recorder()
    config = tiny.config(chop_size=300, chop_shave=2)       # (26)
    upscale.tiled(as_bytes(record), tiny.noise(12, 12), config)
    assert [tile.shape for tile in record.seen] == [(12, 12, 3)]


def test_images_of_every_size_are_cut_into_the_same_tile():
    record = Recorder()
    for height, width in [(60, 40), (100, 90), (24, 500), (25, 25)]:
        upscale.tiled(as_bytes(record), tiny.noise(height, width),
                      tiny.config(chop_size=600, chop_shave=0))
    assert {tile.shape for tile in record.seen} == {(24, 24, 3)}


def test_tiles_that_overlap_less_than_the_network_sees_differ_from_the_whole_image():
    lr = tiny.noise(30, 30)
    sr = upscale.tiled(as_bytes(Recorder(reach=3)), lr, tiny.config(chop_size=200, chop_shave=2))
    assert not np.array_equal(sr, as_bytes(Recorder(reach=3))(lr))


@pytest.mark.parametrize('height, width', [(40, 40), (22, 300), (300, 22)])
def test_the_smallest_tile_is_a_pixel_with_its_overlap(height, width):  # (26)
    record, lr = Recorder(), tiny.noise(height, width)
    sr = upscale.tiled(as_bytes(record), lr, tiny.config(chop_size=441, chop_shave=10))
    assert np.array_equal(sr, tiny.enlarge(lr))
    assert {tile.shape for tile in record.seen} == {(21, 21, 3)}


# --- graphs and devices -------------------------------------------------------------------------

@pytest.fixture
def shapes(monkeypatch):
    """The shapes of the networks that are built from here on."""
    shapes, rcan = [], network.rcan

    def record(lr, config):
        shapes.append(lr.shape.as_list())
        return rcan(lr, config)

    monkeypatch.setattr(network, 'rcan', record)
    return shapes


@pytest.fixture
def pretend(monkeypatch):
    """Change what a CPU is as a device."""
    def pretend(**fields):
        monkeypatch.setitem(device.DEVICES, 'cpu', device.DEVICES['cpu']._replace(**fields))
    return pretend


@pytest.fixture
def forward():
    """The tiny network with its first weights, as a function of an image."""
    with tf.Graph().as_default(), tf.Session() as session:
        network.rcan(tf.placeholder(tf.float32, [1, 8, 8, 3]), tiny.config())
        tiny.begin(session)
        yield lambda: upscale.forward(session, tiny.config())


SIZES = [(9, 14), (7, 7), (9, 14), (5, 20)]


def test_one_graph_serves_images_of_every_size(forward, shapes):
    run = forward()
    assert [run(tiny.noise(*size)).shape for size in SIZES] == [
        (2 * height, 2 * width, 3) for height, width in SIZES]
    assert shapes == [[1, None, None, 3]]


def test_where_shapes_are_static_every_size_has_a_graph_and_the_same_result(forward, shapes,
                                                                            pretend):
    expected = [forward()(tiny.noise(*size)) for size in SIZES]
    pretend(static_shapes=True)
    del shapes[:]
    run = forward()
    for size, sr in zip(SIZES, expected):
        assert np.allclose(run(tiny.noise(*size)), sr, atol=1e-3)
    assert shapes == [[1, 9, 14, 3], [1, 7, 7, 3], [1, 5, 20, 3]]


def test_where_shapes_are_static_all_tiled_images_have_one_graph(forward, shapes, pretend):
    pretend(static_shapes=True)
    config, run = tiny.config(chop_forward=True, chop_size=150, chop_shave=1), forward()
    for height, width in [(31, 17), (20, 40), (13, 12)]:
        sr = upscale.super_resolve(run, tiny.noise(height, width), config)
        assert sr.shape == (2 * height, 2 * width, 3)
    assert shapes == [[1, 12, 12, 3]]


def test_without_static_shapes_the_device_proves_itself_before_the_first_image(forward, pretend):
    pretend(is_evidence=lambda node: False)
    with pytest.raises(TrainError, match='^asked to be on the cpu, but none of its operations'):
        forward()


def test_with_static_shapes_the_device_proves_itself_with_the_first_image(forward, pretend):
    pretend(static_shapes=True, is_evidence=lambda node: False)
    run = forward()
    with pytest.raises(TrainError, match='^asked to be on the cpu, but none of its operations'):
        run(tiny.noise(7, 7))


def test_every_graph_is_proved_once(forward, pretend, monkeypatch):
    proved = []
    monkeypatch.setattr(upscale, 'require_evidence', lambda _, graphs: proved.append(len(graphs)))
    run = forward()
    for size in SIZES:
        run(tiny.noise(*size))
    assert proved == [1]
    pretend(static_shapes=True)
    run = forward()
    for size in SIZES:
        run(tiny.noise(*size))
    assert proved == [1] + [1, 1, 1]


def test_the_networks_own_operations_are_the_proof(forward, pretend):
    nodes = []
    pretend(is_evidence=lambda node: nodes.append(node.op) or True)
    forward()
    assert [op for op in nodes if 'Conv2D' in op]
