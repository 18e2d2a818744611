# SPDX-License-Identifier: Apache-2.0
"""Records and history -> charts."""

import dataclasses

import pytest
from samples import PSNRS, SPEEDS, baseline, case, measurement, pair, record, session

from harness import baseline as baselines
from harness import evidence
from harness.history import Entry
from harness.judge import summarize
from harness.records import PSNR, SPEED, Telemetry, Turn
from harness.report import curves, trends
from harness.report.charts import Chart, chart_id, hues

CURVES = tuple(tuple(1.5 - 0.05 * i + 0.01 * (run % 3) for i in range(20)) for run in range(10))


def charts_of(*records, baselines=()):
    metrics = {r.run.case.metric.name: r.run.case.metric for r in records}.values()
    summary = summarize(session(*map(case, metrics), baselines=baselines), records)
    return {chart.id: chart for chart in curves.session_charts(summary)}


def with_measurement(made, **changes):
    return dataclasses.replace(made, measurement=measurement(**changes))


def with_outcome(made, **changes):
    return dataclasses.replace(made, outcome=dataclasses.replace(made.outcome, **changes))


def band_at(chart, x):
    band, = chart.bands
    i = band.x.index(x)
    return band.low[i], band.high[i]


# --- step time ------------------------------------------------------------------------------------

def test_step_times_are_milliseconds_over_the_steps_of_each_run():
    chart = charts_of(record(), record(index=2))['steps-performance']
    assert [line.name for line in chart.lines] == ['performance 1', 'performance 2']
    assert chart.lines[0].x == tuple(range(1, 13))
    assert chart.lines[0].y == (2000.0,) + (500.0,) * 11
    assert chart.y_label == 'step time, ms'


def test_only_every_logged_step_has_a_point():
    chart = charts_of(with_measurement(record(), steps=12, step_seconds=(2.0, 0.5, 0.5),
                                       losses=(6.0, 5.0, 4.0)))['steps-performance']
    assert chart.lines[0].x == (4, 8, 12)


def test_the_warm_up_of_the_slowest_run_is_shaded():
    chart = charts_of(record(), with_measurement(record(index=2), first_counted_step=9))[
        'steps-performance']
    assert [(s.name, s.first, s.last) for s in chart.spans] == [('warm-up', 0, 8)]


def test_all_of_a_run_in_which_no_step_counts_is_warm_up():
    chart = charts_of(with_measurement(record(), first_counted_step=None))['steps-performance']
    assert chart.spans[0].last == 12


def test_steps_in_which_the_other_arm_had_its_turn_are_gaps():
    turns = (Turn(2, 4), Turn(8, 10))
    chart = charts_of(*(with_outcome(r, turns=turns) for r in pair(32.0, 32.0)))[
        'steps-performance']
    assert [line.name for line in chart.lines] == ['performance 1 old', 'performance 1 new']
    known = [x for x, y in zip(chart.lines[0].x, chart.lines[0].y) if y is not None]
    assert known == [3, 4, 9, 10]


def test_a_long_training_keeps_its_outliers_when_it_is_thinned():
    seconds = [0.5 + 0.001 * (i % 7) for i in range(100000)]
    seconds[5], seconds[77777] = 0.1, 30.0
    chart = charts_of(with_measurement(record(), steps=100000, step_seconds=tuple(seconds),
                                       losses=(1.0,) * 100000))['steps-performance']
    line, = chart.lines
    assert len(line.x) <= curves.MOST_POINTS
    assert min(line.y) == 100.0 and max(line.y) == 30000.0
    assert line.x[line.y.index(30000.0)] == 77778
    assert list(line.x) == sorted(line.x)


def test_a_run_that_measured_nothing_has_no_line_and_a_case_without_one_no_chart():
    both = charts_of(record(), record(None, index=2, fault='hung'))
    assert [line.name for line in both['steps-performance'].lines] == ['performance 1']
    assert charts_of(record(None, fault='hung')) == {}


def test_the_arms_of_several_pairs_have_two_colours():
    chart = charts_of(*pair(32.0, 31.0), *pair(32.0, 31.0, 2))['steps-performance']
    assert hues(chart) == (0, 1, 0, 1)
    alone = charts_of(record(), record(index=2), baselines=[])['steps-performance']
    assert hues(alone) == (0, 1)


def test_a_limit_takes_no_colour_from_the_runs():
    chart = charts_of(with_measurement(record(32.0, PSNR), psnr_curve=((12, 32.0),)),
                      baselines=[baseline(PSNRS, PSNR)])['psnr-full']
    assert hues(chart) == (0, None, None)


# --- loss -----------------------------------------------------------------------------------------

def test_without_a_baseline_every_loss_is_drawn_on_a_logarithmic_axis():
    chart = charts_of(record())['loss-performance']
    assert chart.lines[0].y == (60.0,) + (4.5,) * 11
    assert chart.log_y and not chart.bands


def test_a_loss_that_has_no_logarithm_is_drawn_on_a_plain_axis():
    chart = charts_of(with_measurement(record(), losses=(0.0,) * 12))['loss-performance']
    assert not chart.log_y


def test_beside_a_baselines_curves_the_loss_is_drawn_as_it_is_judged():
    import math
    made = with_measurement(record(), steps=40, step_seconds=(0.5,) * 40,
                            losses=tuple(math.exp(1.5 - 0.05 * (i // 2)) for i in range(40)))
    kept = dataclasses.replace(baseline(), losses=CURVES)
    chart = charts_of(made, baselines=[kept])['loss-performance']
    assert chart.lines[0].x == tuple(range(5, 101, 5))
    assert chart.lines[0].y[0] == pytest.approx(math.exp(1.5), rel=1e-4)
    low, high = band_at(chart, 100)
    assert low < math.exp(1.5 - 0.95) < high
    assert '10 runs' in chart.bands[0].name


# --- PSNR -----------------------------------------------------------------------------------------

def test_every_evaluation_is_a_point_above_or_below_bicubic():
    made = with_measurement(record(32.0, PSNR), psnr_curve=((4, 30.1), (12, 32.0)))
    chart = charts_of(made, baselines=[baseline(PSNRS, PSNR)])['psnr-full']
    run, bicubic, limit = chart.lines
    assert (run.x, run.y, run.style) == ((4.0, 12.0), (30.1, 32.0), 'points')
    assert (bicubic.name, bicubic.y, bicubic.style) == ('bicubic', (31.537, 31.537), 'dashed')
    assert limit.y == (pytest.approx(31.9), pytest.approx(31.9))
    low, high = band_at(chart, 12.0)
    assert 31.9 < low < 32.0 < high < 32.1


def test_a_training_that_was_not_evaluated_has_no_psnr_chart():
    assert 'psnr-performance' not in charts_of(record())


# --- load -----------------------------------------------------------------------------------------

def telemetry(**columns):
    nothing = (None, None, None)
    names = [f.name for f in dataclasses.fields(Telemetry) if f.name != 'at_s']
    return Telemetry(at_s=(1.0, 2.0, 3.0), **{**dict.fromkeys(names, nothing), **columns})


def test_load_is_drawn_only_where_it_is_known():
    made = dataclasses.replace(record(), telemetry=telemetry(
        cpu_percent=(150.0, 190.0, None), device_celsius=(None, None, None)))
    drawn = charts_of(made, record(index=2))
    assert set(drawn) == {'steps-performance', 'loss-performance', 'cpu-performance'}
    line, = drawn['cpu-performance'].lines
    assert (line.name, line.x, line.y) == ('performance 1', (1.0, 2.0, 3.0), (150.0, 190.0, None))


def test_what_others_took_is_a_line_beside_the_run():
    made = dataclasses.replace(record(), telemetry=telemetry(
        cpu_percent=(150.0, 190.0, 180.0), foreign_cpu_percent=(0.0, 5.0, 90.0),
        device_percent=(97.0, None, 98.0)))
    drawn = charts_of(made)
    assert [line.name for line in drawn['cpu-performance'].lines] == [
        'performance 1', 'performance 1, others']
    assert drawn['device-performance'].lines[0].y == (97.0, None, 98.0)


def test_of_a_pair_that_took_turns_the_load_is_drawn_once():
    seen = telemetry(cpu_percent=(150.0, 190.0, 180.0))
    arms = [dataclasses.replace(r, telemetry=seen) for r in pair(32.0, 32.0)]
    assert len(charts_of(*arms)['cpu-performance'].lines) == 2
    in_turns = [with_outcome(r, turns=(Turn(2, 4), Turn(8, 10))) for r in arms]
    assert [line.name for line in charts_of(*in_turns)['cpu-performance'].lines] == [
        'performance 1 new']


# --- history --------------------------------------------------------------------------------------

def entry(day, value, match='aaaaaaaaaaaa0000', metric=SPEED, **changes):
    fields = {
        'run': f'run-{day}-{match}-{metric.name}', 'session': f'day {day}',
        'case': case(metric).name, 'metric': metric.name, 'unit': metric.unit, 'value': value,
        'fault': '', 'commit': f'{day:012d}', 'started_unix_s': 1767322800.0 + 86400 * day,
        'wall_s': 60.0, 'match': match, **changes}
    return Entry(**fields)


def test_a_history_is_a_chart_a_case_and_a_line_a_series():
    kept = [entry(1, 32.0), entry(2, 31.0, 'bbbbbbbbbbbb0000-old'), entry(3, 32.1),
            entry(4, 30.0, metric=PSNR)]
    speed, psnr = sorted(trends.history_charts(kept, {}), key=lambda chart: chart.id)[::-1]
    assert (speed.id, speed.y_label, speed.x_is_time) == (
        'history-performance', 'throughput, images/s', True)
    assert [(line.name, line.y) for line in speed.lines] == [
        ('match aaaaaaaaaaaa', (32.0, 32.1)), ('match bbbbbbbbbbbb, old arm', (31.0,))]
    assert speed.lines[0].notes[1] == f'000000000003 {kept[2].run}'
    assert (psnr.id, psnr.lines[0].y) == ('history-full', (30.0,))


def test_a_change_of_level_is_marked_where_it_began_with_its_commit():
    kept = [entry(day, 32.0 + 0.01 * (day % 3) if day < 15 else 29.0 + 0.01 * (day % 3))
            for day in range(30)]
    chart, = trends.history_charts(kept, {})
    mark, = chart.marks
    assert mark.x == kept[15].started_unix_s
    assert mark.name == '000000000015: -9.4 %'


def test_runs_without_a_value_are_no_points_and_a_case_of_them_no_chart():
    kept = [entry(1, 32.0), entry(2, None, fault='hung'), entry(3, None, metric=PSNR)]
    chart, = trends.history_charts(kept, {})
    assert chart.lines[0].y == (32.0,)


MATCH = {'preset': 'smoke', 'max_step': 12}


def in_series_of_the_baseline(day, arm=''):
    digest = baselines.series(MATCH, {'tensorflow': '1.15.0'})
    return entry(day, 32.0, '-'.join(filter(None, [digest, arm])))


def test_a_baseline_is_drawn_in_the_series_whose_runs_are_compared_with_it():
    kept = [in_series_of_the_baseline(1), in_series_of_the_baseline(2), entry(3, 32.0)]
    made = dataclasses.replace(baseline(), match=MATCH, environment={'tensorflow': '1.15.0'})
    chart, = trends.history_charts(kept, baselines.by_series([made]))
    band, = chart.bands
    assert band.x[0] < kept[0].started_unix_s < kept[1].started_unix_s < band.x[1]
    low, high = band.low[0], band.high[0]
    assert low < min(SPEEDS) and max(SPEEDS) < high < 33
    limit = chart.lines[-1]
    assert (limit.name, limit.style) == ('limit', 'dashed')
    assert limit.y[0] == pytest.approx(32.0 * 0.98, rel=1e-4)


@pytest.mark.parametrize('tensorflow, arm', [('1.15.2', ''), ('1.15.0', 'old')])
def test_another_build_and_the_arms_of_pairs_have_no_baseline(tensorflow, arm):
    made = dataclasses.replace(baseline(), match=MATCH, environment={'tensorflow': tensorflow})
    chart, = trends.history_charts([in_series_of_the_baseline(1, arm)],
                                   baselines.by_series([made]))
    assert not chart.bands


def test_a_run_is_in_the_series_of_the_baseline_that_is_made_of_it():
    made, = baselines.from_runs([record(index=i) for i in range(1, 6)], 'a reason')
    assert (made.case, evidence.entry(record()).match) in baselines.by_series([made])


@pytest.mark.parametrize('name', ['../../etc/passwd', 'a b', '<script>', 'ünï'])
def test_the_name_of_a_case_never_leads_out_of_the_folder_of_plots(name):
    assert set(chart_id('steps', name)) <= set(
        'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-')


def test_charts_of_the_same_records_are_equal():
    assert charts_of(record()) == charts_of(record())
    assert all(isinstance(chart, Chart) for chart in charts_of(record()).values())


def test_what_a_case_is_not_judged_by_is_folded_away():
    drawn = charts_of(record(), record(32.0, PSNR))
    assert {id for id, chart in drawn.items() if not chart.detail} == {
        'steps-performance', 'loss-full'}


def test_a_loss_curve_that_decided_the_verdict_is_not_folded_away():
    worse = with_measurement(record(), losses=(9000.0,) * 40, steps=40, step_seconds=(0.5,) * 40)
    kept = dataclasses.replace(baseline(), losses=CURVES)
    assert not charts_of(worse, baselines=[kept])['loss-performance'].detail
