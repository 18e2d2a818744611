# SPDX-License-Identifier: Apache-2.0
"""Runs + baselines -> Verdict: what is proven, what is not, and what to do then."""

import dataclasses
import re

import pytest
from samples import (
    PSNRS,
    SPEEDS,
    baseline,
    case,
    measurement,
    pair,
    planned,
    record,
    session,
)

from harness.baseline import from_runs
from harness.evidence import fault
from harness.judge import exit_status, headline, judge, summarize, to_confirm
from harness.records import PSNR, SPEED, Certificate, Device, Status, Turn
from harness.stats import loss_curve

NOISY = (28.0, 30.0, 31.0, 32.0, 32.0, 32.0, 32.0, 33.0, 34.0, 36.0)


def judged(*values, metric=SPEED, baselines=None, faults=None, max_runs=1):
    """The verdict on runs that measured these values."""
    records = [record(value, metric, index, (faults or {}).get(index, ''))
               for index, value in enumerate(values, 1)]
    if baselines is None:
        baselines = [baseline(SPEEDS if metric is SPEED else PSNRS, metric)]
    return judged_runs(case(metric), records, baselines, max_runs=max_runs)


def judged_runs(of, records, baselines=(), **changes):
    """The one verdict on runs of one case."""
    records = [dataclasses.replace(r, run=dataclasses.replace(r.run, case=of)) for r in records]
    verdict, = judge(session(of, baselines=baselines, **changes), [of], records)
    return verdict


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
        assert c.margin < c.detectable < 0.15   # within the margin no loss is called


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
    verdict = judged_runs(case(), [run], [baseline()])
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
        'Make one: `python -m harness baseline learn --runs 10 --device 0 --kind cpu --cases '
        'performance --reason "first baseline of this machine"`',
        'Or compare with an earlier revision, which needs none: `python harness/run_all.py '
        '--device 0 --kind cpu --cases performance --against HEAD~1`')


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
    assert judged_runs(case(), [run], [baseline(match='')]).status is Status.NO_BASELINE
    assert judged_runs(case(), [run], [baseline()]).status is Status.PASS


# --- what it says ---------------------------------------------------------------------------------

def runs_named(verdict):
    return int(re.search(r'--max-runs (\d+)', verdict.advice[0]).group(1))


@pytest.mark.parametrize('value, metric', [
    (31.6, SPEED), (31.64, SPEED), (31.68, SPEED), (31.935, PSNR), (31.93, PSNR)])
def test_inconclusive_names_a_number_of_runs_that_decides(value, metric):
    verdict = judged(value, metric=metric)
    assert verdict.status is Status.INCONCLUSIVE
    runs = runs_named(verdict)
    assert f'{runs} runs would decide it' in verdict.advice[0]
    # With the share of the error that the last of so many looks has.
    assert judged(*[value] * runs, metric=metric, max_runs=runs).status in (
        Status.PASS, Status.REGRESSION)
    # The number named is two more than there were at the least.
    assert runs == 3 or judged(*[value] * (runs - 1), metric=metric,
                               max_runs=runs - 1).status is Status.INCONCLUSIVE


def test_a_loss_beyond_the_limit_needs_to_be_clear_of_zero_only():
    noisy = [baseline(NOISY)]
    runs = runs_named(judged(28.8, baselines=noisy))
    assert judged(*[28.8] * runs, baselines=noisy, max_runs=runs).status is Status.REGRESSION
    assert judged(*[28.8] * (runs - 1), baselines=noisy,
                  max_runs=runs - 1).status is Status.INCONCLUSIVE


def test_a_great_gain_in_noise_is_decided_by_the_runs_named():
    # Where ratios are compared, a gain and a loss of the same share are not equally far.
    noisy = [baseline(NOISY)]
    runs = runs_named(judged(36.0, baselines=noisy))
    assert judged(*[36.0] * runs, baselines=noisy, max_runs=runs).status in (
        Status.PASS, Status.IMPROVED)


def test_where_no_number_of_runs_decides_a_better_baseline_is_asked_for():
    verdict = judged(32.0, baselines=[baseline(NOISY)])
    assert verdict.advice[0].startswith('More runs alone will not decide it')
    assert 'python -m harness baseline learn --runs 10' in verdict.advice[0]


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
        assert verdict.undecided is (base >= 3)   # more runs here help only then


@pytest.mark.parametrize('status, values, words, advice', [
    (Status.PASS, [32.0], 'not worse than the limit of -2.0 %', None),
    (Status.REGRESSION, [28.0], 'worse by more than the limit of -2.0 %',
     'Look at the last changes'),
    (Status.IMPROVED, [36.0], ': better.',
     'If this is meant to last, make it the baseline: `python -m harness baseline learn'),
    (Status.INCONCLUSIVE, [31.6], 'too noisy to say', 'runs would decide it'),
])
def test_the_sentence_has_effect_interval_and_limit(status, values, words, advice):
    verdict = judged(*values)
    assert verdict.status is status
    assert re.match(r'[\d.]+ images/s is [+-][\d.]+ % against 32 images/s \(95 % interval '
                    r'[+-][\d.]+ % to [+-][\d.]+ %, Student t prediction, 1 run\): .*\. '
                    r'A loss of [\d.]+ % would be seen 4 times in 5\.$', verdict.reason)
    assert words in verdict.reason
    assert [advice] == [None] if not verdict.advice else advice in verdict.advice[0]


@pytest.mark.parametrize('values', [[28.0], [31.5], [32.0]])
def test_the_commands_have_the_flags_of_this_session(values):
    asked = case(SPEED, '--data_path=/my data', '--max_step=12')
    baselines = [baseline()] if values != [32.0] else []
    verdict = judged_runs(asked, [record(value) for value in values], baselines)
    assert " '--data_path=/my data' --max_step=12" in ' '.join(verdict.advice)


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


# --- pairs ----------------------------------------------------------------------------------------

def compared(*ratios, metric=SPEED, **changes):
    """The verdict on pairs whose new arm measured so many times the old arm's value."""
    records = [r for i, ratio in enumerate(ratios, 1)
               for r in pair(30.0 + i, (30.0 + i) * ratio, i, metric)]
    return judged_runs(case(metric), records, max_runs=3, **changes)


@pytest.mark.parametrize('status, ratios', [
    (Status.PASS, [1.0, 1.001, 0.999]), (Status.REGRESSION, [0.9, 0.91, 0.905]),
    (Status.IMPROVED, [1.1, 1.11, 1.105]), (Status.INCONCLUSIVE, [0.9, 1.1, 1.0]),
    (Status.INCONCLUSIVE, [1.0, 1.0])])
def test_pairs_need_no_baseline(status, ratios):
    verdict = compared(*ratios)
    assert (verdict.status, verdict.runs) == (status, len(ratios))
    assert verdict.against == 'aaaaaaaaaaaa'
    assert verdict.undecided is (status is Status.INCONCLUSIVE)


def test_half_of_the_first_pair_is_no_pair():
    old, new = pair(30.0, 27.0)
    for alone in (old, new):
        verdict = judged_runs(case(), [alone], max_runs=3)
        assert verdict.status is Status.INCONCLUSIVE and verdict.undecided
        assert verdict.reason == '0 of the 3 pairs that it takes have run.'


def test_what_drifts_from_pair_to_pair_cancels():
    # The machine is half as fast in the end; the new arm is always 10 % slower.
    records = [r for i, speed in enumerate((60.0, 45.0, 30.0), 1)
               for r in pair(speed, speed * 0.9, i)]
    assert judged_runs(case(), records, max_runs=3).status is Status.REGRESSION


def test_more_looks_leave_less_error_to_each():
    ratios = [0.955, 0.972, 0.96]
    records = [r for i, ratio in enumerate(ratios, 1) for r in pair(32.0, 32.0 * ratio, i)]
    once, often = (judged_runs(case(), records, max_runs=n) for n in (3, 9))
    assert once.status is Status.REGRESSION
    assert often.status is Status.INCONCLUSIVE
    assert '95 % interval' in once.reason and '98.75 % interval' in often.reason


# --- a machine that is not quiet ------------------------------------------------------------------

def disturbed(record):
    return dataclasses.replace(record, disturbance='other processes took 90 % of a core')


def test_a_disturbed_run_is_no_evidence_for_a_speed_and_is_for_a_psnr():
    verdict = judged_runs(case(), [disturbed(record(28.0))], [baseline()])
    assert verdict.status is Status.INVALID and verdict.undecided
    assert 'the machine was disturbed: other processes took 90 % of a core' in verdict.reason
    psnr = judged_runs(case(PSNR), [disturbed(record(32.0, PSNR))], [baseline(PSNRS, PSNR)])
    assert psnr.status is Status.PASS


def test_undisturbed_runs_decide_alone():
    verdict = judged_runs(case(), [disturbed(record(16.0)), record(32.0, index=2)], [baseline()])
    assert (verdict.status, verdict.runs) == (Status.PASS, 1)


def test_a_pair_is_left_out_whole_where_one_arm_was_disturbed():
    records = [r for i in (1, 2, 3, 4) for r in pair(32.0, 32.0, i)]
    records[0] = disturbed(records[0])
    assert judged_runs(case(), records, max_runs=5).runs == 3
    records[2] = disturbed(records[2])
    verdict = judged_runs(case(), records, max_runs=5)
    assert verdict.status is Status.INVALID
    assert '2 of 4 pairs were disturbed: other processes' in verdict.reason


CANARY = tuple(0.010 * (1 + 0.002 * i) for i in (-2, -1, 0, 1, 2, 0, 1, -1))


@pytest.mark.parametrize('now, status', [
    ((), Status.REGRESSION),                     # not measured: nothing is known against it
    ((0.010, 0.01002), Status.REGRESSION),
    ((0.012, 0.0121), Status.INVALID),
    ((0.008,), Status.INVALID)])
def test_a_canary_that_moved_since_the_baseline_blames_the_machine(now, status):
    known = dataclasses.replace(baseline(), canary_s=CANARY)
    verdict = judged_runs(case(), [record(28.0)], [known], canary_s=now)
    assert verdict.status is status
    assert ('the machine has changed' in verdict.reason) == (status is Status.INVALID)


@pytest.mark.parametrize('now, status', [
    ((0.010, 0.01002), Status.PASS), ((0.012, 0.01202), Status.PASS),   # slower, but steady
    ((0.010, 0.012), Status.INVALID), ((0.010, 0.01, 0.0085), Status.INVALID)])
def test_a_canary_that_moves_while_pairs_run_blames_the_machine(now, status):
    known = Certificate('2026-01-01', '0123456789ab', {}, (), 0.01, 14.0, CANARY)
    assert compared(1.0, 1.0, 1.0, canary_s=now, certificate=known).status is status


@pytest.mark.parametrize('now, status', [((0.010, 0.012), Status.PASS),
                                         ((0.010, 0.013), Status.INVALID)])
def test_a_canary_whose_noise_is_unknown_has_to_move_far(now, status):
    assert compared(1.0, 1.0, 1.0, canary_s=now).status is status


@pytest.mark.parametrize('ratios, status', [((0.9, 0.91, 0.905), Status.REGRESSION),
                                            ((1.0, 1.001, 0.999), Status.PASS)])
def test_a_machine_that_changes_meets_both_arms_that_take_turns_alike(ratios, status):
    records = [dataclasses.replace(r, outcome=dataclasses.replace(r.outcome, turns=(Turn(1, 4),)))
               for i, ratio in enumerate(ratios, 1) for r in pair(32.0, 32.0 * ratio, i)]
    verdict = judged_runs(case(), records, max_runs=3, canary_s=(0.010, 0.014))
    assert verdict.status is status
    assert verdict.reason.endswith('changed its speed by 40 %: the machine is not quiet, which '
                                   'meets both arms alike.')


@pytest.mark.parametrize('margin, status', [(0.02, Status.REGRESSION), (0.2, Status.PASS)])
def test_pairs_have_the_margin_of_the_baseline_where_there_is_one(margin, status):
    verdict = compared(0.9, 0.91, 0.905, baselines=[baseline(margin=margin)])
    assert verdict.status is status
    assert verdict.comparison.margin == margin and verdict.baseline is None


def test_arms_that_did_not_train_alike_are_named():
    records = [r for i in (1, 2, 3) for r in pair(32.0, 32.0, i)]
    assert 'differ' not in judged_runs(case(), records, max_runs=3).reason
    old = {**records[0].facts, 'batch_size': 8}
    old.pop('loss_scale')
    records[0::2] = [dataclasses.replace(r, facts=old) for r in records[0::2]]
    reason = judged_runs(case(), records, max_runs=3).reason
    assert reason.endswith('The two did not train alike: they differ in batch_size (8 there, 16 '
                           'here), loss_scale (unknown there,  here).')


# --- loss curves, several gates -------------------------------------------------------------------

def curve(*changes):
    """Losses of 40 steps that fall; changes: (from step, factor)."""
    losses = [50 * 0.95 ** i for i in range(40)]
    for start, factor in changes:
        losses = [x * factor if i >= start else x for i, x in enumerate(losses)]
    return tuple(losses)


@pytest.mark.parametrize('losses, status', [
    (curve(), Status.PASS), (curve((0, 1.02)), Status.PASS), (curve((20, 0.5)), Status.PASS),
    (curve((30, 1.5)), Status.REGRESSION), (curve()[:20] + (18.0,) * 20, Status.REGRESSION)],
    ids=['as ever', 'a little higher', 'lower', 'higher in the end', 'stops falling'])
def test_a_loss_above_the_envelope_is_a_regression_however_fast(losses, status):
    known = dataclasses.replace(baseline(), losses=tuple(
        loss_curve(curve((0, 1 + 0.004 * i))) for i in range(-5, 5)))
    run = dataclasses.replace(record(), measurement=measurement(images_per_s=32.0, losses=losses))
    verdict = judged_runs(case(), [run], [known])
    assert verdict.status is status
    assert ('outside the envelope of its 10 runs' in verdict.reason) == (
        status is Status.REGRESSION)


def test_two_gates_that_are_each_just_surprising_are_not_called_by_their_number():
    speed, psnr = case(), case(PSNR)
    near = [baseline(NOISY), baseline([v + 0.0 for v in PSNRS], PSNR)]
    value = 32.0 * 0.847
    alone, = judge(session(speed, baselines=near), [speed], [record(value)])
    both = judge(session(speed, psnr, baselines=near), [speed, psnr],
                 [record(value), record(32.0, PSNR)])
    assert alone.status is Status.REGRESSION
    assert both[0].status is Status.INCONCLUSIVE
    assert both[0].comparison.p_value == pytest.approx(2 * alone.comparison.p_value)


# --- confirmation ---------------------------------------------------------------------------------

def confirmed(ratios, value=28.0, **changes):
    """A speed against the baseline, then pairs with the baseline's revision."""
    records = [record(value)] + [r for i, ratio in enumerate(ratios, 1)
                                 for r in pair(30.0, 30.0 * ratio, i)]
    done = summarize(session(case(), baselines=[baseline()], max_runs=3, **changes), records)
    return done.verdicts[0]


@pytest.mark.parametrize('ratios, status, words', [
    ([0.9, 0.91, 0.905], Status.REGRESSION, ' Confirmed. Side by side'),
    ([1.0, 1.001, 0.999], Status.INVALID, 'the machine has changed, not the code'),
    ([1.1, 1.11, 1.105], Status.INVALID, 'the machine has changed, not the code'),
    ([0.9, 1.1, 1.0], Status.INCONCLUSIVE, ' Not confirmed. Side by side'),
    ([], Status.REGRESSION, 'worse by more than the limit')])
def test_a_suspicion_is_what_the_pairs_make_of_it(ratios, status, words):
    verdict = confirmed(ratios)
    assert verdict.status is status
    assert words in verdict.reason
    assert verdict.baseline.name == 'smoke-sample'


def noisy(record):
    return dataclasses.replace(record, disturbance='a hog')


def test_a_confirmation_goes_on_while_its_pairs_are_not_clear():
    verdict = confirmed([0.9, 1.1, 1.0])
    assert verdict.undecided
    assert not confirmed([0.9, 0.91, 0.905]).undecided


def test_a_suspicion_whose_pairs_were_disturbed_is_no_statement_about_the_code():
    records = [record(28.0)] + [noisy(r) for i in (1, 2, 3) for r in pair(30.0, 27.0, i)]
    verdict, = summarize(session(case(), baselines=[baseline()], max_runs=3), records).verdicts
    assert verdict.status is Status.INVALID and verdict.undecided
    assert ' Not confirmed. Side by side' in verdict.reason and 'a hog' in verdict.reason
    moved = confirmed([0.9, 0.91, 0.905], canary_s=(0.010, 0.014))
    assert moved.status is Status.INVALID and not moved.undecided
    assert 'the machine is not quiet' in moved.reason


@pytest.mark.parametrize('ratios', [[], [0.9], [0.9, 0.91]])
def test_a_suspicion_that_could_not_be_confirmed_stays_one_and_says_why(ratios):
    verdict = confirmed(ratios, unconfirmed={'performance': 'no such commit'})
    assert verdict.status is Status.REGRESSION
    assert verdict.reason.endswith(' It could not be confirmed beside the baseline\'s revision: '
                                   'no such commit.')


@pytest.mark.parametrize('records, status', [
    ([r for i, x in enumerate((0.9, 1.1, 1.0), 1) for r in pair(30.0, 30.0 * x, i)],
     Status.INCONCLUSIVE),
    ([noisy(r) for i in (1, 2, 3) for r in pair(30.0, 27.0, i)], Status.INVALID)])
def test_what_the_pairs_have_answered_counts_though_the_time_is_up(records, status):
    of = session(case(), baselines=[baseline()], max_runs=5,
                 unconfirmed={'performance': 'the time is used up'})
    verdict, = summarize(of, [record(28.0), *records]).verdicts
    assert verdict.status is status


def test_a_machine_that_changes_during_a_confirmation_leaves_the_pairs_to_decide():
    known = dataclasses.replace(baseline(), canary_s=CANARY)
    pairs = [dataclasses.replace(r, outcome=dataclasses.replace(r.outcome, turns=(Turn(1, 4),)))
             for i, x in enumerate((0.9, 0.91, 0.905), 1) for r in pair(30.0, 30.0 * x, i)]
    of = session(case(), baselines=[known], max_runs=3, canary_s=(0.010, 0.010, 0.014))
    verdict, = summarize(of, [record(28.0), *pairs]).verdicts
    assert verdict.status is Status.REGRESSION
    assert verdict.reason.startswith('It looked like a regression against the baseline, then the '
                                     'machine changed. Side by side')


def test_pairs_that_are_clear_decide_though_the_time_is_up():
    verdict = confirmed([1.0, 1.001, 0.999], unconfirmed={'performance': 'the time is used up'})
    assert verdict.status is Status.INVALID


def test_a_broken_loss_curve_is_no_matter_of_the_machine():
    known = dataclasses.replace(baseline(), losses=tuple(
        loss_curve(curve((0, 1 + 0.004 * i))) for i in range(-5, 5)))
    run = dataclasses.replace(record(), measurement=measurement(
        images_per_s=28.0, losses=curve((30, 1.5))))
    verdict = judged_runs(case(), [run], [known])
    assert verdict.status is Status.REGRESSION and not to_confirm(verdict)


def test_an_accuracy_compared_with_another_machines_says_so():
    known = dataclasses.replace(baseline(PSNRS, PSNR), environment={
        'host': 'elsewhere', 'tensorflow': '1.15.5', 'cpus': 4})
    verdict = judged(32.0, metric=PSNR, baselines=[known])
    assert verdict.status is Status.PASS
    assert verdict.reason.endswith('The baseline was made elsewhere: it differs in tensorflow '
                                   '(1.15.5 there, 1.15.0 here).')


# --- another build of TensorFlow ------------------------------------------------------------------

STOCK, ONEDNN = '1.15.0', '1.15.2 (oneDNN)'


@pytest.mark.parametrize('then, now', [(STOCK, ONEDNN), (ONEDNN, STOCK)])
def test_a_speed_is_not_compared_with_that_of_another_build_and_the_sentence_says_why(then, now):
    run = record(64.0, facts={'tensorflow': now})
    verdict = judged_runs(case(), [run], from_runs(
        [record(v, index=i, facts={'tensorflow': then}) for i, v in enumerate(SPEEDS)], 'first'))
    assert verdict.status is Status.NO_BASELINE
    assert f'differs in tensorflow ({then} there, {now} here).' in verdict.reason


@pytest.mark.parametrize('values, losses, status, words', [
    (PSNRS, curve(), Status.PASS, 'not worse than the limit'),
    (PSNRS, curve((30, 1.5)), Status.REGRESSION, 'outside the envelope of its 10 runs'),
    (PSNRS[:4], curve(), Status.INCONCLUSIVE, 'has 4 runs: too few to know its spread')])
@pytest.mark.parametrize('then, now', [(STOCK, ONEDNN), (ONEDNN, STOCK), (STOCK, STOCK)])
def test_an_accuracy_and_its_losses_are_compared_with_another_builds_and_the_sentence_names_it(
        values, losses, status, words, then, now):
    def run(value, index, build, losses):
        return dataclasses.replace(
            record(value, PSNR, index, facts={'tensorflow': build, 'seed': index}),
            measurement=measurement(psnr_db=value, losses=losses))
    known = from_runs([run(v, i, then, curve((0, 1 + 0.004 * (i - 5))))
                                 for i, v in enumerate(values)], 'first')
    verdict = judged_runs(case(PSNR), [run(32.0, 1, now, losses)], known)
    assert verdict.status is status and words in verdict.reason
    named = 'The baseline was made elsewhere: it differs in tensorflow'
    assert (f'{named} ({then} there, {now} here).' in verdict.reason) == (then != now)
    assert (named in verdict.reason) == (then != now)


@pytest.mark.parametrize('metric', [SPEED, PSNR])
def test_a_pair_of_two_builds_says_so(metric):
    records = [r for i in (1, 2, 3) for r in pair(32.0, 32.0, i, metric)]
    records[1::2] = [dataclasses.replace(r, facts={**r.facts, 'tensorflow': ONEDNN})
                     for r in records[1::2]]
    assert judged_runs(case(metric), records, max_runs=3).reason.endswith(
        f'they differ in tensorflow ({STOCK} there, {ONEDNN} here).')


def test_only_a_loss_against_a_baseline_is_to_be_confirmed():
    assert to_confirm(judged(28.0))
    assert not to_confirm(judged(32.0))
    assert not to_confirm(judged(36.0))
    assert not to_confirm(compared(0.9, 0.91, 0.905))
    assert not to_confirm(confirmed([0.9, 0.91, 0.905]))   # it has been
