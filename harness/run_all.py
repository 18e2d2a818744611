# SPDX-License-Identifier: Apache-2.0
"""The main job: run ModelZoo's scripts, judge the results, write the reports.

    python harness/run_all.py --device 0
"""

import os
import shlex
import signal
import sys
import time
from typing import List, Optional, Sequence, Tuple

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
from harness.errors import HarnessError, ParseError, RunError  # noqa: E402
from harness.records import (  # noqa: E402
    Baseline,
    Case,
    Device,
    Measurement,
    Outcome,
    PlannedRun,
    RunRecord,
    Session,
    Summary,
)
from harness.report import markdown  # noqa: E402

LAST_LINES = 20


def main(argv=None) -> int:
    """Run all stages; return the exit status that the verdicts deserve."""
    args = config.parse_args(argv)
    cases = config.cases(args)
    baselines = baseline.load_all()
    session = open_session(args, sys.argv[1:] if argv is None else argv)
    planned = plan.plan(cases, args.runs, session.id)
    if args.dry_run:
        print(plan.describe(planned, session.device, session.variables))
        return 0

    records: List[RunRecord] = []
    with live.View(len(planned)) as view:
        for next_run in planned:
            records.append(measure(next_run, session, view))
            store.save_run(session.reports, records[-1])
            # After every run: a later crash must not cost the earlier results.
            summary = summarize(session, cases, records, baselines)
            store.save_reports(session.reports, summary)
            if summary.interrupted:
                break
    print('\n'.join(markdown.closing_lines(summary, session.reports)))
    return 130 if summary.interrupted else judge.exit_status(summary.verdicts, args.strict)


def open_session(args, argv: Sequence[str]) -> Session:
    """What all runs share: the device, its environment, the machine."""
    chosen = device.device(args.kind or ask(device.DETECT), args.device)
    threads = machine.usable_cpus()
    return Session(
        id=session_id(chosen),
        command=' '.join(map(shlex.quote, ['run_all.py', *argv])),
        device=chosen,
        variables=device.environment(chosen, os.environ, threads),
        machine=machine.machine(chosen, threads, ask),
        reports=os.path.relpath(args.reports))


def session_id(chosen: Device) -> str:
    """When and where, so that names sort by time; milliseconds, for sessions can be that short."""
    now = time.time()
    return (time.strftime('%Y%m%dT%H%M%S', time.gmtime(now)) + f'.{int(now * 1000) % 1000:03d}Z'
            f'-{chosen.kind}{chosen.index}')


def measure(planned: PlannedRun, session: Session, view: live.View) -> RunRecord:
    """One run through its stages; a failure of its own makes it no measurement, not our crash."""
    view.begin(planned)
    sampler, log = telemetry.Sampler(), parse.TrainingLog()

    def watch(pid, lines):
        sampler.sample(pid)
        view.update(planned, log.feed(lines).progress())

    folder = store.make_run_folder(session.reports, planned.id)
    try:
        outcome = run.run(planned, session.device, session.variables, ROOT, folder, watch)
    except RunError as e:
        outcome = Outcome(None, str(e), time.time(), 0.0, '', os.path.join(folder, 'output.log'))
    output = store.read(outcome.output_path)
    measurement, fault = evaluate(planned, session.device, outcome)
    if outcome.fault:
        fault = '; '.join(filter(None, (f'{fault} while {log.progress().phase}',
                                        parse.diagnose(output))))
    return RunRecord(
        session.id, planned, outcome, sampler.load(), measurement, fault,
        facts=machine.facts(session.machine, measurement) if measurement else session.machine,
        last_lines=tuple(output.splitlines()[-LAST_LINES:]) if fault else ())


def evaluate(planned: PlannedRun, chosen: Device,
             outcome: Outcome) -> Tuple[Optional[Measurement], str]:
    """What a run has measured, and why that is no evidence; the latter is empty where it is."""
    if outcome.fault:
        return None, outcome.fault
    if not outcome.log_path:
        return None, 'it succeeded, but wrote no training log'
    try:
        measurement = parse.TrainingLog().feed(store.lines(outcome.log_path)).measurement()
    except ParseError as e:
        return None, str(e)
    return measurement, judge.fault(planned, chosen, measurement)


def summarize(session: Session, cases: Sequence[Case], records: Sequence[RunRecord],
              baselines: Sequence[Baseline]) -> Summary:
    """The verdicts so far: on the cases that have begun, and on all once nothing more comes."""
    of_case = {case: [r for r in records if r.run.case == case] for case in cases}
    stopped = interrupted(records)
    return Summary(
        session.id, session.command, session.device, session.machine,
        tuple(judge.judge(case, runs, baselines) for case, runs in of_case.items()
              if runs or stopped),
        tuple(records), stopped)


def interrupted(records: Sequence[RunRecord]) -> str:
    """The run during which somebody stopped the session; empty where nobody did."""
    return next((f'{r.run.case.name}, run {r.run.index}' for r in records if r.outcome.interrupted),
                '')


def ask(command: Sequence[str]) -> str:
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
