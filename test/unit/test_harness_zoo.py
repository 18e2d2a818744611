# SPDX-License-Identifier: Apache-2.0
"""A zoo of ModelZoo folders that crash, hang, lie and do harm: each gets the right verdict."""

import dataclasses
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import menagerie
import psutil
import pytest
import samples

from harness import baseline, config, device, evidence, judge, live, run, run_all, walls
from harness.records import Status
from harness.study import Study

PATIENCE_S = 120   # until a test gives up waiting for what must end
HANG_S = 1.5       # what hangs does so at once, on however slow a machine
SPREAD = (0.99, 0.994, 0.996, 0.998, 1.0, 1.0, 1.002, 1.004, 1.006, 1.01)
GOOD = [case for case in menagerie.CASES if case.behaviour == 'good']
HARMLESS = [case for case in menagerie.CASES if case.behaviour not in menagerie.HARMFUL]
HARMFUL = [case for case in menagerie.CASES if case.behaviour in menagerie.HARMFUL]
WALLS = bool(walls.bubblewrap(run_all.ask))
MEASURED = {'NO_BASELINE'}

needs_walls = pytest.mark.skipif(not WALLS, reason='bubblewrap is not here, or builds no walls')


def named(cases):
    """Parameters with the cases' names."""
    return pytest.mark.parametrize('case', cases, ids=[case.name for case in cases])


def state(*folders):
    """Every file below the folders: its bytes, or where it links to."""
    found = {}
    for folder in folders:
        for where, inner, names in os.walk(folder):
            for path in (Path(where, name) for name in [*inner, *names]):
                found[str(path)] = (os.readlink(str(path)) if path.is_symlink() else
                                    path.read_bytes() if path.is_file() else '')
    return found


class Bench:
    """The harness with one folder of the zoo, and all around it that must stay as it is."""

    def __init__(self, folder):
        self.folder = folder
        self.home, self.outside, self.tmp = (folder / name for name in ('home', 'outside', 'tmp'))
        for place in (self.home, self.outside):
            place.mkdir()
            (place / 'precious.txt').write_text('mine\n')
        self.tmp.mkdir()
        self.data = menagerie.data(folder / 'data')
        self.marker = f'menagerie-{os.getpid()}-{folder.name}'
        self.session = samples.session(max_runs=2, variables={
            **device.environment(samples.CPU, os.environ, 1), 'HOME': str(self.home)})

    def build(self, case, **how):
        """The folder of a case, and the harness's view of it."""
        model = case.build(self.folder, outside=self.outside, marker=self.marker, **how)
        argv = ['--model-dir', str(model), '--scripts', f'train*{case.kind}*1p*.sh',
                '--data_path', str(self.data),
                '--deadline', f'{HANG_S if case.what.hangs else PATIENCE_S}s']
        if case.rules:
            (self.folder / 'rules.toml').write_text(menagerie.rules(case))
            argv += ['--rules', str(self.folder / 'rules.toml')]
        self.session = dataclasses.replace(
            self.session, cases=config.cases(config.parse_args(argv)), baselines=())
        return model

    def records(self, runs=1):
        """Run it, each time with other noise, until a run measures nothing."""
        with live.View(quiet=True) as view:
            study = Study(self.session, str(self.folder / 'reports'), view)
            for index in range(1, runs + 1):
                menagerie.draw(self.data, index)
                if study.measure(self.session.cases[0], index).fault:
                    break
            menagerie.draw(self.data, 0)
        return study.records

    def verdict(self, records, baselines=()):
        """What is said of these runs."""
        session = dataclasses.replace(self.session, baselines=tuple(baselines))
        verdict, = judge.summarize(session, records).verdicts
        return verdict

    def kept(self):
        """All that a run may not change."""
        models = self.folder.glob('*_for_TensorFlow')
        return state(self.home, self.outside, self.data, self.tmp, *models)

    def left_behind(self):
        """Processes of the runs, and files of theirs outside of this folder."""
        places = ['/tmp', '/var/tmp', '/dev/shm', sysconfig.get_paths()['stdlib']]
        return ([str(path) for place in places for path in Path(place).glob(f'{self.marker}*')]
                + [str(process.info['cmdline']) for process in psutil.process_iter(['cmdline'])
                   if any(str(self.tmp) in word or word == self.marker
                          for word in process.info['cmdline'] or ())])


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A bench whose machine is always quiet."""
    set_up(tmp_path, monkeypatch)
    return Bench(tmp_path)


def set_up(folder, monkeypatch):
    """What hurries or disturbs has no part in these tests."""
    monkeypatch.setattr(run, 'GRACE_S', 0.05)
    monkeypatch.setattr(run, 'POLL_S', 0.02)
    monkeypatch.setattr(evidence.disturbance, 'disturbance', lambda load, cpus: '')
    monkeypatch.setattr(tempfile, 'tempdir', str(folder / 'tmp'))


@pytest.fixture(scope='module')
def baselines(tmp_path_factory):
    """Baselines of good runs, by what they are of; each is made where it is first needed."""
    made = {}

    def of(case):
        key = case.network, case.kind, case.rules
        if key not in made:
            with pytest.MonkeyPatch.context() as monkeypatch:
                folder = tmp_path_factory.mktemp('baseline')
                set_up(folder, monkeypatch)
                bench = Bench(folder)
                bench.build(case._replace(behaviour='good'))
                record, = bench.records()
            metric = record.run.case.metric
            value = record.value(metric)
            made[key] = baseline.from_runs([dataclasses.replace(
                record, measurement=dataclasses.replace(record.measurement, **{metric.name: (
                    value * share if metric.relative else value + share - 1)}))
                for share in SPREAD], 'good runs')
        return made[key]
    return of


# --- the zoo itself -------------------------------------------------------------------------------

def by_hand(case, tmp_path, *flags):
    """Start its script as ModelZoo's users do; its status and its result file."""
    model, data = case.build(tmp_path), menagerie.data(tmp_path / 'data')
    done = subprocess.run(
        ['bash', f'train_{case.kind}_1p.sh', f'--data_path={data}', *flags],
        cwd=str(model / 'test'), env={**os.environ, 'ASCEND_DEVICE_ID': '0'},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results = [path.read_text() for path in model.glob('test/output/0/Zoo*.log')]
    return done.returncode, dict(line.split(' = ') for text in results
                                 for line in text.splitlines())


def a_case(behaviour, template='A', kind='performance', style='rcan', rules=True):
    """One that need not be of the zoo's own cases."""
    return menagerie.Case(behaviour, behaviour, template, kind, style, rules)


def test_the_zoo_holds_more_than_a_hundred_cases_of_different_names():
    assert len({case.name for case in menagerie.CASES}) == len(menagerie.CASES) > 100
    assert {case.what.truth for case in menagerie.CASES} == {'sound', 'odd', 'failed', 'lying'}


@named(GOOD)
def test_a_good_script_tells_the_speed_of_its_log(case, tmp_path):
    status, said = by_hand(case, tmp_path)
    assert status == 0
    assert float(said['ActualFPS']) == pytest.approx(16 / 0.002, rel=0.04)
    assert float(said['ActualLoss']) < 1
    assert said['CaseName'] == (f'{case.network}_ID1234_for_TensorFlow_bs16_1p_'
                                f'{"perf" if case.kind == "performance" else "acc"}')
    assert (said['TrainAccuracy'] == 'None') == (case.kind == 'performance')
    assert list(said)[:6] == ['Network', 'RankSize', 'BatchSize', 'DeviceType', 'CaseName',
                              'ActualFPS']


@pytest.mark.parametrize('template', 'AB')
def test_a_script_whose_training_crashes_exits_with_0_and_a_blank_speed(template, tmp_path):
    status, said = by_hand(a_case('cannot import npu_bridge', template), tmp_path)
    assert (status, said['ActualFPS'].strip()) == (0, '')


@pytest.mark.parametrize('behaviour', ['is killed midway', 'exits silently midway'])
def test_a_script_whose_training_ends_midway_tells_a_plausible_speed(behaviour, tmp_path):
    status, said = by_hand(a_case(behaviour), tmp_path)
    assert status == 0
    assert float(said['ActualFPS']) == pytest.approx(16 / 0.002, rel=0.04)


def test_a_script_that_lies_about_its_batch_tells_twice_the_speed(tmp_path):
    case = a_case('tells a batch that it did not use')
    status, said = by_hand(case, tmp_path, *case.what.flags)
    assert (status, said['BatchSize']) == (0, '32')
    assert float(said['ActualFPS']) == pytest.approx(32 / 0.002, rel=0.04)


# --- the harness ----------------------------------------------------------------------------------

@named(HARMLESS)
def test_each_folder_gets_the_right_verdict_and_changes_nothing(case, bench, baselines):
    judged_and_unchanged(case, bench, baselines)


@needs_walls
@named(HARMFUL)
@pytest.mark.parametrize('hidden', [walls.HIDDEN, ('/var/tmp/',)], ids=['own /tmp', '/tmp seen'])
def test_a_folder_that_does_harm_can_do_none(case, hidden, bench, baselines, monkeypatch):
    monkeypatch.setattr(walls, 'HIDDEN', hidden)
    judged_and_unchanged(case, bench, baselines)


def judged_and_unchanged(case, bench, baselines):
    bench.build(case)
    before = bench.kept()
    # A script's own figure counts from its second run on.
    records = bench.records(1 if case.rules else 2)
    alone = bench.verdict(records)
    beside = bench.verdict(records, baselines(case))
    assert (bench.kept(), bench.left_behind()) == (before, [])
    assert alone.status.value in case.expected, alone.reason
    if not case.may_pass:
        assert beside.status not in (Status.PASS, Status.IMPROVED), beside.reason
    elif alone.status is Status.NO_BASELINE and case.rules:
        # Of other names of scripts or data there is no baseline.
        assert beside.status in (Status.PASS, Status.INCONCLUSIVE, Status.NO_BASELINE), (
            beside.reason)


@pytest.mark.parametrize('behaviour', [
    'good', 'crashes midway', 'is killed midway', 'hangs midway', 'hangs and ignores SIGTERM',
    'leaves a process behind', 'leaves a process behind that holds its output',
    'ends its process group', 'leaves a pipe beside its summary', 'edits its sources',
    'deletes its data', 'moves its data', 'deletes itself', 'removes all output',
    'makes an old summary new', 'copies the log of an old run'])
def test_in_a_mere_copy_the_verdict_is_the_same(behaviour, bench, baselines, monkeypatch):
    monkeypatch.setattr(walls, 'bubblewrap', lambda ask: '')
    judged_and_unchanged(a_case(behaviour), bench, baselines)


@pytest.mark.parametrize('behaviour', ['adds to its data', 'changes its data in place'])
def test_in_a_mere_copy_a_change_of_the_data_is_no_measurement(behaviour, bench, monkeypatch):
    monkeypatch.setattr(walls, 'bubblewrap', lambda ask: '')
    bench.build(a_case(behaviour))
    verdict = bench.verdict(bench.records())
    assert verdict.status is Status.INVALID
    assert 'it changed its data (labels.txt is not as it was)' in verdict.reason


GOOD_BOTH = pytest.mark.parametrize('case', [
    a_case('good'), a_case('good', 'B', 'full', 'keras', rules=False)], ids=['rules', 'no rules'])


@GOOD_BOTH
def test_good_runs_beside_good_runs_pass(case, bench):
    bench.build(case)
    records = bench.records(8)
    made = baseline.from_runs(records[:6], 'good runs')
    verdict = bench.verdict(records[6:], [dataclasses.replace(made[0], margin=0.2)])
    assert verdict.status is Status.PASS, verdict.reason


def test_a_constant_speed_is_found_out_without_rules(bench):
    bench.build(a_case('tells a constant', rules=False))
    verdict = bench.verdict(bench.records(2))
    assert verdict.status is Status.INVALID
    assert 'ActualFPS = 8012.47 in each of 2 runs' in verdict.reason


@GOOD_BOTH
def test_a_slower_training_is_a_regression(case, bench, baselines):
    bench.build(case, step_s=0.003)
    verdict = bench.verdict(bench.records(2), baselines(case))
    assert verdict.status is Status.REGRESSION, verdict.reason


def test_a_training_whose_quality_is_worse_is_a_regression(bench, baselines, monkeypatch):
    case = a_case('good', kind='full', style='fps')
    of_good_runs = baselines(case)
    monkeypatch.setattr(menagerie, 'PSNR_DB', menagerie.PSNR_DB - 1)
    bench.build(case)
    verdict = bench.verdict(bench.records(2), of_good_runs)
    assert (verdict.metric.unit, verdict.status) == ('dB', Status.REGRESSION), verdict.reason
