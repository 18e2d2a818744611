# SPDX-License-Identifier: Apache-2.0
"""python -m harness check PATH: read a folder, try its scripts out, say which rules it keeps."""

import os
from typing import List, Mapping

from harness import run
from harness.compliance import report
from harness.compliance.dry_run import try_out
from harness.compliance.folder import Folder, read_folder
from harness.compliance.rule import Finding, Subject, apply, exit_status
from harness.compliance.rules import RULES
from harness.compliance.shell import scripts

FORMATS = {'text': report.to_text, 'md': report.to_markdown, 'json': report.to_json}


def check(args) -> int:
    """Print what was found; 0, or 1 where a rule that is more than advice is broken.

    ConfigError where the path is no model's folder.
    """
    folder = read_folder(args.path)
    findings = examine(folder, {} if args.no_run else os.environ)
    print(FORMATS[args.format](folder.name, findings), end='')
    return exit_status(findings)


def examine(folder: Folder, environment: Mapping[str, str]) -> List[Finding]:
    """What all rules find in a folder; without an environment, nothing is started."""
    found = scripts(folder.texts)
    trials = try_out(folder, found, run.try_out, environment) if environment else {}
    return apply(RULES, Subject(folder, found, trials))


def add_flags(parser):
    """The flags of the verb."""
    parser.add_argument('path', help='the folder of one model')
    parser.add_argument('--format', choices=sorted(FORMATS), default='text',
                        help='default: %(default)s')
    parser.add_argument('--no-run', action='store_true',
                        help='only read: do not start its scripts with a stand-in for Python; '
                             'those rules are then not applicable')
