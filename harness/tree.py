# SPDX-License-Identifier: Apache-2.0
"""What lies in a folder, and whether it is still as it was."""

import hashlib
import os
from typing import Callable, Dict, Iterator, List, Mapping, Sequence, Set, Tuple

from harness.files import read_bytes

Ask = Callable[[Sequence[str]], str]  # the output of a command, empty where it fails
State = Tuple[int, int]               # size, and the time of the last change

HASHED_BYTES = 2 ** 20   # of each file of a folder that git does not know


def files(folder: str, follow: bool = False) -> Iterator[str]:
    """Every file and every link to none; whoever opens what is neither may wait for ever.

    follow: links to folders too, each folder once.
    """
    seen: Set[str] = set()
    for where, folders, names in os.walk(folder, followlinks=follow):
        real = os.path.realpath(where)
        if follow and real in seen:
            folders.clear()
            continue
        seen.add(real)
        for path in (os.path.join(where, name) for name in names):
            if os.path.islink(path) or os.path.isfile(path):
                yield path


def beyond(folder: str) -> Set[str]:
    """The real folders and files, outside of a folder, to which its links lead."""
    inside = os.path.realpath(folder) + os.sep
    paths = (os.path.realpath(path) for path in files(folder, follow=True))
    return {path for path in paths if not path.startswith(inside)}


def manifest(folder: str, follow: bool = False) -> Dict[str, State]:
    """What changes when a file is edited, by its path from the folder; without test/output.

    follow: links are what they point to, as for data that scripts write through them.
    """
    output = os.path.join('test', 'output') + os.sep
    found = {}
    for path in files(folder, follow):
        name = os.path.relpath(path, folder)
        if not name.startswith(output) and not name.endswith('.pyc'):
            stat = os.stat(path) if follow and os.path.exists(path) else os.lstat(path)
            found[name] = (stat.st_size, stat.st_ctime_ns)   # which nobody can set back
    return found


def differing(before: Mapping[str, State], after: Mapping[str, State]) -> List[str]:
    """Names of files that were there and are not as they were; new ones do not count."""
    return sorted(printable(name) for name, state in before.items() if after.get(name) != state)


def digest(found: Mapping[str, State]) -> str:
    """A short name of files by their names and sizes; times differ between copies."""
    sizes = sorted((name, size) for name, (size, _) in found.items())
    return hashlib.sha256(ascii(sizes).encode()).hexdigest()[:8] if found else 'none'


def commit(folder: str, ask: Ask) -> str:
    """Git's, with a digest of the changes; of a folder that git does not know, of its files."""
    git = ['git', '--no-optional-locks', '-C', folder]   # nothing of its own is written
    revision = ask([*git, 'rev-parse', '--short=12', 'HEAD'])
    if revision and not ask([*git, 'status', '--porcelain', '.']):
        return revision
    content = hashlib.sha256()
    for path in sorted(files(folder)):
        content.update(os.fsencode(os.path.relpath(path, folder)))
        small = os.path.isfile(path) and os.path.getsize(path) <= HASHED_BYTES
        content.update(read_bytes(path) if small else b'')
    return f'{revision}-dirty-{content.hexdigest()[:8]}' if revision else (
        f'files-{content.hexdigest()[:8]}')


def printable(name: str) -> str:
    """A name for a sentence: no line end and no other control character of it."""
    return ''.join(c if c.isprintable() else '?' for c in name)
