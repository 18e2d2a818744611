# SPDX-License-Identifier: Apache-2.0
"""The whole way of a training to an NPU and back, on TensorFlow 1.15 and without an NPU.

npu_double/ brings what a machine with an Ascend device has: a native adapter that takes a session's
graph, npu_bridge, CANN, the driver and npu-smi.  Everything runs in processes of its own, for the
adapter stays in the process that has loaded it.
"""

import ast
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import tiny
from npu_double import cann
from npu_double.parameters import PARAMETERS
from npu_double.surface import SURFACE, taken, undocumented
from stand_in import Project

from model import device

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope='module')
def libraries(tmp_path_factory):
    """The adapter and the libraries that it needs, compiled once."""
    if not shutil.which('g++'):
        pytest.skip('no g++ here, which compiles the double of the TF Adapter')
    return cann.compile_libraries(tmp_path_factory.mktemp('libraries'))


class Npu:
    """A machine with an NPU, on which programs run; break it by removing what it has."""

    def __init__(self, folder, layout, libraries):
        self.folder = folder
        self.machine = cann.install(folder, layout, libraries)
        self.env = {'PATH': os.environ['PATH'], 'HOME': str(folder), 'RCAN_ENV': '1',
                    **self.machine.env()}

    def run(self, *argv, stdin='', **env):
        """Run a program to its end in the environment that env/npu.sh makes."""
        return subprocess.run(
            ['bash', '-c', 'source "$0/env/npu.sh"; exec "$@"', str(ROOT), *map(str, argv)],
            cwd=str(self.folder), env={**self.env, **env}, input=stdin,
            capture_output=True, text=True)

    def python(self, code, **env):
        return self.run(sys.executable, '-W', 'ignore', '-c', code, **env)

    def model(self, flags=(), env=(), **fields):
        """Run model/main.py with the tiny network on the NPU."""
        return self.run(sys.executable, ROOT / 'model/main.py', *tiny.flags(
            **{'train_GT_path': 'HR', 'device_kind': 'npu', **fields}), *flags, **dict(env))


@pytest.fixture
def npu(tmp_path, libraries):
    tiny.write(str(tmp_path / 'HR'), a=tiny.smooth(36, 40, 0), b=tiny.smooth(36, 44, 1))
    return Npu(tmp_path, 'ascend-toolkit', libraries)


def proven(done):
    """The device that a training says to have been on, and by how many operations."""
    (found,) = [line for key, line in tiny.events(done.stdout) if key == 'device']
    return found['value'], found['metadata']['operations']


# --- a session's parameters ---------------------------------------------------------------------

# What asks for each feature of an NPU.
FEATURES = [{}, *({'precision_mode': mode} for mode in PARAMETERS['precision_mode'].allowed),
            {'profiling': True}, {'over_dump': True}, {'data_dump_flag': True},
            {'data_dump_flag': True, 'data_dump_step': '0|5|10-20'}, {'loss_scale': 'dynamic'},
            {'iterations_per_loop': 3, 'log_freq': 3}, {'mix_compile_mode': True},
            {'op_compiler_cache_dir': 'cache'},
            {'precision_mode': 'force_fp32', 'profiling': True, 'over_dump': True,
             'op_compiler_cache_dir': 'cache', 'iterations_per_loop': 3, 'log_freq': 3}]


def proto(*parameters, name='NpuOptimizer'):
    """A session's configuration with these parameters: (name, field, value)."""
    config = tf.ConfigProto()
    optimizer = config.graph_options.rewrite_options.custom_optimizers.add()
    optimizer.name = name
    for key, field, value in parameters:
        setattr(optimizer.parameter_map[key], field, value)
    return config


def ours(folder, **fields):
    """The configuration that the model gives a session."""
    return device.npu_session_config(tiny.config(device_kind='npu', dump_path=str(folder / 'dump'),
                                                 **fields))


# What of it the adapter does: case -> parameters, outcome.
HANDLED = {
    'nothing set': ([], 'npu'),
    'asked for': ([('use_off_line', 'b', True)], 'npu'),
    'not asked for': ([('use_off_line', 'b', False)], 'host'),
    'asked for in a field that is not read': ([('use_off_line', 's', b'True')], 'host'),
    'a name that nobody knows': ([('no_such_name', 'i', 1)], 'npu'),
    'a parameter server': ([('job', 's', b'ps')], 'host'),
    'no steps': ([('iterations_per_loop', 'i', 0)],
                 'SIGABRT: iterator_per_loop should be int and must >= 1'),
    'steps in a field that is not read': ([('iterations_per_loop', 's', b'3')],
                                          'SIGABRT: iterator_per_loop should be int and must >= 1'),
    'a mode of neither kind': ([('graph_run_mode', 'i', 2)],
                               'SIGABRT: graph_run_mode value must be 0 or 1'),
    'a negative device': ([('session_device_id', 'i', -1)],
                          'SIGABRT: session_device_id must be nonnegative integer.'),
    'a negative task': ([('task_index', 'i', -1)],
                        'SIGABRT: task_index should be int and must >= 0'),
    'an implementation': ([('op_select_implmode', 's', b'fast')],
                          'SIGABRT: op_select_implmode value is not supported'),
    'operators of no implementation': (
        [('optypelist_for_implmode', 's', b'Pooling')],
        'SIGABRT: when use optypelist_for_implmode, op_select_implmode must be set.'),
    'a buffer': ([('buffer_optimize', 's', b'l1')], 'SIGABRT: buffer_optimize is not valid, should '
                 'be one of the list:[l2_optimize, off_optimize]'),
    'a dump of what': ([('enable_dump', 'b', True), ('dump_path', 's', b'/tmp'),
                        ('dump_mode', 's', b'both')],
                       'SIGABRT: dump mode should be one of the list:[input, output, all]'),
    'a dump of when': ([('enable_dump', 'b', True), ('dump_path', 's', b'/tmp'),
                        ('dump_step', 's', b'20-10')],
                       "SIGABRT: dump_step string style is error, correct example:'0|5|10|50-100'"),
    'a dump of which overflow': (
        [('enable_dump_debug', 'b', True), ('dump_path', 's', b'/tmp'),
         ('dump_debug_mode', 's', b'any')], 'SIGABRT: dump debug mode should be one of the '
        'list:[aicore_overflow, atomic_overflow, all]'),
    'a dump that is off': ([('dump_mode', 's', b'both')], 'npu'),
    'a dump to nowhere': ([('enable_dump', 'b', True)],
                          'InternalError: if use dump function, dump_path must be set.'),
    'a dump to what is not there': (
        [('enable_dump', 'b', True), ('dump_path', 's', b'/no/folder')],
        'InternalError: the path /no/folder is not exist or has no read and write permission'),
    'an unknown precision': ([('precision_mode', 's', b'fp8')],
                             'InvalidArgumentError: precision_mode fp8 is not supported'),
    'a list without a mixed precision': (
        [('modify_mixlist', 's', b'list.json')],
        "InternalError: modify_mixlist is assigned, please ensure that precision_mode is assigned "
        "to 'allow_mix_precision'."),
    'jit_compile of older adapters': (
        [('jit_compile', 'b', True)],
        'InvalidArgumentError: jit_compile must be a string: true, false or auto'),
}
STEPS = ('iterations_per_loop', 'i', 3)


@pytest.fixture(scope='module')
def outcomes(libraries, tmp_path_factory):
    """What each session comes to, by case."""
    folder = tmp_path_factory.mktemp('sessions')
    cases = {name: proto(*parameters) for name, (parameters, _) in HANDLED.items()}
    cases.update({str(fields): ours(folder, **fields) for fields in FEATURES})
    cases.update({'without': tf.ConfigProto(), 'another': proto(name='OtherOptimizer'),
                  'initializable': proto(STEPS), 'oneshot': proto(STEPS)})
    encoded = [('oneshot ' if name == 'oneshot' else '') + config.SerializeToString().hex()
               for name, config in cases.items()]
    done = Npu(folder, 'ascend-toolkit', libraries).run(
        sys.executable, '-W', 'ignore', HERE / 'npu_double/sessions.py', stdin=json.dumps(encoded))
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, json.loads(done.stdout)))


@pytest.mark.parametrize('case', HANDLED)
def test_the_adapter_reads_a_sessions_parameters_as_the_original_does(outcomes, case):
    assert outcomes[case] == HANDLED[case][1]


def test_the_adapter_leaves_a_session_alone_that_is_not_for_the_npu(outcomes):
    assert (outcomes['without'], outcomes['another']) == ('host', 'host')


def test_many_steps_at_a_call_need_an_iterator_that_is_initialized(outcomes):
    assert outcomes['initializable'] == 'npu'
    assert outcomes['oneshot'] == ('SIGABRT: iterator_per_loop only support 1 when using '
                                   'OneShotIterator')


@pytest.mark.parametrize('fields', FEATURES, ids=str)
def test_a_session_of_ours_is_on_the_npu_whatever_is_asked_for(outcomes, fields):
    assert outcomes[str(fields)] == 'npu'


@pytest.mark.parametrize('fields', FEATURES, ids=str)
def test_what_a_session_of_ours_sets_every_supported_adapter_reads(tmp_path, fields):
    (optimizer,) = ours(tmp_path, **fields).graph_options.rewrite_options.custom_optimizers
    assert mistakes(optimizer) == []


def mistakes(optimizer):
    """The parameters that CANN 5.0.2's adapter (r1.5.0), or its table of values, does not know."""
    found = []
    for name, value in optimizer.parameter_map.items():
        field = value.WhichOneof('value')
        known = PARAMETERS.get(name)
        if not known or field != known.field or branch(known.since) > branch('r1.5.0'):
            found.append((name, field))
        elif known.allowed and text(getattr(value, field)) not in known.allowed:
            found.append((name, text(getattr(value, field))))
    return found


def branch(name):
    return [int(part) for part in name[1:].split('.')]


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize('parameter, mistake', [
    (('use_off_line', 'b', True), []),
    (('use_off_line', 's', b'True'), [('use_off_line', 's')]),
    (('use_offline', 'b', True), [('use_offline', 'b')]),
    (('precision_mode', 's', b'mixed'), [('precision_mode', 'mixed')]),
    (('graph_run_mode', 'i', 2), [('graph_run_mode', '2')]),
    (('precision_mode_v2', 's', b'fp16'), [('precision_mode_v2', 's')])])    # since r1.13.0
def test_a_parameter_that_an_adapter_does_not_read_is_noticed(parameter, mistake):
    (optimizer,) = proto(parameter).graph_options.rewrite_options.custom_optimizers
    assert mistakes(optimizer) == mistake


# --- npu_bridge ---------------------------------------------------------------------------------

OURS = [*sorted((ROOT / 'model').glob('**/*.py')), ROOT / 'test/canary.py']
DOUBLE = HERE / 'npu_double/npu_bridge'


@pytest.mark.parametrize('path', OURS, ids=lambda path: path.name)
def test_we_take_of_npu_bridge_only_what_is_documented_and_what_the_double_has(path):
    source = path.read_text(encoding='utf-8')
    assert undocumented(source) == []
    assert sorted(taken(source) - set(doubled())) == []
    assert bool(taken(source)) == (path.name in ('device.py', 'canary.py'))


@pytest.mark.parametrize('source, lacking', [
    ('import npu_bridge', ''), ('import npu_bridge.npu_init', ''),
    ('from npu_bridge.estimator.npu import util', ''),
    ('from npu_bridge.estimator.npu.npu_scope import keep_dtype_scope', ''),
    ('from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer as O\n'
     'O.minimize', ''),
    ('from npu_bridge.estimator.npu import util\nutil.set_iteration_per_loop(s, t, 3)', ''),
    ('from npu_bridge.estimator.npu import util as u\nu.set_iterations(3)',
     'npu_bridge.estimator.npu.util.set_iterations'),
    ('from npu_bridge.estimator.npu.util import fair_division',
     'npu_bridge.estimator.npu.util.fair_division'),
    ('from npu_bridge.npu_init import *', 'npu_bridge.npu_init.*'),   # changes every session
    ('from npu_bridge.npu_init import decorator_tf_session',          # since r1.9.0
     'npu_bridge.npu_init.decorator_tf_session'),
    ('import npu_bridge.npu_device', 'npu_bridge.npu_device'),
    ('import npu_bridge\nnpu_bridge.tf_adapter', 'npu_bridge.tf_adapter')])
def test_what_is_not_documented_is_noticed(source, lacking):
    assert undocumented(source) == ([lacking] if lacking else [])


def test_the_double_has_nothing_that_the_original_lacks():
    assert [name for name, module in sorted(doubled().items())
            if name not in SURFACE and name.rpartition('.')[2] not in SURFACE[module]] == []
    assert len(doubled()) > 40


def doubled():
    """The modules of the double and their names, as dotted names; each with its module."""
    found = {}
    for path in DOUBLE.glob('**/*.py'):
        parts = ('npu_bridge', *path.relative_to(DOUBLE).with_suffix('').parts)
        module = '.'.join(part for part in parts if part != '__init__')
        if not path.name.startswith('_') or path.name == '__init__.py':
            found[module] = module
            names = defined(ast.parse(path.read_text()).body, parts[-1] in ('npu_init', '__init__'))
            found.update({f'{module}.{name}': module for name in names
                          if not name.startswith('_') or name == '__version__'})
    return found


def defined(body, imported):
    """What the statements of a module define, and where that is its use what they import."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and imported and node.module != 'npu_bridge._adapter':
            yield from (name.asname or name.name for name in node.names)
        elif isinstance(node, (ast.If, ast.Try)):
            yield from defined(node.body, imported)


STAR = '''
import atexit, json
import tensorflow as tf
closing, register = [], atexit.register
atexit.register = lambda f, *a, **k: (closing.append(f.__name__), register(f, *a, **k))
import npu_bridge
atexit.register = register
def where(config=None):
    ran = tf.RunMetadata()
    with tf.Session(config=config) as session:
        session.run(tf.random.uniform([]), run_metadata=ran,
                    options=tf.RunOptions(output_partition_graphs=True))
    return any(n.op == 'GeOp' for g in ran.partition_graphs for n in g.node)
before = where()
from npu_bridge.npu_init import *
after, mine = where(), tf.ConfigProto()
mine.graph_options.rewrite_options.custom_optimizers.add().name = 'NpuOptimizer'
mine.graph_options.rewrite_options.custom_optimizers[0].parameter_map['use_off_line'].b = False
off = where(mine)
proto = 'npu_config_proto' in globals()
print(json.dumps(['npu_close' in closing, proto, before, after, off,
                  where(npu_config_proto()) if proto else None]))
'''


@pytest.mark.parametrize('adapter, closes, has_proto, patches', [
    ('r1.1.1', False, False, False), ('r1.8.0', True, True, False), ('r1.15.0', True, True, True)])
def test_a_star_import_does_what_it_does_since_the_branch_that_it_is_of(npu, adapter, closes,
                                                                        has_proto, patches):
    done = npu.python(STAR, NPU_DOUBLE_ADAPTER=adapter)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        closes, has_proto, False, patches, False, True if has_proto else None]


def test_the_device_is_opened_and_closed_apart_and_a_scope_keeps_an_operation_on_the_host(npu):
    done = npu.python('''
from npu_bridge.npu_init import *
session, stop = init_resource()
with npu_scope.without_npu_compile_scope():
    on_host = tf.raw_ops.RandomUniform(shape=[1], dtype=tf.float32)
ran = tf.RunMetadata()
session.run(on_host, run_metadata=ran, options=tf.RunOptions(output_partition_graphs=True))
print([n.op for g in ran.partition_graphs for n in g.node].count('GeOp'))
shutdown_resource(session, stop)
close_session(session)
''')
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, '0'), done.stderr


# --- a training ---------------------------------------------------------------------------------

@pytest.mark.parametrize('layout', cann.LAYOUTS)
def test_the_script_finds_the_npu_and_trains_on_it(tmp_path, libraries, layout):
    machine = Npu(tmp_path, layout, libraries)
    project = Project(tmp_path)
    tiny.write(str(tmp_path / 'data/DIV2K_train_HR'), a=tiny.smooth(36, 40, 0))
    done = project.script('train_performance_1p.sh', '--preset=smoke', '--batch=2',
                          '--patch_size=6', '--max_step=7', f'--data_path={tmp_path / "data"}',
                          **machine.env)
    assert done.returncode == 0, done.stdout + done.stderr
    kind, operations = proven(done)
    assert (kind, operations > 0) == ('npu', True)
    (result,) = project.results().values()
    (speed,) = re.findall('(?m)^ActualFPS = (.*)$', result)
    assert float(speed) > 0
    assert f'CANN: {machine.machine.home}' in done.stderr


def test_a_training_with_everything_that_an_npu_can_do_is_on_it(npu):
    done = npu.model(loss_scale='1024', precision_mode='allow_mix_precision', profiling=True,
                     over_dump=True, op_compiler_cache_dir='cache', max_step=6)
    assert done.returncode == 0, done.stderr
    assert proven(done)[0] == 'npu'
    assert len(tiny.losses(done.stdout)) == 6
    assert {'profiling', 'overflow_dump'} == set(os.listdir(str(npu.folder / 'dump')))


def test_a_checkpoint_is_measured_on_the_npu(npu, monkeypatch):
    monkeypatch.chdir(npu.folder)
    flags = {'mode': 'test', 'pre_trained_model': tiny.nearest(), 'test_GT_path': 'HR'}
    done = npu.model(**flags)
    assert done.returncode == 0, done.stderr
    assert tiny.logged(done.stdout, 'Final PSNR')
    assert npu.model(**flags, env={'NPU_DOUBLE_LIBRARY': ''}).returncode == 1


def test_four_steps_at_a_call_are_the_same_steps_and_their_time_is_a_steps(npu):
    flags = {'max_step': 16, 'learning_rate': 0.01, 'decay_step': 5, 'loss_scale': 'dynamic'}
    one = npu.model(**flags)
    four = npu.model(**flags, iterations_per_loop=4, log_freq=4, env={'NPU_DOUBLE_STEP_MS': '30'})
    assert (one.returncode, four.returncode) == (0, 0), four.stderr
    assert re.findall(r'(?m)^(\d+) training step completed$', four.stdout) == ['4', '8', '12', '16']
    assert tiny.losses(four.stdout) == pytest.approx(tiny.losses(one.stdout)[3::4], rel=1e-3)
    seconds = [float(s) for s in tiny.logged(four.stdout, 'Elpased time')]
    (speed,) = tiny.logged(four.stdout, 'Final images/sec')
    # The first 5 steps are the warm-up: two calls.
    assert float(speed) == pytest.approx(2 / statistics.median(seconds[2:]), rel=1e-3)
    # The device took 30 ms for each step; all calls fit into the time of the run.
    assert min(seconds) >= 0.03
    times = {key: line['time_ms'] for key, line in tiny.events(four.stdout)}
    assert 4 * sum(seconds) <= (times['run_stop'] - times['run_start'] + 2) / 1000


def test_a_device_that_is_not_told_to_loop_is_noticed(npu):
    module = npu.machine.packages / 'npu_bridge/estimator/npu/util.py'
    module.write_text(module.read_text().replace('def _sinks(sess):',
                                                 'def _sinks(sess):\n    return False\n'))
    done = npu.model(iterations_per_loop=3, log_freq=3)
    assert (done.returncode, done.stderr.splitlines()[-1].split(':')[1]) == (
        1, ' --iterations_per_loop 3, but a call has made 1 steps')


def test_a_training_that_the_adapter_leaves_on_the_cpu_fails(npu):
    done = npu.model(env={'NPU_DOUBLE_LIBRARY': ''})
    assert done.returncode == 1
    assert proven(done) == ('npu', 0)
    assert done.stderr.splitlines()[-1].startswith(
        'main.py: asked to be on the npu, but none of its operations was in the graph that ran')


def test_the_canary_runs_on_the_npu(npu):
    done = npu.run(sys.executable, ROOT / 'test/canary.py', RCAN_DEVICE_KIND='npu')
    assert (done.returncode, done.stdout[:16]) == (0, 'Canary seconds :'), done.stderr


# --- what fails ---------------------------------------------------------------------------------

def test_a_device_that_cannot_be_opened_aborts_the_training_and_leaves_canns_log(npu):
    done = npu.model(env={'NPU_DOUBLE_FAULT': 'init'})
    assert done.returncode == -signal.SIGABRT
    assert 'Traceback' not in done.stderr
    (log,) = (npu.folder / 'ascend/log/run/plog').glob('plog-*.log')
    pid, first = log.name.split('-')[1].split('_')[0], log.read_text().splitlines()[0]
    assert re.match(rf'\[ERROR\] GE\({pid},python3.7\):\d{{4}}-\d\d-\d\d-.*\[ge_plugin.cc:', first)


def test_the_script_ends_with_the_status_of_an_abort(npu):
    project = Project(npu.folder)
    tiny.write(str(npu.folder / 'data/DIV2K_train_HR'), a=tiny.smooth(36, 40, 0))
    done = project.script('train_performance_1p.sh', '--preset=smoke', '--batch=2',
                          '--patch_size=6', '--max_step=7', f'--data_path={npu.folder / "data"}',
                          **npu.env, NPU_DOUBLE_FAULT='init')
    assert done.returncode == 128 + signal.SIGABRT
    assert 'the training failed with status 134' in done.stderr
    assert project.results() == {}


@pytest.mark.parametrize('fields, what', [
    ({'fine_tuning': True}, 'the start of the training'),
    ({'mode': 'test', 'test_GT_path': 'HR'}, 'the start of the network')])
def test_a_device_that_is_busy_fails_in_one_line_that_says_why(npu, monkeypatch, fields, what):
    monkeypatch.chdir(npu.folder)
    done = npu.model(pre_trained_model=tiny.nearest(), env={'NPU_DOUBLE_FAULT': 'busy'}, **fields)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f'main.py: {what} failed: EJ0001: Failed to initialize the HCCP process. Reason: Maybe the '
        'last training process is running.')
    assert 'Traceback' not in done.stderr


MISSING = {
    'the package': (lambda m: m.packages / 'npu_bridge', 'no Python package npu_bridge'),
    'hccl': (lambda m: m.kit / 'python/site-packages/hccl', 'no Python package hccl'),
    'the adapter': (lambda m: m.packages / 'npu_bridge/_tf_adapter.so',
                    '_tf_adapter.so: cannot open'),
    'CANN': (lambda m: m.kit / 'lib64/libge_runner.so', '(libge_runner.so: cannot open'),
    'the driver': (lambda m: m.home / 'driver/lib64/driver/libascend_hal.so',
                   '(libascend_hal.so: cannot open'),
}


@pytest.mark.parametrize('what', MISSING)
def test_what_the_machine_lacks_is_named_in_one_line(npu, what):
    find, said = MISSING[what]
    path = find(npu.machine)
    if path.is_dir():
        shutil.rmtree(str(path))
    else:
        path.unlink()
    done = npu.model()
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith('main.py: --device_kind npu, but ')
    assert said in last
    assert 'Traceback' not in done.stderr


# --- npu-smi ------------------------------------------------------------------------------------

@pytest.fixture
def smi(tmp_path):
    """Ask the double of npu-smi; keyword arguments are its state."""
    def ask(*argv, **state):
        for name, value in state.items():
            (tmp_path / name).write_text(f'{value}\n')
        return subprocess.run([str(HERE / 'npu_double/npu-smi'), *argv], capture_output=True,
                              text=True,
                              env={'PATH': os.environ['PATH'], 'NPU_DOUBLE_SMI': str(tmp_path)})
    return ask


def test_the_tables_of_npu_smi_have_the_state_that_it_is_given(smi):
    out = smi('info', chips=2, health='Alarm', busy=97, hbm=30710,
              processes='1 4321 python3 30000').stdout.splitlines()
    assert out[6] == ('| 0     910A                | Alarm         | 73.1        41               '
                      ' 0     / 0             |')
    assert out[7] == ('| 0                         | 0000:61:00.0  | 97          920  / 13553      '
                      '30710 / 32768         |')
    assert out[-4].startswith('| No running processes found in NPU 0 ')
    assert out[-2].split() == '| 1 0 | 4321 | python3 | 30000 |'.split()


@pytest.mark.parametrize('what, rows', [
    ('board', ['Software Version               : 23.0.5',
               'PCI Device ID                  : 0xD801']),
    ('common', ['Aicore curFreq(MHZ)            : 600', 'Temperature(C)                 : 41']),
    ('usages', ['HBM Capacity(MB)               : 32768']),
    ('temp', ['NPU Temperature (C)            : 41']),
    ('power', ['NPU Real-time Power(W)         : 73.1']),
    ('memory', ['HBM Clock Speed(MHz)           : 1000'])])
def test_the_details_of_npu_smi_are_rows_after_a_tab(smi, what, rows):
    lines = smi('info', '-i', '0', '-t', what, clock=600).stdout.splitlines()
    assert lines[0] == '\tNPU ID                         : 0'
    assert [f'\t{row}' for row in rows if f'\t{row}' not in lines] == []


@pytest.mark.parametrize('fault, status, said', [
    ('driver', 187, 'dcmi module initialize failed. ret is -8005\n'),
    ('empty', 0, 'There is no NPU card on this server.\n')])
def test_npu_smi_says_on_standard_output_why_it_has_nothing_to_say(smi, fault, status, said):
    done = smi('info', fault=fault)
    assert (done.returncode, done.stdout, done.stderr) == (status, said, '')


def test_npu_smi_may_end_with_a_warning(smi):
    assert smi('info', fault='warning').stdout.splitlines()[-1].startswith('[WARNING]The driver')


def test_npu_smi_lists_the_chips_and_its_version(smi):
    assert smi('-v').stdout == 'npu-smi version: 23.0.5\n'
    assert smi('info', '-m', chips=2).stdout.splitlines()[2].split() == ['1', '0', '1', 'Ascend',
                                                                         '910A']
    assert 'Total Count                    : 2' in smi('info', '-l').stdout
    assert smi('info', '-i', '0', '-t', 'foo').returncode != 0
