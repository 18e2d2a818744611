# SPDX-License-Identifier: Apache-2.0
"""Can this Python train?  Exit status 0 if so; else 1, and one line says what is missing.

    python env/have.py           CPython 3.7 and every package of requirements.txt
    python env/have.py NAME...   CPython 3.7 and only these modules

It looks for packages without importing them (TensorFlow alone takes seconds), and runs on any
Python from 3.5 on: the wrong Python must get an answer too.
"""

import importlib.util
import os
import re
import sys

REQUIREMENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'requirements.txt')
MODULES = {'pillow': 'PIL', 'protobuf': 'google.protobuf'}  # not named like their packages


def main(names):
    missing = [label(name) for name in names or required() if not has(name)]
    if sys.implementation.name != 'cpython' or sys.version_info[:2] != (3, 7):
        missing.insert(0, 'CPython 3.7')
    if missing:
        print(sys.executable + ' lacks ' + ', '.join(missing))
    return 1 if missing else 0


def required():
    """The modules that the packages of requirements.txt are imported as."""
    with open(REQUIREMENTS, encoding='utf-8') as f:
        packages = re.findall(r'^[\w.-]+', f.read().lower(), re.M)
    return [MODULES.get(package, package) for package in packages]


def has(name):
    if name == 'tensorflow':
        # contrib lies in tensorflow_core in 1.15 alone: before, it lay elsewhere; later, nowhere.
        return any(os.path.isdir(os.path.join(folder, 'contrib'))
                   for folder in folders('tensorflow_core')) and bool(folders('tensorflow'))
    return find(name) is not None


def folders(package):
    return getattr(find(package), 'submodule_search_locations', None) or []


def find(module):
    try:
        return importlib.util.find_spec(module)
    except ImportError:  # the package that it lies in is not there
        return None


def label(name):
    return 'TensorFlow 1.15' if name == 'tensorflow' else name


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
