# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test files share."""

import runpy
import sys

import pytest
from stand_in import Project


@pytest.fixture(autouse=True)
def not_on_github(monkeypatch):
    """What the tests call tells GitHub nothing, though GitHub may run them."""
    monkeypatch.delenv('GITHUB_ACTIONS', raising=False)


@pytest.fixture
def project(tmp_path):
    """A copy of the project with a stand-in for python3."""
    return Project(tmp_path)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Work in a folder of our own with six images to train on and two to test with."""
    import tiny  # here, so that the harness's tests load no TensorFlow
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')
    tiny.write('HR', **{f'{i:04d}': tiny.smooth(36, 40 + 2 * i, i) for i in range(6)})
    tiny.write('val_HR', a=tiny.smooth(32, 36, 7), b=tiny.smooth(40, 28, 8))
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run main with the tiny network's flags and these; return what it prints."""
    import tensorflow as tf
    import tiny

    from model import main

    def run(**flags):
        with tf.Graph().as_default():
            assert main.main(tiny.flags(**flags)) == 0
        return capsys.readouterr().out
    return run


@pytest.fixture
def program(monkeypatch, capsys):
    """Run main.py as a program; return its status, output and errors."""
    import tensorflow as tf
    import tiny

    from model import main

    def program(**flags):
        monkeypatch.setattr(sys, 'argv', ['main.py', *tiny.flags(**flags)])
        monkeypatch.setattr(sys, 'path', ['model', *sys.path])
        with tf.Graph().as_default(), pytest.raises(SystemExit) as ended:
            runpy.run_path(main.__file__, run_name='__main__')
        return (ended.value.code, *capsys.readouterr())
    return program
