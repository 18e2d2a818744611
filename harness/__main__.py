# SPDX-License-Identifier: Apache-2.0
"""python -m harness VERB: what is there beside the main job.

    python -m harness baseline show
    python -m harness baseline promote --reason "CANN 8.0 is 4 % faster"
"""

import os
import statistics
import sys
import time

from harness import environment

if __name__ == '__main__':
    environment.ensure(['-m', 'harness', *sys.argv[1:]])

from harness import baseline, config, store  # noqa: E402
from harness.errors import HarnessError  # noqa: E402
from harness.report.write import write  # noqa: E402


def main(argv=None) -> int:
    """Do what the verb says."""
    args = _parser().parse_args(argv)
    return args.do(args)


def show(args) -> int:
    """One line a baseline."""
    for b in baseline.load_all():
        print(f'{b.name}: {b.metric.value(statistics.median(b.values))} '
              f'(median of {len(b.values)} runs, limit {b.metric.change(-b.margin)}), '
              f'{b.made}: {b.reason}')
    return 0


def promote(args) -> int:
    """Make the runs of a session the baseline."""
    records = store.session_runs(args.reports, args.session)
    # Of the runs, not of today: what was measured is what they ran.
    day = time.strftime('%Y-%m-%d', time.gmtime(records[0].outcome.started_unix_s))
    made = f'{day} at {records[0].facts["commit"]}'
    for b in baseline.from_runs(records, args.reason, made, args.margin):
        path = os.path.join(baseline.FOLDER, f'{b.name}.json')
        write(path, baseline.to_json(b))
        print(f'{b.case}: {b.metric.value(statistics.median(b.values))}, median of '
              f'{len(b.values)} runs -> {os.path.relpath(path)} (commit it)')
    return 0


def _parser() -> config.Parser:
    parser = config.Parser(prog='python -m harness', allow_abbrev=False)
    verbs = parser.add_subparsers(metavar='baseline', dest='verb')
    verbs.required = True
    actions = verbs.add_parser('baseline', help='what runs are compared with').add_subparsers(
        metavar='show | promote', dest='action')
    actions.required = True
    actions.add_parser('show', help='list the baselines').set_defaults(do=show)
    promoting = actions.add_parser('promote', help='make the last session\'s runs the baseline')
    promoting.add_argument('--reason', required=True, help='why; it is kept with the baseline')
    promoting.add_argument('--margin', type=float, help='loss that is accepted: a share of the '
                           'speed (default: 0.02) or dB of PSNR (default: 0.1)')
    promoting.add_argument('--session', default='', help='default: the newest')
    promoting.add_argument('--reports', default=os.path.join(config.ROOT, 'reports'), metavar='DIR')
    promoting.set_defaults(do=promote)
    return parser


if __name__ == '__main__':
    try:
        sys.exit(main())
    except HarnessError as e:
        print(f'harness: {e}', file=sys.stderr)
        sys.exit(2)
