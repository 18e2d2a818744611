# SPDX-License-Identifier: Apache-2.0
"""A git revision in a folder of its own, with output folders of its own."""

import os
import shlex
from typing import Callable, Sequence

from harness.errors import ConfigError

Ask = Callable[[Sequence[str]], str]  # the output of a command in the root, empty where it fails


def commit_of(revision: str, ask: Ask) -> str:
    """A revision's commit, its first 12 digits; raises ConfigError where git knows none."""
    commit = ask(['git', 'rev-parse', '--verify', '--quiet', '--end-of-options',
                  f'{revision}^{{commit}}'])
    if not commit:
        raise ConfigError(f'no git revision {revision!r} here: git log shows those that are; a '
                          'shallow clone gets the others by git fetch --unshallow')
    return commit[:12]


def checkout(commit: str, root: str, ask: Ask) -> str:
    """Check a commit out below .cache/, once, and return its folder.

    Raises ConfigError where that cannot be done, or the folder is not what it was.
    """
    commit = commit_of(commit, ask)
    folder = os.path.join(root, '.cache', 'worktrees', commit)
    if not _head(folder, ask).startswith(commit):
        ask(['git', 'worktree', 'prune'])
        ask(['git', 'worktree', 'add', '--detach', folder, commit])
    by_hand = f'git worktree add --detach {shlex.quote(folder)} {commit}'
    if not _head(folder, ask).startswith(commit):
        raise ConfigError(f'cannot check {commit} out into {folder}: remove that folder, or see '
                          f'what `{by_hand}` says')
    if ask(['git', '-C', folder, 'status', '--porcelain']):
        raise ConfigError(f'{folder} has changes, so it is not {commit} any more: remove it, or '
                          'undo them with git')
    return folder


def _head(folder: str, ask: Ask) -> str:
    """The commit of a worktree; no commit's where the folder is none, but lies in another."""
    top = ask(['git', '-C', folder, 'rev-parse', '--show-toplevel'])
    if not top or os.path.realpath(top) != os.path.realpath(folder):
        return 'none'
    return ask(['git', '-C', folder, 'rev-parse', 'HEAD'])
