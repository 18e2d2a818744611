# SPDX-License-Identifier: Apache-2.0
"""What a machine's certificate is made of; the comparisons stand in, for their calls are given."""

import dataclasses

import pytest
from samples import MACHINE, PSNR, case, pair, session

from harness import certify
from harness.errors import ConfigError
from harness.judge import summarize

RATIOS = {0.0: (1.0, 1.002, 0.998), 0.10: (0.9, 0.901, 0.899), 0.05: (0.95, 0.951, 0.949),
          0.03: (0.95, 0.97, 1.0)}


class Compared:
    """A study whose new arm is as much slower as it is told."""

    made = ()

    def __init__(self, of, reports, view):
        self.session, self.reports, self.records = of, reports, []
        Compared.made += (self,)

    def decide(self, slowdown):
        """Three pairs."""
        self.slowdown = slowdown
        self.records = [r for i, ratio in enumerate(RATIOS[slowdown], 1)
                        for r in pair(32.0, 32.0 * ratio, i)]
        self.session = dataclasses.replace(self.session, canary_s=(0.01, 0.011))

    def summary(self):
        """The verdict on them."""
        return summarize(self.session, self.records)


@pytest.fixture
def certificates(monkeypatch):
    """All that were saved, in order."""
    saved = []
    monkeypatch.setattr(certify, 'Study', Compared)
    monkeypatch.setattr(certify.certificate, 'save', lambda made, folder: saved.append(
        (made, folder)) or 'a path')
    monkeypatch.setattr(Compared, 'made', ())
    return saved


class Quiet:
    """A view that shows nothing."""

    def say(self, line):
        """Nothing."""


def test_a_certificate_counts_every_comparison_and_is_saved_after_each(certificates):
    of = session(case(), max_runs=3, against=MACHINE['commit'])
    assert certify.certify(of, 'reports', 4, Quiet()) == 'a path'
    assert [s.slowdown for s in Compared.made] == [0.0, 0.10, 0.0, 0.05, 0.0, 0.03, 0.0, 0.10]
    assert len({s.session.id for s in Compared.made}) == len(certificates) == 8
    last, _ = certificates[-1]
    assert {t.slowdown: (t.calls, t.runs) for t in last.trials} == {
        0.0: (('PASS',) * 4, (3,) * 4), 0.10: (('REGRESSION',) * 2, (3, 3)),
        0.05: (('REGRESSION',), (3,)), 0.03: (('INCONCLUSIVE',), (3,))}
    assert last.spread == pytest.approx(0.0017, abs=2e-4)   # of the equal arms only
    assert last.canary_s == (0.01, 0.011) * 4
    assert last.pair_s == 2 * 61.5      # one arm after the other
    assert last.case == 'performance on TensorFlow 1.15.0'


def test_a_certificate_is_replaced_by_one_that_knows_as_much_or_all_that_was_asked(certificates):
    of = session(case(), max_runs=3, against=MACHINE['commit'])
    certify.certify(of, 'reports', 2, Quiet())
    known, _ = certificates[-1]
    certificates.clear()
    again = dataclasses.replace(of, certificate=known)
    certify.certify(again, 'reports', 3, Quiet())
    first, *_, last = (folder for _, folder in certificates)
    assert first == 'reports/certify' and last == certify.certificate.FOLDER
    certificates.clear()
    certify.certify(again, 'reports', 1, Quiet())      # as many as were asked for
    assert certificates[-1][1] == certify.certificate.FOLDER


@pytest.mark.parametrize('changes, complaint', [
    ({'against': 'ffffffffffff'}, 'this checkout has changes, so it does not equal HEAD'),
    ({'cases': (case(PSNR),)}, '--cases must name one case, and one that measures a speed'),
    ({'cases': (case(), case(PSNR))}, '--cases must name one case')])
def test_what_has_no_known_answer_is_not_tried(certificates, changes, complaint):
    of = session(case(), max_runs=3, against=MACHINE['commit'])
    with pytest.raises(ConfigError, match=complaint):
        certify.certify(dataclasses.replace(of, **changes), 'reports', 1, Quiet())
    assert not Compared.made


def test_a_disturbed_pair_says_nothing_of_the_spread():
    records = [*pair(32.0, 32.0, 1), *pair(32.0, 16.0, 2, disturbance='others'),
               *pair(32.0, 33.0, 3)]
    assert certify.differences(case(), records) == pytest.approx([0.0, 0.0308], abs=1e-4)


def test_an_interrupted_comparison_ends_it_and_leaves_what_was_certified(certificates, monkeypatch):
    def interrupted(self, slowdown):
        self.session = dataclasses.replace(self.session, ended='it was interrupted')
    of = session(case(), max_runs=3, against=MACHINE['commit'])
    certify.certify(of, 'reports', 1, Quiet())
    monkeypatch.setattr(Compared, 'decide', interrupted)
    with pytest.raises(KeyboardInterrupt):
        certify.certify(of, 'reports', 1, Quiet())
    assert len(certificates) == 2
