# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says, on a tiny network; no test is about how fast."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf
import tiny

from model import bench, checkpoint, network, original
from model.errors import ModelError, RequestError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_both_arrangements_compute_the_same_loss_and_the_same_step():
    config, pairs = tiny.config(learning_rate=0.01, max_step=5), bench._noise_pairs()
    with tf.Graph().as_default():
        step = bench._begin_ours(config, pairs)
        values = network.initial_values(config.seed)
        ours = [float(step()) for _ in range(5)]
    with tf.Graph().as_default():
        session, load, step, _ = bench._begin_original(config, pairs)
        for variable in tf.trainable_variables():
            variable.load(values[variable.op.name], session)
        theirs = [float(step(load(number))) for number in range(1, 6)]
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_the_original_is_a_larger_graph_of_the_same_network():
    sizes = {}
    config = tiny.config(n_RG=2, n_RCAB=2)
    with tf.Graph().as_default() as graph:
        original.build(config)
        names = {v.op.name: v.shape for v in tf.trainable_variables()}
        sizes['original'] = len(graph.get_operations())
    with tf.Graph().as_default() as graph:
        bench._ours(config, bench._noise_pairs())
        assert {v.op.name: v.shape for v in tf.trainable_variables()} == names
        sizes['ours'] = len(graph.get_operations())
    assert sizes['ours'] < 0.6 * sizes['original']


def test_the_papers_training_graph_has_at_most_40_000_operations():
    assert bench._graph_ours() <= 40000


def test_speeds_come_in_turns_with_what_surrounds_a_step_outside_it(monkeypatch):
    monkeypatch.setattr(bench, 'TURNS', 3)
    found = bench._speed(**{**tiny.NETWORK, 'max_step': 100})
    assert {name: len(seconds) for name, seconds in found.items()} == {
        'ours_wall': 3, 'ours_step': 3, 'original_wall': 3, 'original_step': 3}
    for who in ('ours', 'original'):
        assert all(0 < step < wall for step, wall in zip(found[f'{who}_step'],
                                                         found[f'{who}_wall']))


def test_the_pipeline_is_measured_from_a_cache_that_is_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, 'CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(bench, 'DIV2K', (3, (120, 140)))
    monkeypatch.setattr(bench, 'PAIRS_S', 0.2)
    found = bench._pipeline()
    assert found['pairs_s'] > 0 and found['peak_mb'] > 10
    assert os.listdir(str(tmp_path / 'cache')) == []


def test_the_memory_of_tiles_is_that_of_measuring_with_the_paper_network_in_tiles(monkeypatch):
    seen = []

    def measure(forward, test_set, pairs, config, log):
        seen.append(([(p.lr.shape, p.hr.shape) for p in pairs], config.chop_forward,
                     config.n_RG * config.n_RCAB, config.n_feats))

    monkeypatch.setattr('model.evaluate.measure', measure)
    monkeypatch.setattr('model.upscale.forward', lambda session, config: None)
    monkeypatch.setattr(checkpoint, 'load', lambda session, values: None)
    with tf.Graph().as_default():
        assert bench._tiles() > 10
    assert seen == [([((700, 1020, 3), (1400, 2040, 3))], True, 200, 64)]


@pytest.mark.parametrize('operations, reached, status', [(41000, 'NO', 1), (9, 'yes', 0)])
def test_a_goal_that_is_missed_is_told_and_is_the_exit_status(monkeypatch, capsys, operations,
                                                              reached, status):
    monkeypatch.setattr(bench, '_child', lambda name: operations)
    assert bench.main(['graph']) == status
    head, line, row = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split('|')[1:-1]] == [
        '', 'ours', 'the original', 'goal', 'reached']
    assert row.split('|')[-2].strip() == reached


def test_the_start_is_the_median_of_programs_started_in_turns(monkeypatch):
    started, seconds = [], iter([3.0, 10.0, 1.0, 5.0, 2.0, 10.0])

    def child(name):
        started.append(name)
        return next(seconds)

    monkeypatch.setattr(bench, '_child', child)
    (row,) = bench.start()
    assert started == ['start_ours', 'start_original'] * 3
    assert (row.ours, row.original, row.goal) == ('2.0 s', '10.0 s', 'at most 0.6 of it: 0.20')


def test_waiting_is_the_logs_share_of_the_steps_after_the_first(monkeypatch):
    log = ('Elpased time : 50.000000\nElpased time : 2.000000\nElpased time : 2.000000\n'
           ':::MLLOG {"namespace": "", "time_ms": 1, "event_type": "POINT_IN_TIME", '
           '"key": "input_wait", "value": 0.06, "metadata": {}}\n')
    monkeypatch.setattr(bench, '_model', lambda *flags: log)
    (row,) = bench.wait()
    assert (row.ours, row.reached) == ('1.50%', False)


def test_an_unknown_row_is_refused_in_one_line():
    with pytest.raises(RequestError, match='no row nonsense; there are graph, start, speed'):
        bench.main(['nonsense'])
    done = subprocess.run([sys.executable, '-m', 'model.bench', 'nonsense'], cwd=ROOT,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('bench: no row nonsense') and done.stderr.count('\n') == 1


def test_what_is_measured_has_the_environment_of_a_training(monkeypatch):
    monkeypatch.delenv('MALLOC_ARENA_MAX', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    code = 'import os; print(os.environ["MALLOC_ARENA_MAX"] + os.environ["CUDA_VISIBLE_DEVICES"])'
    assert bench._run(sys.executable, '-c', code) == '1\n'


def test_a_row_that_cannot_be_measured_ends_with_3_and_loses_no_other():
    code = ('import sys; from model import bench\n'
            'bench.BENCHMARKS["speed"] = lambda: bench._run(sys.executable, "-c", "1 / 0")\n'
            'bench.main(["usage", "speed"])')
    with pytest.raises(ModelError, match=r'-c 1 / 0 failed \(1\): its words are above'):
        bench._run(sys.executable, '-c', '1 / 0')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert '| model/main.py --help' in done.stdout and 'ModelError' in done.stderr
