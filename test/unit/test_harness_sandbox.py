# SPDX-License-Identifier: Apache-2.0
"""Another model's script runs in a copy: what it does outside of that does not happen."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples import CPU, case, planned

from harness import run, sandbox, walls
from harness.errors import ConfigError
from harness.records import Device

PATIENCE_S = 60.0


def ask(argv):
    return run.ask(argv, '/')


WALLS = walls.bubblewrap(ask)
needs_walls = pytest.mark.skipif(not WALLS, reason='bubblewrap is not here, or may not build walls')
both_ways = pytest.mark.parametrize('walls', [
    pytest.param(True, marks=needs_walls, id='bubblewrap'), pytest.param(False, id='a copy')])


class Zoo:
    """A model's folder, its data, and a place outside of both."""

    def __init__(self, tmp_path, monkeypatch):
        self.model, self.data = tmp_path / 'Net_ID1_for_TensorFlow', tmp_path / 'da ta'
        self.outside, self.kept = tmp_path / 'outside', tmp_path / 'kept'
        self.test = self.model / 'test'
        for folder in (self.test, self.data / 'sub', self.outside, self.kept):
            folder.mkdir(parents=True)
        (self.model / 'main.py').write_text('print("trained")\n')
        (self.data / 'sub' / 'image').write_text('pixels')
        (self.outside / 'treasure').write_text('gold')
        self.environment = dict(os.environ)
        self.monkeypatch = monkeypatch

    def run(self, script, *flags, walls=True, data=True, device=CPU, deadline_s=PATIENCE_S):
        """Run a script in a sandbox; what it has left, and its output in self.output."""
        if not walls:
            self.monkeypatch.setattr(sandbox.walls, 'bubblewrap', lambda ask: '')
        (self.test / 'train_full_1p.sh').write_bytes(
            script if isinstance(script, bytes) else script.encode())
        of = dataclasses.replace(
            case(deadline_s=deadline_s), script='test/train_full_1p.sh',
            model_dir=str(self.model),
            flags=(*([f'--data_path={self.data}'] if data else []), *flags))
        with sandbox.Sandbox(of, device, self.environment, ask) as box:
            self.work = Path(box.work)
            self.outcome = run.run(dataclasses.replace(planned(), case=of), box.launch,
                                   str(self.kept), lambda pid, lines: None)
            left = box.collect(str(self.kept))
        self.output = (self.kept / 'output.log').read_text()
        return left

    def state(self):
        """Every file outside of the sandbox, with its content."""
        return {str(path): path.read_bytes() for folder in (self.model, self.data, self.outside)
                for path in folder.rglob('*') if path.is_file()}


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.setattr(run, 'POLL_S', 0.01)
    monkeypatch.setattr(run, 'GRACE_S', 0.3)
    return Zoo(tmp_path, monkeypatch)


# --- how it is started ----------------------------------------------------------------------------

@both_ways
def test_a_script_starts_in_test_by_its_bare_name_with_the_device_exported(zoo, walls):
    zoo.run('echo "$0|$PWD|$ASCEND_DEVICE_ID $DEVICE_ID $RANK_ID $RANK_SIZE $JOB_ID"',
            device=Device('cpu', 3), walls=walls)
    name, where, variables = zoo.output.strip().splitlines()[-1].split('|')
    assert name == 'train_full_1p.sh'
    assert where.endswith('/Net_ID1_for_TensorFlow/test')
    assert variables == '3 3 0 1 10087'


@both_ways
def test_home_and_tmp_are_its_own_and_gone_afterwards(zoo, walls):
    zoo.run('touch ~/a "$TMPDIR/b" && echo "$HOME $TMPDIR"', walls=walls)
    for folder in zoo.output.split():
        assert folder.startswith(str(zoo.work))
    assert not zoo.work.exists()


@both_ways
def test_the_data_have_a_path_without_blanks_and_can_be_read(zoo, walls):
    zoo.run('for para in $*; do echo "$para"; done; cat ${1#*=}/sub/image', '--x=1', walls=walls)
    path, other, content = zoo.output.strip().splitlines()
    assert (other, content) == ('--x=1', 'pixels')
    assert path == f'--data_path={zoo.work}/data'


def test_without_data_no_flag_names_any(zoo):
    zoo.run('echo "[$*]"', data=False)
    assert zoo.output == '[]\n'


def test_one_known_awk_is_first_and_named(zoo):
    left = zoo.run('readlink "$(command -v awk)"')
    assert Path(zoo.output.strip()).resolve().name.endswith(left.facts['awk'])


# --- what it cannot do ----------------------------------------------------------------------------

NASTY = ('rm -rf "${1#*=}"', 'echo more >>"${1#*=}/sub/image"', 'echo new >"${1#*=}/sub/image"',
         'sed -i s/pixels/paint/ "${1#*=}/sub/image"', 'touch "${1#*=}/new"',
         'rm -rf @OUTSIDE@', 'echo >@OUTSIDE@/treasure', 'echo >@MODEL@/main.py',
         'rm -rf ../../Net_ID1_for_TensorFlow ../../../*')


@needs_walls
@pytest.mark.parametrize('command', NASTY)
def test_behind_walls_nothing_outside_of_the_copy_changes(zoo, command):
    command = command.replace('@OUTSIDE@', str(zoo.outside)).replace('@MODEL@', str(zoo.model))
    script = f'{command}\necho went on\n'
    (zoo.test / 'train_full_1p.sh').write_text(script)
    before = zoo.state()
    left = zoo.run(script)
    assert 'went on' in zoo.output
    assert zoo.state() == before
    assert left.data_changed == ''


@pytest.mark.parametrize('command', [NASTY[0], NASTY[3], NASTY[4]])
def test_in_a_mere_copy_the_data_are_links_that_may_be_deleted_and_replaced(zoo, command):
    script = f'{command}\necho went on\n'
    (zoo.test / 'train_full_1p.sh').write_text(script)
    before = zoo.state()
    left = zoo.run(script, walls=False)
    assert 'went on' in zoo.output
    assert (zoo.state(), left.data_changed) == (before, '')


def test_in_a_mere_copy_data_that_were_changed_are_named(zoo):
    assert zoo.run(NASTY[1], walls=False).data_changed == os.path.join('sub', 'image')


@needs_walls
def test_behind_walls_tmp_is_its_own(zoo):
    name = f'/tmp/harness-test-{os.getpid()}'
    zoo.run(f'touch {name} /var/tmp/x && ls {name} && ls /tmp | wc -l')
    assert name in zoo.output and not os.path.exists(name)


@needs_walls
def test_walls_that_may_not_be_built_are_none(monkeypatch):
    assert walls.bubblewrap(lambda argv: '') == ''
    monkeypatch.setenv('PATH', '')
    assert walls.bubblewrap(ask) == ''


# --- what is seen of it ---------------------------------------------------------------------------

@both_ways
def test_every_python_program_is_witnessed_with_its_arguments_and_its_end(zoo, walls):
    left = zoo.run('''
python3 ../main.py --batch "a b" &
wait
python3 -c 'import sys; sys.exit(3)'
python3 -c 'import os; os.abort()'
''', walls=walls)
    (good, bad, aborted) = left.calls
    assert (good.argv, good.status) == (('../main.py', '--batch', 'a b'), 0)
    assert good.program == '../main.py'
    assert good.wall_s is not None and good.wall_s < PATIENCE_S
    assert (bad.status, bad.program) == (3, '')
    assert aborted.status == 128 + signal.SIGABRT
    assert zoo.output.splitlines()[0] == 'trained'
    assert 'sitecustomize' not in zoo.output


def test_a_program_that_was_still_running_has_no_status(zoo):
    (zoo.model / 'slow.py').write_text('import time; print("on", flush=True); time.sleep(600)')
    left = zoo.run('python3 ../slow.py & while ! [ -s log ]; do sleep 0.01; python3 -V >log; done')
    running = [call for call in left.calls if call.program]
    assert [(call.status, call.wall_s) for call in running] == [(None, None)]


def test_a_program_is_asked_to_end_where_its_script_asks_it(zoo):
    (zoo.model / 'slow.py').write_text('import time; time.sleep(600)')
    left = zoo.run('''
python3 ../slow.py &
while ! pgrep -P $! >/dev/null; do sleep 0.01; done
kill $!
wait $!
''')
    assert [call.status for call in left.calls] == [128 + signal.SIGTERM]


@both_ways
def test_nothing_goes_on_when_the_script_has_ended(zoo, walls):
    left = zoo.run('setsid sleep 614 & sleep 0.1; echo bye', walls=walls)
    assert 'bye' in zoo.output
    ended = time.monotonic() + PATIENCE_S
    while subprocess.run(['pgrep', '-f', 'sleep 614'], stdout=subprocess.PIPE,
                         check=False).stdout and time.monotonic() < ended:
        time.sleep(0.05)
    assert time.monotonic() < ended
    assert left.strays == (() if walls else ('sleep',))


def test_logs_and_result_files_are_kept_where_they_were_the_newest_last(zoo):
    left = zoo.run('mkdir -p output/0/ckpt/a && echo step >output/0/train_0.log && sleep 0.02 &&'
                   'echo CaseName = x >output/0/x.log && sleep 0.02 &&'
                   'echo deep >output/0/ckpt/a/deep.txt && echo w >output/0/ckpt/weights')
    kept = zoo.kept / 'left'
    assert left.files == tuple(str(kept / name) for name in (
        '0/train_0.log', '0/x.log', '0/ckpt/a/deep.txt'))
    assert (kept / '0/x.log').read_text() == 'CaseName = x\n'


def test_results_that_were_there_before_are_not_taken_for_its_own(zoo):
    (zoo.test / 'output' / '0').mkdir(parents=True)
    (zoo.test / 'output' / '0' / 'x.log').write_text('CaseName = x\n')
    assert zoo.run('ls -d output').files == ()
    assert 'No such file' in zoo.output


def test_a_link_in_its_output_is_not_followed(zoo):
    left = zoo.run(f'mkdir -p output/0 && ln -s {zoo.outside}/treasure output/0/train_0.log')
    assert left.files == ()


def test_files_of_its_own_that_it_changed_are_named(zoo):
    assert zoo.run('sed -i s/trained/edited/ ../main.py; touch ../new.py').edited == ('main.py',)


def test_equal_folders_have_one_commit_and_changed_ones_another(zoo):
    first = zoo.run('true').facts['commit']
    assert zoo.run('true').facts['commit'] == first
    (zoo.model / 'main.py').write_text('print("different")\n')
    assert zoo.run('true').facts['commit'] != first


def test_a_folder_in_git_has_gits_commit(zoo):
    def git(*argv):
        subprocess.run(['git', '-C', str(zoo.model), '-c', 'user.name=a', '-c', 'user.email=a@b',
                        *argv], check=True, stdout=subprocess.PIPE)
    (zoo.test / 'train_full_1p.sh').write_text('true')
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'first')
    head = ask(['git', '-C', str(zoo.model), 'rev-parse', '--short=12', 'HEAD'])
    assert zoo.run('true').facts['commit'] == head
    (zoo.model / 'main.py').write_text('print("different")\n')
    assert zoo.run('true').facts['commit'].startswith(f'{head}-dirty-')


def test_a_folder_that_cannot_be_copied_is_named_and_nothing_is_left(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, 'tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(sandbox.shutil, 'copytree', lambda *_, **__: os.mkdir('/proc/none'))
    with pytest.raises(ConfigError, match='cannot copy .*Net_ID1.* TMPDIR'):
        zoo.run('true')
    assert list((tmp_path / 'tmp').iterdir()) == []


# --- what folders hold, and what scripts make of them ---------------------------------------------

@both_ways
def test_a_pipe_in_the_place_of_its_log_holds_nobody_up(zoo, walls):
    left = zoo.run('mkdir -p output/0 && mkfifo output/0/train_0.log output/0/x.log; echo on',
                   walls=walls)
    assert (left.files, zoo.output) == ((), 'on\n')


@pytest.mark.parametrize('script', [
    'mkdir -p output/0/train_0.log', 'mkdir -p output && ln -s /usr/share output/0',
    'ln -s /usr/share output', 'chmod 000 . ..', 'rm -rf ../../*'])
def test_whatever_becomes_of_its_output_nothing_foreign_is_kept(zoo, script):
    assert zoo.run(f'{script}; echo on').files == ()
    assert not zoo.work.exists()


def test_a_log_that_is_deep_or_called_as_ours_is_kept_beside_it(zoo):
    deep = '/'.join(['d' * 60] * 6)
    left = zoo.run(f'mkdir -p output/0/{deep} && echo a >output/0/{deep}/a.log && '
                   'echo theirs >output/0/output.log; echo ours')
    assert zoo.output == 'ours\n'
    assert {Path(path).read_text() for path in left.files} == {'a\n', 'theirs\n'}


def test_a_folder_that_may_only_be_read_can_be_run_and_is_left_as_it_is(zoo):
    (zoo.model / 'main.py').chmod(0o444)
    zoo.model.chmod(0o555)
    zoo.run('echo more >>../main.py && touch ../new && echo well')
    assert zoo.output == 'well\n'
    assert not zoo.work.exists()
    assert (zoo.model / 'main.py').stat().st_mode & 0o777 == 0o444
    zoo.model.chmod(0o755)


def test_a_link_out_of_the_folder_leads_where_it_led(zoo):
    (zoo.model.parent / 'common.py').write_text('print("common")\n')
    (zoo.model / 'main.py').unlink()
    (zoo.model / 'main.py').symlink_to('../common.py')
    zoo.run('python3 ../main.py', walls=False)
    assert zoo.output == 'common\n'


@both_ways
def test_data_may_hold_links_and_loops(zoo, walls, tmp_path):
    (zoo.data / 'loop').symlink_to('.')
    (zoo.data / 'sub' / 'outside').symlink_to(zoo.outside)
    left = zoo.run('cat "${1#*=}/sub/outside/treasure"', walls=walls)
    assert (zoo.output, left.data_changed) == ('gold', '')


def test_data_behind_a_link_that_were_changed_are_named(zoo):
    (zoo.data / 'sub' / 'outside').symlink_to(zoo.outside)
    left = zoo.run('echo more >>"${1#*=}/sub/outside/treasure"', walls=False)
    assert left.data_changed == os.path.join('sub', 'outside', 'treasure')


def test_the_copy_may_lie_in_the_folder_itself(zoo, monkeypatch):
    (zoo.model / 'tmp').mkdir()
    monkeypatch.setattr(sandbox.tempfile, 'tempdir', str(zoo.model / 'tmp'))
    zoo.run('ls ../tmp | wc -l')
    assert zoo.output.strip() == '0'


@pytest.mark.parametrize('signal_', [KeyboardInterrupt, SystemExit])
def test_an_interrupted_copy_leaves_nothing(zoo, monkeypatch, tmp_path, signal_):
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(sandbox.tempfile, 'tempdir', str(tmp_path / 'tmp'))

    def interrupted(*_, **__):
        raise signal_

    monkeypatch.setattr(sandbox.shutil, 'copytree', interrupted)
    with pytest.raises(signal_):
        zoo.run('true')
    assert list((tmp_path / 'tmp').iterdir()) == []


def test_a_blank_in_the_copys_path_is_refused_with_the_remedy(zoo, monkeypatch, tmp_path):
    (tmp_path / 'a b').mkdir()
    monkeypatch.setattr(sandbox.tempfile, 'tempdir', str(tmp_path / 'a b'))
    with pytest.raises(ConfigError, match='has blanks.* TMPDIR'):
        zoo.run('true')


def test_git_writes_nothing_into_the_folder(zoo):
    subprocess.run(['git', '-C', str(zoo.model), 'init', '-q'], check=True)
    (zoo.test / 'train_full_1p.sh').write_text('true')
    subprocess.run(['git', '-C', str(zoo.model), 'add', '.'], check=True)
    os.utime(str(zoo.model / 'main.py'), (1, 1))   # git would refresh its index
    before = (zoo.model / '.git' / 'index').stat().st_mtime_ns
    zoo.run('true')
    assert (zoo.model / '.git' / 'index').stat().st_mtime_ns == before


@needs_walls
@pytest.mark.parametrize('command', [
    'echo 60 >/proc/sys/vm/swappiness', 'mknod /dev/harness-test c 1 3', 'umount /tmp',
    'mount -o remount,rw /', 'mount --bind /usr /tmp'])
def test_behind_walls_root_has_no_power_over_the_machine(zoo, command):
    zoo.run(f'{{ {command}; }} 2>/dev/null && echo done || echo refused')
    assert zoo.output == 'refused\n'


@needs_walls
def test_behind_walls_shared_memory_goes_with_the_run(zoo):
    def segments():
        return ask(['ipcs', '-m']).count('0x')
    before = segments()
    zoo.run('ipcmk -M 4096')
    assert 'id' in zoo.output
    assert segments() == before


# --- pythons that are not found through PATH ------------------------------------------------------

ELSEWHERE = os.path.realpath(sys.executable)


@both_ways
@pytest.mark.parametrize('script, expected', [
    (f'{ELSEWHERE} ../main.py', [('../main.py', 0)]),
    (f'PATH=/usr/bin:/bin; {ELSEWHERE} ../main.py', [('../main.py', 0)]),
    (f'{ELSEWHERE} ../fails.py', [('../fails.py', 1)]),
    (f'{ELSEWHERE} ../leaves.py 3', [('../leaves.py', 3)]),
    (f'{ELSEWHERE} ../dies.py', [('../dies.py', None)]),
    (f'{ELSEWHERE} - <../main.py', [('', 0)]),
    ('python3 ../main.py', [('../main.py', 0)]),   # noted once
    ('python3 ../starts.py', [('../starts.py', 0), ('../main.py', 0)]),
])
def test_a_python_that_is_found_elsewhere_notes_itself(zoo, walls, script, expected):
    for name, code in (('fails', 'raise KeyError(1)'),
                       ('dies', 'import os; os.kill(os.getpid(), 9)'),
                       ('leaves', 'import sys; sys.exit(int(sys.argv[1]))'),
                       ('starts', 'import subprocess, sys\n'
                                  'subprocess.call([sys.executable, "../main.py"])')):
        (zoo.model / f'{name}.py').write_text(code)
    left = zoo.run(f'{script}; true', walls=walls)
    assert [(call.program, call.status) for call in left.calls] == expected
    assert [call.inner for call in left.calls] == [False, True][:len(expected)]


def test_a_sitecustomize_that_was_there_still_works(zoo, tmp_path):
    (tmp_path / 'site').mkdir()
    (tmp_path / 'site' / 'sitecustomize.py').write_text('print("customized")\n')
    zoo.environment['PYTHONPATH'] = str(tmp_path / 'site')
    left = zoo.run('python3 ../main.py', walls=False)
    assert zoo.output == 'customized\ntrained\n'
    assert [call.status for call in left.calls] == [0]
