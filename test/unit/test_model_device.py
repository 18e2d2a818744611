# SPDX-License-Identifier: Apache-2.0
"""NPU, GPU and CPU: sessions, loss scale, and the proof of where a training ran.

No NPU is needed: npu_double/ stands in for CANN's npu_bridge, and stock TensorFlow does with it
what it does with the original and no NPU, which is to train on the CPU without a word.
"""

import importlib
import inspect
import json
import os
import re
import runpy
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from model import device, main, network
from model.errors import RequestError, TrainError

DOUBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'npu_double')

# What asks for each NPU feature.
FEATURES = [{}, {'precision_mode': 'allow_mix_precision'}, {'profiling': True}, {'over_dump': True},
            {'data_dump_flag': True}, {'data_dump_flag': True, 'data_dump_step': '0|5|10-20'},
            {'loss_scale': '1024'}, {'loss_scale': 'dynamic'},
            {'iterations_per_loop': 3, 'log_freq': 3}, {'mix_compile_mode': True},
            {'op_compiler_cache_dir': 'cache'},
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
def gpu(monkeypatch):
    """TensorFlow says that it has a GPU."""
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: [kind])


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


def test_a_device_that_makes_many_steps_at_a_call_fetches_its_batches_itself():
    found = parameters(iterations_per_loop=3, log_freq=3)
    assert found['iterations_per_loop'] == ('i', 3)
    assert found['enable_data_pre_proc'] == ('b', True)     # the prerequisite of sinking
    assert 'mix_compile_mode' not in found


def test_what_the_npu_lacks_may_run_on_the_host():
    assert parameters(mix_compile_mode=True)['mix_compile_mode'] == ('b', True)


def test_compiled_operators_are_kept_in_a_folder_that_exists(here):
    found = parameters(op_compiler_cache_dir='a/cache')
    folder = str(here / 'a' / 'cache')
    assert found['op_compiler_cache_mode'] == ('s', b'enable')
    assert found['op_compiler_cache_dir'] == ('s', folder.encode())
    assert os.path.isdir(folder)


@pytest.mark.parametrize('fields, complaint', [
    ({'iterations_per_loop': 0}, 'iterations_per_loop must be 1 or more, not 0'),
    ({'iterations_per_loop': -2}, 'iterations_per_loop must be 1 or more, not -2'),
    ({'iterations_per_loop': 5, 'mix_compile_mode': True},
     'iterations_per_loop must be 1 with mix_compile_mode, not 5: what runs on the host needs it '
     'at every step'),
    ({'iterations_per_loop': 5, 'accumulate': 2},
     'iterations_per_loop must be 1 with accumulate, not 5: the host counts the parts of a batch'),
    ({'max_step': 12}, 'max_step (12) must be a multiple of iterations_per_loop (5)'),
    ({'log_freq': 1}, 'log_freq (1) must be a multiple of iterations_per_loop (5)'),
    ({'model_save_freq': 7}, 'model_save_freq (7) must be a multiple of iterations_per_loop (5)'),
])
def test_steps_at_a_call_that_make_no_sense_are_refused(fields, complaint):
    with pytest.raises(RequestError) as refused:
        npu(**{'iterations_per_loop': 5, 'max_step': 10, 'log_freq': 5, **fields})
    assert str(refused.value) == complaint


def test_a_frequency_that_no_step_reaches_need_not_fit_the_steps_at_a_call():
    npu(iterations_per_loop=5, max_step=10, log_freq=11, model_save_freq=10001)
    npu(iterations_per_loop=10, max_step=10, log_freq=10, model_save_freq=10)


@pytest.mark.parametrize('fields', FEATURES)
def test_stock_tensorflow_runs_with_the_npus_session(fields):
    with tf.Session(config=device.npu_session_config(npu(**fields))) as session:
        assert session.run(tf.constant(2) + 3) == 5


# --- many steps at a call -----------------------------------------------------------------------

def counting():
    """A step that counts itself, and twice the count after it."""
    count = tf.train.get_or_create_global_step()
    step = tf.assign_add(count, 1)
    with tf.control_dependencies([step]):
        return step.op, 2 * count.read_value()


def test_one_step_at_a_call_is_the_step_itself(bridge):
    step_op, _ = counting()
    with tf.Session() as session:
        assert device.device(npu()).sink(session, step_op, npu()) is step_op
    assert tf.local_variables() == []


def test_the_device_makes_so_many_steps_at_a_call(bridge):
    config = npu(iterations_per_loop=3, log_freq=3)
    step_op, doubled = counting()
    with tf.Session(config=device.npu_session_config(config)) as session:
        session.run(tf.global_variables_initializer())
        sunk = device.device(config).sink(session, step_op, config)
        assert session.run([sunk, doubled])[1] == 6         # what the last of the steps says
        session.run(sunk)
        assert session.run(tf.train.get_global_step()) == 6
        assert session.run(doubled) == 14                   # other operations are not repeated


@pytest.mark.parametrize('left_out', ['iterations_per_loop', 'enable_data_pre_proc'])
def test_a_device_whose_session_does_not_say_so_makes_one_step_at_a_call(bridge, left_out):
    config = npu(iterations_per_loop=3, log_freq=3)
    proto = device.npu_session_config(config)
    (optimizer,) = proto.graph_options.rewrite_options.custom_optimizers
    del optimizer.parameter_map[left_out]
    step_op, _ = counting()
    with tf.Session(config=proto) as session:
        session.run(tf.global_variables_initializer())
        session.run(device.device(config).sink(session, step_op, config))
        assert session.run(tf.train.get_global_step()) == 1


def test_the_device_is_told_the_number_by_the_name_and_the_variables_that_it_knows(bridge):
    config = npu(iterations_per_loop=3, log_freq=3)
    step_op, _ = counting()
    with tf.Session() as session:
        sunk = device.device(config).sink(session, step_op, config)
        assert (type(sunk), sunk.name) == (tf.Operation, 'IterationOp')
        variables = tf.local_variables()
        assert dict(zip((v.op.name for v in variables), session.run(variables))) == {
            'npu_runconfig/iterations_per_loop': 2, 'npu_runconfig/loop_cond': 0,
            'npu_runconfig/zero': 0, 'npu_runconfig/one': 1}
        assert {v.dtype.base_dtype for v in variables} == {tf.int64}
    assert tf.trainable_variables() == []


@pytest.mark.parametrize('loss_scale', ['', '1024', 'dynamic'])
def test_so_many_steps_at_a_call_train_as_so_many_calls_do(bridge, loss_scale):
    def trained(calls, **fields):
        config = npu(loss_scale=loss_scale, **fields)
        chosen = device.device(config)
        with tf.Graph().as_default(), tf.Session(config=chosen.session_config(config)) as session:
            weight = tf.get_variable('w', initializer=3.0)
            step_op = apart(chosen.optimizer(tf.train.AdamOptimizer(0.1), config), weight ** 2)
            session.run(tf.global_variables_initializer())
            step_op = chosen.sink(session, step_op, config)
            for _ in range(calls):
                session.run(step_op)
            return session.run([weight, tf.train.get_global_step()])

    one_by_one = trained(6)
    assert one_by_one[1] == 6
    assert trained(2, iterations_per_loop=3, log_freq=3) == one_by_one


@pytest.mark.parametrize('kind', ['cpu', 'gpu'])
def test_elsewhere_a_call_is_a_step(kind):
    step_op, _ = counting()
    assert device.DEVICES[kind].sink(None, step_op, tiny.config()) is step_op


@pytest.mark.parametrize('step, times, wrong', [
    (tf.constant, 3, ValueError), (tf.no_op, 0, ValueError), (tf.no_op, 3.0, TypeError)])
def test_the_double_takes_what_the_original_takes(bridge, step, times, wrong):
    from npu_bridge.estimator.npu import util
    step = step() if step is tf.no_op else step(1)
    with tf.Session() as session, pytest.raises(wrong):
        util.set_iteration_per_loop(session, step, times)


# --- the loss scale -----------------------------------------------------------------------------

MIXED = {'device_kind': 'gpu', 'precision_mode': 'allow_mix_precision'}


def wrapped(loss_scale):
    config = npu(loss_scale=loss_scale)
    adam = tf.train.AdamOptimizer(0.1)
    return adam, device.device(config).optimizer(adam, config)


def apart(optimizer, loss):
    """The operation of a step as train.py makes it: gradients first, then their use."""
    gradients = optimizer.compute_gradients(loss, var_list=tf.trainable_variables(),
                                            gate_gradients=tf.train.Optimizer.GATE_NONE)
    return optimizer.apply_gradients(gradients, tf.train.get_or_create_global_step())


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
    overflow = manager.update_loss_scale(tf.constant(False))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        scales = []
        for _ in range(5):
            scales.append(session.run(manager.get_loss_scale()))
            session.run(overflow)
    assert scales == [2 ** 32, 2 ** 32, 2 ** 31, 2 ** 31, 2 ** 30]


def test_dynamic_is_a_loss_scale_that_doubles_after_a_thousand_good_steps(bridge):
    _, optimizer = wrapped('dynamic')
    manager = optimizer._loss_scale_manager
    good = manager.update_loss_scale(tf.constant(True))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(999):
            session.run(good)
        assert session.run(manager.get_loss_scale()) == 2 ** 32
        session.run(good)
        assert session.run(manager.get_loss_scale()) == 2 ** 33


@pytest.mark.parametrize('fields', [
    {'device_kind': 'npu', 'loss_scale': '65536'}, {'device_kind': 'npu', 'loss_scale': 'dynamic'},
    {**MIXED, 'loss_scale': '65536'}, {**MIXED, 'loss_scale': 'dynamic'}, MIXED])
def test_the_gradient_is_scaled_where_it_is_small_and_scaled_back(bridge, gpu, fields):
    config = tiny.config(**fields)
    weight = tf.get_variable('w', initializer=3.0)
    # Its gradient is 1e-9 everywhere, which float16 does not know: the least above 0 is 6e-8.
    loss = tf.cast(tf.cast(weight, tf.float16), tf.float32) * 1e-9
    chosen = device.device(config)
    optimizer = chosen.optimizer(tf.train.GradientDescentOptimizer(1e9), config)
    step_op = apart(optimizer, loss)
    with tf.Session(config=chosen.session_config(config)) as session:
        session.run(tf.global_variables_initializer())
        assert session.run(tf.gradients(loss, weight)) == [0]
        session.run(step_op)
        assert session.run(weight) == pytest.approx(2, abs=0.01)    # 3 - 1e9 * 1e-9
        assert session.run(tf.train.get_global_step()) == 1


@pytest.mark.parametrize('fields', [
    {'device_kind': 'npu', 'loss_scale': '1024'}, {'device_kind': 'npu', 'loss_scale': 'dynamic'},
    MIXED])
def test_a_step_that_overflows_changes_nothing(bridge, gpu, fields):
    config = tiny.config(**fields)
    weight = tf.get_variable('w', initializer=3.0)
    optimizer = device.device(config).optimizer(tf.train.GradientDescentOptimizer(1.0), config)
    step_op = apart(optimizer, weight * np.inf)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step_op)
        assert session.run([weight, tf.train.get_global_step()]) == [3, 0]


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


def package(fresh, tmp_path, text):
    """Install an npu_bridge of this text."""
    folder = tmp_path / 'site' / 'npu_bridge'
    folder.mkdir(parents=True)
    (folder / '__init__.py').write_text(text)
    fresh.syspath_prepend(str(folder.parent))


def refusal():
    with pytest.raises(RequestError) as refused:
        device.device(npu())
    return str(refused.value)


@pytest.mark.parametrize('name, remedy', [
    ('hccl', "CANN's toolkit brings it, source its set_env.sh"),
    ('no_such_package', 'npu_bridge needs it, install it')])
def test_a_package_that_npu_bridge_needs_is_named(fresh, tmp_path, name, remedy):
    package(fresh, tmp_path, f'import {name}\n')
    fresh.setitem(sys.modules, name, None)
    assert refusal() == f'--device_kind npu, but no Python package {name}: {remedy}'


NOT_FOUND = 'cannot open shared object file: No such file or directory'
DRIVER = ("it is the driver's: install that (in a container: mount it), or put "
          '/usr/local/Ascend/driver/lib64 and the folders in it on LD_LIBRARY_PATH')
CANN = "it is CANN's, source its set_env.sh"


@pytest.mark.parametrize('line, remedy', [
    (f'libascend_hal.so: {NOT_FOUND}', f': {DRIVER}'),
    (f'libdrvdsmi_host.so: {NOT_FOUND}', f': {DRIVER}'),
    (f'libge_runner.so: {NOT_FOUND}', f': {CANN}'),
    (f'libascendcl.so: {NOT_FOUND}', f': {CANN}'),
    (f'libacl_tdt_channel.so: {NOT_FOUND}', f': {CANN}'),
    (f'libascend_protobuf.so.3.13.0.0: {NOT_FOUND}', f': {CANN}'),  # CANN's, whatever its name says
    (f'/site/npu_bridge/_tf_adapter.so: {NOT_FOUND}',
     ": it is npu_bridge's own, install the TF Adapter anew"),
    (f'libtensorflow_framework.so.1: {NOT_FOUND}', ''),
    ('/site/npu_bridge/_tf_adapter.so: undefined symbol: _ZN10tensorflow6Status', ''),
])
def test_a_library_that_cannot_be_loaded_is_named_with_what_to_do(bridge, monkeypatch, capsys, line,
                                                                  remedy):
    def load(path):
        raise tf.errors.NotFoundError(None, None, line)

    monkeypatch.setenv('NPU_DOUBLE_LIBRARY', 'the adapter')
    monkeypatch.setattr(tf, 'load_op_library', load)
    assert refusal() == f'{CANNOT_LOAD}({line}){remedy}'
    assert capsys.readouterr().out == f'{line}\n'      # what npu_bridge has said is not lost


@pytest.mark.parametrize('library, remedy', [
    ('/no/libge_runner.so', CANN), ('/no/libascend_hal.so', DRIVER),
    ('/no/_tf_adapter.so', "it is npu_bridge's own, install the TF Adapter anew")])
def test_the_dynamic_loader_says_it_in_these_words(bridge, monkeypatch, library, remedy):
    monkeypatch.setenv('NPU_DOUBLE_LIBRARY', library)
    assert refusal() == f'{CANNOT_LOAD}({library}: {NOT_FOUND}): {remedy}'


def test_the_line_of_the_library_is_found_among_others(fresh, tmp_path, capsys):
    package(fresh, tmp_path, f'print("hello\\nlibge_runner.so: {NOT_FOUND}\\nbye")\n'
                             'raise ImportError("no handle")\n')
    assert refusal() == f'{CANNOT_LOAD}(libge_runner.so: {NOT_FOUND}): {CANN}'
    assert capsys.readouterr().out == f'hello\nlibge_runner.so: {NOT_FOUND}\nbye\n'


@pytest.mark.parametrize('before', ['', 'print()\n'])
def test_where_npu_bridge_says_nothing_the_error_does(fresh, tmp_path, before):
    package(fresh, tmp_path, before + 'raise ImportError("no handle")\n')
    assert refusal() == f'{CANNOT_LOAD}(no handle)'


def test_what_npu_bridge_says_when_it_is_well_is_not_lost(fresh, tmp_path, capsys):
    package(fresh, tmp_path, 'print("hello")\n')
    assert device.device(npu()).kind == 'npu'
    assert capsys.readouterr().out == 'hello\n'


def test_what_is_missing_ends_the_program_with_status_2(bridge, monkeypatch, capsys, photos):
    monkeypatch.setenv('NPU_DOUBLE_LIBRARY', '/no/libge_runner.so')
    code, err = program(monkeypatch, capsys, loss_scale='dynamic')[::2]
    assert code == 2
    assert re.fullmatch(f'main.py: {CANNOT_LOAD}.*\n', err)


@pytest.mark.parametrize('message, cause', [
    ('GeOp1_0GEOP::::DoRunAsync Failed\nError Message is : \nEL0004: Failed to allocate memory.\n'
     '        Solution: Use less.', 'EL0004: Failed to allocate memory.'),
    ('E19999: Inner Error!', 'E19999: Inner Error!'),
    ('OSError: no such image\nTraceback (most recent call last):\n  File "x"',
     'OSError: no such image'),
    ('the first line\n\t [[node x]]', 'the first line'), ('', 'InternalError')])
def test_of_what_tensorflow_says_the_line_with_the_cause_is_left(message, cause):
    with pytest.raises(TrainError) as failed, device.explained('a step'):
        raise tf.errors.InternalError(None, None, message)
    assert str(failed.value) == f'a step failed: {cause}'


def test_another_mistake_is_not_explained_away():
    with pytest.raises(KeyError), device.explained('a step'):
        raise KeyError


# --- NPU features elsewhere ---------------------------------------------------------------------

@pytest.mark.parametrize('kind, fields, named', [
    (kind, fields, named) for kinds, fields, named in [
        ('cpu', {'precision_mode': 'allow_mix_precision'}, '--precision_mode allow_mix_precision'),
        ('cpu', {'loss_scale': '1024'}, '--loss_scale'),
        ('cpu', {'loss_scale': 'dynamic'}, '--loss_scale'),
        ('cpu gpu', {'precision_mode': 'force_fp16'}, '--precision_mode force_fp16'),
        ('cpu gpu', {'precision_mode': 'cube_fp16in_fp32out'},
         '--precision_mode cube_fp16in_fp32out'),
        ('cpu gpu', {'profiling': True}, '--profiling'),
        ('cpu gpu', {'over_dump': True}, '--over_dump'),
        ('cpu gpu', {'data_dump_flag': True}, '--data_dump_flag'),
        ('cpu gpu', {'iterations_per_loop': 3, 'log_freq': 3}, '--iterations_per_loop'),
        ('cpu gpu', {'mix_compile_mode': True}, '--mix_compile_mode'),
        ('cpu gpu', {'op_compiler_cache_dir': 'cache'}, '--op_compiler_cache_dir'),
        ('cpu gpu', {'profiling': True, 'over_dump': True}, '--profiling, --over_dump'),
    ] for kind in kinds.split()])
def test_what_only_an_npu_can_do_is_refused_elsewhere(kind, fields, named):
    with pytest.raises(RequestError) as refused:
        device.device(tiny.config(device_kind=kind, **fields))
    assert str(refused.value) == (f'{named}: only an NPU can do this, and this run is on a {kind}; '
                                  'leave it out or run on an NPU')


@pytest.mark.parametrize('loss_scale', ['1024', 'dynamic'])
@pytest.mark.parametrize('mode', ['', 'force_fp32'])
def test_a_loss_scale_without_anything_to_scale_is_refused_on_a_gpu(gpu, mode, loss_scale):
    with pytest.raises(RequestError) as refused:
        device.device(tiny.config(device_kind='gpu', precision_mode=mode, loss_scale=loss_scale))
    assert str(refused.value) == ('--loss_scale does nothing on a gpu without --precision_mode '
                                  'allow_mix_precision: add that or leave it out')


@pytest.mark.parametrize('mode', ['', 'must_keep_origin_dtype', 'force_fp32'])
def test_a_precision_that_changes_nothing_is_allowed_everywhere(mode):
    assert device.device(tiny.config(precision_mode=mode)).kind == 'cpu'


# --- GPU and CPU --------------------------------------------------------------------------------

def test_a_gpu_that_tensorflow_does_not_find_is_refused(monkeypatch):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: [])
    with pytest.raises(RequestError, match='^--device_kind gpu, but TensorFlow finds no GPU: '):
        device.device(tiny.config(device_kind='gpu'))


@pytest.mark.parametrize('fields', [{}, {'precision_mode': 'allow_mix_precision'}])
def test_a_gpu_gives_its_memory_as_it_is_needed(gpu, fields):
    config = tiny.config(device_kind='gpu', **fields)
    chosen = device.device(config)
    assert chosen.kind == 'gpu'
    assert chosen.session_config(config).gpu_options.allow_growth is True


@pytest.mark.parametrize('fields, rewrites', [
    (MIXED, True), ({**MIXED, 'loss_scale': '1024'}, True), ({'device_kind': 'gpu'}, False),
    ({'device_kind': 'gpu', 'precision_mode': 'force_fp32'}, False), ({}, False)])
def test_a_gpu_mixes_precisions_where_that_is_asked_for_and_nowhere_else(gpu, fields, rewrites):
    config = tiny.config(**fields)
    proto = device.device(config).session_config(config)
    rewrite = proto.graph_options.rewrite_options.auto_mixed_precision
    assert rewrite == (RewriterConfig.ON if rewrites else RewriterConfig.DEFAULT)


@pytest.mark.parametrize('loss_scale, scale', [('', 2 ** 15), ('dynamic', 2 ** 15), ('1024', 1024),
                                               ('1.5', 1.5)])
def test_mixed_precision_on_a_gpu_scales_the_loss_with_tensorflows_own_means(gpu, loss_scale,
                                                                             scale):
    config = tiny.config(**MIXED, loss_scale=loss_scale)
    adam = tf.train.AdamOptimizer(0.1)
    optimizer = device.device(config).optimizer(adam, config)
    assert type(optimizer) is tf.train.experimental.MixedPrecisionLossScaleOptimizer
    assert optimizer._optimizer is adam
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(optimizer._loss_scale()) == scale


def test_mixed_precision_does_not_reach_another_session_of_the_process(gpu):
    config = tiny.config(**MIXED)
    chosen = device.device(config)
    chosen.optimizer(tf.train.AdamOptimizer(0.1), config)
    for mixed, proto in ((True, chosen.session_config(config)),
                         (False, device.DEVICES['cpu'].session_config(tiny.config()))):
        with tf.Session(config=proto) as session:
            rewrite = session._config.graph_options.rewrite_options.auto_mixed_precision
        assert (rewrite == RewriterConfig.ON) is mixed


@pytest.mark.parametrize('value, threads', [('3', 3), ('', 0), (None, 0)])
def test_a_cpu_run_takes_no_gpu_and_as_many_threads_as_it_is_told(monkeypatch, value, threads):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if value is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', value)
    proto = device.device(tiny.config()).session_config(tiny.config())
    assert dict(proto.device_count) == {'GPU': 0}
    assert proto.intra_op_parallelism_threads == threads


@pytest.mark.parametrize('kind, skips', [('cpu', True), ('gpu', False), ('npu', False)])
def test_only_a_cpu_skips_the_optimizer_that_finds_nothing_there(kind, skips):
    proto = device.DEVICES[kind].session_config(tiny.config(device_kind=kind))
    assert proto.graph_options.rewrite_options.disable_meta_optimizer is skips


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
                                         'in the graph that ran: it was on the CPU'):
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
    assert re.fullmatch('main.py: asked to be on the npu, but .*: it was on the CPU.*\n',
                        err)


def test_a_training_that_was_to_be_on_the_gpu_and_ran_on_the_cpu_fails(gpu, photos, monkeypatch):
    monkeypatch.setitem(device.DEVICES, 'gpu', device.DEVICES['gpu']._replace(
        session_config=device.DEVICES['cpu'].session_config))
    with pytest.raises(TrainError, match='^asked to be on the gpu, .* it was on the CPU'):
        train(device_kind='gpu')


@pytest.fixture
def believed(bridge, monkeypatch):
    """Stock TensorFlow with the double counts as an NPU, and as a GPU."""
    for kind in ('npu', 'gpu'):
        monkeypatch.setitem(device.DEVICES, kind, device.DEVICES[kind]._replace(
            is_evidence=lambda node: 'Conv2D' in node.op))      # or _FusedConv2D


@pytest.mark.parametrize('fields', [
    {'device_kind': 'npu'}, {'device_kind': 'npu', 'loss_scale': '1024'},
    {'device_kind': 'npu', 'loss_scale': 'dynamic'}, {**MIXED, 'loss_scale': '1024'}, MIXED])
def test_with_and_without_a_loss_scale_it_is_the_same_training(believed, gpu, photos, capsys,
                                                               fields):
    flags = {'max_step': 5, 'learning_rate': 0.01, 'decay_step': 2}
    losses = []
    for kind in ({'device_kind': 'cpu'}, fields):
        with tf.Graph().as_default():
            train(**flags, **kind)
        losses.append(tiny.losses(capsys.readouterr().out))
    assert len(losses[0]) == 5
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # Adam hides a gradient that is not scaled back, the step counter hides nothing.
    assert tf.train.load_variable('model_dir/RCAN_X2_4_1_1-5', 'global_step') == 5


def test_many_steps_at_a_call_are_the_same_training(believed, photos, capsys):
    flags = {'max_step': 6, 'log_freq': 3, 'learning_rate': 0.01, 'decay_step': 2}
    losses = []
    for kind in ({'device_kind': 'cpu'}, {'device_kind': 'npu', 'iterations_per_loop': 3}):
        with tf.Graph().as_default():
            train(**flags, **kind)
        losses.append(tiny.losses(capsys.readouterr().out))
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert tf.train.load_variable('model_dir/RCAN_X2_4_1_1-6', 'global_step') == 6


def test_a_training_on_a_device_that_makes_one_step_for_many_fails(believed, photos, monkeypatch):
    monkeypatch.setitem(device.DEVICES, 'npu', device.DEVICES['npu']._replace(
        sink=device.DEVICES['cpu'].sink))
    with pytest.raises(TrainError, match='^--iterations_per_loop 3, but a call has made 1 steps'):
        train(device_kind='npu', iterations_per_loop=3, log_freq=3)


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


# --- the double is no more than the original ----------------------------------------------------

# The documented signatures (docs/en/tfadapter_1/apiref), and those of the optimizer's base.
SIGNATURES = {
    'util.set_iteration_per_loop': '(sess, train_op, iterations_per_loop=1)',
    'npu_loss_scale_manager.FixedLossScaleManager': '(loss_scale, enable_overflow_check=True)',
    'npu_loss_scale_manager.ExponentialUpdateLossScaleManager':
        '(init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, '
        'decr_ratio=0.8)',
    'npu_loss_scale_optimizer.NPULossScaleOptimizer':
        '(opt, loss_scale_manager, is_distributed=False)',
    'npu_loss_scale_optimizer.NPULossScaleOptimizer.compute_gradients':
        '(self, loss, var_list=None, gate_gradients=1, aggregation_method=None, '
        'colocate_gradients_with_ops=False, grad_loss=None)',
    'npu_loss_scale_optimizer.NPULossScaleOptimizer.apply_gradients':
        '(self, grads_and_vars, global_step=None, name=None)',
}


@pytest.mark.parametrize('name', SIGNATURES)
def test_the_double_is_called_as_the_original_is(bridge, name):
    module, *names = name.split('.')
    found = importlib.import_module(f'npu_bridge.estimator.npu.{module}')
    for part in names:
        found = getattr(found, part)
    assert str(inspect.signature(found)) == SIGNATURES[name]
