# SPDX-License-Identifier: Apache-2.0
"""Baselines: learned from runs, kept in git, refused where they are not what they should be."""

import dataclasses
import json

import pytest
from samples import FACTS, PSNRS, SPEEDS, case, measurement, record, session

from harness import __main__ as verbs
from harness import baseline as baselines
from harness import store
from harness.errors import ConfigError
from harness.judge import judge
from harness.records import PSNR, SPEED, Status, Summary
from harness.weigh import differing

REASON = 'the first of this machine'


def runs(values=SPEEDS, metric=SPEED, **facts):
    return [record(value, metric, index, facts={'seed': index - 1, **facts})
            for index, value in enumerate(values, 1)]


def promoted(records):
    made, = baselines.from_runs(records, REASON)
    return made


def saved(folder, baseline, **changes):
    """The baseline's file, with other fields."""
    path = folder / f'{baseline.name}.json'
    path.write_text(json.dumps({**json.loads(baselines.to_json(baseline)), **changes}))
    return path


# --- from runs to the file and back ---------------------------------------------------------------

@pytest.mark.parametrize('metric, values', [(SPEED, SPEEDS), (PSNR, PSNRS)])
def test_a_promoted_baseline_comes_back_as_it_was(tmp_path, metric, values):
    made = promoted(runs(values, metric))
    (tmp_path / f'{made.name}.json').write_text(baselines.to_json(made))
    assert baselines.load_all(str(tmp_path)) == (made,)
    assert (made.case, made.metric, made.values, made.margin, made.made, made.reason) == (
        case(metric).name, metric, values, metric.margin, '2026-01-02 at 0123456789ab', REASON)


def test_the_runs_it_was_made_from_pass_against_it():
    made = promoted(runs())
    verdict, = judge(session(case(), baselines=[made]), [case()], runs())
    assert verdict.status is Status.PASS


def test_each_case_of_a_session_gets_a_baseline_of_its_own():
    made = baselines.from_runs(runs() + runs(PSNRS, PSNR), REASON)
    assert [(b.case, b.values) for b in made] == [('performance', SPEEDS), ('full', PSNRS)]
    assert len({b.name for b in made}) == 2


def test_the_margin_is_the_metrics_own_unless_somebody_gives_another():
    assert promoted(runs()).margin == SPEED.margin
    made, = baselines.from_runs(runs(), REASON, margin=0.05)
    assert made.margin == 0.05


def test_one_margin_for_two_metrics_is_refused():
    with pytest.raises(ConfigError, match='--margin .* performance and full'):
        baselines.from_runs(runs() + runs(PSNRS, PSNR), REASON, margin=0.05)


@pytest.mark.parametrize('margin', [0, -0.1, float('nan')])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ConfigError, match='margin must be above 0'):
        baselines.from_runs(runs(), REASON, margin=margin)


def test_the_file_has_a_line_for_each_value_and_fact():
    text = baselines.to_json(promoted(runs()))
    assert ' "unit": "images/s",\n' in text
    for value in SPEEDS:
        assert f'\n  {value}' in text
    assert '\n  "preset": "smoke",\n' in text


def test_the_name_stays_while_the_conditions_do_and_changes_with_them():
    name = promoted(runs()).name
    assert name.startswith('smoke-performance-')
    assert promoted(runs([30.0] * 5)).name == name
    assert promoted(runs(driver='23.0')).name != name


def test_a_folder_without_baselines_holds_none(tmp_path):
    (tmp_path / 'README.md').write_text('no baseline')
    assert baselines.load_all(str(tmp_path)) == ()
    assert baselines.load_all(str(tmp_path / 'absent')) == ()


# --- what it is compared with ---------------------------------------------------------------------

@pytest.mark.parametrize('fact', ['device_model', 'cpu_model', 'cpus', 'threads', 'tensorflow',
                                  'driver', 'cann', 'log_freq', 'device_kind'])
def test_speed_depends_on_the_machine_and_accuracy_does_not(fact):
    elsewhere = {**FACTS, fact: 'another'}
    named = differing(promoted(runs()).match, elsewhere)
    assert named == [f'{fact} ({FACTS[fact]} there, another here)']
    assert differing(promoted(runs(PSNRS, PSNR)).match, elsewhere) == []


@pytest.mark.parametrize('fact', ['preset', 'scale', 'batch_size', 'max_step', 'learning_rate',
                                  'data', 'precision_mode', 'loss_scale', 'patch_size'])
@pytest.mark.parametrize('metric, values', [(SPEED, SPEEDS), (PSNR, PSNRS)])
def test_both_depend_on_what_was_trained(metric, values, fact):
    named = differing(promoted(runs(values, metric)).match, {**FACTS, fact: 'another'})
    assert [line.split()[0] for line in named] == [fact]


@pytest.mark.parametrize('fact', ['seed', 'commit', 'host', 'python', 'system', 'memory_gib',
                                  'device'])
def test_neither_depends_on_the_seed_or_on_who_ran_it(fact):
    made = promoted(runs())
    assert fact not in made.match
    assert differing(made.match, {**FACTS, fact: 'another'}) == []


# --- what is refused ------------------------------------------------------------------------------

def test_no_runs_make_no_baseline():
    with pytest.raises(ConfigError, match='no runs to make a baseline from'):
        baselines.from_runs([], REASON)


def test_a_run_with_a_fault_is_refused_by_name():
    spoiled = dataclasses.replace(runs()[3], fault='exit status 7')
    with pytest.raises(ConfigError, match='performance-4 cannot be part of a baseline: exit stat'):
        promoted(runs()[:3] + [spoiled])


@pytest.mark.parametrize('value, metric, name', [
    (None, SPEED, 'images_per_s'), (0.0, SPEED, 'images_per_s'), (None, PSNR, 'psnr_db')])
def test_a_run_without_its_metric_is_refused(value, metric, name):
    with pytest.raises(ConfigError, match=f'it measured no {name}'):
        promoted(runs([32.0], metric) + [record(value, metric, 2)])


# An accuracy may be compared with that of another build of TensorFlow, which the sentence names
# then; a baseline made of both could not say which.
@pytest.mark.parametrize('metric, values, fact', [
    (SPEED, SPEEDS, 'driver'), (SPEED, SPEEDS, 'tensorflow'), (SPEED, SPEEDS, 'commit'),
    (PSNR, PSNRS, 'tensorflow'), (PSNR, PSNRS, 'commit')])
def test_a_run_under_other_conditions_is_refused_and_another_seed_is_not(metric, values, fact):
    assert len(promoted(runs(values, metric)).values) == 10
    with pytest.raises(ConfigError, match='-4 ran under other conditions than .*-1:'):
        promoted(runs(values, metric)[:3] + [
            record(32.0, metric, index=4, facts={'seed': 3, fact: 'another'})])


@pytest.mark.parametrize('text', [
    '', '{"schema": 1', '[]', '"text"', 'null', '{}', '\x00', '{"schema": 1, "case": "full"}'])
def test_a_damaged_file_is_named_in_one_line_with_what_to_do(tmp_path, text):
    path = tmp_path / 'torn.json'
    path.write_text(text)
    assert_refused(tmp_path, f'{path} is no baseline', 'restore it with git, or remove it')


def test_a_file_that_is_no_text_is_named_too(tmp_path):
    (tmp_path / 'torn.json').write_bytes(b'\xff\xfe\x00')
    assert_refused(tmp_path, 'torn.json is no baseline')


@pytest.mark.parametrize('changes, complaint', [
    ({'schema': 9}, 'schema 9, this harness reads 2: make the baseline anew'),
    ({'metric': 'joules'}, 'joules'),
    ({'values': []}, 'values must be positive numbers'),
    ({'values': [32.0, -1.0]}, 'values must be positive numbers'),
    ({'values': [32.0, float('nan')]}, 'values must be positive numbers'),
    ({'values': [32.0, float('inf')]}, 'values must be positive numbers'),
    ({'values': ['fast']}, 'is no baseline'),
    ({'values': [10 ** 400]}, 'is no baseline'),
    ({'values': None}, 'is no baseline'),
    ({'margin': 0}, 'margin must be above 0, and a share below 1, not 0'),
    ({'margin': 1.0}, 'margin must be above 0, and a share below 1, not 1.0'),
    ({'margin': float('nan')}, 'margin must be above 0'),
    ({'match': None}, 'is no baseline'),
])
def test_a_file_with_a_bad_value_is_refused(tmp_path, changes, complaint):
    path = saved(tmp_path, promoted(runs()), **changes)
    assert_refused(tmp_path, complaint, path.stem)


def assert_refused(folder, *complaints):
    with pytest.raises(ConfigError) as raised:
        baselines.load_all(str(folder))
    for complaint in complaints:
        assert complaint in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize('margin, is_refused', [(2.0, False), (float('inf'), True)])
def test_a_margin_in_decibel_may_be_above_1_but_has_an_end(tmp_path, margin, is_refused):
    saved(tmp_path, promoted(runs(PSNRS, PSNR)), margin=margin)
    if is_refused:
        assert_refused(tmp_path, 'margin must be above 0')
    else:
        assert baselines.load_all(str(tmp_path))[0].margin == margin


def test_a_bad_baseline_beside_good_ones_is_not_passed_over(tmp_path):
    saved(tmp_path, promoted(runs()))
    (tmp_path / 'zzz.json').write_text('{')
    assert_refused(tmp_path, 'zzz.json')


# --- from the command line ------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where promoted baselines go."""
    monkeypatch.setattr(baselines, 'FOLDER', str(tmp_path / 'baselines'))
    return tmp_path / 'baselines'


def promote(reports, *args):
    return verbs.main(['baseline', 'promote', '--reports', str(reports), '--reason', REASON, *args])


def test_the_runs_of_the_newest_session_are_promoted(tmp_path, folder, capsys):
    for name, values in (('20260102T000000Z-cpu0', [16.0]), ('20260103T000000Z-cpu0', SPEEDS)):
        for run in runs(values):
            planned = dataclasses.replace(run.run, id=f'{name}-{run.run.index}')
            store.save_run(str(tmp_path), dataclasses.replace(run, session=name, run=planned))
        store.save_reports(str(tmp_path), Summary(session(case(), id=name), (), ()))
    assert promote(tmp_path) == 0
    made, = baselines.load_all(str(folder))
    assert sorted(made.values) == sorted(SPEEDS)
    assert made.reason == REASON
    assert capsys.readouterr().out.startswith('performance: 32 images/s, median of 10 runs -> ')
    with pytest.raises(ConfigError, match='1 runs show no spread: a baseline takes 3 at the least'):
        promote(tmp_path, '--session', '20260102T000000Z-cpu0')
    assert baselines.load_all(str(folder)) == (made,)
    with pytest.raises(ConfigError, match='no session absent'):
        promote(tmp_path, '--session', 'absent')


@pytest.mark.parametrize('args', [[], ['--session', 'absent']])
def test_where_there_are_no_runs_it_says_so(tmp_path, folder, args):
    with pytest.raises(ConfigError, match='run harness/run_all.py first'):
        promote(tmp_path, *args)
    assert not folder.exists()


@pytest.mark.parametrize('argv, complaint', [
    ([], 'baseline'), (['tidy'], 'tidy'), (['baseline'], 'show | learn | promote'),
    (['baseline', 'promote'], '--reason'), (['baseline', 'show', '--all'], '--all')])
def test_a_bad_request_is_refused(argv, complaint):
    with pytest.raises(ConfigError) as raised:
        verbs.main(argv)
    assert complaint in str(raised.value)


# --- curves, environment, older files -------------------------------------------------------------

LONG = tuple(50 * 0.95 ** i for i in range(40))


def test_it_holds_loss_curves_canary_and_environment_and_gives_them_back(tmp_path):
    records = [dataclasses.replace(r, measurement=measurement(images_per_s=v, losses=LONG))
               for r, v in zip(runs(), SPEEDS)]
    made, = baselines.from_runs(records, REASON, (0.01, 0.011))
    assert len(made.losses) == 10 and len(made.losses[0]) == 20
    assert (made.canary_s, made.wall_s) == ((0.01, 0.011), 61.5)
    assert made.environment['host'] == 'lab'
    path = saved(tmp_path, made)
    (tmp_path / path.name).write_text(baselines.to_json(made))
    assert baselines.load_all(str(tmp_path)) == (made,)
    # A curve a line: the file stays one that people can review.
    assert len(baselines.to_json(made).splitlines()) < 100


@pytest.mark.parametrize('reason', ['[CANN 8] is faster', 'faster [4 %]', '"["'])
def test_a_reason_may_hold_brackets_and_quotes(tmp_path, reason):
    made = dataclasses.replace(promoted(runs()), reason=reason)
    (tmp_path / f'{made.name}.json').write_text(baselines.to_json(made))
    assert baselines.load_all(str(tmp_path)) == (made,)


def test_a_file_of_the_first_schema_is_still_read(tmp_path):
    path = saved(tmp_path, promoted(runs()))
    stored = json.loads(path.read_text())
    for name in ('losses', 'canary_s', 'wall_s', 'environment', 'day', 'commit'):
        del stored[name]
    path.write_text(json.dumps({**stored, 'schema': 1, 'made': '2026-01-01 at 0123456789ab'}))
    old, = baselines.load_all(str(tmp_path))
    assert (old.values, old.losses, old.commit) == (SPEEDS, (), '0123456789ab')
    assert old.made == '2026-01-01 at 0123456789ab'


def test_a_disturbed_run_is_no_part_of_a_speed_and_may_be_of_an_accuracy():
    def noisy(records):
        return [dataclasses.replace(records[0], disturbance='others took 90 %'), *records[1:]]

    with pytest.raises(ConfigError, match='others took 90 %'):
        promoted(noisy(runs()))
    assert promoted(noisy(runs(PSNRS, PSNR))).values == PSNRS


def store_session(reports, records):
    for made in records:
        store.save_run(str(reports), made)
    store.save_reports(str(reports), Summary(session(case()), (), tuple(records)))


def test_runs_of_several_sessions_make_one_baseline(tmp_path, folder):
    names = []
    for day, run in enumerate(runs()[:4], 1):
        name = f'2026010{day}T000000Z-cpu0'
        planned = dataclasses.replace(run.run, id=f'{name}-performance-1')
        store.save_run(str(tmp_path), dataclasses.replace(run, session=name, run=planned))
        store.save_reports(str(tmp_path), Summary(
            session(case(), id=name, canary_s=(0.01 * day,)), (), ()))
        names += ['--run', planned.id]
    promote(tmp_path, *names)
    made, = baselines.load_all(str(folder))
    assert made.values == SPEEDS[:4]
    assert made.canary_s == pytest.approx((0.01, 0.02, 0.03, 0.04))


def test_runs_of_one_seed_make_no_baseline_of_an_accuracy_and_no_curves():
    def one_seed(records):
        return [dataclasses.replace(r, run=dataclasses.replace(r.run, seed=0)) for r in records]

    with pytest.raises(ConfigError, match='runs of one seed do not show how far seeds lie apart'):
        promoted(one_seed(runs(PSNRS, PSNR)))
    with_curves = [dataclasses.replace(r, measurement=measurement(images_per_s=v, losses=LONG))
                   for r, v in zip(runs(), SPEEDS)]
    assert promoted(with_curves).losses and not promoted(one_seed(with_curves)).losses


@pytest.mark.parametrize('args', [['--margin', '2'], ['--margin', '0'], ['--margin', 'nan']])
def test_a_margin_that_cannot_be_is_refused_before_anything_runs(tmp_path, folder, args):
    with pytest.raises(ConfigError, match='--margin must be above 0, and a share below 1'):
        verbs.main(['baseline', 'learn', '--kind', 'cpu', '--cases', 'performance', '--reason', 'x',
                    '--reports', str(tmp_path / 'reports'), *args])
    assert not (tmp_path / 'reports').exists()


def test_only_the_runs_named_are_promoted(tmp_path, folder):
    records = runs()
    store_session(tmp_path, records)
    named = [r.run.id for r in records[:6]]
    promote(tmp_path, *(part for name in named for part in ('--run', name)))
    assert baselines.load_all(str(folder))[0].values == SPEEDS[:6]
    with pytest.raises(ConfigError, match='no session absent'):
        promote(tmp_path, '--run', 'absent')
    with pytest.raises(ConfigError, match='leave --session out'):
        promote(tmp_path, '--run', named[0], '--session', records[0].session)
    with pytest.raises(ConfigError, match=f'no run {named[0]}x: ls .* shows those that are there'):
        promote(tmp_path, '--run', f'{named[0]}x')


def test_diff_before_the_first_run_compares_with_this_machine(tmp_path, folder, capsys):
    made, = baselines.from_runs(runs(), REASON)
    folder.mkdir()
    (folder / f'{made.name}.json').write_text(baselines.to_json(made))
    assert verbs.main(['baseline', 'diff', '--kind', 'cpu', '--reports', str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'differs in cpu_model (Kunpeng 920 (0xd01) there, ' in said
    assert 'preset' not in said.splitlines()[0]      # nothing has been trained: nobody knows


def test_diff_names_the_fields_that_differ_and_those_that_do_not_matter(tmp_path, folder, capsys):
    store_session(tmp_path, runs())
    promote(tmp_path)
    store_session(tmp_path, runs(driver='24.1', host='elsewhere'))
    capsys.readouterr()
    assert verbs.main(['baseline', 'diff', '--reports', str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'not compared, for it differs in driver (none there, 24.1 here)' in said
    assert 'host: lab there, elsewhere here' in said


def test_a_baseline_that_git_does_not_keep_is_not_retired(tmp_path, folder, capsys):
    store_session(tmp_path, runs())
    promote(tmp_path)
    made, = baselines.load_all(str(folder))
    with pytest.raises(ConfigError, match='no baseline absent'):
        verbs.main(['baseline', 'retire', 'absent'])
    with pytest.raises(ConfigError, match='is not committed as it is, so it would be lost'):
        verbs.main(['baseline', 'retire', made.name])
    assert baselines.load_all(str(folder)) == (made,)
