# SPDX-License-Identifier: Apache-2.0
"""What lies in a model's folder, read once."""

import os
import re
from typing import Iterator, List, Mapping, NamedTuple, Sequence

from harness.errors import ConfigError
from harness.files import read_bytes

# What runs leave behind, and what no model consists of; hidden folders are left out as well.
LEFT_OUT = {'__pycache__', 'node_modules', 'output', 'venv'}
TEXT = re.compile(r'(?i).*\.(sh|py|md)|.*/?(readme|licen[cs]e|notice)[^/]*|.*\.txt')
LARGEST_TEXT = 1 << 20   # bytes


class Folder(NamedTuple):
    """The files by their path from its root; the texts of those that rules read."""

    root: str
    name: str
    paths: Sequence[str]
    texts: Mapping[str, str]

    def matching(self, pattern: str) -> List[str]:
        """The paths that a regular expression, blind to case, matches whole."""
        return [path for path in self.paths if re.fullmatch(pattern, path, re.I)]


def read_folder(root: str) -> Folder:
    """Read a folder; ConfigError where it is none, or no model's."""
    root = os.path.abspath(root)
    if not os.path.isdir(root):
        raise ConfigError(f'{root} is no folder: name the folder of one model')
    paths = sorted(walk(root))
    texts = {path: text_of(os.path.join(root, path)) for path in paths
             if TEXT.fullmatch(path) and os.path.getsize(os.path.join(root, path)) <= LARGEST_TEXT}
    folder = Folder(root, os.path.basename(root), paths, texts)
    if not folder.matching(r'test/[^/]*\.sh|modelzoo_level\.txt'):
        raise ConfigError(f'{root} is no model\'s folder: it has neither test/*.sh nor '
                          'modelzoo_level.txt; name the folder of one model')
    return folder


def walk(root: str) -> Iterator[str]:
    """The files that belong to a model, by their path from its root."""
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if _belongs(name)]
        for name in files:
            path = os.path.join(parent, name)
            if os.path.isfile(path):   # no broken links, no pipes
                yield os.path.relpath(path, root)


def text_of(path: str) -> str:
    """A text with its own line ends: they are one of the rules."""
    return read_bytes(path).decode('utf-8', 'replace')


def _belongs(name: str) -> bool:
    return not name.startswith('.') and name not in LEFT_OUT
