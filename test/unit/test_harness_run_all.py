# SPDX-License-Identifier: Apache-2.0
"""The main job as a whole: most of it with a stand-in for the training, once with a real one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas
import psutil
import pytest
from samples import CPU
from stand_in import ROOT, training_log

from harness import run_all
from harness.errors import ConfigError

REPORTS = ('summary.md', 'summary.json', 'results.csv', 'verdicts.csv')


@pytest.fixture
def harness(project):
    """The main job for a training of 12 steps."""
    return lambda *args, **env: project.harness('--kind', 'cpu', '--max_step', '12', *args, **env)


def summary(project):
    return (project.root / 'reports/summary.md').read_text()


def test_both_scripts_run_and_every_report_is_written(project, harness):
    done = harness()
    assert done.returncode == 0, done.stderr
    assert [line.split(':')[0] for line in done.stdout.splitlines()] == [
        'NO_BASELINE  performance', 'NO_BASELINE  full', 'report', 'page']
    assert set(REPORTS) < set(os.listdir(str(project.root / 'reports')))
    rows = pandas.read_csv(str(project.root / 'reports/results.csv'))
    assert list(rows.case) == ['performance', 'full']
    assert list(rows.images_per_s) == [32, 32]
    assert rows.psnr_db[1] == 32.5


def test_the_report_shows_plots_and_the_page_all_that_the_history_has(project, harness):
    harness()
    harness('--lang', 'zh')
    reports = project.root / 'reports'
    shown = re.findall(r'\((plots/[a-z-]+\.(?:png|svg))\)', (reports / 'summary.md').read_text())
    assert {'plots/steps-performance.png', 'plots/history-performance.svg',
            'plots/history-full.png', 'plots/psnr-full.png'} < set(shown)
    assert all((reports / path).stat().st_size > 1000 for path in shown)
    assert '## 接下来做什么' in (reports / 'summary.md').read_text()
    page = (reports / 'index.html').read_text()
    for run in (reports / 'runs').glob('*-full-1'):
        assert run.name in page
    assert len(list((reports / 'runs').glob('*-full-1'))) == 2


def test_a_page_that_cannot_be_written_costs_no_verdict(project, harness):
    (project.root / 'reports/index.html').mkdir(parents=True)
    done = harness('--cases', 'performance')
    assert done.returncode == 0
    assert done.stdout.startswith('NO_BASELINE  performance: 32 images/s measured')
    assert 'the reports are not whole (IsADirectoryError' in done.stderr
    assert 'Traceback' not in done.stderr
    assert '32 images/s measured' in summary(project)


def test_on_github_each_verdict_is_an_annotation_and_the_report_the_steps_summary(
        project, harness, tmp_path):
    step = tmp_path / 'step.md'
    step.write_text('what came before\n')
    done = harness('--json', GITHUB_ACTIONS='true', GITHUB_STEP_SUMMARY=str(step))
    assert json.loads(done.stdout)['verdicts']
    assert re.findall('^::notice title=(.*?)::', done.stderr, re.M) == [
        'NO_BASELINE%3A performance', 'NO_BASELINE%3A full']
    assert step.read_text().startswith('what came before\n# 🆕 NO_BASELINE')


def test_a_step_summary_that_cannot_be_written_changes_no_status(project, harness):
    done = harness('--cases', 'performance', GITHUB_ACTIONS='true',
                   GITHUB_STEP_SUMMARY='/nowhere/x')
    assert done.returncode == 0
    assert 'other tools are not told' in done.stderr


def test_the_values_are_exported_for_github_action_benchmark(project, harness, tmp_path):
    harness('--cases', 'performance', '--export', str(tmp_path / 'values.json'))
    value, = json.loads((tmp_path / 'values.json').read_text())
    assert (value['value'], value['unit']) == (32.0, 'images/s')


def test_a_file_that_cannot_be_exported_to_is_refused_before_anything_runs(project, harness):
    done = harness('--export', '/nowhere/values.json')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == ("run_all.py: argument --export: must be a file in a folder that can be "
                           "written, not '/nowhere/values.json'\n")
    assert not project.trained()


def test_everything_about_a_run_is_kept(project, harness):
    harness('--cases', 'full')
    folder, = (p for p in (project.root / 'reports/runs').iterdir() if p.is_dir())
    assert {p.name for p in folder.iterdir()} == {'run.json', 'output.log', 'train_0.log'}
    assert (folder / 'train_0.log').read_text() == project.train.read_text(
        ) + project.test.read_text()
    record = json.loads((folder / 'run.json').read_text())
    assert record['measurement']['step_seconds'] == [0.5] * 11 + [9]


def test_a_training_that_fails_is_invalid_and_says_with_which_status(project, harness):
    project.model_does(train='echo "cannot find the thing" >&2; exit 7')
    done = harness('--cases', 'performance')
    assert done.returncode == 3
    assert done.stdout.startswith('INVALID')
    assert 'exit status 7' in summary(project)
    assert 'cannot find the thing' in summary(project)


def test_the_other_case_is_still_judged_where_one_fails(project, harness):
    project.model_does(test='exit 7')
    done = harness()
    assert done.returncode == 3
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        'NO_BASELINE', 'INVALID', 'report:', 'page:']


@pytest.mark.parametrize('log, complaint', [
    (training_log(until_step=5), 'stops early'),
    (training_log(steps=13), 'asked for max_step 12'),
    (training_log(device_kind='gpu'), 'asked for the cpu'),
    (training_log(preset='paper'), 'asked for preset smoke'),
    ('nothing\n', 'no training log'),
], ids=['torn', 'other steps', 'other device', 'other preset', 'no log'])
def test_a_success_without_evidence_is_invalid(project, harness, log, complaint):
    project.train.write_text(log)
    # What follows the log fools the script, which only looks for the last lines.
    project.model_does(train=f"cat {project.train}; printf 'Final images/sec : 1.0\n"
                             "Final step milliseconds : 1.0\nFinal Loss : 1.0\n'")
    done = harness('--cases', 'performance', '--preset', 'smoke')
    assert done.returncode == 3
    assert 'INVALID' in done.stdout
    assert complaint in summary(project) or 'did not finish' in summary(project)


def test_a_run_on_the_cpu_is_no_run_on_the_npu(project):
    (project.folder / 'davinci0').write_text('')
    done = project.harness('--kind', 'npu', '--max_step', '12', '--cases', 'performance',
                           '--data_path', str(project.root / 'test/photos'))
    assert done.returncode == 3
    assert 'asked for the npu, but the training ran on the cpu' in done.stdout


def test_a_log_of_an_earlier_run_is_not_taken_for_this_ones(project, harness):
    assert harness('--cases', 'performance').returncode == 0
    project.model_does(train='exit 0')   # a success that trains nothing
    done = harness('--cases', 'performance')
    assert done.returncode == 3
    assert 'INVALID' in done.stdout


def speeds(project, old, new=None):
    """From now on, runs with these step times: one for each seed, in both arms or in the new one.

    Of the old arm, which lies in a worktree, and of this checkout.
    """
    for arm, seconds in (('old', old), ('new', new or old)):
        for number, step_s in enumerate(seconds):
            (project.folder / f'{arm}{number}').write_text(
                training_log(seconds=step_s, seed=number))
    project.model_does(train='case "$*" in *worktrees*) arm=old ;; *) arm=new ;; esac; '
                             f'cat {project.folder}/$arm$(printf "%s\\n" "$@" | '
                             'sed -n "s/^--seed=//p")')


STEADY = (0.500, 0.501, 0.499, 0.502, 0.498)


@pytest.fixture
def learned(project, harness):
    """A project in git with a baseline of five runs."""
    project.commit()
    speeds(project, STEADY)
    done = project.run(sys.executable, '-m', 'harness', 'baseline', 'learn', '--runs', '5',
                       '--kind', 'cpu', '--max_step', '12', '--cases', 'performance',
                       '--reason', 'the first')
    assert done.returncode == 0, done.stderr
    return project


def test_a_learned_baseline_is_what_the_next_run_is_judged_by(learned, harness):
    assert 'the first' in learned.run(sys.executable, '-m', 'harness', 'baseline', 'show').stdout
    for step_s, status, word in ((0.5, 0, 'PASS'), (0.6, 1, 'REGRESSION'), (0.4, 0, 'IMPROVED')):
        speeds(learned, [step_s] * 5)
        done = harness('--cases', 'performance', '--no-confirm')
        assert (done.returncode, done.stdout.split()[0]) == (status, word)
        assert summary(learned).split(':')[0].endswith(word)
        # One run is enough where the case is clear.
        assert len(pandas.read_csv(str(learned.root / 'reports/results.csv'))) == 1


def test_a_baseline_is_retired_once_git_keeps_it(learned):
    path, = (learned.root / 'harness/baselines').glob('smoke-performance-*.json')

    def retire():
        return learned.run(sys.executable, '-m', 'harness', 'baseline', 'retire', path.stem)

    assert retire().returncode == 2 and path.exists()
    learned.commit()
    kept = path.read_text()
    path.write_text(kept.replace('the first', 'another'))
    assert retire().returncode == 2 and path.exists()
    path.write_text(kept)
    assert retire().returncode == 0 and not path.exists()


def test_a_case_that_is_not_clear_is_run_again_until_it_is(learned, harness):
    speeds(learned, [0.508, 0.502, 0.502, 0.501, 0.501])
    done = harness('--cases', 'performance', '--max-runs', '5')
    assert (done.returncode, done.stdout.split()[0]) == (0, 'PASS')
    assert 1 < len(pandas.read_csv(str(learned.root / 'reports/results.csv'))) <= 5


def test_a_regression_is_confirmed_side_by_side_with_the_baselines_revision(learned, harness):
    speeds(learned, old=STEADY, new=[s * 1.2 for s in STEADY])
    done = harness('--cases', 'performance')
    assert (done.returncode, done.stdout.split()[0]) == (1, 'REGRESSION'), done.stdout
    assert 'Confirmed. Side by side with the baseline\'s revision' in done.stdout
    assert '3 pairs' in done.stdout


def test_a_machine_that_has_become_slower_is_no_regression_of_the_code(learned, harness):
    speeds(learned, old=[s * 1.2 for s in STEADY])
    done = harness('--cases', 'performance')
    assert (done.returncode, done.stdout.split()[0]) == (3, 'INVALID'), done.stdout
    assert 'So the machine has changed, not the code.' in done.stdout


def test_a_regression_whose_revision_is_gone_is_called_and_says_so(learned, harness):
    shutil.rmtree(str(learned.root / '.git'))
    speeds(learned, [0.6] * 5)
    done = harness('--cases', 'performance')
    assert (done.returncode, done.stdout.split()[0]) == (1, 'REGRESSION')
    assert 'It could not be confirmed beside the baseline\'s revision: no git revision' in summary(
        learned)


@pytest.mark.parametrize('new, status, word', [(1.0, 0, 'PASS'), (1.1, 1, 'REGRESSION'),
                                               (0.9, 0, 'IMPROVED')])
def test_against_a_revision_needs_no_baseline(project, harness, new, status, word):
    project.commit()
    speeds(project, old=STEADY, new=[s * new for s in STEADY])
    done = harness('--cases', 'performance', '--against', 'HEAD')
    assert (done.returncode, done.stdout.split()[0]) == (status, word), done.stdout + done.stderr
    rows = pandas.read_csv(str(project.root / 'reports/results.csv'))
    assert list(rows.arm) == ['old', 'new', 'new', 'old', 'old', 'new']


def test_a_revision_that_is_not_there_is_a_bad_request(project, harness):
    project.commit()
    done = harness('--against', 'v9')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith("run_all.py: no git revision 'v9' here: git log shows")
    assert not project.trained()


def test_an_old_revision_that_does_not_train_is_invalid_and_names_the_arm(project, harness):
    project.commit()
    project.model_does(train=f'case "$*" in *worktrees*) exit 7 ;; *) cat {project.train} ;; esac')
    done = harness('--cases', 'performance', '--against', 'HEAD')
    assert done.returncode == 3
    assert 'run 1 of the old arm gave no measurement (exit status 7' in done.stdout


def test_the_history_keeps_builds_of_tensorflow_apart_and_shows_no_change_between_them(
        project, harness):
    for build, seconds in (('1.15.0', 0.5), ('1.15.2 (oneDNN)', 0.25)):
        project.train.write_text(training_log(seconds=seconds, tensorflow=build))
        assert harness().returncode == 0
    said = project.run(sys.executable, '-m', 'harness', 'history').stdout
    assert said.count('performance, throughput, 1 run ') == said.count('full, PSNR, 1 run ') == 2


def test_every_run_is_in_the_history_and_none_that_was_slowed_on_purpose(project, harness):
    project.commit()
    speeds(project, STEADY)
    assert harness('--cases', 'performance', '--against', 'HEAD').returncode == 0
    said = project.run(sys.executable, '-m', 'harness', 'history').stdout
    assert said.count('performance, throughput, 3 runs ') == 2
    assert all(re.search(rf'match [0-9a-f]{{8}}, {arm} arm', said) for arm in ('old', 'new'))
    project.run(sys.executable, '-m', 'harness', 'certify', '--runs', '1', '--max-runs', '3',
                '--kind', 'cpu', '--max_step', '12')
    assert project.run(sys.executable, '-m', 'harness', 'history').stdout == said
    nothing = project.run(sys.executable, '-m', 'harness', 'history', '--reports', 'absent')
    assert nothing.returncode == 2 and 'run harness/run_all.py first' in nothing.stderr


def test_a_history_that_cannot_be_is_a_bad_request(project, harness):
    done = harness('--history', 'nonsense')
    assert (done.returncode, done.stdout) == (2, '')
    assert not project.trained()


def test_no_run_is_started_that_would_end_after_the_budget(learned, harness):
    unclear = [0.508, 0.502, 0.502, 0.501, 0.501]
    for budget, more in (('1h', True), ('0.001s', False)):
        speeds(learned, unclear)
        done = harness('--cases', 'performance', '--budget', budget, '--max-runs', '5')
        runs = len(pandas.read_csv(str(learned.root / 'reports/results.csv')))
        assert (runs > 1) is more
        assert ('the time of --budget is used up' in summary(learned)) is not more
        assert done.returncode == 0


def test_a_suspicion_that_the_budget_leaves_no_time_to_confirm_says_so(learned, harness):
    speeds(learned, [0.6] * 5)
    done = harness('--cases', 'performance', '--budget', '0.001s')
    assert (done.returncode, done.stdout.split()[0]) == (1, 'REGRESSION')
    assert 'It could not be confirmed' in done.stdout and '--budget is used up' in done.stdout


def test_a_confirmation_goes_on_until_its_pairs_are_clear(learned, harness):
    # The first three pairs scatter by 10 %, so that it takes more of them.
    slow = [s * 1.2 for s in (0.50, 0.45, 0.55, 0.5, 0.5)]
    speeds(learned, old=STEADY, new=slow)
    done = harness('--cases', 'performance', '--max-runs', '5')
    assert len(pandas.read_csv(str(learned.root / 'reports/results.csv'))) == 1 + 2 * 5
    assert (done.returncode, done.stdout.split()[0]) == (1, 'REGRESSION'), done.stdout


@pytest.mark.parametrize('error, status, said', [
    (ConfigError('a bad flag'), 2, 'run_all.py: a bad flag\n'),
    (KeyboardInterrupt(), 130, ''),
    (OSError(28, 'No space left on device'), 3,
     'run_all.py: [Errno 28] No space left on device: nothing can be said of the code; what was '
     'measured before is kept\n'),
    (ZeroDivisionError('ours'), 3, 'this is a mistake of the harness, and says nothing about the '
                                   'code\n')])
def test_only_a_regression_ends_with_the_status_of_one(monkeypatch, capsys, error, status, said):
    def start():
        raise error

    monkeypatch.setattr(run_all, 'signal', SimpleNamespace(
        signal=lambda *_: None, SIGTERM=15, SIGHUP=1))
    with pytest.raises(SystemExit) as ended:
        run_all.run_main('run_all.py', start)
    assert ended.value.code == status
    assert capsys.readouterr().err.endswith(said)


def test_certify_tries_equal_and_slowed_code_and_the_report_quotes_it(project, harness):
    project.commit()
    speeds(project, STEADY)
    done = project.run(sys.executable, '-m', 'harness', 'certify', '--runs', '1', '--max-runs', '3',
                       '--kind', 'cpu', '--max_step', '12')
    assert done.returncode == 0, done.stderr
    harness('--cases', 'performance')
    assert '0 of 1 quiet comparisons alarmed' in summary(project)
    planned = project.run(sys.executable, '-m', 'harness', 'plan', '--see', '3%', '--kind', 'cpu')
    assert 'to see a loss of 3 % with probability 0.8' in planned.stdout


@pytest.mark.parametrize('train, status, word', [
    (None, 0, 'NO_BASELINE'), ('echo "cannot find the thing" >&2; exit 7', 3, 'INVALID')])
def test_json_is_the_summary_and_nothing_else_on_standard_output_also_after_a_crash(
        project, harness, train, status, word):
    project.model_does(train=train)
    done = harness('--cases', 'performance', '--json')
    assert done.returncode == status
    assert [v['status'] for v in json.loads(done.stdout)['verdicts']] == [word]
    assert done.stdout == (project.root / 'reports/summary.json').read_text()
    assert 'performance 1: ' in done.stderr


def test_quiet_leaves_the_closing_lines_and_what_is_wrong(project, harness):
    done = harness('--quiet')
    assert (done.returncode, done.stderr) == (0, '')
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        'NO_BASELINE', 'NO_BASELINE', 'report:', 'page:']
    (project.root / 'test/canary.sh').write_text('exit 1')
    failed = harness('--quiet', '--cases', 'performance', '--json')
    assert json.loads(failed.stdout)['verdicts']
    assert failed.stderr == 'canary: it did not run; `bash test/canary.sh` says why\n' * 2


def test_a_quiet_bad_request_still_says_what_is_wrong(project, harness):
    done = harness('--quiet', '--json', '--cases', 'fast')
    assert (done.returncode, done.stdout) == (2, '')
    assert "unknown case 'fast'" in done.stderr


@pytest.mark.parametrize('verb, status', [
    (['harness/run_all.py', '--kind', 'cpu', '--dry-run'], 0),
    (['-m', 'harness', 'baseline', 'show'], 141)])   # as shells call it
def test_a_reader_that_wants_no_more_sees_no_traceback(project, verb, status):
    (project.root / 'harness/baselines').mkdir(exist_ok=True)
    for path in (ROOT / 'harness/baselines').glob('*.json'):
        shutil.copy(str(path), str(project.root / 'harness/baselines'))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, *verb], cwd=str(project.root), env=project.env,
                          stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (status, b'')


def test_strict_turns_a_missing_baseline_into_status_5(harness):
    assert harness('--cases', 'performance', '--strict').returncode == 5


def test_a_dry_run_prints_the_commands_and_runs_nothing(project, harness):
    done = harness('--dry-run')
    assert done.returncode == 0
    assert done.stdout.count('bash test/train_performance_1p.sh --max_step=12 --seed=0') == 1
    assert '1 to 7 runs a case' in done.stdout
    assert not project.trained()
    assert not (project.root / 'reports').exists()


def test_the_device_and_the_environment_are_controlled(project, harness):
    project.model_does(train=f'env >{project.folder}/env; cat {project.train}')
    harness('--device', '4', '--cases', 'performance', ASCEND_DEVICE_ID='1',
            AWS_SECRET_ACCESS_KEY='hush', TRAIN='exit 1')
    variables = dict(line.split('=', 1) for line in
                     (project.folder / 'env').read_text().splitlines() if '=' in line)
    assert variables['ASCEND_DEVICE_ID'] == '4'
    assert variables['RCAN_DEVICE_KIND'] == 'cpu'
    assert not {'AWS_SECRET_ACCESS_KEY', 'TRAIN'} & set(variables)
    assert (project.output(4) / 'train_4.log').exists()


@pytest.mark.parametrize('args, complaint', [
    (['--device', '-1'], '--device'),
    (['--device', 'x'], '--device'),
    (['--max-runs', '0'], '--max-runs'),
    (['--cases', 'fast'], "unknown case 'fast'"),
    (['--cases', 'full,full'], 'twice'),
    (['--data_path', '/no/such'], '/no/such'),
    (['--kind', 'tpu'], '--kind'),
    (['--dry'], '--dry'),
])
def test_a_bad_request_is_one_line_and_status_2(project, harness, args, complaint):
    done = harness(*args)
    assert (done.returncode, done.stdout) == (2, '')
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not project.trained()


def test_a_damaged_baseline_is_named_before_anything_runs(project, harness):
    (project.root / 'harness/baselines').mkdir(exist_ok=True)
    (project.root / 'harness/baselines/torn.json').write_text('{"schema": 1')
    done = harness()
    assert done.returncode == 2
    assert 'torn.json' in done.stderr
    assert not project.trained()


def test_a_harness_that_lacks_packages_goes_on_through_env_run(project, tmp_path):
    (project.root / 'env/run.sh').write_text('printf "%s\\n" "$@"; exit 5')
    bare = tmp_path / 'bare'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(bare)], check=True)
    done = project.run(str(bare / 'bin/python'), 'harness/run_all.py', '--device', '0')
    assert done.returncode == 5
    assert done.stdout.splitlines() == [
        'python', str(project.root / 'harness/run_all.py'), '--device', '0']
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_no_process_and_a_report_of_what_was_stopped(project, sig):
    project.train.write_text(training_log(until_step=5))
    # The training ignores the request to end, and so does what it has started.
    project.model_does(train=f"cat {project.train}; trap '' TERM INT; "
                             f"(trap '' TERM INT; sleep 600) & echo $! >{project.folder}/pids; "
                             f"echo $$ >>{project.folder}/pids; sleep 600")
    main = subprocess.Popen(
        [sys.executable, 'harness/run_all.py', '--kind', 'cpu', '--max_step', '12'],
        cwd=str(project.root), env=project.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Whoever runs the tests in the background has them ignore Ctrl-C; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 60
    while not ((project.folder / 'pids').exists()
               and len((project.folder / 'pids').read_text().splitlines()) == 2):
        assert time.monotonic() < deadline and main.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)  # so that it has seen the log
    main.send_signal(sig)
    main.communicate(timeout=120)
    assert main.returncode == 130
    assert not any(psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != 'zombie'
                   for pid in (project.folder / 'pids').read_text().split())
    assert 'interrupted during performance, run 1' in summary(project)
    assert 'INVALID' in summary(project).splitlines()[0]
    assert 'did not run' in summary(project)   # the full case


@pytest.fixture
def spare_device():
    """A device that nobody has, so that nobody's results are replaced."""
    yield '987654321'
    shutil.rmtree(str(ROOT / 'test/output/987654321'), ignore_errors=True)


def test_a_real_training_goes_through_all_stages(tmp_path, spare_device):
    """Everything is real here but its length."""
    done = subprocess.run(
        [sys.executable, 'harness/run_all.py', '--kind', 'cpu', '--device', spare_device,
         '--max_step', '8', '--max-runs', '1', '--reports', str(tmp_path)],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rows = pandas.read_csv(str(tmp_path / 'results.csv'))
    # Others may be busy on this machine, which is no fault of ours.
    assert done.returncode == (0 if rows.disturbance.isna()[0] else 3), done.stdout
    assert list(rows.case) == ['performance', 'full']
    assert (rows.steps == 8).all() and (rows.images_per_s > 0).all()
    assert rows.psnr_db[1] > 15
    assert abs(rows.bicubic_psnr_db[1] - 31.537) < 5e-4
    assert (rows.peak_memory_mib > 100).all()
    # The script's own figure, by its own code, and the harness's agree.
    results = (ROOT / 'test/output' / spare_device
               / 'RCAN_ID0268_for_TensorFlow_smoke_bs16_1p_acc.log')
    reported = dict(line.split(' = ') for line in results.read_text().splitlines())
    assert float(reported['ActualFPS']) == pytest.approx(rows.images_per_s[1], rel=1e-3)
    assert float(reported['TrainAccuracy']) == pytest.approx(rows.psnr_db[1], abs=1e-3)


def test_two_sessions_within_a_second_have_names_of_their_own_that_sort_by_time(monkeypatch):
    clock = [1795425135.0014, 1795425135.0996, 1795425135.9999, 1795425136.0]
    names = []
    for now in clock:
        monkeypatch.setattr(time, 'time', lambda now=now: now)
        names.append(run_all.session_id(CPU))
    assert sorted(set(names)) == names
