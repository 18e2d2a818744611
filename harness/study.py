# SPDX-License-Identifier: Apache-2.0
"""The stages in their order: plan -> run -> parse -> judge -> store."""

import dataclasses
import os
import statistics
import time
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

from harness import (
    canary,
    evidence,
    judge,
    live,
    outlook,
    parse,
    plan,
    run,
    sandbox,
    smi,
    stats,
    store,
    telemetry,
    turns,
    worktree,
)
from harness.config import ROOT
from harness.errors import ConfigError, RunError
from harness.history import Entry, History
from harness.records import (
    Arm,
    Case,
    Launch,
    Load,
    Outcome,
    PlannedRun,
    Progress,
    RunRecord,
    Session,
    Summary,
    Telemetry,
)

CANARY_TIMEOUT_S = 600   # an NPU compiles it first


class Made(NamedTuple):
    """What a run has left."""

    outcome: Outcome
    load: Optional[Load]
    log: parse.TrainingLog
    telemetry: Optional[Telemetry]
    left: Optional[sandbox.Left] = None   # by another model's script


class Study:
    """One session on its way; every run is on the disk before the next one starts."""

    def __init__(self, session: Session, reports: str, view: live.View,
                 budget_s: Optional[float] = None, history: Optional[History] = None):
        self.session, self.reports, self.history = session, reports, history
        self.view = view
        self.records: List[RunRecord] = []
        self.aim = outlook.Aim()
        self.end = None if budget_s is None else time.monotonic() + budget_s

    def summary(self) -> Summary:
        """What can be said by now."""
        return judge.summarize(self.session, self.records)

    def decide(self, slowdown: float = 0.0) -> Summary:
        """Run each case until its verdict is clear, or there may be no more runs.

        slowdown: of the new arm, on purpose, to try the verdict out.
        """
        first = stats.PAIRS if self.session.against else 1
        looks = stats.looks(first, self.session.max_runs)
        self._expect(outlook.Aim('verdict', self.session.cases, looks,
                                 pairs=bool(self.session.against)))
        self.canary()
        self._look_until_clear(self.session.cases, self.session.against, looks, slowdown)
        return self.summary()

    def confirm(self) -> Summary:
        """Run what looks like a regression side by side with the revision of its baseline."""
        for case in self.session.cases:
            verdict = next((v for v in self.summary().verdicts if v.case == case.name), None)
            if verdict and verdict.baseline and judge.to_confirm(verdict):
                why_not = self._confirm(case, verdict.baseline.commit) or self.session.ended
                self.session = dataclasses.replace(self.session, unconfirmed={
                    **self.session.unconfirmed, **({case.name: why_not} if why_not else {})})
        self.save()
        return self.summary()

    def _confirm(self, case: Case, commit: str) -> str:
        """Run pairs with a commit; why that cannot be done, else nothing."""
        if self.session.ended:
            return ''
        if case.model_dir:
            return 'of a folder that is not ours there is no other revision here'
        self.view.say(f'{case.name}: looks like a regression; comparing side by side with {commit}')
        try:
            self._look_until_clear([case], commit, stats.looks(stats.PAIRS, self.session.max_runs))
        except ConfigError as e:
            self.view.warn(f'{case.name}: cannot be confirmed: {e}')
            return str(e)
        return ''

    def repeat(self) -> List[RunRecord]:
        """Run each case max_runs times undisturbed, all of the same code, and give those runs.

        Others may disturb as many runs again.  It ends with the first run that fails, which is
        the last of those given; raises ConfigError where too few stay undisturbed.
        """
        wanted = self.session.max_runs
        for index in range(1, 2 * wanted + 1):
            cases = [case for case in self.session.cases if len(self._sound(case)) < wanted]
            if not cases:
                break
            self._expect(outlook.Aim('the end', tuple(cases), (wanted,)))
            self.canary()
            if any(self.measure(case, index).fault for case in cases):
                return [r for r in self.records if r.fault or not r.disturbed]
        for case in self.session.cases:
            left_out = sum(r.run.case == case for r in self.records) - len(self._sound(case))
            if len(self._sound(case)) < wanted:
                raise ConfigError(
                    f'{case.name}: the machine was disturbed in {left_out} of {2 * wanted} runs: '
                    'try again when it is quiet, or make the baseline of the others with '
                    '`python -m harness baseline promote --run`')
            if left_out:
                self.view.warn(f'{case.name}: {left_out} disturbed runs are left out')
        return [run for case in self.session.cases for run in self._sound(case)]

    def _sound(self, case: Case) -> List[RunRecord]:
        return [r for r in self.records if r.run.case == case and not r.disturbed]

    def measure(self, case: Case, index: int) -> RunRecord:
        """One run of this checkout."""
        planned = plan.run(case, index, self.session.id)
        if case.model_dir:
            return self._keep(planned, self._elsewhere(planned), commit='')
        return self._keep(planned, self._here(planned, ROOT), commit='')

    def compare(self, case: Case, index: int, commit: str,
                slowdown: float = 0.0) -> Tuple[RunRecord, ...]:
        """A pair of runs: of a commit, and of this checkout."""
        folder = worktree.checkout(commit, ROOT, self.ask)
        pair = plan.pair(case, index, self.session.id, slowdown)
        roots = [folder if planned.arm is Arm.OLD else ROOT for planned in pair]
        # Speeds drift with the machine; a PSNR does not, and other devices are for one alone.
        if self.session.device.kind == 'cpu' and case.metric.relative:
            made: Iterable[Made] = self._in_turns(pair, roots)
        else:   # one after the other, unless the first is interrupted
            made = (self._here(planned, root)
                    for planned, root in zip(pair, roots) if not self.session.ended)
        return tuple(self._keep(planned, one, commit=commit if planned.arm is Arm.OLD else '')
                     for planned, one in zip(pair, made))

    def canary(self):
        """Time the fixed workload; where it does not run, there is one value less."""
        self.view.doing('canary: timing a fixed workload')
        seconds = canary.seconds(run.ask(canary.COMMAND, ROOT, self.session.variables,
                                         timeout_s=CANARY_TIMEOUT_S))
        if not seconds:
            self.view.warn(f'canary: it did not run; `{" ".join(canary.COMMAND)}` says why')
        self.session = dataclasses.replace(self.session,
                                           canary_s=(*self.session.canary_s, *seconds))

    def ask(self, command: Sequence[str]) -> str:
        """The output of a short command in the project's root."""
        return run.ask(command, ROOT, self.session.variables)

    def _look(self) -> smi.Look:
        return smi.look(self.session.device, self._ask_device)

    def _ask_device(self, command: Sequence[str]) -> str:
        return run.ask(command, ROOT, self.session.variables, timeout_s=telemetry.LOOK_TIMEOUT_S)

    def _look_until_clear(self, cases: Sequence[Case], commit: str, looks: Tuple[int, ...],
                          slowdown: float = 0.0):
        for index in range(1, looks[-1] + 1):
            self._expect(outlook.Aim('verdict', tuple(cases), looks, index, bool(commit)))
            for case in cases:
                if not self._goes_on(case):
                    break
                if commit:
                    self.compare(case, index, commit, slowdown)
                else:
                    self.measure(case, index)
            failed = {r.run.case for r in self.records if r.fault}
            cases = [case for case in cases if case not in failed]
            if any(r.outcome.interrupted for r in self.records):
                break
            if index in looks or not cases or self.session.ended:
                self.canary()
                clear = {v.case for v in self.summary().verdicts if not v.undecided}
                cases = [case for case in cases if case.name not in clear]
            if not cases or self.session.ended:
                break
        self._expect(outlook.Aim())
        self.save()

    def _expect(self, aim: outlook.Aim):
        self.aim = aim
        self.view.expect(outlook.outlook(self.summary(), aim, self.end))

    def _goes_on(self, case: Case) -> bool:
        """Whether there may be another run of a case; its first is made whatever the budget."""
        of_case = [r for r in self.records if r.run.case == case]
        pairs = [r for r in of_case if r.run.arm is not Arm.ALONE]
        took_s = plan.took_s(pairs or of_case)
        if not self.session.ended and took_s and self.end is not None and (
                time.monotonic() + statistics.median(took_s) > self.end):
            self._ended('the time of --budget is used up')
        return not self.session.ended

    def _ended(self, why: str):
        self.session = dataclasses.replace(self.session, ended=why)

    def _launch(self, planned: PlannedRun, root: str) -> Launch:
        return run.launch(planned, self.session.device, self.session.variables, root)

    def _here(self, planned: PlannedRun, root: str) -> Made:
        """One run of a checkout of this project."""
        folder = store.make_run_folder(self.reports, planned.id)
        return self._alone(planned, self._launch(planned, root), folder)

    def _elsewhere(self, planned: PlannedRun) -> Made:
        """One run of another model's script, in a fresh copy of its folder.

        What it does to that, or cannot be copied, is no reason to end the session.
        """
        folder = store.make_run_folder(self.reports, planned.id)
        try:
            with sandbox.Sandbox(planned.case, self.session.device, self.session.variables,
                                 self.ask) as box:
                made = self._alone(planned, box.launch, folder)
                return made._replace(left=box.collect(folder))
        except (ConfigError, OSError) as e:
            return Made(_not_started(e, folder), None, parse.TrainingLog(), None)

    def _alone(self, planned: PlannedRun, how: Launch, folder: str) -> Made:
        """One run that has the device to itself."""
        log, look = parse.TrainingLog(), self._look
        ours = not planned.case.model_dir   # others' lines say nothing to our parser
        with telemetry.Sampler(None if self.session.device.kind == 'cpu' else look) as sampler:
            self.view.begin(planned)

            def watch(pid, lines):
                sampler.sample(pid)
                progress = log.feed(lines).progress() if ours else Progress('running')
                self.view.update(planned, progress, sampler.latest())

            try:
                outcome = run.run(planned, how, folder, watch)
            except RunError as e:
                outcome = _not_started(e, folder)
        return Made(outcome, sampler.load(), log, sampler.telemetry())

    def _in_turns(self, pair: Sequence[PlannedRun], roots: Sequence[str]) -> List[Made]:
        """Both arms of a pair at once, in turns."""
        logs, sampler = [parse.TrainingLog() for _ in pair], telemetry.Sampler()
        self.view.begin(*pair)

        def watch(number, pids, lines):
            sampler.sample(*pids)
            progress = logs[number].feed(lines).progress()
            self.view.update(pair[number], progress, sampler.latest())
            return progress.step

        folders = [store.make_run_folder(self.reports, planned.id) for planned in pair]
        try:
            outcomes = turns.take_turns(pair, list(map(self._launch, pair, roots)), folders, watch)
        except RunError as e:
            outcomes = tuple(_not_started(e, folder) for folder in folders)
        return [Made(outcome, sampler.load(), log, sampler.telemetry())
                for outcome, log in zip(outcomes, logs)]

    def _keep(self, planned: PlannedRun, made: Made, commit: str) -> RunRecord:
        """Write all that is known by now: a later crash must not cost the earlier results."""
        record = evidence.record(self.session, planned, **made._asdict(), commit=commit)
        self.records.append(record)
        text = store.save_run(self.reports, record)
        if self.history:
            try:
                self.history.add(evidence.entry(record), text)
            except ConfigError as e:   # run.json has it: no reason to end a session
                self.view.warn(f'not in the history: {e}')
        if record.outcome.interrupted:
            self._ended(f'it was interrupted during {record.run.case.name}, run '
                        f'{record.run.index}')
        self.save()
        return record

    def finish(self, language: str) -> Summary:
        """Write the reports with plots and page, which between two runs would take too long.

        Whatever goes wrong with those, the verdicts are known, and stay what they are.
        """
        summary = self.summary()
        self.view.doing('drawing plots and page')
        try:
            store.save_all(self.reports, summary, self._entries(), language)
        except (Exception, KeyboardInterrupt) as e:
            self.view.warn(f'the reports are not whole ({type(e).__name__}: {e}); what was '
                           'measured is kept: mend that, then python -m harness report')
        return summary

    def _entries(self) -> Sequence[Entry]:
        """The history of all runs; where it cannot be read, of this session."""
        try:
            if self.history:
                return self.history.entries()
        except ConfigError as e:
            self.view.warn(f'the page shows the history of this session only: {e}')
        return tuple(map(evidence.entry, self.records))

    def save(self):
        """Write the reports of what is known by now."""
        summary = self.summary()
        store.save_reports(self.reports, summary)
        self.view.expect(outlook.outlook(summary, self.aim, self.end))


def _not_started(error: Exception, folder: str) -> Outcome:
    return Outcome(None, str(error), time.time(), 0.0, '', os.path.join(folder, 'output.log'))
