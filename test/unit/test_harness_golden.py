# SPDX-License-Identifier: Apache-2.0
"""summary.md of each kind of verdict, word for word, in English and in Chinese.

What is meant to read otherwise: look at what this writes, and commit it.

    python test/unit/test_harness_golden.py
"""

import dataclasses
import sys
from pathlib import Path

import pytest

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from samples import PSNRS, baseline, case, measurement, pair, record, session

from harness.judge import summarize
from harness.records import PSNR, Certificate, Detail, Load, Picture, Status, Trial
from harness.report.curves import session_charts
from harness.report.markdown import to_markdown
from harness.store import LANGUAGES

GOLDEN = Path(__file__).resolve().parent / 'golden'
BASELINES = (dataclasses.replace(baseline(), environment={
    'host': 'lab', 'python': '3.7.16', 'driver': '22.0'}),
             baseline(PSNRS, PSNR, 'smoke-accuracy'))
# As the training of a real run ended that had too little memory.
OUT_OF_MEMORY = ('2026-01-02 03:05:01 W tensorflow/core/framework/op_kernel.cc:1651] '
                 'OP_REQUIRES failed at conv_ops.cc:486 : Resource exhausted: OOM when '
                 'allocating tensor with shape[16,64,96,96]', 'test/train_full_1p.sh: failed')
CERTIFICATE = Certificate('2026-01-01', '0123456789ab', {'cpus': 4}, (
    Trial(0.0, ('PASS',) * 29 + ('INCONCLUSIVE',), (7,) * 30),
    Trial(0.05, ('REGRESSION',) * 10, (5,) * 10)), 0.01, 14.5, (0.01, 0.012), 'performance')


def judged(*records, **changes):
    metrics = {r.run.case.metric.name: r.run.case.metric for r in records}.values()
    return summarize(session(*map(case, metrics), **{'baselines': BASELINES, **changes}), records)


def with_picture(made):
    """An evaluation whose picture is kept."""
    layout = Picture(192, 4, (Detail('0801', (27.125, 29.5, 31.25, None)),))
    outcome = dataclasses.replace(made.outcome, picture_path='result/comparison.png')
    return dataclasses.replace(made, outcome=outcome, measurement=measurement(
        psnr_db=made.measurement.psnr_db, picture=layout, psnr_curve=((12, 32.0),)))


def pairs(old, new):
    return [r for i in (1, 2, 3) for r in pair(old + i / 50, new + i / 50, i)]


def disturbed(made):
    return dataclasses.replace(made, load=Load(512 * 2 ** 20, 187.5, 97.0),
                               disturbance='others took 97 % of a core')


KINDS = {
    'pass': (Status.PASS, lambda: judged(
        record(32.0), with_picture(record(32.0, PSNR)), certificate=CERTIFICATE,
        canary_s=(0.0101, 0.0102))),
    'improved': (Status.IMPROVED, lambda: judged(record(36.0), record(32.01, PSNR))),
    'no_baseline': (Status.NO_BASELINE, lambda: judged(record(32.0), baselines=())),
    'inconclusive': (Status.INCONCLUSIVE, lambda: judged(record(31.6))),
    'regression': (Status.REGRESSION, lambda: judged(record(28.0), record(32.0, PSNR))),
    'regression_confirmed': (Status.REGRESSION, lambda: judged(
        record(28.0), *pairs(32.0, 28.0), max_runs=3)),
    'regression_of_pairs': (Status.REGRESSION, lambda: judged(
        *pairs(32.0, 30.0), against='aaaaaaaaaaaa', baselines=(), max_runs=3)),
    'invalid_crash': (Status.INVALID, lambda: judged(record(
        None, PSNR, fault='exit status 1 while training; the memory ran out: lower --batch_size, '
        'or free the device', last_lines=OUT_OF_MEMORY))),
    'invalid_machine': (Status.INVALID, lambda: judged(disturbed(record(28.0)))),
    'invalid_interrupted': (Status.INVALID, lambda: judged(
        record(None, fault='interrupted after 5 s', interrupted=True), record(32.0, PSNR),
        ended='it was interrupted during performance, run 1')),
}


def report(kind, language):
    summary = KINDS[kind][1]()
    return to_markdown(summary, session_charts(summary), LANGUAGES[language])


def kept(kind, language):
    return GOLDEN / f'{kind}{"" if language == "en" else "." + language}.md'


@pytest.mark.parametrize('language', list(LANGUAGES))
@pytest.mark.parametrize('kind', list(KINDS))
def test_a_report_reads_as_it_was_looked_at(kind, language):
    assert report(kind, language) == kept(kind, language).read_text(encoding='utf-8')


def test_there_is_a_report_of_every_kind_of_verdict_and_no_other():
    assert {status for status, _ in KINDS.values()} == set(Status)
    assert {path.name for path in GOLDEN.iterdir()} == {
        kept(kind, language).name for kind in KINDS for language in LANGUAGES}


@pytest.mark.parametrize('kind', list(KINDS))
def test_its_title_is_the_verdict(kind):
    assert report(kind, 'en').splitlines()[0].endswith(
        f' {KINDS[kind][0].value}: RCAN on cpu 0')


if __name__ == '__main__':
    for kind in KINDS:
        for language in LANGUAGES:
            kept(kind, language).write_text(report(kind, language), encoding='utf-8')
