# SPDX-License-Identifier: Apache-2.0
"""How often a case is run to make a baseline; the runs stand in, disturbed or not."""

import dataclasses

import pytest
from samples import PSNR, SPEED, case, record, session

from harness.errors import ConfigError
from harness.study import Study


class View:
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        """One line more."""
        self.lines.append(line)


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
