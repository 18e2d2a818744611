# SPDX-License-Identifier: Apache-2.0
"""An old revision in a folder of its own."""

import subprocess

import pytest

from harness import run, worktree
from harness.errors import ConfigError


@pytest.fixture
def repository(tmp_path):
    """A repository with two commits: file says 1, then 2."""
    root = tmp_path / 'a project'
    root.mkdir()
    for argv in (['init', '-q'], ['config', 'user.name', 'me'], ['config', 'user.email', 'm@e']):
        subprocess.run(['git', *argv], cwd=str(root), check=True)
    (root / '.gitignore').write_text('/.cache/\n')
    for text in '12':
        (root / 'file').write_text(text)
        subprocess.run(['git', 'add', '-A'], cwd=str(root), check=True)
        subprocess.run(['git', 'commit', '-qm', text], cwd=str(root), check=True)
    return root


@pytest.fixture
def ask(repository):
    return lambda argv: run.ask(argv, str(repository))


def checkout(repository, ask, revision):
    return worktree.checkout(worktree.commit_of(revision, ask), str(repository), ask)


def test_the_old_revision_lies_beside_the_new_one(repository, ask):
    (repository / 'file').write_text('not committed')
    folder = checkout(repository, ask, 'HEAD~1')
    assert open(f'{folder}/file').read() == '1'
    assert (repository / 'file').read_text() == 'not committed'
    assert checkout(repository, ask, 'HEAD~1') == folder    # again: nothing to do
    assert open(checkout(repository, ask, 'HEAD') + '/file').read() == '2'


@pytest.mark.parametrize('revision', ['v9', '', '--help', 'HEAD~7', 'file', '$(id)'])
def test_what_is_no_revision_is_refused_by_name(ask, revision):
    with pytest.raises(ConfigError) as raised:
        worktree.commit_of(revision, ask)
    assert f'no git revision {revision!r} here' in str(raised.value)


def test_a_folder_that_somebody_has_changed_is_not_the_revision_and_is_left_alone(repository, ask):
    folder = checkout(repository, ask, 'HEAD~1')
    with open(f'{folder}/file', 'w') as f:
        f.write('my work')
    with pytest.raises(ConfigError, match='has changes'):
        checkout(repository, ask, 'HEAD~1')
    assert open(f'{folder}/file').read() == 'my work'


def test_a_folder_that_is_no_worktree_is_not_taken_for_one(repository, ask):
    commit = worktree.commit_of('HEAD', ask)
    folder = repository / '.cache/worktrees' / commit
    folder.mkdir(parents=True)
    (folder / 'mine').write_text('mine')
    with pytest.raises(ConfigError, match='cannot check .* out into'):
        checkout(repository, ask, 'HEAD')
    assert (folder / 'mine').read_text() == 'mine'
