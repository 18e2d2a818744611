# SPDX-License-Identifier: Apache-2.0
"""A fleet of other models in the same verdicts and reports, its scripts' own figures marked so."""

import dataclasses
import json

import pytest
from samples import FACTS, baseline, case, record, session

from harness import baseline as baselines_of
from harness import store
from harness.errors import ConfigError
from harness.judge import summarize
from harness.records import ITEMS, METRICS, Metric, Reported, Status
from harness.report import content, document, markdown, page, tables
from harness.report.chinese import to_chinese

FIGURE = "This is the script's own figure: no rules say how to check it against its log."
NET = 'Net_ID1_for_TensorFlow'
THERE = {**FACTS, 'network': NET, 'script': 'train_performance_1p.sh', 'flags': '', 'preset': None}
SPEEDS = (31.75, 31.85, 31.9, 31.95, 32.0, 32.0, 32.05, 32.1, 32.15, 32.25)


def of(metric=ITEMS, name=NET):
    return dataclasses.replace(case(), name=f'{name}.performance_1p', metric=metric,
                               script='test/train_performance_1p.sh', model_dir=f'/zoo/{name}')


def run(fps, index=1, recomputed=None, remarks=(), of_case=None, accuracy=None):
    """A run of another model whose script says so; recomputed: what its log says."""
    made = record(fps if recomputed is None else recomputed, index=index, facts=THERE)
    reported = Reported({'ActualFPS': str(fps), 'TrainAccuracy': 'None'}, fps, recomputed,
                        '/rules/net.toml' if recomputed else '', tuple(remarks))
    steps = () if recomputed is None else (2.0, *(0.5 + i * index / 1e4 for i in range(11)))
    return dataclasses.replace(
        made, run=dataclasses.replace(made.run, case=of_case or of()),
        measurement=dataclasses.replace(made.measurement, reported=reported, step_seconds=steps,
                                        psnr_db=None,
                                        accuracy=accuracy, first_step_s=None, final_loss=None,
                                        time_to_first_step_s=None, wall_images_per_s=None,
                                        phases_s={}))


def judged(*runs, values=SPEEDS, max_runs=1, with_baseline=True):
    """The summary of these runs, beside a baseline of the same model."""
    match = {name: THERE[name] for name in ('network', 'script', 'flags', 'batch_size', 'data')}
    there = dataclasses.replace(baseline(values), case=of().name, metric=ITEMS, match=match)
    cases = list(dict.fromkeys(r.run.case for r in runs))
    return summarize(session(*cases, baselines=[there] if with_baseline else [],
                             max_runs=max_runs), runs)


# --- the verdict ----------------------------------------------------------------------------------

def test_a_value_from_the_log_is_judged_as_our_own_are():
    verdict, = judged(run(99.0, recomputed=32.0)).verdicts
    assert verdict.status is Status.PASS
    assert FIGURE not in verdict.reason


def test_a_scripts_own_figure_is_marked_wherever_it_decides():
    verdict, = judged(run(32.0), run(32.1, 2)).verdicts
    assert verdict.status is Status.PASS
    assert FIGURE in verdict.reason


def test_a_scripts_own_figure_without_a_baseline_is_marked_too():
    verdict, = judged(run(32.0), with_baseline=False).verdicts
    assert (verdict.status, FIGURE in verdict.reason) == (Status.NO_BASELINE, True)
    assert '--against' not in ' '.join(verdict.advice)
    assert '--model-dir /zoo/Net_ID1_for_TensorFlow' in ' '.join(verdict.advice)


def test_one_run_of_a_scripts_own_figure_is_too_few_to_pass():
    verdict, = judged(run(32.0)).verdicts
    assert (verdict.status, verdict.undecided) == (Status.INCONCLUSIVE, True)
    assert 'A second run shows whether it is measured at all.' in verdict.reason


@pytest.mark.parametrize('with_baseline', [True, False])
def test_the_same_figure_to_the_last_digit_in_every_run_is_no_measurement(with_baseline):
    verdict, = judged(run(32.04), run(32.04, 2), with_baseline=with_baseline).verdicts
    assert verdict.status is Status.INVALID
    assert 'ActualFPS = 32.04 in each of 2 runs, to the last digit' in verdict.reason


@pytest.mark.parametrize('fps', [0.82, 32.0, 7.0])
def test_a_figure_of_few_digits_repeats_and_decides_nothing(fps):
    verdict, = judged(run(fps), run(fps, 2)).verdicts
    assert verdict.status is Status.INCONCLUSIVE
    assert 'with too few digits to show whether it is measured' in verdict.reason
    assert '--rules' in ' '.join(verdict.advice)


def test_a_figure_that_is_too_good_is_not_believed_alone():
    verdict, = judged(run(320.1), run(320.4, 2)).verdicts
    assert (verdict.status, verdict.undecided) == (Status.INCONCLUSIVE, False)
    assert 'It may be faster, or count otherwise.' in verdict.reason
    assert 'is too good to be believed' in content.of(judged(run(320.1), run(320.4, 2))).sentence
    assert '--rules' in ' '.join(verdict.advice)
    verdict, = judged(run(5.0, recomputed=320.1)).verdicts
    assert verdict.status is Status.IMPROVED


def test_two_logs_with_the_same_times_are_of_one_run():
    second = run(32.1, 2, recomputed=32.1)
    second = dataclasses.replace(second, measurement=dataclasses.replace(
        second.measurement, step_seconds=run(32.0, recomputed=32.0).measurement.step_seconds))
    verdict, = judged(run(32.0, recomputed=32.0), second).verdicts
    assert verdict.status is Status.INVALID
    assert 'they are of one run' in verdict.reason


def test_equal_values_from_a_log_are_no_constant_of_the_script():
    verdict, = judged(run(5.0, recomputed=32.0), run(5.0, 2, recomputed=32.0)).verdicts
    assert verdict.status is Status.PASS


def test_a_slower_model_is_a_regression_and_advises_what_can_be_done_there():
    verdict, = judged(run(25.0), run(25.1, 2)).verdicts
    assert verdict.status is Status.REGRESSION
    assert '--against' not in ' '.join(verdict.advice)


def test_a_baseline_of_another_script_is_not_compared_with():
    other = dataclasses.replace(run(32.0, recomputed=32.0))
    other = dataclasses.replace(other, facts={**other.facts, 'script': 'train_full_1p.sh'})
    verdict, = judged(other).verdicts
    assert verdict.status is Status.NO_BASELINE


# --- baselines ------------------------------------------------------------------------------------

def test_a_baseline_of_another_model_can_be_made_stored_and_read(tmp_path):
    made, = baselines_of.from_runs([run(v, i) for i, v in enumerate(SPEEDS, 1)], 'the first')
    path = tmp_path / f'{made.name}.json'
    path.write_text(baselines_of.to_json(made))
    assert baselines_of.load_all(str(tmp_path)) == (made,)
    assert made.metric == ITEMS
    assert set(made.match) >= {'network', 'script', 'flags', 'batch_size', 'data', 'cpu_model'}
    assert 'preset' not in made.match


def test_no_baseline_is_made_of_a_constant():
    with pytest.raises(ConfigError, match='32 in each of 3 runs, to the last digit'):
        baselines_of.from_runs([run(32.0, i) for i in (1, 2, 3)], 'the first')


# --- records and reports --------------------------------------------------------------------------

def test_a_record_of_another_model_comes_back_as_it_was():
    accuracy = Metric('accuracy', 'BLEU', '%', relative=False, margin=0.5)
    for made in (run(32.0, remarks=['odd']), run(32.0, recomputed=31.0),
                 run(32.0, of_case=of(accuracy), accuracy=0.9)):
        assert document.run_from_json(document.to_json(made), 'run.json') == made


def test_records_of_before_other_models_still_load():
    stored = json.loads(document.to_json(record()))
    stored['schema'] = 4
    for name in ('model_dir', 'rules'):
        del stored['run']['case'][name]
    for name in ('accuracy', 'reported'):
        del stored['measurement'][name]
    assert document.run_from_json(json.dumps(stored), 'run.json') == record()


def test_the_report_names_the_model_or_how_many():
    assert content.of(judged(run(32.0))).title.endswith(f': {NET} on cpu 0')
    several = judged(run(32.0), run(32.0, of_case=of(name='Other')))
    assert content.of(several).title.endswith(': 2 models on cpu 0')


def test_what_is_reported_and_what_the_log_says_stand_side_by_side():
    table = content.of(judged(run(53.33, recomputed=26.67, remarks=['odd', 'very odd']),
                              run(32.0, 2))).reported
    assert table.rows == (
        (f'{NET}.performance_1p 1', '53.33', '26.67', 'None', '-', 'net.toml', 'odd; very odd'),
        (f'{NET}.performance_1p 2', '32.0', '-', 'None', '-', 'none: not checked', '-'))


def test_a_report_of_our_own_has_no_such_table():
    own = summarize(session(case(), baselines=[baseline()]), [record()])
    assert content.of(own).reported is None
    assert content.REPORTED not in markdown.to_markdown(own)
    assert 'id="reported"' not in page.to_html(content.of(own), (), (), b'', str)


def test_every_report_shows_what_the_scripts_say(tmp_path):
    done = judged(run(53.33, recomputed=26.67), run(53.4, 2, recomputed=26.7))
    store.make_reports_folder(str(tmp_path))
    store.save_all(str(tmp_path), done, ())
    for name in ('summary.md', 'index.html'):
        text = (tmp_path / name).read_text()
        assert content.REPORTED in text and '53.33' in text
    assert ',53.33,' in tables.results_csv(done)
    assert 'reported_ActualFPS' in tables.results_csv(done)


def test_hostile_figures_stay_text():
    hostile = dataclasses.replace(run(32.0), measurement=dataclasses.replace(
        run(32.0).measurement, reported=Reported(
            {'ActualFPS': '<img src=x>', 'TrainAccuracy': '=cmd()'}, 32.0, None, '', ())))
    done = judged(hostile)
    assert '<img src=x>' not in markdown.to_markdown(done)
    assert '<img src=x>' not in page.to_html(content.of(done), (), (), b'', str)
    assert ",'=cmd()," in tables.results_csv(done)


def test_the_report_of_a_fleet_is_translated():
    said = markdown.to_markdown(judged(run(32.0), run(32.1, 2)), translate=to_chinese)
    for english in (FIGURE, content.REPORTED, 'as reported', 'none: not checked'):
        assert english not in said


def test_an_accuracy_is_one_of_the_metrics_that_a_history_may_hold():
    assert METRICS['accuracy'].relative is False
