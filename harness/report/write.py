# SPDX-License-Identifier: Apache-2.0
"""The one writer: a reader never sees half a report."""

import os
import tempfile
from typing import Union


def write(path: str, data: Union[str, bytes]):
    """Replace the file in one step, on the disk before it gets its name; text is UTF-8."""
    if isinstance(data, str):
        data = data.encode('utf-8', 'backslashreplace')
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix='.', suffix='.part', dir=folder)
    try:
        with open(descriptor, 'wb') as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(partial, 0o666 & ~_umask())  # mkstemp's files are closed to everybody else
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def append(path: str, text: str):
    """Add text, as UTF-8, to a file of somebody else's, which stays the same file."""
    with open(path, 'ab') as f:
        f.write(text.encode('utf-8', 'backslashreplace'))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
