# SPDX-License-Identifier: Apache-2.0
"""Flags -> cases, and what a request that makes no sense is told."""

import os
import subprocess
import sys

import pytest
from stand_in import ROOT

from harness import config, environment
from harness.errors import ConfigError
from harness.records import PSNR, SPEED


def cases(*argv):
    return config.cases(config.parse_args(argv))


def test_without_flags_both_scripts_run_once_on_device_0():
    args = config.parse_args([])
    assert (args.device, args.kind, args.max_runs, args.strict, args.dry_run) == (
        0, None, 7, False, False)
    assert args.reports == str(ROOT / 'reports')
    assert [(c.name, c.script, c.flags, c.metric) for c in config.cases(args)] == [
        ('performance', 'test/train_performance_1p.sh', (), SPEED),
        ('full', 'test/train_full_1p.sh', (), PSNR)]


# --- its environment ------------------------------------------------------------------------------

@pytest.mark.parametrize('needed, variables, said', [
    ((), {}, ''), ((), {'RCAN_TENSORFLOW': ''}, ''),
    ((), {'RCAN_TENSORFLOW': 'intel-tensorflow', 'RCAN_ENV': '1'}, ''),   # which has seen to it
    ((), {'RCAN_TENSORFLOW': 'intel-tensorflow'}, 'RCAN_TENSORFLOW=intel-tensorflow'),
    (('nosuch', 'sys'), {}, 'this Python lacks nosuch'),
    (('nosuch',), {'RCAN_TENSORFLOW': 'intel-tensorflow'}, 'this Python lacks nosuch')])
def test_the_harness_goes_on_through_run_sh_where_this_python_will_not_do(
        monkeypatch, capsys, needed, variables, said):
    started = []
    monkeypatch.setattr(environment, 'NEEDED', needed)
    monkeypatch.setattr(os, 'environ', variables)
    monkeypatch.setattr(os, 'execvp', lambda program, argv: started.append(argv))
    environment.ensure(['-m', 'harness', 'plan'])
    assert started == ([['bash', str(ROOT / 'env/run.sh'), 'python', '-m', 'harness', 'plan']]
                       if said else [])
    assert capsys.readouterr().err == (
        f'harness: {said}: going on through env/run.sh\n' if said else '')


def test_an_environment_that_lacks_something_is_no_regression(monkeypatch, capsys):
    monkeypatch.setattr(environment, 'NEEDED', ('nosuch',))
    monkeypatch.setattr(os, 'environ', {'RCAN_ENV': '1'})
    with pytest.raises(SystemExit) as ended:
        environment.ensure(['-m', 'harness', 'plan'])
    assert ended.value.code == 3
    assert 'lacks nosuch: remove .venv and run again\n' in capsys.readouterr().err


# --- flags ----------------------------------------------------------------------------------------

def test_the_scripts_are_there():
    assert all((ROOT / script).is_file() for script, _ in config.SCRIPTS.values())


def test_cases_run_in_the_order_in_which_they_are_named():
    assert [c.name for c in cases('--cases', 'full,performance')] == ['full', 'performance']


def test_flags_reach_the_scripts_with_an_absolute_data_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my data').mkdir()
    for case in cases('--preset', 'smoke', '--data_path', 'my data', '--max_step', '12'):
        assert case.flags == ('--preset=smoke', f'--data_path={os.getcwd()}/my data',
                              '--max_step=12')


def test_the_deadline_grows_with_the_steps():
    few, many, default = (cases(*argv)[0].deadline_s for argv in (
        ['--max_step', '12'], ['--max_step', '1000000'], []))
    assert few < default < many
    # The slowest step that we know takes 50 s.
    assert many > 50 * 1000000 and default > 50 * 300


REFUSED = [
    (['--device', '-1'], '--device'),
    (['--device', 'x'], "must be 0, 1, 2, ..., not 'x'"),
    (['--device', '1.0'], 'must be 0, 1, 2'),
    (['--device', '٣'], 'must be 0, 1, 2'),
    (['--device', '9' * 10], 'must be 0, 1, 2'),
    (['--device'], '--device'),
    (['--max-runs', '0'], "must be 1 or more, not '0'"),
    (['--max-runs', '-3'], '--max-runs'),
    (['--max_step', '0'], 'must be 1 or more'),
    (['--max_step', '1e3'], 'must be 1 or more'),
    (['--kind', 'tpu'], 'tpu'),
    (['--preset', 'tiny'], 'tiny'),
    (['--cases', 'fast'], "unknown case 'fast': one of performance, full"),
    (['--cases', ''], "unknown case ''"),
    (['--cases', 'full,'], "unknown case ''"),
    (['--cases', 'full,full'], '--cases full,full names a case twice: --max-runs is for more runs'),
    (['--data_path', '/no/such'], 'no folder at --data_path /no/such'),
    (['--dry'], '--dry'),
    (['--max', '5'], '--max'),
    (['now'], 'now'),
    (['--json', '--dry-run'], '--dry-run: not allowed with argument --json'),
]


@pytest.mark.parametrize('argv, complaint', REFUSED)
def test_a_bad_request_is_refused_in_one_line(argv, complaint):
    with pytest.raises(ConfigError) as raised:
        cases(*argv)
    assert complaint in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize('argv, name', [
    (['harness/run_all.py', '--kind', 'tpu'], 'run_all.py'),
    (['-m', 'harness', 'tidy'], 'harness')])
def test_the_user_sees_that_line_and_no_traceback_and_status_2(argv, name):
    done = subprocess.run([sys.executable, *argv], cwd=str(ROOT), capture_output=True, text=True,
                          env={**os.environ, 'RCAN_ENV': '1'})
    assert (done.returncode, done.stdout) == (2, '')
    line, = done.stderr.splitlines()
    assert line.startswith(f'{name}: ') and argv[-1] in line


@pytest.mark.parametrize('text, seconds', [('90s', 90), ('20m', 1200), ('1.5h', 5400)])
def test_a_budget_is_a_time_with_its_unit(text, seconds):
    assert config.parse_args(['--budget', text]).budget == seconds


@pytest.mark.parametrize('text', ['', '20', '0m', '1d', 'm', '20 m', 'nan'])
def test_a_budget_that_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match='must be a time such as 90s, 20m or 1h'):
        config.parse_args(['--budget', text])


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        config.parse_args(['--help'])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for flag in ('--device', '--kind', '--cases', '--max-runs', '--budget', '--against',
                 '--no-confirm', '--preset', '--data_path', '--max_step', '--reports', '--strict',
                 '--dry-run', '--quiet', '--json'):
        assert flag in printed
    assert 'default: performance,full' in printed
