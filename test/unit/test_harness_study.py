# SPDX-License-Identifier: Apache-2.0
"""How often a case is run, and what the view is told of it; the runs stand in."""

import dataclasses
from types import SimpleNamespace

import pytest
from samples import CPU, PSNR, SPEED, case, record, session

from harness import run, store, study, worktree
from harness.errors import ConfigError
from harness.records import Device, Telemetry
from harness.study import Study


class View:
    """Keeps what is said."""

    def __init__(self):
        self.lines, self.outlooks, self.doings = [], [], []

    def warn(self, line):
        """One line more."""
        self.lines.append(line)

    def doing(self, line):
        """What goes on."""
        self.doings.append(line)

    def expect(self, outlook):
        """What may still come."""
        self.outlooks.append(outlook)

    def standings(self):
        """Made, to the next look and to the last, of the first case, each time it has changed."""
        seen = [(s.made, s.to_look, s.to_end) for o in self.outlooks for s in o.standings[:1]]
        return [s for i, s in enumerate(seen) if seen[i - 1:i] != [s]]


class Given(Study):
    """A study whose runs are given: 'd' a disturbed one, 'f' one that failed, else a sound one."""

    def __init__(self, kinds, metric=SPEED, wanted=3):
        super().__init__(session(case(metric), max_runs=wanted), 'reports', View())
        self.kinds, self.metric, self.canaries = kinds, metric, 0

    def canary(self):
        """Counted."""
        self.canaries += 1

    def measure(self, of, index):
        """The next run."""
        kind = self.kinds[index - 1]
        run = record(None if kind == 'f' else 32.0, self.metric, index,
                     fault='exit status 7' if kind == 'f' else '')
        self.records.append(dataclasses.replace(run, disturbance='a hog' if kind == 'd' else ''))
        return self.records[-1]


def indices(records):
    return [r.run.index for r in records]


@pytest.mark.parametrize('kinds, metric, kept', [
    ('...', SPEED, [1, 2, 3]), ('.d..', SPEED, [1, 3, 4]), ('ddd...', SPEED, [4, 5, 6]),
    ('.d.', PSNR, [1, 2, 3])])                  # no load on a machine changes a PSNR
def test_disturbed_runs_are_made_again_and_left_out(kinds, metric, kept):
    study = Given(kinds, metric)
    assert indices(study.repeat()) == kept
    assert len(study.records) == study.canaries == len(kinds)
    left_out = len(kinds) - len(kept)
    assert study.view.lines == (
        [f'performance: {left_out} disturbed runs are left out'] if left_out else [])


def test_a_machine_that_is_never_quiet_makes_no_baseline():
    with pytest.raises(ConfigError, match='performance: the machine was disturbed in 4 of 6 runs: '
                                          'try again when it is quiet, or make the baseline of '):
        Given('d.dd.d').repeat()


def test_the_first_run_that_fails_ends_it():
    study = Given('.f....')
    assert indices(study.repeat()) == [1, 2]
    assert study.canaries == 2


# --- what the view is told ------------------------------------------------------------------------

@pytest.fixture
def studied(monkeypatch):
    """A study whose stages stand in: its runs last a minute each, and nothing is written."""
    monkeypatch.setattr(store, 'make_run_folder', lambda *_: '/runs')
    monkeypatch.setattr(store, 'save_run', lambda *_: '')
    monkeypatch.setattr(store, 'save_reports', lambda *_: None)
    monkeypatch.setattr(worktree, 'checkout', lambda *_: '/old')
    monkeypatch.setattr(study, 'run', SimpleNamespace(
        ask=lambda *_, **__: 'Canary seconds : 0.01', launch=run.launch))

    def studied(device=CPU, metric=SPEED, interrupted=False, **changes):
        made = Study(session(case(metric), device=device, **changes), 'reports', View())
        made.started = []

        def alone(planned, how, folder):
            made.started.append((planned.arm.value, how.cwd, len(made.records)))
            outcome = dataclasses.replace(record().outcome, interrupted=interrupted,
                                          fault='interrupted' if interrupted else '')
            return study.Made(outcome, None, SimpleNamespace(progress=lambda: None), TELEMETRY)

        def kept(session, planned, outcome, load, log, commit, telemetry, left):
            return dataclasses.replace(record(fault=outcome.fault), run=planned, outcome=outcome,
                                       telemetry=telemetry)

        made._alone = alone
        monkeypatch.setattr(study, 'evidence', SimpleNamespace(record=kept))
        return made

    return studied


TELEMETRY = Telemetry((1.0,), *[(None,)] * 7)


def test_the_view_hears_of_every_run_what_is_still_to_come(studied):
    made = studied(max_runs=3)
    made.decide()
    assert made.view.standings() == [(0, 1, 3), (1, 0, 2), (1, 0, 0)]
    assert made.view.outlooks[-1].standings[0].verdict == 'NO_BASELINE'
    assert made.view.doings == ['canary: timing a fixed workload'] * 2


def test_making_a_baseline_says_how_many_runs_it_takes_and_gives_no_verdict(studied):
    made = studied(max_runs=3)
    made.repeat()
    assert made.view.standings() == [(0, 3, 3), (1, 2, 2), (2, 1, 1), (3, 0, 0)]
    assert {o.goal for o in made.view.outlooks} == {'the end'}
    assert {s.verdict for o in made.view.outlooks for s in o.standings} == {''}


def test_the_arms_of_a_pair_on_a_device_run_one_after_the_other_and_each_is_kept_at_once(studied):
    made = studied(Device('npu', 0), against='aaaaaaaaaaaa', max_runs=3)
    made.compare(made.session.cases[0], 1, 'aaaaaaaaaaaa')
    assert made.started == [('old', '/old', 0), ('new', study.ROOT, 1)]
    assert len(made.records) == len(made.view.outlooks) == 2


def test_an_interrupted_arm_is_not_followed_by_the_other(studied):
    made = studied(Device('npu', 0), interrupted=True, against='aaaaaaaaaaaa', max_runs=3)
    made.compare(made.session.cases[0], 1, 'aaaaaaaaaaaa')
    assert made.started == [('old', '/old', 0)]
    assert 'interrupted' in made.session.ended


def test_the_telemetry_of_a_run_is_kept_with_it(studied):
    made = studied()
    assert made.measure(made.session.cases[0], 1).telemetry is TELEMETRY


def test_a_canary_that_does_not_run_is_a_warning(studied, monkeypatch):
    monkeypatch.setattr(study, 'run', SimpleNamespace(ask=lambda *_, **__: '', launch=run.launch))
    made = studied()
    made.canary()
    assert made.view.lines == ['canary: it did not run; `bash test/canary.sh` says why']
