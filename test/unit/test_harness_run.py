# SPDX-License-Identifier: Apache-2.0
"""Starting, watching and stopping a script.  The scripts stand in; the processes are real."""

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console
from samples import CPU, MACHINE, case, planned, session
from stand_in import ROOT, is_alive, training_log

from harness import device, live, run, study
from harness.errors import ConfigError, RunError
from harness.judge import judge
from harness.records import Device, Status

PATIENCE_S = 60   # until a test gives up waiting for what must come


class Bench:
    """A project with one script, and a folder for its run."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder
        self.output = root / 'test/output/0'
        self.log = self.output / 'train_0.log'
        self.output.mkdir(parents=True)
        self.folder.mkdir()

    def run(self, script, watch=lambda pid, lines: None, deadline_s=PATIENCE_S, environment=None):
        """Run a bash script to its end; it stands in the project's root."""
        (self.root / 'script.sh').write_text(script)
        of = dataclasses.replace(case(deadline_s=deadline_s), script='script.sh')
        self.planned = dataclasses.replace(planned(), case=of)
        how = run.launch(self.planned, CPU, os.environ if environment is None else environment,
                         str(self.root))
        return run.run(self.planned, how, str(self.folder), watch)

    def wait_for(self, *names):
        """Wait until the script has written files of these names."""
        waited = time.monotonic()
        while not all((self.root / name).exists() and (self.root / name).read_text()
                      for name in names):
            assert time.monotonic() - waited < PATIENCE_S
            time.sleep(0.01)
        return [int((self.root / name).read_text()) for name in names]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(run, 'POLL_S', 0.01)
    monkeypatch.setattr(run, 'GRACE_S', 0.3)
    return Bench(tmp_path, tmp_path / 'run')


# --- how a script ends ----------------------------------------------------------------------------

# A harness that has stopped its script, as it does with the arms of a pair, and waits.
HARNESS = '''
import os, signal, sys
from samples import CPU, planned
from harness.run import Script, launch
root, folder = sys.argv[1:]
script = Script(planned(), launch(planned(), CPU, os.environ, root), folder)
while not os.path.exists(os.path.join(root, 'ready')):
    script.let_run(0.01)
script.signal(signal.SIGSTOP)
print('stopped', flush=True)
signal.pause()
'''


def test_a_killed_harness_leaves_no_script_not_even_a_stopped_one(bench):
    script = bench.root / planned().case.script
    script.parent.mkdir(exist_ok=True)
    script.write_text('sleep 600 & echo $! $$ >pids; touch ready; wait')
    harness = subprocess.Popen(
        [sys.executable, '-c', HARNESS, str(bench.root), str(bench.folder)], stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'test/unit')])})
    assert harness.stdout.readline() == b'stopped\n'
    pids = [int(pid) for pid in (bench.root / 'pids').read_text().split()]
    assert len(pids) == 2 and all(map(is_alive, pids))
    harness.kill()
    harness.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def test_a_script_that_succeeds_has_no_fault_and_leaves_its_output(bench):
    before = time.time()
    outcome = bench.run('echo to stdout; echo to stderr >&2; echo "$PWD $1"; cat')
    assert (outcome.returncode, outcome.fault, outcome.interrupted) == (0, '', False)
    assert (bench.folder / 'output.log').read_text() == (
        f'to stdout\nto stderr\n{bench.root} --seed=0\n')
    assert outcome.output_path == str(bench.folder / 'output.log')
    assert before <= outcome.started_unix_s <= time.time()
    assert 0 < outcome.wall_s < time.time() - before + 1


@pytest.mark.parametrize('script, status', [('exit 7', 7), ('kill -9 $$', -9), ('no-such', 127)])
def test_a_script_that_fails_has_its_exit_status_for_a_fault(bench, script, status):
    outcome = bench.run(script)
    assert (outcome.returncode, outcome.fault) == (status, f'exit status {status}')


def test_a_script_that_has_ended_by_its_deadline_has_met_it(bench, monkeypatch):
    def sleep_until_it_has_ended(_):
        # Of our two children the other is its guard, which waits for us.
        while all(p.status() != psutil.STATUS_ZOMBIE for p in psutil.Process().children()):
            time.sleep(0.01)

    monkeypatch.setattr(run, 'time', SimpleNamespace(
        sleep=sleep_until_it_has_ended, monotonic=time.monotonic, time=time.time))
    outcome = bench.run('exit 0', deadline_s=0)
    assert (outcome.returncode, outcome.fault) == (0, '')


# A script that does not want to end, with a child and a grandchild; after two minutes they do.
STUBBORN = '''
trap '' TERM INT HUP
wait_long() { for i in {1..120}; do sleep 1; done; }
export -f wait_long
bash -c 'trap "" TERM; (echo $BASHPID >grandchild; wait_long) & echo $$ >child; wait_long' &
echo $$ >self
wait_long
'''
FAMILY = ('self', 'child', 'grandchild')


def test_the_deadline_ends_the_whole_group_even_what_ignores_the_request(bench):
    pids = []
    outcome = bench.run(STUBBORN, deadline_s=0.01,
                        watch=lambda pid, lines: pids.extend(bench.wait_for(*FAMILY)))
    assert len(pids) == 3
    assert not any(map(is_alive, pids))
    assert (outcome.returncode, outcome.fault) == (None, 'no end after 0 s')


def test_a_script_is_asked_first_and_may_clean_up(bench, monkeypatch):
    monkeypatch.setattr(run, 'GRACE_S', PATIENCE_S)   # it ends as soon as the group is empty
    bench.run('trap "echo cleaned up; exit" TERM; echo $$ >self; '
              'for i in {1..1200}; do sleep 0.1; done', deadline_s=0.01,
              watch=lambda pid, lines: bench.wait_for('self'))
    assert (bench.folder / 'output.log').read_text().endswith('cleaned up\n')


def test_what_a_successful_script_leaves_behind_is_ended_as_well(bench):
    outcome = bench.run("(trap '' TERM; echo $BASHPID >child; exec sleep 120) & "
                        'until [[ -s child ]]; do sleep 0.01; done')
    assert outcome.fault == ''
    assert not is_alive(*bench.wait_for('child'))


def test_a_script_that_says_nothing_for_long_is_hung(bench, monkeypatch):
    monkeypatch.setattr(run, 'SILENCE_S', 0.05)
    outcome = bench.run('echo much >&2; exec sleep 120')
    assert outcome.fault.startswith('hung: not a line in its log for')
    assert outcome.returncode is None


def test_the_silence_counts_from_the_last_line(tmp_path, monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(run, 'time', SimpleNamespace(monotonic=lambda: now.s))
    with run.LogTail(str(tmp_path / 'log')) as tail:
        now.s += 100
        assert tail.silent_s() == 100
        (tmp_path / 'log').write_text('one\n')
        assert list(tail.new_lines()) == ['one']
        assert tail.silent_s() == 0
        now.s += 30
        assert list(tail.new_lines()) == []
        assert tail.silent_s() == 30


def test_an_interruption_ends_the_group_and_is_told_from_a_fault_of_its_own(bench):
    pids = []

    def interrupt(pid, lines):
        pids.extend(bench.wait_for(*FAMILY))
        raise KeyboardInterrupt

    outcome = bench.run(STUBBORN, watch=interrupt)
    assert outcome.interrupted
    assert outcome.returncode is None
    assert outcome.fault.startswith('interrupted after')
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_second_request_to_stop_keeps_it_from_ending_the_group(bench, monkeypatch, sig):
    def raise_interrupt(*_):
        raise KeyboardInterrupt

    def interrupt(pid, lines):
        pids.extend(bench.wait_for(*FAMILY))
        # From now on, somebody asks again whenever we wait.
        monkeypatch.setattr(run, 'time', SimpleNamespace(
            time=time.time, monotonic=time.monotonic,
            sleep=lambda s: (os.kill(os.getpid(), sig), time.sleep(s))))
        raise KeyboardInterrupt

    pids, before = [], signal.signal(sig, raise_interrupt)
    try:
        assert bench.run(STUBBORN, watch=interrupt).interrupted
        assert not any(map(is_alive, pids))
        assert signal.getsignal(sig) is raise_interrupt   # as it was
    except KeyboardInterrupt:
        pytest.fail('the second request came through')
    finally:
        signal.signal(sig, before)


def test_an_error_of_the_watcher_leaves_no_process_either(bench):
    pids = []

    def stumble(pid, lines):
        pids.extend(bench.wait_for(*FAMILY))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.run(STUBBORN, watch=stumble)
    assert not any(map(is_alive, pids))


# --- the training log -----------------------------------------------------------------------------

def test_the_lines_of_the_log_come_while_it_is_written(bench):
    seen, log = [], 'test/output/0/train_0.log'

    def watch(pid, lines):
        seen.extend(lines)
        if seen == ['one']:
            (bench.root / 'go on').write_text('')

    outcome = bench.run(f'printf "one\\ntw" >{log}; until [[ -e "go on" ]]; do sleep 0.01; done; '
                        f'printf "o\\nthree\\nno line end" >>{log}', watch)
    assert seen == ['one', 'two', 'three']
    assert outcome.log_path == str(bench.folder / 'train_0.log')
    assert (bench.folder / 'train_0.log').read_text() == 'one\ntwo\nthree\nno line end'


def test_half_a_line_is_held_back_until_its_end_comes(tmp_path):
    path = tmp_path / 'log'
    with run.LogTail(str(path)) as tail, open(str(path), 'wb', buffering=0) as log:
        for written, lines in ((b'Loss : 4', []), (b'', []), (b'.8\nElp', ['Loss : 4.8']),
                               (b'\r\n\xc3', ['Elp\r']), (b'\xa9\n', ['é']),
                               (b'\xff\0\n', ['\ufffd\0'])):
            log.write(written)
            assert tail.new_lines() == lines


@pytest.mark.parametrize('age_s', [0, 3600])
def test_a_log_of_an_earlier_run_is_never_read(bench, age_s):
    bench.log.write_text('1 training step completed\n')
    os.utime(str(bench.log), (time.time() - age_s,) * 2)
    seen = []
    outcome = bench.run('exit 0', lambda pid, lines: seen.extend(lines))
    assert (seen, outcome.log_path) == ([], '')
    assert not (bench.folder / 'train_0.log').exists()


def test_a_log_that_replaces_an_equal_one_of_an_earlier_run_is_read(bench):
    bench.log.write_text('one\n')
    seen = []
    outcome = bench.run(f'rm {bench.log}; echo one >{bench.log}',
                        lambda pid, lines: seen.extend(lines))
    assert seen == ['one']
    assert outcome.log_path


def test_a_log_that_begins_in_the_moment_of_the_interruption_is_kept(bench):
    def interrupt(pid, lines):
        (bench.root / 'go on').write_text('')
        bench.wait_for('self')
        raise KeyboardInterrupt

    outcome = bench.run('until [[ -e "go on" ]]; do sleep 0.01; done; '
                        f'echo one >{bench.log}; echo $$ >self; sleep 120', interrupt)
    assert outcome.log_path and (bench.folder / 'train_0.log').read_text() == 'one\n'


def test_a_failed_script_that_has_left_the_old_log_has_none(bench):
    bench.log.write_text('old\n')
    assert bench.run('echo new >test/output/0/failed_start.log; exit 1').log_path == ''


def test_the_log_of_another_run_that_takes_the_place_is_not_kept(bench):
    def watch(pid, lines):
        if 'ours' in lines:
            bench.log.rename(bench.log.with_suffix('.moved'))
            bench.log.write_text('theirs\n')
            (bench.root / 'go on').write_text('')

    bench.run(f'echo ours >{bench.log}; until [[ -e "go on" ]]; do sleep 0.01; done', watch)
    assert (bench.folder / 'train_0.log').read_text() == 'ours\n'


# --- its environment ------------------------------------------------------------------------------

CALLER = {'PATH': os.environ['PATH'], 'HOME': '/home/me', 'LC_ALL': 'C', 'ASCEND_DEVICE_ID': '9',
          'RCAN_DEVICE_KIND': 'gpu', 'CUDA_VISIBLE_DEVICES': '9', 'OMP_NUM_THREADS': '99',
          'RCAN_ENV': '1'}
SECRETS = {name: 'hush' for name in (
    'AWS_SECRET_ACCESS_KEY', 'GITHUB_TOKEN', 'LANGUAGE_API_KEY', 'PATH_TOKEN', 'USER_PASSWORD',
    'HOMEBREW_GITHUB_API_TOKEN', 'TZ_SECRET', 'PYTHONPATH_TOKEN', 'BASH_ENV', 'LD_PRELOAD', 'DATA')}


@pytest.mark.parametrize('kind, index', [('npu', 3), ('gpu', 3), ('cpu', 3), ('cpu', 0)])
def test_no_secret_reaches_the_script_and_the_device_is_the_one_asked_for(bench, kind, index):
    chosen = device.environment(Device(kind, index), {**CALLER, **SECRETS}, threads=4)
    bench.run('env', environment=chosen)
    variables = dict(line.split('=', 1) for line in
                     (bench.folder / 'output.log').read_text().splitlines())
    assert not set(SECRETS) & set(variables)
    assert 'hush' not in variables.values()
    assert variables['ASCEND_DEVICE_ID'] == str(index)
    assert variables['RCAN_DEVICE_KIND'] == kind
    assert variables['OMP_NUM_THREADS'] == '4'
    assert variables['HOME'] == '/home/me' and variables['LC_ALL'] == 'C'
    assert variables['RCAN_ENV'] == '1'
    assert variables.get('CUDA_VISIBLE_DEVICES') == ('3' if kind == 'gpu' else None)


@pytest.mark.parametrize('kind, name, reaches', [
    ('npu', 'ASCEND_OPP_PATH', True), ('npu', 'TFPLUGIN_INSTALL_PATH', True),
    ('npu', 'JOB_ID', True), ('npu', 'JOB_ID_TOKEN', False), ('cpu', 'ASCEND_OPP_PATH', False),
    ('gpu', 'CUDA_HOME', True), ('npu', 'CUDA_HOME', False), ('cpu', 'LD_LIBRARY_PATH', True),
    ('cpu', 'http_proxy', True)])
def test_a_variable_reaches_the_kinds_whose_software_reads_it(kind, name, reaches):
    assert (name in device.environment(Device(kind, 0), {name: 'x'}, 1)) is reaches


def test_an_unknown_kind_of_device_is_refused():
    with pytest.raises(ConfigError, match="unknown kind of device 'tpu': one of npu, gpu, cpu"):
        device.device('tpu', 0)


# --- what cannot be started -----------------------------------------------------------------------

def test_a_script_that_cannot_be_started_says_why(bench):
    with pytest.raises(RunError, match='^cannot start bash: No such file or directory'):
        bench.run('exit 0', environment={'PATH': '/no/such'})


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """One run through the main job's stages, for a script of ours."""
    monkeypatch.setattr(run, 'POLL_S', 0.01)
    monkeypatch.setattr(study, 'ROOT', str(tmp_path))
    (tmp_path / 'test/output/0').mkdir(parents=True)

    def measured(script, environment=os.environ):
        (tmp_path / 'script.sh').write_text(script)
        one = dataclasses.replace(case(), script='script.sh')
        with live.View(Console(file=io.StringIO())) as view:
            return study.Study(session(one, variables=environment), str(tmp_path / 'reports'),
                               view).measure(one, 1)

    return measured


def test_a_script_that_cannot_be_started_is_invalid_and_no_crash_of_ours(measured):
    made = measured('exit 0', {'PATH': '/no/such'})
    assert 'cannot start bash' in made.fault
    assert made.measurement is None
    verdict, = judge(session(made.run.case), [made.run.case], [made])
    assert verdict.status is Status.INVALID
    assert 'cannot start bash: No such file or directory' in verdict.reason


def test_a_run_that_succeeds_is_measured_with_its_facts(measured, tmp_path):
    (tmp_path / 'log').write_text(training_log())
    made = measured('cp log test/output/0/train_0.log')
    assert made.fault == ''
    assert (made.measurement.steps, made.measurement.images_per_s) == (12, 32)
    assert made.facts['preset'] == 'smoke' and made.facts['host'] == 'lab'
    assert made.last_lines == ()
    assert made.outcome.picture_path == ''


def test_the_picture_of_an_evaluation_is_kept_with_its_run(measured, tmp_path):
    (tmp_path / 'log').write_text(training_log())
    made = measured('cp log test/output/0/train_0.log; mkdir test/output/0/result; '
                    'echo a picture >test/output/0/result/comparison.png')
    kept = tmp_path / 'reports/runs' / made.run.id / 'comparison.png'
    assert made.outcome.picture_path == str(kept)
    assert kept.read_text() == 'a picture\n'


def test_a_run_that_fails_says_while_what_and_what_it_may_mean(measured, tmp_path):
    (tmp_path / 'log').write_text(training_log(until_step=3))
    made = measured('cp log test/output/0/train_0.log; seq 30; '
                    'echo "OOM when allocating tensor"; exit 5')
    assert made.fault == ('exit status 5 while training; the memory ran out: lower --batch_size, '
                          'or free the device')
    assert made.last_lines == (*map(str, range(12, 31)), 'OOM when allocating tensor')
    assert made.facts == MACHINE


@pytest.mark.parametrize('log, complaint', [
    (None, 'it succeeded, but wrote no training log'),
    (training_log(until_step=3), 'the log stops early, at step 3'),
    (training_log(device_kind='gpu'), 'asked for the cpu, but the training ran on the gpu'),
    (training_log(seed=5), 'asked for seed 0, but it trained with 5'),
], ids=['no log', 'torn', 'other device', 'other seed'])
def test_a_success_without_evidence_is_a_fault(measured, tmp_path, log, complaint):
    (tmp_path / 'log').write_text(log or '')
    made = measured('cp log test/output/0/train_0.log' if log else 'exit 0')
    assert complaint in made.fault
    verdict, = judge(session(made.run.case), [made.run.case], [made])
    assert verdict.status is Status.INVALID


@pytest.fixture
def typed():
    """Text that waits on our standard input, as if somebody had typed it."""
    reading, writing = os.pipe()
    os.write(writing, b'typed\n')
    os.close(writing)
    kept = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)
    os.close(reading)


def test_what_is_typed_meanwhile_reaches_neither_scripts_nor_commands(bench, typed):
    bench.run('cat')
    assert (bench.folder / 'output.log').read_text() == ''
    assert run.ask(['cat'], str(bench.root)) == ''


# --- short commands -------------------------------------------------------------------------------

@pytest.mark.parametrize('argv, output', [
    (['echo', 'two', 'words'], 'two words'), (['sh', '-c', 'echo out; echo err >&2'], 'out'),
    (['sh', '-c', 'echo out; exit 1'], ''), (['/no/such/command'], ''), (['cat'], ''),
    (['printf', '\\377'], '\ufffd')])
def test_a_short_command_gives_its_output_or_nothing(tmp_path, argv, output):
    assert run.ask(argv, str(tmp_path)) == output


def test_a_short_command_that_hangs_gives_nothing(tmp_path, monkeypatch):
    patient = subprocess.run
    monkeypatch.setattr(subprocess, 'run', lambda *args, timeout, **kwargs: patient(
        *args, **kwargs, timeout=0.1 if timeout <= 60 else None))
    assert run.ask(['sleep', '120'], str(tmp_path)) == ''


@pytest.mark.parametrize('slowdown', [0.03, 0.05, 0.10, 1.0])
@pytest.mark.parametrize('poll_s', [0.01, 0.25])
def test_a_run_slowed_on_purpose_is_stopped_for_its_share_of_the_time(bench, monkeypatch, slowdown,
                                                                      poll_s):
    # The clock is ours; every sleep takes a millisecond more than it was asked for.
    now, stopped, went = SimpleNamespace(s=1000.0), [], []

    def sleep(seconds):
        now.s += seconds + 0.001
        (stopped if script.is_stopped else went).append(seconds + 0.001)

    (bench.root / 'script.sh').write_text('sleep 600')
    of = dataclasses.replace(case(), script='script.sh')
    run_of = dataclasses.replace(planned(), case=of, slowdown=slowdown)
    script = run.Script(run_of, run.launch(run_of, CPU, os.environ, str(bench.root)),
                        str(bench.folder))
    monkeypatch.setattr(run, 'time', SimpleNamespace(monotonic=lambda: now.s, sleep=sleep))
    script.is_stopped, script.going_since = False, now.s
    script.signal = lambda sig: setattr(script, 'is_stopped', sig == signal.SIGSTOP)
    for _ in range(2000):
        script.let_run(poll_s)
    monkeypatch.undo()
    del script.signal
    script.end()
    assert sum(stopped) / sum(went) == pytest.approx(slowdown, rel=0.02)


def test_a_stop_on_purpose_stops_the_process_and_lets_it_go_on(bench):
    of = dataclasses.replace(case(), script='script.sh')
    (bench.root / 'script.sh').write_text('while :; do echo; sleep 0.01; done >ticks')
    run_of = dataclasses.replace(planned(), case=of, slowdown=0.5)
    script = run.Script(run_of, run.launch(run_of, CPU, os.environ, str(bench.root)),
                        str(bench.folder))
    states = set()
    deadline = time.monotonic() + PATIENCE_S
    script.signal = lambda sig: (run.Script.signal(script, sig), states.add(
        settled(script.process.pid, sig == signal.SIGSTOP)))
    while states != {True, False} and time.monotonic() < deadline:
        script.let_run(0.01)
    del script.signal
    script.end()
    assert states == {True, False}


def settled(pid, stopped):
    """Whether a process is stopped, once it is as it should be."""
    deadline = time.monotonic() + PATIENCE_S
    process = psutil.Process(pid)
    while (process.status() == psutil.STATUS_STOPPED) != stopped and time.monotonic() < deadline:
        time.sleep(0.001)
    return process.status() == psutil.STATUS_STOPPED
