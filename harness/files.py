# SPDX-License-Identifier: Apache-2.0
"""Text files read as they are, whatever their bytes."""

import os
from typing import Iterable


def read(path: str) -> str:
    """A small file; empty where there is none, or none for us."""
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()
    except OSError:
        return ''


def read_bytes(path: str) -> bytes:
    """A file that is no text; empty where there is none, or none for us."""
    try:
        with open(path, 'rb') as f:
            return f.read()
    except OSError:
        return b''


def read_end(path: str, most: int) -> str:
    """At most so many bytes from the end of a file of any size; empty as read() is."""
    try:
        with open(path, 'rb') as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - most))
            return f.read(most).decode('utf-8', 'replace')
    except OSError:
        return ''


def lines(path: str) -> Iterable[str]:
    """The lines of a file of any size; none where there is no file."""
    if os.path.exists(path):
        with open(path, encoding='utf-8', errors='replace') as f:
            for line in f:
                yield line.rstrip('\n')
