# SPDX-License-Identifier: Apache-2.0
"""The main job: run ModelZoo's scripts, judge the results, write the reports.

    python harness/run_all.py --device 0
"""

import io
import os
import shlex
import signal
import sys
import time
import traceback
from typing import Callable, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == '__main__':
    # Python put harness/ itself there, where our modules would hide others of the same name.
    sys.path[0] = ROOT
    from harness import environment
    environment.ensure([os.path.abspath(__file__), *sys.argv[1:]])

from harness import (  # noqa: E402
    baseline,
    certificate,
    config,
    device,
    judge,
    live,
    machine,
    plan,
    run,
    stats,
    store,
)
from harness.errors import HarnessError  # noqa: E402
from harness.history import History  # noqa: E402
from harness.records import Device, Session, Summary  # noqa: E402
from harness.report import document, export, github, markdown  # noqa: E402
from harness.report.write import append, write  # noqa: E402
from harness.study import Study  # noqa: E402
from harness.worktree import commit_of  # noqa: E402


def main(argv=None) -> int:
    """Measure, judge, report; return the exit status that the verdicts deserve."""
    args = config.parse_args(argv)
    session = open_session(args, 'run_all.py', sys.argv[1:] if argv is None else argv)
    if args.dry_run:
        live.answer(plan.describe(session.cases, stats.PAIRS if args.against else 1, args.max_runs,
                                  session.against, session.device, session.variables))
        return 0
    store.make_reports_folder(args.reports)
    url = config.history_url(args.history, args.reports)
    with History(url) as history, live.View(quiet=args.quiet) as view:
        study = Study(session, os.path.relpath(args.reports), view, args.budget, history)
        study.decide()
        if not args.no_confirm:
            study.confirm()
        summary = study.finish(args.lang)
    live.answer(document.summary_json(summary).rstrip() if args.json
                else '\n'.join(markdown.closing_lines(summary, args.reports)))
    tell(summary, args)
    interrupted = any(r.outcome.interrupted for r in summary.records)
    return 130 if interrupted else judge.exit_status(summary.verdicts, args.strict)


def tell(summary: Summary, args):
    """Tell other tools, where they are asked for or run us."""
    try:
        if args.export:
            write(args.export, export.to_benchmark_json(summary))
        for line in github.publish(summary, os.environ, append):
            print(line, file=sys.stderr)   # GitHub reads both, and --json has the other for itself
    except OSError as e:   # the verdicts stay what they are
        print(f'run_all.py: other tools are not told: {e}', file=sys.stderr)


def open_session(args, program: str, argv: Sequence[str]) -> Session:
    """What all runs share: the cases, the device, its environment, the machine."""
    cases = config.cases(args)
    names = {case.name for case in cases}
    baselines = tuple(b for b in baseline.load_all() if b.case in names)
    chosen = device.device(args.kind or ask(device.DETECT), args.device)
    threads = machine.usable_cpus()
    variables = device.environment(chosen, os.environ, threads)
    facts = machine.machine(chosen, threads, ask, variables)
    if args.data_path:
        facts['data_files'] = machine.data_manifest(args.data_path)
    return Session(
        id=session_id(chosen),
        command=' '.join(map(shlex.quote, [program, *argv])),
        device=chosen,
        variables=variables,
        machine=facts, cases=cases, baselines=baselines, max_runs=args.max_runs,
        against=commit_of(args.against, ask) if args.against else '',
        certificate=certificate.of(facts))


def session_id(chosen: Device) -> str:
    """When and where, so that names sort by time; milliseconds, for sessions can be that short."""
    now = time.time()
    return (time.strftime('%Y%m%dT%H%M%S', time.gmtime(now)) + f'.{int(now * 1000) % 1000:03d}Z'
            f'-{chosen.kind}{chosen.index}')


def ask(command: Sequence[str]) -> str:
    """The output of a short command in the project's root."""
    return run.ask(command, ROOT)


def _stop(signum, frame):
    raise KeyboardInterrupt


def run_main(program: str, start: Callable[[], int]):
    """Exit as the program says; what makes no sense is one line and status 2."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, _stop)  # as Ctrl-C: stop the run, keep what is measured, report
    try:
        status = start()
        print(end='', flush=True)   # here, where it can be seen that nobody reads on
        sys.exit(status)
    except HarnessError as e:
        print(f'{program}: {e}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = io.StringIO()   # or Python's own exit would fail on it once more
        sys.exit(141)   # as shells call it
    except OSError as e:   # a full disk, a folder that is gone
        print(f'{program}: {e}: nothing can be said of the code; what was measured before is kept',
              file=sys.stderr)
        sys.exit(3)
    except Exception:   # our own mistake: Python's status for it, 1, would be a regression
        traceback.print_exc()
        print(f'{program}: this is a mistake of the harness, and says nothing about the code',
              file=sys.stderr)
        sys.exit(3)


if __name__ == '__main__':
    run_main('run_all.py', main)
