# SPDX-License-Identifier: Apache-2.0
"""How far verdicts can be trusted on a machine: small files in git, one for each machine."""

import json
import os
from typing import Any, Dict, Mapping, Optional

from harness import baseline
from harness.errors import ConfigError
from harness.records import Certificate
from harness.report import document
from harness.report.write import write

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'certificates')

# What the rate of false alarms may depend on.
MATCH = ('device_model', 'cpu_model', 'cpus', 'threads', 'driver', 'cann')


def match(facts: Mapping[str, Any]) -> Dict[str, Any]:
    """The facts that a machine must share with a certificate."""
    return {name: facts.get(name) for name in MATCH}


def of(facts: Mapping[str, Any], folder: str = FOLDER) -> Optional[Certificate]:
    """The certificate of a machine, None where it has none; raises ConfigError: it is damaged."""
    path = _path(match(facts), folder)
    if not os.path.exists(path):
        return None
    try:
        with open(path, encoding='utf-8') as f:
            stored = json.load(f)
        stored.pop('schema')
        return document.certificate(stored)
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as e:
        raise ConfigError(f'{path} is no certificate ({type(e).__name__}: {e}): restore it with '
                          'git, or remove it and run `python -m harness certify`') from e


def save(certificate: Certificate, folder: str = FOLDER) -> str:
    """Write a machine's certificate, and return its path."""
    path = _path(certificate.match, folder)
    write(path, document.to_json(certificate))
    return path


def _path(matched: Mapping[str, Any], folder: str) -> str:
    return os.path.join(folder, f'machine-{baseline.digest(matched)}.json')
