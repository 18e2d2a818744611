# SPDX-License-Identifier: Apache-2.0
"""How fast and how lean the model is, beside the original arrangement (original.py).

    python -m model.bench                 every row; half an hour on two cores
    python -m model.bench graph speed     only these

Ratios of what was measured in turns, medians: absolute times are of this machine only.
The row `pipeline` fills 9 GB of disk meanwhile.

Exit status: 0 every row reaches its goal, 1 one does not, 3 one could not be measured.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np

from model import progress
from model.config import PRESETS, Parser, TrainConfig
from model.errors import ModelError, RequestError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PHOTOS = os.path.join(ROOT, 'test', 'photos', 'DIV2K_train_HR')
CACHE = os.path.join(ROOT, '.cache')

DIV2K = 800, (1400, 2040)       # images and their usual size
PAIRS_S = 10.0                  # how long the input pipeline is watched
STARTS = 3                      # programs started of each arrangement, in turns
TURNS, TURN_STEPS = 8, 12       # turns of each arrangement, and steps in one
ENTRY = 2                       # of them left out: batches were ready from the other's turn


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ours: str
    original: str
    goal: str
    reached: bool


def main(argv=None) -> int:
    parser = Parser(prog='python -m model.bench', description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='*', metavar='ROW', help=', '.join(BENCHMARKS))
    parser.add_argument('--child', choices=CHILDREN, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(CHILDREN[args.child]()))
        return 0
    unknown = set(args.rows) - set(BENCHMARKS)
    if unknown:
        parser.error(f'no row {", ".join(sorted(unknown))}; there are {", ".join(BENCHMARKS)}')
    rows: List[Row] = []
    try:
        for name in args.rows or BENCHMARKS:
            print(f'bench: {name} ...', file=sys.stderr, flush=True)
            rows += BENCHMARKS[name]()
    finally:
        print(table(rows))      # also what was measured before a row that failed
    return 0 if all(row.reached for row in rows) else 1


def table(rows: Sequence[Row]) -> str:
    """The rows as people read them."""
    return progress.table([('', 'ours', 'the original', 'goal', 'reached'),
                           *((*row[:4], 'yes' if row.reached else 'NO') for row in rows)])


# --- the rows -----------------------------------------------------------------------------------

def graph() -> List[Row]:
    """Operations of the whole training graph, which an NPU takes its time to compile."""
    ours, original = _child('graph_ours'), _child('graph_original')
    return [Row('operations of the training graph (paper, x2)', f'{ours:,}', f'{original:,}',
                'at most 40,000', ours <= 40000)]


def start() -> List[Row]:
    """From the start of the program to the end of the first step, paper's network, a batch of 1.

    With the preset's batch of 16 a step is 40 s of computing on two cores, whoever arranges it.
    """
    ours, original = _in_turns(lambda: _child('start_ours'), lambda: _child('start_original'))
    ratio = statistics.median(a / b for a, b in zip(ours, original))
    return [Row('start to end of the first step (paper, x2, batch 1)',
                f'{statistics.median(ours):.1f} s', f'{statistics.median(original):.1f} s',
                f'at most 0.6 of it: {ratio:.2f}', ratio <= 0.6)]


def speed() -> List[Row]:
    """Wall clock with every step logged, and the step alone; smoke preset and 64 features."""
    rows = []
    for name, child in (('smoke', 'speed_smoke'), ('64 features', 'speed_64')):
        found = _child(child)
        wall = statistics.median(b / a for a, b in zip(found['ours_wall'], found['original_wall']))
        step = statistics.median(b / a for a, b in zip(found['ours_step'], found['original_step']))
        batch = TrainConfig().batch_size
        rows += [Row(f'images/s of wall clock, each step logged ({name})',
                     f'{batch / statistics.median(found["ours_wall"]):.1f}',
                     f'{batch / statistics.median(found["original_wall"]):.1f}',
                     f'at least 1.2 times: {wall:.2f}', wall >= 1.2),
                 Row(f'images/s of the step alone ({name})',
                     f'{batch / statistics.median(found["ours_step"]):.1f}',
                     f'{batch / statistics.median(found["original_step"]):.1f}',
                     f'never slower: {step:.2f}', step >= 1)]
    return rows


def pipeline() -> List[Row]:
    """Patch pairs (LR 48x48, x2) from a cache of DIV2K's size, and the process's memory."""
    found = _child('pipeline')
    return [Row('patch pairs/s from a cache of DIV2K\'s size', f'{found["pairs_s"]:,.0f}', '-',
                'at least 10,000', found['pairs_s'] >= 10000),
            Row('largest memory of that process', f'{found["peak_mb"]:.0f} MB', '-',
                'below 600 MB', found['peak_mb'] < 600)]


def wait() -> List[Row]:
    """How much of a step of the paper preset is waiting for its batch, as the log says."""
    with tempfile.TemporaryDirectory() as folder:
        log = _model('--preset', 'paper', '--train_GT_path', PHOTOS, '--max_step', '4',
                     '--log_freq', '1', '--model_path', folder, '--cache_path', CACHE)
    (waited,) = re.findall(r'"key": "input_wait", "value": ([\d.e-]+)', log)
    steps = [float(s) for s in re.findall(r'^Elpased time : (.*)$', log, re.M)][1:]
    share = float(waited) / sum(steps)
    return [Row('waiting for batches, of a step (paper)', f'{share:.2%}', '-', 'below 1 %',
                share < 0.01)]


def tiles() -> List[Row]:
    """The memory of measuring one image of 2040x1400 in tiles, paper's network."""
    peak_mb = _child('tiles')
    return [Row('largest memory, 2040x1400 with chop_forward (paper)', f'{peak_mb:.0f} MB', '-',
                'below 2,000 MB', peak_mb < 2000)]


def usage() -> List[Row]:
    """How long --help takes."""
    def once():
        started = time.perf_counter()
        _model('--help')
        return time.perf_counter() - started

    seconds = statistics.median(once() for _ in range(5))
    return [Row('model/main.py --help', f'{seconds:.2f} s', '-', 'below 0.3 s', seconds < 0.3)]


BENCHMARKS: Dict[str, Callable[[], List[Row]]] = {
    f.__name__: f for f in (graph, start, speed, pipeline, wait, tiles, usage)}


# --- what is measured in a process of its own ---------------------------------------------------

def _tensorflow():
    from model.main import quiet_tensorflow
    quiet_tensorflow('cpu')
    import tensorflow as tf
    return tf


def _ours(config, pairs):
    """Our training: its session and what makes a step, before the variables have values."""
    tf = _tensorflow()
    from model import checkpoint, data, recipe
    from model.device import device
    chosen = device(config)
    ready_s: Dict[int, float] = {}
    iterator = data.batches(pairs, config, ready_s)
    ops = recipe.training(iterator.get_next(), chosen, config)
    checkpoint.saver()
    return tf.Session(config=chosen.session_config(config)), iterator, ops


def _begin_ours(config, pairs):
    """Our training as a function that makes a step."""
    from model import checkpoint, network
    session, iterator, ops = _ours(config, pairs)
    checkpoint.load(session, network.initial_values(config.seed))
    session.run(iterator.initializer)
    return lambda: session.run([ops.step, ops.loss])[1]


def _begin_original(config, pairs):
    """The original's training: its session, a function that loads a step's batch, one that makes
    the step with it, and one that makes its summary.

    The session is a plain one with as many threads as ours.
    """
    tf = _tensorflow()
    from model import data, original
    from model.device import device
    graph = original.build(config)
    threads = device(config).session_config(config).intra_op_parallelism_threads
    session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=threads))
    session.run(tf.global_variables_initializer())

    def load(step):
        lr, hr = data.sample_batch(pairs, config, step)
        return {graph.lr: lr, graph.hr: hr, graph.number: step}

    return (session, load, lambda fed: session.run([graph.step, graph.loss], fed)[1],
            lambda fed: session.run(graph.summary, fed))


def _noise_pairs():
    from model.data import Pair
    random = np.random.RandomState(0)
    return [Pair('noise', random.randint(0, 256, [99, 99, 3], np.uint8),
                 random.randint(0, 256, [198, 198, 3], np.uint8), '')]


def _graph_ours() -> int:
    tf = _tensorflow()
    _ours(TrainConfig(), _noise_pairs())
    return len(tf.get_default_graph().get_operations())


def _graph_original() -> int:
    tf = _tensorflow()
    from model import original
    original.build(TrainConfig())
    return len(tf.get_default_graph().get_operations())


def _start_ours() -> float:
    _begin_ours(TrainConfig(batch_size=1), _noise_pairs())()
    return _process_age_s()


def _start_original() -> float:
    _, load, step, _ = _begin_original(TrainConfig(batch_size=1), _noise_pairs())
    step(load(1))
    return _process_age_s()


def _process_age_s() -> float:
    import psutil
    return time.time() - psutil.Process().create_time()


def _speed(**fields) -> Dict[str, List[float]]:
    """Seconds a step, with and without what surrounds it, a median for each turn.

    Each arrangement has a session and threads of its own; they take turns of a few steps.
    """
    tf = _tensorflow()
    config, pairs = TrainConfig(**fields), _noise_pairs()
    with tf.Graph().as_default():
        our_step = _begin_ours(config, pairs)
    with tf.Graph().as_default():
        _, load, original_step, summary = _begin_original(config, pairs)
    found: Dict[str, List[float]] = {
        f'{who}_{what}': [] for who in ('ours', 'original') for what in ('wall', 'step')}

    def ours(number):
        started = time.perf_counter()
        loss = our_step()
        step_s = time.perf_counter() - started
        progress.step_lines(number, float(loss), step_s)
        return time.perf_counter() - started, step_s

    def original(number):
        started = time.perf_counter()
        fed = load(number)
        loaded = time.perf_counter()
        loss = original_step(fed)
        step_s = time.perf_counter() - loaded
        summary(fed)
        progress.step_lines(number, float(loss), step_s)
        return time.perf_counter() - started, step_s

    for turn in range(-1, TURNS):       # the first turn of both is the warm-up
        for who, step in (('ours', ours), ('original', original)):
            timed = [step(number) for number in range(1, TURN_STEPS + 1)][ENTRY:]
            if turn >= 0:
                for what, seconds in zip(('wall', 'step'), zip(*timed)):
                    found[f'{who}_{what}'].append(statistics.median(seconds))
    return found


def _pipeline() -> Dict[str, float]:
    """Fill a cache with images of noise, then take batches from it for a while."""
    import psutil

    from model import cache, data
    images, (height, width) = DIV2K
    config = TrainConfig(max_step=10 ** 9)
    folder = tempfile.mkdtemp(prefix='bench-', dir=_made(CACHE))
    try:
        random, pairs = np.random.RandomState(0), []
        hr = random.randint(0, 256, [height, width, 3], np.uint8)
        for i in range(images):
            hr[0] = i % 256
            stored = []
            for side, pixels in (('lr', hr[::2, ::2]), ('hr', hr)):
                path = os.path.join(folder, f'{side}{i}.npy')
                np.save(path, pixels)
                stored.append(cache.Stored(path, ''))
            pairs.append(data.Pair(str(i), *stored, ''))
        del hr
        tf = _tensorflow()
        iterator = data.batches(pairs, config, {})
        batch = [image.op for image in iterator.get_next()]
        process, peak, counted = psutil.Process(), 0, 0
        with tf.Session() as session:
            session.run(iterator.initializer)
            session.run(batch)
            started = time.perf_counter()
            while time.perf_counter() - started < PAIRS_S:
                session.run(batch)
                counted += config.batch_size
                peak = max(peak, process.memory_info().rss)
            pairs_s = counted / (time.perf_counter() - started)
    finally:
        shutil.rmtree(folder)
    return {'pairs_s': pairs_s, 'peak_mb': peak / 1e6}


def _tiles() -> float:
    """The largest memory in MB of this process, by the kernel's account."""
    import resource
    tf = _tensorflow()
    from model import checkpoint, evaluate, network, upscale
    from model.data import Pair
    from model.device import device
    config, random = TrainConfig(chop_forward=True), np.random.RandomState(0)
    pair = Pair('noise', random.randint(0, 256, [700, 1020, 3], np.uint8),
                random.randint(0, 256, [1400, 2040, 3], np.uint8), '')
    network.rcan(tf.placeholder(tf.float32, [1, 8, 8, 3]), config)
    with tf.Session(config=device(config).session_config(config)) as session:
        checkpoint.load(session, network.initial_values(0))
        evaluate.measure(upscale.forward(session, config), 'noise', [pair], config,
                         lambda line: None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


CHILDREN: Dict[str, Callable] = {
    'graph_ours': _graph_ours, 'graph_original': _graph_original,
    'start_ours': _start_ours, 'start_original': _start_original,
    'speed_smoke': lambda: _speed(**PRESETS['smoke']),
    'speed_64': lambda: _speed(**{**PRESETS['smoke'], 'n_feats': 64}),
    'pipeline': _pipeline, 'tiles': _tiles}


# --- processes ----------------------------------------------------------------------------------

def _child(name: str):
    """What a process of its own has measured; it has the environment of a training (env/cpu.sh)."""
    return json.loads(_run(sys.executable, '-m', 'model.bench', '--child', name).splitlines()[-1])


def _model(*flags: str) -> str:
    return _run(sys.executable, os.path.join(ROOT, 'model', 'main.py'), *flags)


def _run(*command: str) -> str:
    done = subprocess.run(['bash', '-c', 'source env/cpu.sh && exec "$@"', 'bash', *command],
                          cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ModelError(f'{" ".join(command[1:])} failed ({done.returncode}): its words are above')
    return done.stdout


def _in_turns(*measure: Callable[[], float]) -> List[List[float]]:
    rounds = [[once() for once in measure] for _ in range(STARTS)]
    return [list(values) for values in zip(*rounds)]


def _made(folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    return folder


if __name__ == '__main__':
    try:
        sys.exit(main())
    except ModelError as e:
        print(f'bench: {e}', file=sys.stderr)
        sys.exit(2 if isinstance(e, RequestError) else 3)
    except KeyboardInterrupt:
        sys.exit(130)
