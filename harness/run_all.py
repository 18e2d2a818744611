# SPDX-License-Identifier: Apache-2.0
"""The main job: run ModelZoo's scripts, judge the results, write the reports.

    python harness/run_all.py --device 0
"""

import os
import signal
import sys
import time
from typing import List

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == '__main__':
    # Python put harness/ itself there, where our modules would hide others of the same name.
    sys.path[0] = ROOT
    from harness import environment
    environment.ensure([os.path.abspath(__file__), *sys.argv[1:]])

from harness import (  # noqa: E402
    baseline,
    config,
    device,
    judge,
    live,
    machine,
    parse,
    plan,
    run,
    store,
    telemetry,
)
from harness.errors import HarnessError, ParseError  # noqa: E402
from harness.records import Device, PlannedRun, RunRecord, Summary  # noqa: E402
from harness.report import markdown  # noqa: E402

LAST_LINES = 20


def main(argv=None) -> int:
    """Run all stages; return the exit status that the verdicts deserve."""
    args = config.parse_args(argv)
    cases = config.cases(args)
    baselines = baseline.load_all()
    chosen = device.device(args.kind or ask(device.DETECT), args.device)
    threads = machine.usable_cpus()
    variables = device.environment(chosen, os.environ, threads)
    session = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()) + f'-{chosen.kind}{chosen.index}'
    planned = plan.plan(cases, args.runs, session)
    if args.dry_run:
        print(plan.describe(planned, chosen, variables))
        return 0

    here = machine.machine(chosen, threads, ask)
    records: List[RunRecord] = []

    def summary() -> Summary:
        begun = cases if len(records) == len(planned) or interrupted(records) else [
            c for c in cases if any(r.run.case == c for r in records)]
        verdicts = tuple(judge.judge(c, [r for r in records if r.run.case == c], baselines)
                         for c in begun)
        return Summary(session, ' '.join(['run_all.py', *(argv or sys.argv[1:])]), chosen, here,
                       verdicts, tuple(records), interrupted(records))

    with live.View(len(planned)) as view:
        for next_run in planned:
            records.append(measure(next_run, session, chosen, variables, here, args.reports, view))
            store.save_run(args.reports, records[-1])
            # After every run: a later crash must not cost the earlier results.
            store.save_reports(args.reports, summary())
            if interrupted(records):
                break
    for line in markdown.closing_lines(summary(), args.reports):
        print(line)
    return 130 if interrupted(records) else judge.exit_status(summary().verdicts, args.strict)


def measure(planned: PlannedRun, session: str, chosen: Device, variables, here, reports: str,
            view: live.View) -> RunRecord:
    """One run through its stages; a failure of its own makes it no measurement, not our crash."""
    view.begin(planned)
    sampler, log = telemetry.Sampler(), parse.TrainingLog()

    def watch(pid, lines):
        sampler.sample(pid)
        view.update(planned, log.feed(lines).progress())

    folder = store.make_run_folder(reports, planned.id)
    outcome = run.run(planned, chosen, variables, ROOT, folder, watch)
    output = store.read(outcome.output_path)
    measurement, fault = None, outcome.fault
    if fault:
        fault = '; '.join(filter(None, (f'{fault} while {log.progress().phase}',
                                        parse.diagnose(output))))
    else:
        try:
            measurement = parse.TrainingLog().feed(store.lines(outcome.log_path)).measurement()
            fault = judge.fault(planned, chosen, measurement)
        except ParseError as e:
            fault = str(e)
    facts = machine.facts(here, measurement) if measurement else here
    return RunRecord(session, planned, outcome, sampler.load(), measurement, fault, facts,
                     tuple(output.splitlines()[-LAST_LINES:]) if fault else ())


def interrupted(records) -> str:
    """The run during which somebody stopped the session; empty where nobody did."""
    return next((f'{r.run.case.name}, run {r.run.index}' for r in records if r.outcome.interrupted),
                '')


def ask(command) -> str:
    """The output of a short command in the project's root."""
    return run.ask(command, ROOT)


def _stop(signum, frame):
    raise KeyboardInterrupt


if __name__ == '__main__':
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, _stop)  # as Ctrl-C: stop the run, keep what is measured, report
    try:
        sys.exit(main())
    except HarnessError as e:
        print(f'run_all.py: {e}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
