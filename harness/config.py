# SPDX-License-Identifier: Apache-2.0
"""Flags -> cases."""

import argparse
import os
import re
from typing import Optional, Sequence, Tuple

from harness import models
from harness.errors import ConfigError
from harness.records import PSNR, SPEED, Case, Metric

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

REPORTS = os.path.join(ROOT, 'reports')

SCRIPTS = {
    'performance': ('test/train_performance_1p.sh', SPEED),
    'full': ('test/train_full_1p.sh', PSNR),
}

# No estimate but a bound: twice the slowest step that we know (paper preset, two cores).
DEADLINE_S = 3600.0
DEADLINE_STEP_S = 120.0
PRESET_STEPS = 300  # no preset trains more by itself


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other bad request."""

    def error(self, message):
        raise ConfigError(message)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read run_all.py's command line; raises ConfigError."""
    parser = Parser(prog='run_all.py', allow_abbrev=False,
                    description='Train RCAN with ModelZoo\'s scripts, judge speed and accuracy '
                                'against baselines, write reports/summary.md.')
    add_case_flags(parser)
    parser.add_argument('--max-runs', type=positive, default=7, metavar='N',
                        help='runs of each case at the most: it starts with one, and stops as soon '
                             'as the verdict is clear; default: %(default)s')
    parser.add_argument('--budget', type=_duration_s, default=None, metavar='TIME',
                        help='start no run that would end later, such as 90s, 20m or 1h')
    parser.add_argument('--against', default='', metavar='REVISION',
                        help='compare with this git revision, side by side, instead of with '
                             'baselines')
    parser.add_argument('--no-confirm', action='store_true',
                        help='call a regression without running the baseline\'s revision beside')
    add_history_flag(parser)
    parser.add_argument('--strict', action='store_true',
                        help='exit 4 where a verdict is INCONCLUSIVE, 5 where it is NO_BASELINE')
    add_report_flags(parser)
    add_quiet_flag(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument('--json', action='store_true',
                        help='print summary.json instead of the verdicts in words')
    output.add_argument('--dry-run', action='store_true',
                        help='print what would run, and run nothing')
    return parser.parse_args(argv)


def add_case_flags(parser: argparse.ArgumentParser, cases: str = ','.join(SCRIPTS)):
    """What is run, on which device, and where the results go."""
    add_device_flags(parser)
    parser.add_argument('--cases', default=cases, metavar='NAME,...',
                        help='what to run; default: %(default)s')
    parser.add_argument('--preset', choices=('paper', 'smoke'),
                        help='size of the network; default: smoke on a CPU, else paper')
    parser.add_argument('--data_path', metavar='DIR',
                        help='folder in DIV2K\'s layout; default on a CPU: test/photos')
    parser.add_argument('--max_step', type=positive, metavar='N',
                        help='training steps; default: the script\'s')
    _add_model_flags(parser)
    add_reports_flag(parser)


def _add_model_flags(parser: argparse.ArgumentParser):
    """Models that are not ours."""
    parser.add_argument('--model-dir', action='append', default=[], metavar='DIR',
                        help='run the scripts of this folder of ModelZoo instead, in a copy of it; '
                             'may be given several times')
    parser.add_argument('--scripts', default=models.SCRIPTS, metavar='PATTERN',
                        help='which of its scripts in test/; default: %(default)s')
    parser.add_argument('--rules', metavar='FILE',
                        help='how to read its log (TOML); default: the file of its name in '
                             'harness/modelrules/, else its result file alone counts')
    parser.add_argument('--deadline', type=_duration_s, metavar='TIME',
                        help='of each of its runs, such as 20m; default: that of its rules, or 4h')


def add_device_flags(parser: argparse.ArgumentParser):
    """On which device."""
    parser.add_argument('--device', type=_natural, default=0, metavar='N',
                        help='number of the device (ASCEND_DEVICE_ID); default: %(default)s')
    parser.add_argument('--kind', choices=('npu', 'gpu', 'cpu'),
                        help='kind of device; default: the best that is there')


def add_reports_flag(parser: argparse.ArgumentParser):
    """Where reports are."""
    parser.add_argument('--reports', default=REPORTS, metavar='DIR',
                        help='where reports go; default: reports/')


def add_history_flag(parser: argparse.ArgumentParser):
    """Where all runs are kept."""
    parser.add_argument('--history', default='', metavar='URL',
                        help='database of all runs, as SQLAlchemy names it; default: '
                             'history.sqlite in the reports folder')


def add_quiet_flag(parser: argparse.ArgumentParser):
    """Of what runs something."""
    parser.add_argument('--quiet', action='store_true',
                        help='say nothing meanwhile but what is wrong')


def add_report_flags(parser: argparse.ArgumentParser):
    """How reports are written."""
    parser.add_argument('--lang', choices=('en', 'zh'), default='en',
                        help='language of summary.md; default: %(default)s')
    parser.add_argument('--export', type=_new_file, metavar='FILE',
                        help='write the values for github-action-benchmark too '
                             '(customBiggerIsBetter)')


def history_url(named: str, reports: str) -> str:
    """The database that is named, or that of a reports folder."""
    return named or f'sqlite:///{history_path(reports)}'


def history_path(reports: str) -> str:
    """Where the history of a reports folder is, unless another is named."""
    return os.path.join(os.path.abspath(reports), 'history.sqlite')


def cases(args: argparse.Namespace) -> Tuple[Case, ...]:
    """The cases asked for, in order; raises ConfigError for a name or folder that is not there."""
    names = args.cases.split(',')
    _refuse_misfits(args)
    for name in names:
        if name not in SCRIPTS:
            raise ConfigError(f'unknown case {name!r}: one of {", ".join(SCRIPTS)}')
    if len(set(names)) < len(names):
        raise ConfigError(f'--cases {args.cases} names a case twice: --max-runs is for more runs')
    if args.data_path and not os.path.isdir(args.data_path):
        raise ConfigError(f'no folder at --data_path {args.data_path}')
    if args.model_dir:
        return models.cases(args.model_dir, names, args.scripts, args.data_path, args.rules,
                            args.deadline)
    return tuple(_case(name, *SCRIPTS[name], args) for name in names)


def _refuse_misfits(args: argparse.Namespace):
    """Raise ConfigError for a flag that says nothing about the models that are run."""
    ours = [flag for flag, value in (('--preset', args.preset), ('--max_step', args.max_step),
                                     ('--against', args.against)) if value]
    others = [flag for flag, value in (('--rules', args.rules), ('--deadline', args.deadline),
                                       ('--scripts', args.scripts != models.SCRIPTS)) if value]
    if args.model_dir and ours:
        raise ConfigError(f'{", ".join(ours)}: other models\' scripts know no such thing; leave it '
                          'out, or --model-dir')
    if others and not args.model_dir:
        raise ConfigError(f'{", ".join(others)}: for other models only; name one with --model-dir')


def _case(name: str, script: str, metric: Metric, args: argparse.Namespace) -> Case:
    flags = [f'--{flag}={value}' for flag, value in (
        ('preset', args.preset),
        ('data_path', args.data_path and os.path.abspath(args.data_path)),
        ('max_step', args.max_step)) if value]
    deadline_s = DEADLINE_S + DEADLINE_STEP_S * (args.max_step or PRESET_STEPS)
    return Case(name, script, tuple(flags), metric, deadline_s)


def _duration_s(text: str) -> float:
    found = re.fullmatch(r'([0-9]{1,6}(?:\.[0-9]{1,3})?)([smh])', text)
    if not found or not float(found.group(1)):
        raise argparse.ArgumentTypeError(f'must be a time such as 90s, 20m or 1h, not {text!r}')
    return float(found.group(1)) * {'s': 1, 'm': 60, 'h': 3600}[found.group(2)]


def _new_file(text: str) -> str:
    """A file that can be written, to be known before hours have passed."""
    folder = os.path.dirname(os.path.abspath(text))
    if not text or os.path.isdir(text) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f'must be a file in a folder that can be written, not '
                                         f'{text!r}')
    return os.path.abspath(text)


def _natural(text: str) -> int:
    if not re.fullmatch('[0-9]{1,9}', text):
        raise argparse.ArgumentTypeError(f'must be 0, 1, 2, ..., not {text!r}')
    return int(text)


def positive(text: str) -> int:
    """A flag's value that counts something."""
    if not re.fullmatch('[0-9]{1,9}', text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f'must be 1 or more, not {text!r}')
    return int(text)
