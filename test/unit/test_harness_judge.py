# SPDX-License-Identifier: Apache-2.0
"""Runs + baselines -> Verdict: what is proven, what is not, and what to do then."""

import dataclasses
import re

import pytest
from samples import PSNRS, SPEEDS, baseline, case, measurement, planned, record

from harness.judge import exit_status, fault, headline, judge
from harness.records import PSNR, SPEED, Device, Status

NOISY = (28.0, 30.0, 31.0, 32.0, 32.0, 32.0, 32.0, 33.0, 34.0, 36.0)


def judged(*values, metric=SPEED, baselines=None, faults=None):
    """The verdict on runs that measured these values."""
    records = [record(value, metric, index, (faults or {}).get(index, ''))
               for index, value in enumerate(values, 1)]
    if baselines is None:
        baselines = [baseline(SPEEDS if metric is SPEED else PSNRS, metric)]
    return judge(case(metric), records, baselines)


# --- which verdict --------------------------------------------------------------------------------

# The baselines' median is 32; one run against them has an interval of some +-1.1 % or +-0.05 dB.
@pytest.mark.parametrize('status, metric, values, baselines', [
    (Status.PASS, SPEED, [32.1], None),
    (Status.PASS, SPEED, [32.5] * 3, None),                      # better, but within the margin
    (Status.PASS, SPEED, [31.8] * 5, None),                      # worse, but within the margin
    (Status.IMPROVED, SPEED, [36.0], None),
    (Status.REGRESSION, SPEED, [28.0], None),
    (Status.REGRESSION, SPEED, [31.2] * 5, None),                # a little, but surely
    (Status.INCONCLUSIVE, SPEED, [31.5], None),
    (Status.INCONCLUSIVE, SPEED, [32.0], [baseline(NOISY)]),
    (Status.NO_BASELINE, SPEED, [32.0], []),
    (Status.NO_BASELINE, SPEED, [32.0], [baseline(PSNRS, PSNR)]),
    (Status.INVALID, SPEED, [None], None),
    (Status.INVALID, SPEED, [], None),
    (Status.PASS, PSNR, [32.0], None),
    (Status.PASS, PSNR, [31.95], None),
    (Status.INCONCLUSIVE, PSNR, [31.92], None),
    (Status.REGRESSION, PSNR, [31.8], None),
    (Status.IMPROVED, PSNR, [32.2], None),
])
def test_the_status(status, metric, values, baselines):
    verdict = judged(*values, metric=metric, baselines=baselines)
    assert verdict.status is status
    assert (verdict.case, verdict.metric, verdict.runs) == (
        case(metric).name, metric, len([v for v in values if v]))


def test_a_regression_needs_the_interval_and_the_margin():
    # 10 % slower, but within what such runs scatter: the margin alone does not convict.
    assert judged(28.8, baselines=[baseline(NOISY)]).status is Status.INCONCLUSIVE
    # Surely slower, by 1 %: the interval alone does not either.
    sure = judged(*[31.68] * 5, baselines=[baseline([31.99, 32.0, 32.0, 32.0, 32.0, 32.01])])
    assert sure.comparison.high < 0
    assert sure.status is Status.PASS
    # Both together do.
    assert judged(28.8).status is Status.REGRESSION


@pytest.mark.parametrize('margin, status', [(0.02, Status.REGRESSION), (0.2, Status.PASS)])
def test_the_margin_is_the_baselines_own(margin, status):
    assert judged(*[30.0] * 3, baselines=[baseline(margin=margin)]).status is status


def test_a_pass_needs_proof_and_not_just_no_difference():
    verdict = judged(32.0, baselines=[baseline(NOISY)])
    assert verdict.comparison.difference == pytest.approx(0, abs=0.005)
    assert verdict.status is Status.INCONCLUSIVE


def test_the_change_is_a_share_for_speed_and_a_difference_for_psnr():
    speed, psnr = judged(28.8), judged(31.8, metric=PSNR)
    assert speed.comparison.difference == pytest.approx(-0.1, abs=1e-3)
    assert psnr.comparison.difference == pytest.approx(-0.2, abs=1e-3)
    for verdict in (speed, psnr):
        c = verdict.comparison
        assert c.low < c.difference < c.high
        assert verdict.value == c.now and c.baseline == pytest.approx(32, abs=1e-3)
        assert 0 < c.detectable < 0.1


def test_the_value_is_the_mean_over_the_runs_on_the_scale_of_the_metric():
    assert judged(16.0, 64.0).value == pytest.approx(32)
    assert judged(31.0, 33.5, metric=PSNR).value == pytest.approx(32.25)


@pytest.mark.parametrize('metric', [SPEED, PSNR])
def test_value_baseline_and_change_fit_together(metric):
    c = judged(31.9, 32.3, 31.6, metric=metric).comparison
    expected = c.now / c.baseline - 1 if metric.relative else c.now - c.baseline
    assert c.difference == pytest.approx(expected)


# --- evidence -------------------------------------------------------------------------------------

@pytest.mark.parametrize('bad', [1, 2, 3])
def test_one_bad_run_of_three_makes_the_case_invalid(bad):
    values = [28.0, 28.0, 28.0]
    values[bad - 1] = None
    verdict = judged(*values, faults={bad: 'exit status 7'})
    assert verdict.status is Status.INVALID
    assert verdict.reason == ('No statement about the code: '
                              f'run {bad} gave no measurement (exit status 7).')
    assert any('output.log' in line for line in verdict.advice)
    assert verdict.comparison is None
    assert (verdict.value, verdict.runs) == (pytest.approx(28), 2)   # what the others measured


def test_a_run_with_numbers_and_a_fault_is_no_evidence():
    assert judged(32.0, faults={1: 'asked for the npu'}).status is Status.INVALID


@pytest.mark.parametrize('value', [None, 0.0, float('nan'), float('inf')])
def test_a_run_without_its_metric_is_invalid_and_says_so(value):
    run = dataclasses.replace(record(), measurement=measurement(images_per_s=value))
    verdict = judge(case(), [run], [baseline()])
    assert verdict.status is Status.INVALID
    assert 'run 1 measured no images_per_s (it trained 12 steps)' in verdict.reason


def test_a_case_that_did_not_run_is_invalid():
    assert judged().reason == 'No statement about the code: it did not run.'


@pytest.mark.parametrize('kind, changes, flags, complaint', [
    ('npu', {'device_kind': 'cpu'}, [], 'asked for the npu, but the training ran on the cpu'),
    ('cpu', {'device_kind': 'npu'}, [], 'asked for the cpu, but the training ran on the npu'),
    ('cpu', {}, ['--max_step=102'], 'asked for max_step 102, but it trained with 12'),
    ('cpu', {}, ['--preset=paper'], 'asked for preset paper, but it trained with smoke'),
    ('cpu', {'config': {'preset': 'smoke', 'max_step': 12, 'seed': 9}}, [],
     'asked for seed 0, but it trained with 9'),
    ('cpu', {'config': {'preset': 'smoke', 'max_step': 12}}, [],
     'asked for seed 0, but it trained with None'),
    ('cpu', {}, ['--max_step=12', '--preset=smoke', '--data_path=a=b'], ''),
    ('cpu', {}, [], ''),
])
def test_a_run_must_be_what_was_asked_for(kind, changes, flags, complaint):
    run = planned(1, SPEED, *flags)
    assert fault(run, Device(kind, 0), measurement(**changes)) == complaint


# --- which baseline -------------------------------------------------------------------------------

def test_the_fields_are_named_in_which_the_nearest_baseline_differs():
    far = baseline(name='far', preset='paper', cpus=96, data='other')
    near = baseline(name='near', cpus=96, driver='23.0')
    verdict = judged(32.0, baselines=[far, near])
    assert verdict.status is Status.NO_BASELINE
    assert ('The nearest, near, differs in cpus (96 there, 4 here), driver (23.0 there, none here).'
            in verdict.reason)
    assert 'far' not in verdict.reason


def test_a_fact_that_is_not_known_here_is_a_difference():
    verdict = judged(32.0, baselines=[baseline(firmware='7')])
    assert 'differs in firmware (7 there, unknown here)' in verdict.reason


def test_without_any_baseline_it_says_how_to_make_one():
    verdict = judged(32.0, baselines=[])
    assert verdict.reason == '32 images/s measured; there is no baseline of this case yet.'
    assert verdict.advice == (
        'Make one: `python harness/run_all.py --device 0 --cases performance --runs 10 && '
        'python -m harness baseline promote --reason "first baseline of this machine"`',)


def test_the_baseline_that_matches_is_taken_wherever_it_stands():
    other = baseline([64.0] * 5, name='other', cpus=96)
    for baselines in ([other, baseline()], [baseline(), other]):
        assert judged(32.0, baselines=baselines).baseline.name == 'smoke-sample'


@pytest.mark.parametrize('changes', [{'case': 'full'}, {'metric': PSNR}])
def test_a_baseline_of_another_case_or_metric_is_not_taken(changes):
    other = dataclasses.replace(baseline(), **changes)
    assert judged(32.0, baselines=[other]).status is Status.NO_BASELINE


def test_the_seed_the_host_and_the_commit_are_no_reason_not_to_compare():
    run = record(facts={'seed': 7, 'host': 'elsewhere', 'commit': 'ffffffffffff'})
    assert judge(case(), [run], [baseline(match='')]).status is Status.NO_BASELINE
    assert judge(case(), [run], [baseline()]).status is Status.PASS


# --- what it says ---------------------------------------------------------------------------------

def runs_named(verdict):
    return int(re.search(r'--runs (\d+)', verdict.advice[0]).group(1))


@pytest.mark.parametrize('value, metric', [
    (31.6, SPEED), (31.64, SPEED), (31.68, SPEED), (31.92, PSNR), (31.93, PSNR)])
def test_inconclusive_names_a_number_of_runs_that_decides(value, metric):
    verdict = judged(value, metric=metric)
    assert verdict.status is Status.INCONCLUSIVE
    runs = runs_named(verdict)
    assert f'{runs} runs would decide it' in verdict.advice[0]
    assert judged(*[value] * runs, metric=metric).status in (Status.PASS, Status.REGRESSION)
    assert judged(*[value] * (runs - 1), metric=metric).status is Status.INCONCLUSIVE


def test_a_loss_beyond_the_limit_needs_to_be_clear_of_zero_only():
    noisy = [baseline(NOISY)]
    runs = runs_named(judged(28.8, baselines=noisy))
    assert judged(*[28.8] * runs, baselines=noisy).status is Status.REGRESSION
    assert judged(*[28.8] * (runs - 1), baselines=noisy).status is Status.INCONCLUSIVE


def test_a_great_gain_in_noise_is_decided_by_the_runs_named():
    # Where ratios are compared, a gain and a loss of the same share are not equally far.
    noisy = [baseline(NOISY)]
    runs = runs_named(judged(36.0, baselines=noisy))
    assert judged(*[36.0] * runs, baselines=noisy).status in (Status.PASS, Status.IMPROVED)


def test_where_no_number_of_runs_decides_a_better_baseline_is_asked_for():
    verdict = judged(32.0, baselines=[baseline(NOISY)])
    assert verdict.advice[0].startswith('More runs alone will not decide it')
    assert '--runs 10 && python -m harness baseline promote' in verdict.advice[0]


@pytest.mark.parametrize('runs, base, status', [
    (1, 4, Status.INCONCLUSIVE), (3, 2, Status.INCONCLUSIVE), (3, 3, Status.PASS),
    (1, 5, Status.PASS)])
def test_a_baseline_of_few_runs_is_no_proof_unless_both_sides_have_three(runs, base, status):
    values = (31.98, 32.02, 32.0, 31.99, 32.01)
    verdict = judged(*values[:runs], baselines=[baseline(values[:base])])
    assert verdict.status is status
    if status is Status.INCONCLUSIVE:
        assert verdict.comparison is None
        assert f'has {base} runs: too few to know its spread' in verdict.reason
        assert any('--runs 3' in line for line in verdict.advice)


@pytest.mark.parametrize('status, values, words, advice', [
    (Status.PASS, [32.0], 'not worse than the limit of -2.0 %', None),
    (Status.REGRESSION, [28.0], 'worse by more than the limit of -2.0 %',
     'Run it again to be sure: `python harness/run_all.py --device 0 --cases performance --runs 3'),
    (Status.IMPROVED, [36.0], ': better.',
     'If this is meant to last, make it the baseline: `python -m harness baseline promote'),
    (Status.INCONCLUSIVE, [31.5], 'too noisy to say', 'runs would decide it'),
])
def test_the_sentence_has_effect_interval_and_limit(status, values, words, advice):
    verdict = judged(*values)
    assert verdict.status is status
    assert re.match(r'[\d.]+ images/s is [+-][\d.]+ % against 32 images/s \(95 % interval '
                    r'[+-][\d.]+ % to [+-][\d.]+ %\)', verdict.reason)
    assert words in verdict.reason
    assert [advice] == [None] if not verdict.advice else advice in verdict.advice[0]


def test_a_regression_is_run_again_as_often_as_it_was_at_least():
    assert runs_named(judged(*[28.0] * 7)) == 7


@pytest.mark.parametrize('values', [[28.0], [31.5], [32.0]])
def test_the_commands_have_the_flags_of_this_session(values):
    asked = case(SPEED, '--data_path=/my data', '--max_step=12')
    baselines = [baseline()] if values != [32.0] else []
    verdict = judge(asked, [record(value) for value in values], baselines)
    assert re.search(r" '--data_path=/my data' --max_step=12 --runs \d+", verdict.advice[0])


def test_an_accuracy_too_good_is_flagged_and_a_speed_is_not():
    assert 'Too good is suspicious too' in judged(32.2, metric=PSNR).reason
    assert 'suspicious' not in judged(36.0).reason


# --- all verdicts together ------------------------------------------------------------------------

def verdicts(*statuses):
    return [dataclasses.replace(judged(32.0), status=status) for status in statuses]


@pytest.mark.parametrize('statuses, lenient, strict', [
    ([], 3, 3),
    ([Status.PASS], 0, 0),
    ([Status.IMPROVED, Status.PASS], 0, 0),
    ([Status.NO_BASELINE, Status.PASS], 0, 5),
    ([Status.INCONCLUSIVE, Status.PASS], 0, 4),
    ([Status.INCONCLUSIVE, Status.NO_BASELINE], 0, 5),
    ([Status.INVALID, Status.PASS], 3, 3),
    ([Status.NO_BASELINE, Status.INVALID], 3, 3),
    ([Status.REGRESSION], 1, 1),
    ([Status.INVALID, Status.REGRESSION, Status.NO_BASELINE], 1, 1),
])
def test_the_worst_verdict_decides_the_exit_status(statuses, lenient, strict):
    for order in (1, -1):
        found = verdicts(*statuses[::order])
        assert (exit_status(found, False), exit_status(found, True)) == (lenient, strict)


def test_the_headline_is_the_worst_verdict():
    order = [Status.REGRESSION, Status.INVALID, Status.INCONCLUSIVE, Status.NO_BASELINE,
             Status.IMPROVED, Status.PASS]
    assert set(order) == set(Status)
    for i, worst in enumerate(order):
        assert headline(verdicts(*reversed(order[i:]))) is worst
    assert headline([]) is Status.INVALID
