# SPDX-License-Identifier: Apache-2.0
"""NPU, GPU and CPU: sessions, loss scale, and the proof of where a training ran.

No NPU is needed: npu_double/ stands in for CANN's npu_bridge, and stock TensorFlow does with it
what it does with the original and no NPU, which is to train on the CPU without a word.
"""

import json
import os
import re
import runpy
import sys

import pytest
import tensorflow as tf
import tiny
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from model import device, main, network
from model.errors import RequestError, TrainError

DOUBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'npu_double')

# The field of AttrValue from which the adapter reads each parameter (npu_attrs.cc of
# https://gitee.com/ascend/tensorflow); it takes a value in another field for none at all.
PARAMETER_FIELDS = {
    'use_off_line': 'b', 'mix_compile_mode': 'b', 'enable_data_pre_proc': 'b',
    'iterations_per_loop': 'i', 'graph_run_mode': 'i', 'session_device_id': 'i',
    'precision_mode': 's', 'precision_mode_v2': 's', 'modify_mixlist': 's',
    'customize_dtypes': 's', 'op_select_implmode': 's', 'optypelist_for_implmode': 's',
    'deterministic': 'i', 'graph_memory_max_size': 's', 'variable_memory_max_size': 's',
    'static_memory_policy': 'i', 'hcom_parallel': 'b', 'is_tailing_optimization': 'b',
    'fusion_switch_file': 's', 'buffer_optimize': 's', 'profiling_mode': 'b',
    'profiling_options': 's', 'enable_dump': 'b', 'enable_dump_debug': 'b', 'dump_path': 's',
    'dump_step': 's', 'dump_mode': 's', 'dump_debug_mode': 's', 'dump_data': 's', 'dump_layer': 's',
    'enable_exception_dump': 'i', 'op_debug_level': 'i', 'debug_dir': 's',
    'op_compiler_cache_mode': 's', 'op_compiler_cache_dir': 's', 'jit_compile': 's',
    'aoe_mode': 's', 'work_path': 's', 'op_wait_timeout': 'i', 'op_execute_timeout': 'i',
}

# What asks for each NPU feature.
FEATURES = [{}, {'precision_mode': 'allow_mix_precision'}, {'profiling': True}, {'over_dump': True},
            {'data_dump_flag': True}, {'data_dump_flag': True, 'data_dump_step': '0|5|10-20'},
            {'loss_scale': '1024'}, {'loss_scale': 'dynamic'},
            {'precision_mode': 'force_fp32', 'profiling': True, 'over_dump': True}]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of our own, in a graph of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')
    with tf.Graph().as_default():
        yield tmp_path


@pytest.fixture
def fresh(monkeypatch):
    """No npu_bridge has been imported yet, and what a test imports is forgotten."""
    def ours():
        return [name for name in sys.modules if name.split('.')[0] == 'npu_bridge']

    before = {name: sys.modules.pop(name) for name in ours()}
    yield monkeypatch
    for name in ours():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def bridge(fresh):
    """The double of npu_bridge is installed."""
    fresh.syspath_prepend(DOUBLE)


@pytest.fixture
def photos():
    tiny.write('HR', a=tiny.smooth(36, 40, 0), b=tiny.smooth(36, 44, 1))


def npu(**fields):
    return tiny.config(device_kind='npu', **fields)


def parameters(**fields):
    """NpuOptimizer's parameters: name -> (field, value)."""
    (optimizer,) = device.npu_session_config(
        npu(**fields)).graph_options.rewrite_options.custom_optimizers
    assert optimizer.name == 'NpuOptimizer'
    found = {}
    for name, value in optimizer.parameter_map.items():
        field = value.WhichOneof('value')
        found[name] = field, getattr(value, field)
    return found


# --- the NPU's session --------------------------------------------------------------------------

def test_without_wishes_the_session_is_as_the_migration_guide_writes_it():
    proto = device.npu_session_config(npu())
    assert proto.allow_soft_placement is True
    rewrite = proto.graph_options.rewrite_options
    assert rewrite.remapping == RewriterConfig.OFF
    # An enumeration of its own, in which the guide's OFF is number 2, MANUAL.
    assert rewrite.memory_optimization == RewriterConfig.OFF == RewriterConfig.MANUAL
    assert parameters() == {'use_off_line': ('b', True), 'graph_run_mode': ('i', 1)}
    rewrite.ClearField('custom_optimizers')
    rewrite.ClearField('remapping')
    rewrite.ClearField('memory_optimization')
    proto.ClearField('allow_soft_placement')
    assert proto == tf.ConfigProto(graph_options=tf.GraphOptions(rewrite_options=RewriterConfig()))


@pytest.mark.parametrize('fields', FEATURES)
def test_every_parameter_is_in_the_field_that_the_adapter_reads(fields):
    found = parameters(**fields)
    assert {name: field for name, (field, _) in found.items()} == {
        name: PARAMETER_FIELDS[name] for name in found}


@pytest.mark.parametrize('mode', ['allow_mix_precision', 'allow_fp32_to_fp16', 'force_fp16',
                                  'must_keep_origin_dtype', 'force_fp32'])
def test_the_precision_mode_reaches_the_adapter(mode):
    assert parameters(precision_mode=mode)['precision_mode'] == ('s', mode.encode())


def test_profiling_is_switched_on_with_a_folder_that_exists(here):
    found = parameters(profiling=True, dump_path='out')
    assert found['profiling_mode'] == ('b', True)
    options = json.loads(found['profiling_options'][1].decode())
    assert options['output'] == str(here / 'out' / 'profiling')
    assert os.path.isdir(options['output'])
    assert (options['training_trace'], options['task_trace']) == ('on', 'on')
    assert (options['fp_point'], options['bp_point']) == ('', '')   # older adapters require them


def test_overflow_is_dumped_into_a_folder_that_exists(here):
    found = parameters(over_dump=True, dump_path='out')
    folder = str(here / 'out' / 'overflow_dump')
    assert found['enable_dump_debug'] == ('b', True)
    assert found['dump_debug_mode'] == ('s', b'all')
    assert found['dump_path'] == ('s', folder.encode())
    assert 'enable_dump' not in found
    assert os.path.isdir(folder)


def test_tensors_are_dumped_at_the_steps_asked_for(here):
    found = parameters(data_dump_flag=True, data_dump_step='0|5|10-20', dump_path='out')
    folder = str(here / 'out' / 'data_dump')
    assert found['enable_dump'] == ('b', True)
    assert (found['dump_mode'], found['dump_step']) == (('s', b'all'), ('s', b'0|5|10-20'))
    assert found['dump_path'] == ('s', folder.encode())
    assert 'enable_dump_debug' not in found
    assert os.path.isdir(folder)


def test_the_two_dumps_exclude_each_other():
    with pytest.raises(RequestError, match='^over_dump and data_dump_flag exclude each other'):
        device.npu_session_config(npu(over_dump=True, data_dump_flag=True))


@pytest.mark.parametrize('fields', FEATURES)
def test_stock_tensorflow_runs_with_the_npus_session(fields):
    with tf.Session(config=device.npu_session_config(npu(**fields))) as session:
        assert session.run(tf.constant(2) + 3) == 5


# --- the loss scale -----------------------------------------------------------------------------

def wrapped(loss_scale):
    config = npu(loss_scale=loss_scale)
    adam = tf.train.AdamOptimizer(0.1)
    return adam, device.device(config).optimizer(adam, config)


def test_without_a_loss_scale_the_optimizer_stays_as_it_is(bridge):
    adam, optimizer = wrapped('')
    assert optimizer is adam


def test_a_number_is_a_fixed_loss_scale(bridge):
    from npu_bridge.estimator.npu.npu_loss_scale_manager import FixedLossScaleManager
    from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer
    adam, optimizer = wrapped('1024')
    assert type(optimizer) is NPULossScaleOptimizer
    assert (optimizer._opt, optimizer._is_distributed) == (adam, False)
    manager = optimizer._loss_scale_manager
    assert type(manager) is FixedLossScaleManager
    assert manager.get_enable_overflow_check() is True
    with tf.Session() as session:
        assert session.run(manager.get_loss_scale()) == 1024


def test_dynamic_is_a_loss_scale_that_halves_after_two_overflows(bridge):
    from npu_bridge.estimator.npu.npu_loss_scale_manager import ExponentialUpdateLossScaleManager
    adam, optimizer = wrapped('dynamic')
    manager = optimizer._loss_scale_manager
    assert type(manager) is ExponentialUpdateLossScaleManager
    assert optimizer._opt is adam
    assert manager.arguments == (2 ** 32, 1000, 2, 2, 0.5)
    overflow = manager.update_loss_scale(tf.constant(False))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        scales = [session.run([overflow, manager.get_loss_scale()])[1] for _ in range(5)]
        assert session.run(manager.get_loss_scale()) == 2 ** 30
    assert max(scales) <= 2 ** 32


# --- what can be missing ------------------------------------------------------------------------

CANNOT_LOAD = '--device_kind npu, but npu_bridge cannot load its library '


@pytest.mark.parametrize('fields', [{}, {'loss_scale': '1024'}, {'loss_scale': 'dynamic'},
                                    {'mode': 'test', 'pre_trained_model': 'none'},
                                    {'mode': 'test_only', 'pre_trained_model': 'none',
                                     'test_LR_path': 'HR'}])
def test_without_the_package_the_request_is_refused(fresh, photos, fields):
    fresh.setitem(sys.modules, 'npu_bridge', None)      # also where it is installed
    with pytest.raises(RequestError) as refused:
        main.main(tiny.flags(train_GT_path='HR', test_GT_path='HR', device_kind='npu', **fields))
    assert str(refused.value) == (
        '--device_kind npu, but no Python package npu_bridge: install the TF Adapter (tfplugin) of '
        'CANN and source its set_env.sh')


def test_a_package_that_npu_bridge_needs_is_named(fresh, tmp_path):
    package = tmp_path / 'site' / 'npu_bridge'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('import hccl\n')
    fresh.setitem(sys.modules, 'hccl', None)
    fresh.syspath_prepend(str(package.parent))
    with pytest.raises(RequestError, match='^--device_kind npu, but no Python package hccl: '):
        device.device(npu())


def test_a_library_that_cannot_be_loaded_is_told_apart_from_a_missing_package(bridge, capsys,
                                                                              monkeypatch):
    monkeypatch.setenv('NPU_DOUBLE_LIBRARY', '/no/libge_runner.so')
    with pytest.raises(RequestError) as refused:
        device.device(npu())
    assert str(refused.value).startswith(CANNOT_LOAD)
    assert '\n' not in str(refused.value)
    # The line above, of which the message speaks, is npu_bridge's own.
    assert capsys.readouterr().out.startswith('/no/libge_runner.so: cannot open shared object file')


def test_what_is_missing_ends_the_program_with_status_2(bridge, monkeypatch, capsys, photos):
    monkeypatch.setenv('NPU_DOUBLE_LIBRARY', '/no/libge_runner.so')
    code, err = program(monkeypatch, capsys, loss_scale='dynamic')[::2]
    assert code == 2
    assert re.fullmatch(f'main.py: {CANNOT_LOAD}.*\n', err)


# --- NPU features elsewhere ---------------------------------------------------------------------

@pytest.mark.parametrize('fields, named', [
    ({'precision_mode': 'allow_mix_precision'}, '--precision_mode allow_mix_precision'),
    ({'precision_mode': 'force_fp16'}, '--precision_mode force_fp16'),
    ({'loss_scale': '1024'}, '--loss_scale'),
    ({'loss_scale': 'dynamic'}, '--loss_scale'),
    ({'profiling': True}, '--profiling'),
    ({'over_dump': True}, '--over_dump'),
    ({'data_dump_flag': True}, '--data_dump_flag'),
    ({'profiling': True, 'over_dump': True}, '--profiling, --over_dump'),
])
@pytest.mark.parametrize('kind', ['cpu', 'gpu'])
def test_what_only_an_npu_can_do_is_refused_elsewhere(kind, fields, named):
    with pytest.raises(RequestError) as refused:
        device.device(tiny.config(device_kind=kind, **fields))
    assert str(refused.value) == (f'{named}: only an NPU can do this, and this run is on a {kind}; '
                                  'leave it out or run on an NPU')


@pytest.mark.parametrize('mode', ['', 'must_keep_origin_dtype', 'force_fp32'])
def test_a_precision_that_changes_nothing_is_allowed_everywhere(mode):
    assert device.device(tiny.config(precision_mode=mode)).kind == 'cpu'


# --- GPU and CPU --------------------------------------------------------------------------------

def test_a_gpu_that_tensorflow_does_not_find_is_refused(monkeypatch):
    monkeypatch.setattr(tf.test, 'is_gpu_available', lambda: False)
    with pytest.raises(RequestError, match='^--device_kind gpu, but TensorFlow finds no GPU: '):
        device.device(tiny.config(device_kind='gpu'))


def test_a_gpu_gives_its_memory_as_it_is_needed(monkeypatch):
    monkeypatch.setattr(tf.test, 'is_gpu_available', lambda: True)
    config = tiny.config(device_kind='gpu')
    chosen = device.device(config)
    assert chosen.kind == 'gpu'
    assert chosen.session_config(config).gpu_options.allow_growth is True


@pytest.mark.parametrize('value, threads', [('3', 3), ('', 0), (None, 0)])
def test_a_cpu_run_takes_no_gpu_and_as_many_threads_as_it_is_told(monkeypatch, value, threads):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if value is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', value)
    proto = device.device(tiny.config()).session_config(tiny.config())
    assert dict(proto.device_count) == {'GPU': 0}
    assert proto.intra_op_parallelism_threads == threads


@pytest.mark.parametrize('kind', ['cpu', 'gpu'])
def test_elsewhere_the_optimizer_stays_as_it_is(kind):
    adam = tf.train.AdamOptimizer(0.1)
    assert device.DEVICES[kind].optimizer(adam, tiny.config()) is adam


# --- the proof of where a training ran ----------------------------------------------------------

def graph_of(*nodes):
    graph = tf.GraphDef()
    for op, where in nodes:
        graph.node.add(op=op, device=where)
    return graph


ON_CPU = '/job:localhost/replica:0/task:0/device:CPU:0'
ON_GPU = '/job:localhost/replica:0/task:0/device:GPU:0'


@pytest.mark.parametrize('kind, operations', [('npu', 2), ('gpu', 3), ('cpu', 4)])
def test_operations_are_counted_that_only_the_device_can_run(kind, operations):
    graphs = [graph_of(('GeOp', ON_CPU), ('Conv2D', ON_CPU), ('GeOp', '')),
              graph_of(('Conv2D', ON_GPU), ('Conv2D', ON_GPU), ('Add', ON_GPU)), graph_of(),
              graph_of(('NoOp', ON_CPU), ('IteratorGetNext', ON_CPU), ('Const', ''))]
    assert device.count_evidence(device.DEVICES[kind], graphs) == operations


def train(**flags):
    return main.main(tiny.flags(train_GT_path='HR', **flags))


def program(monkeypatch, capsys, **flags):
    """Run main.py as a program on the NPU; return its status, output and errors."""
    monkeypatch.setattr(sys, 'argv', ['main.py', *tiny.flags(train_GT_path='HR', device_kind='npu',
                                                             **flags)])
    monkeypatch.setattr(sys, 'path', ['model', *sys.path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(main.__file__, run_name='__main__')
    return (ended.value.code, *capsys.readouterr())


@pytest.mark.parametrize('fields', [{}, {'loss_scale': 'dynamic'}, {
    'precision_mode': 'allow_mix_precision', 'profiling': True, 'over_dump': True}])
def test_a_training_that_was_to_be_on_the_npu_and_ran_on_the_cpu_fails(bridge, photos, capsys,
                                                                        fields):
    with pytest.raises(TrainError, match='^asked to be on the npu, but none of its operations was '
                                         'in the graph that ran: the training is on the CPU'):
        train(device_kind='npu', **fields)
    out = capsys.readouterr().out
    said = [json.loads(line.split(' ', 1)[1]) for line in out.splitlines() if ':::MLLOG' in line]
    (found,) = [line for line in said if line['key'] == 'device']
    assert (found['value'], found['metadata']) == ('npu', {'operations': 0})
    # Nothing that anybody could take for a result.
    assert re.findall('(?m)^(?:Loss|Elpased|Final|.*step completed).*', out) == []
    assert os.listdir('model_dir') == []


def test_a_training_that_was_not_on_the_npu_ends_the_program_with_status_1(bridge, photos,
                                                                            monkeypatch, capsys):
    code, _, err = program(monkeypatch, capsys)
    assert code == 1
    assert re.fullmatch('main.py: asked to be on the npu, but .*: the training is on the CPU.*\n',
                        err)


def test_a_training_that_was_to_be_on_the_gpu_and_ran_on_the_cpu_fails(photos, monkeypatch):
    monkeypatch.setattr(tf.test, 'is_gpu_available', lambda: True)
    monkeypatch.setitem(device.DEVICES, 'gpu', device.DEVICES['gpu']._replace(
        session_config=device.DEVICES['cpu'].session_config))
    with pytest.raises(TrainError, match='^asked to be on the gpu, .* the training is on the CPU'):
        train(device_kind='gpu')


@pytest.fixture
def believed(bridge, monkeypatch):
    """Stock TensorFlow with the double counts as an NPU."""
    monkeypatch.setitem(device.DEVICES, 'npu', device.DEVICES['npu']._replace(
        is_evidence=lambda node: node.op == 'Conv2D'))


@pytest.mark.parametrize('loss_scale', ['', '1024', 'dynamic'])
def test_with_and_without_a_loss_scale_it_is_the_same_training(believed, photos, capsys,
                                                               loss_scale):
    flags = {'max_step': 5, 'learning_rate': 0.01, 'decay_step': 2}
    losses = []
    for kind in ({'device_kind': 'cpu'}, {'device_kind': 'npu', 'loss_scale': loss_scale}):
        with tf.Graph().as_default():
            train(**flags, **kind)
        losses.append(tiny.losses(capsys.readouterr().out))
    assert len(losses[0]) == 5
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # Adam hides a gradient that is not scaled back, the step counter hides nothing.
    assert tf.train.load_variable('model_dir/RCAN_X2_4_1_1-5', 'global_step') == 5


def test_the_gradient_is_scaled_back(bridge):
    weight = tf.get_variable('w', initializer=3.0)
    config = npu(loss_scale='1024')
    optimizer = device.device(config).optimizer(tf.train.GradientDescentOptimizer(0.5), config)
    step = optimizer.minimize(weight * weight, var_list=[weight])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        assert session.run(weight) == pytest.approx(0, abs=1e-6)     # 3 - 0.5 * 6


def test_on_an_npu_every_size_of_image_has_a_graph_of_known_shapes(believed, photos, monkeypatch):
    train(device_kind='npu')
    tiny.write('small', a=tiny.noise(9, 14), b=tiny.noise(7, 8), c=tiny.noise(9, 14))
    inputs, rcan = [], network.rcan

    def record(lr, config):
        inputs.append(lr.shape.as_list())
        return rcan(lr, config)

    monkeypatch.setattr(network, 'rcan', record)
    with tf.Graph().as_default():
        main.main(tiny.flags(mode='test_only', test_LR_path='small', device_kind='npu',
                             pre_trained_model='model_dir/RCAN_X2_4_1_1-3'))
    assert inputs[1:] == [[1, 9, 14, 3], [1, 7, 8, 3]]      # the first only makes the variables


def test_a_number_of_threads_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', 'all')
    with pytest.raises(RequestError, match="OMP_NUM_THREADS must be a number .* not 'all'"):
        device.DEVICES['cpu'].session_config(None)
