# SPDX-License-Identifier: Apache-2.0
"""python -m harness VERB: what is there beside the main job.

    python -m harness baseline learn --runs 10 --cases performance --reason "first on this machine"
    python -m harness plan --see 3% --power 0.9
    python -m harness certify --runs 30
    python -m harness judge reports/runs/20261123T091017.482Z-cpu0.json
    python -m harness report --lang zh
    python -m harness history --open
    python -m harness doctor
    python -m harness check .
    python -m harness level
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import webbrowser
from typing import Any, Mapping, Sequence, Tuple

from harness import environment

if __name__ == '__main__':
    environment.ensure(['-m', 'harness', *sys.argv[1:]])

from harness import (  # noqa: E402
    baseline,
    certify,
    config,
    doctor,
    effort,
    evidence,
    judge,
    level,
    live,
    models,
    run_all,
    stats,
    store,
)
from harness.compliance import check  # noqa: E402
from harness.errors import ConfigError  # noqa: E402
from harness.history import Entry, History  # noqa: E402
from harness.records import RunRecord, Summary  # noqa: E402
from harness.report import markdown, series  # noqa: E402
from harness.report.write import write  # noqa: E402
from harness.study import Study  # noqa: E402
from harness.weigh import differing  # noqa: E402


def main(argv=None) -> int:
    """Do what the verb says."""
    args = _parser().parse_args(argv)
    return args.do(args)


def show(args) -> int:
    """One line a baseline."""
    for b in baseline.load_all(baseline.FOLDER):
        print(f'{b.name}: {b.metric.value(statistics.median(b.values))} '
              f'(median of {len(b.values)} runs, limit {b.metric.change(-b.margin)}), '
              f'{b.made}: {b.reason}')
    return 0


def learn(args) -> int:
    """Run the cases so often, all of the same code, and make the runs the baseline."""
    if args.max_runs < stats.SHORT_HISTORY:
        raise ConfigError(f'--runs must be {stats.SHORT_HISTORY} or more, not {args.max_runs}: '
                          'fewer do not show the spread; 10 are good, 20 better')
    session = run_all.open_session(args, 'python -m harness baseline learn', sys.argv[1:])
    baseline.require_margin(args.margin, session.cases)
    if '-dirty-' in session.machine['commit']:
        print('harness: this checkout has changes that are not committed: no later regression can '
              'be confirmed side by side with this baseline\'s revision', file=sys.stderr)
    store.make_reports_folder(args.reports)
    url = config.history_url(args.history, args.reports)
    with History(url) as kept, live.View(quiet=args.quiet) as view:
        study = Study(session, args.reports, view, history=kept)
        records = study.repeat()
        study.finish('en')
    failed = next((r for r in records if r.fault), None)
    if failed:
        print(f'harness: {failed.run.id} cannot be part of a baseline: {failed.fault}; see '
              f'{failed.outcome.output_path}', file=sys.stderr)
        return 130 if failed.outcome.interrupted else 3
    _save(records, args.reason, study.session.canary_s, args.margin)
    return 0


def promote(args) -> int:
    """Make the runs of a session, or those named of any session, the baseline."""
    named = set(args.run)
    if named and args.session:
        raise ConfigError('--run names its session itself: leave --session out')
    names = {store.session_of(args.reports, run) for run in named} or {args.session}
    loaded = [store.load(args.reports, name) for name in sorted(names)]
    records = [r for _, of_session in loaded for r in of_session]
    unknown = named - {r.run.id for r in records}
    if unknown:
        raise ConfigError(f'no run {", ".join(sorted(unknown))}: '
                          f'ls {os.path.join(args.reports, "runs")} shows those that are there')
    chosen = [r for r in records if not r.run.arm.value and (not named or r.run.id in named)]
    canary_s = [s for session, _ in loaded for s in session.canary_s]
    _save(chosen, args.reason, canary_s, args.margin)
    return 0


def diff(args) -> int:
    """In which facts each baseline differs from the newest session here, or from this machine."""
    facts, is_run = _facts(args)
    for b in baseline.load_all(baseline.FOLDER):
        # Before anything has run, what would be trained is not known.
        unlike = differing(b.match, facts if is_run else {**b.match, **facts})
        print(f'{b.name}: ' + (f'not compared, for it differs in {", ".join(unlike)}'
                               if unlike else 'compared: nothing that matters differs'))
        for name, there in sorted(b.environment.items()):
            if name not in b.match and facts.get(name) != there:
                print(f'    {name}: {there} there, {facts.get(name, "unknown")} here')
    return 0


def retire(args) -> int:
    """Remove a baseline from those that are compared with; git keeps it."""
    path = baseline.find(args.name, baseline.FOLDER)
    in_root = os.path.relpath(path, config.ROOT)
    kept = run_all.ask(['git', 'rev-parse', '--verify', '--quiet', f'HEAD:{in_root}'])
    if not kept or kept != run_all.ask(['git', 'hash-object', in_root]):
        raise ConfigError(f'{os.path.relpath(path)} is not committed as it is, so it would be '
                          'lost: commit it first, or remove it by hand')
    baseline.retire(path)
    print(f'removed {os.path.relpath(path)}: git has it still (commit its removal)')
    return 0


def rejudge(args) -> int:
    """Judge a session again by its stored records, and make its reports again."""
    reports, summary = _reported(args)
    live.answer('\n'.join(markdown.closing_lines(summary, reports)))
    return judge.exit_status(summary.verdicts, strict=False)


def render(args) -> int:
    """Make the reports of a session again, for whoever reads another language or another tool."""
    reports, summary = _reported(args)
    run_all.tell(summary, args)
    live.answer('\n'.join(markdown.report_lines(reports)))
    return 0


def _reported(args) -> Tuple[str, Summary]:
    """Where the reports of a stored session are, made again, and what they say."""
    folder, name = os.path.split(args.session.rstrip('/'))
    name = name[:-len('.json')] if name.endswith('.json') else name
    # A path into some reports' runs/ says where; a name alone is of these reports.
    reports = os.path.dirname(os.path.abspath(folder)) if folder else args.reports
    if folder and args.reports != config.REPORTS:
        raise ConfigError('a path says where its reports are: leave --reports out')
    session, records = store.load(reports, store.session_of(reports, name))
    summary = judge.summarize(session, records)
    store.save_all(reports, summary, _kept(args, reports, records), args.lang)
    return reports, summary


def _kept(args, reports: str, records: Sequence[RunRecord]) -> Sequence[Entry]:
    """The history of all runs; where none was kept, of these."""
    try:
        if args.history or os.path.exists(config.history_path(reports)):
            with History(config.history_url(args.history, reports)) as runs:
                return runs.entries()
    except ConfigError as e:
        if args.history:   # that one was asked for
            raise
        print(f'harness: the page shows the runs of this session only: {e}', file=sys.stderr)
    return tuple(map(evidence.entry, records))


def history(args) -> int:
    """The series of all runs kept, and where they changed."""
    if not args.history and not os.path.isdir(args.reports):
        raise ConfigError(f'no runs in {args.reports}: run harness/run_all.py first, or say where '
                          'they are with --reports')
    with History(config.history_url(args.history, args.reports)) as runs:
        entries = runs.entries(args.case)
    if args.open:
        page = store.save_history_page(args.reports, entries, baseline.load_all())
        print(f'page: {os.path.relpath(page)}')
        webbrowser.open(pathlib.Path(page).resolve().as_uri())   # without a browser: nothing
    else:
        print(series.to_text(entries))
    return 0


def plan(args) -> int:
    """How many runs and minutes it takes to see a loss here, by what is known of the spread."""
    session = run_all.open_session(args, 'python -m harness plan', [])
    for case in session.cases:
        if case.metric.relative:
            print('\n'.join(effort.sentences(session, case, args.see, args.power)))
    return 0


def certified(args) -> int:
    """Try this machine's verdicts out where the answer is known."""
    session = run_all.open_session(args, 'python -m harness certify', sys.argv[1:])
    with live.View(quiet=args.quiet) as view:
        path = certify.certify(session, args.reports, args.runs, view)
    print(f'{os.path.relpath(path)} (commit it)')
    return 0


def diagnose(args) -> int:
    """What a run needs, what of it is here, and what to do about the rest."""
    facts = doctor.look(run_all.ask, os.environ, args.kind or '', args.device,
                        args.data_path or '')
    found = doctor.checks(facts)
    live.answer((doctor.to_json if args.json else doctor.to_text)(facts, found))
    return 0 if doctor.can_run(found) else 3


def _facts(args) -> Tuple[Mapping[str, Any], bool]:
    """Those of a session, and whether they are a run's; of this machine where there is none."""
    if not args.session and not store.sessions(args.reports):
        return run_all.open_session(args, 'python -m harness baseline diff', []).machine, False
    session, records = store.load(args.reports, args.session)
    facts = next((r.facts for r in records if r.measurement), None)
    return facts or session.machine, bool(facts)


def _save(records, reason, canary_s, margin):
    for b in baseline.from_runs(records, reason, canary_s, margin):
        path = os.path.join(baseline.FOLDER, f'{b.name}.json')
        write(path, baseline.to_json(b))
        print(f'{b.case}: {b.metric.value(statistics.median(b.values))}, median of '
              f'{len(b.values)} runs -> {os.path.relpath(path)} (commit it)')


def _percent(text: str) -> float:
    if not re.fullmatch(r'[0-9]{1,2}(\.[0-9]{1,3})?%', text) or not float(text[:-1]):
        raise argparse.ArgumentTypeError(f'must be a share such as 3%, not {text!r}')
    return float(text[:-1]) / 100


def _probability(text: str) -> float:
    if not re.fullmatch(r'0?\.[0-9]{1,6}', text) or not float(text):
        raise argparse.ArgumentTypeError(f'must be between 0 and 1, such as 0.9, not {text!r}')
    return float(text)


def _parser() -> config.Parser:
    parser = config.Parser(prog='python -m harness', allow_abbrev=False)
    verbs = parser.add_subparsers(metavar='baseline | judge | report | history | plan | certify '
                                          '| doctor | check | level',
                                  dest='verb')
    verbs.required = True
    _add_baseline(verbs.add_parser('baseline', help='what runs are compared with'))

    judging = verbs.add_parser('judge', help='judge a session again; the exit status is run_all\'s')
    _add_session(judging)
    judging.set_defaults(do=rejudge, lang='en')

    rendering = verbs.add_parser('report', help='make the reports of a session again')
    _add_session(rendering)
    config.add_report_flags(rendering)
    rendering.set_defaults(do=render)

    telling = verbs.add_parser('history', help='all runs kept, and where their level changed')
    telling.add_argument('--case', default='', help='only this one; default: all')
    telling.add_argument('--open', action='store_true',
                         help='make a page of them, history.html among the reports, and open it')
    config.add_history_flag(telling)
    config.add_reports_flag(telling)
    telling.set_defaults(do=history)

    planning = verbs.add_parser('plan', help='how many runs and minutes a verdict takes here')
    planning.add_argument('--see', type=_percent, required=True, metavar='SHARE',
                          help='the slowdown to be seen, such as 3%%')
    planning.add_argument('--power', type=_probability, default=stats.POWER, metavar='P',
                          help='with which probability; default: %(default)s')
    planning.add_argument('--max-runs', type=config.positive, default=7, metavar='N')
    config.add_case_flags(planning)
    planning.set_defaults(do=plan, against='')

    looking = verbs.add_parser('doctor', help='what a run needs and what is missing; exit status 3 '
                                              'where none could start')
    config.add_device_flags(looking)
    looking.add_argument('--data_path', metavar='DIR', help='folder in DIV2K\'s layout')
    looking.add_argument('--json', action='store_true', help='the same for programs')
    looking.set_defaults(do=diagnose)

    checking = verbs.add_parser('check', help='does a folder keep ModelZoo\'s rules?')
    check.add_flags(checking)
    checking.set_defaults(do=check.check)

    certifying = verbs.add_parser('certify', help='measure false alarms and power on this machine')
    certifying.add_argument('--runs', type=config.positive, default=30, metavar='N',
                            help='comparisons of equal code; a third as many for each slowdown; '
                                 'default: %(default)s')
    certifying.add_argument('--max-runs', type=config.positive, default=7, metavar='N',
                            help='pairs of each comparison at the most; default: %(default)s')
    config.add_case_flags(certifying, cases='performance')
    config.add_quiet_flag(certifying)
    certifying.set_defaults(do=certified, against='HEAD')

    _add_level(verbs.add_parser('level', help='what modelzoo_level.txt may claim by the runs here'))
    return parser


def _add_level(parser):
    parser.add_argument('--gpu-images-per-s', type=float, metavar='X',
                        help='throughput of a GPU in the same training, instead of runs on one '
                             'among the reports')
    parser.add_argument('--gpu-name', default='', metavar='NAME',
                        help='which GPU that was, and who says so: "V100, our lab"')
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument('--write', action='store_true', help='write the file')
    doing.add_argument('--check', action='store_true',
                       help='exit 1 where the file claims more than the runs show')
    config.add_reports_flag(parser)
    parser.set_defaults(do=level.level)


def _add_baseline(parser):
    actions = parser.add_subparsers(metavar='show | learn | promote | diff | retire',
                                    dest='action')
    actions.required = True
    actions.add_parser('show', help='list the baselines').set_defaults(do=show)

    learning = actions.add_parser('learn', help='make them from so many runs of this checkout')
    learning.add_argument('--runs', dest='max_runs', type=config.positive, default=10, metavar='N',
                          help='undisturbed runs of each case; default: %(default)s')
    config.add_history_flag(learning)
    _add_reason(learning)
    config.add_case_flags(learning)
    config.add_quiet_flag(learning)
    learning.set_defaults(do=learn, against='')

    promoting = actions.add_parser('promote', help='make them from runs that are there')
    promoting.add_argument('--session', default='', help='default: the newest')
    promoting.add_argument('--run', action='append', default=[], metavar='NAME',
                           help='only this run, of whatever session; may be given several times')
    _add_reason(promoting)
    config.add_reports_flag(promoting)
    promoting.set_defaults(do=promote)

    comparing = actions.add_parser('diff', help='what differs between each and a session here, or '
                                   'this machine before the first')
    comparing.add_argument('--session', default='', help='default: the newest')
    config.add_device_flags(comparing)
    config.add_reports_flag(comparing)
    comparing.set_defaults(do=diff, cases=','.join(config.SCRIPTS), preset=None, data_path=None,
                           max_step=None, max_runs=1, against='', model_dir=[], rules=None,
                           scripts=models.SCRIPTS, deadline=None)

    retiring = actions.add_parser('retire', help='compare with one no more')
    retiring.add_argument('name', help='as baseline show prints it')
    retiring.set_defaults(do=retire)


def _add_session(parser):
    parser.add_argument('session', nargs='?', default='',
                        help='its name, or its file or a run\'s folder in reports/runs; default: '
                             'the newest')
    config.add_history_flag(parser)
    config.add_reports_flag(parser)


def _add_reason(parser):
    parser.add_argument('--reason', required=True, help='why; it is kept with the baseline')
    parser.add_argument('--margin', type=float, help='loss that is accepted: a share of the '
                        'speed (default: 0.02) or dB of PSNR (default: 0.1)')


if __name__ == '__main__':
    run_all.run_main('harness', main)
