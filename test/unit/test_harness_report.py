# SPDX-License-Identifier: Apache-2.0
"""Records -> text, and the one writer."""

import csv
import dataclasses
import io
import json
import os
import re
import stat

import pandas
import pytest
from samples import PSNRS, baseline, case, measurement, pair, record, session

from harness import __main__ as verbs
from harness import evidence, files, store
from harness.errors import ConfigError, ParseError
from harness.history import History
from harness.judge import summarize
from harness.records import PSNR, SPEED, Certificate, Trial
from harness.report import document, markdown, tables
from harness.report.write import write

BASELINES = [baseline(), baseline(PSNRS, PSNR)]


def summarized(*records, baselines=BASELINES, ended=''):
    """The summary of these runs, judged with all of the error for one look."""
    metrics = {r.run.case.metric.name: r.run.case.metric for r in records}.values()
    return summarize(session(*map(case, metrics), baselines=baselines, ended=ended), records)


def report(*records, **how):
    return markdown.to_markdown(summarized(*records, **how))


def section(text, title):
    """The lines of a section, without the empty ones."""
    body = text.split(f'\n## {title}\n')[1].split('\n## ')[0].split('\n<details>')[0]
    return [line for line in body.splitlines() if line]


def folded(text, title):
    return text.split(f'<summary>{title}</summary>\n\n')[1].split('\n\n</details>')[0]


def cells(line):
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]


# --- summary.md -----------------------------------------------------------------------------------

def test_a_pass_reads_like_this():
    lines = report(record(32.0), record(32.0, PSNR)).splitlines()
    assert lines[0] == '# ✅ PASS: RCAN on cpu 0'
    assert lines[2] == (
        'performance is proven not worse than its baseline by more than 2.0 %: throughput +0.0 % '
        '(95 % interval -1.1 % to +1.1 %). full is proven not worse than its baseline by more than '
        '0.100 dB: PSNR +0.000 dB (95 % interval -0.047 dB to +0.047 dB).')
    assert cells(lines[4]) == ['verdict', 'case', 'metric', 'now', 'baseline', 'change (interval)',
                               'limit', 'runs']
    assert cells(lines[6]) == [
        '✅ PASS', 'performance', 'throughput', '32 images/s', '32 images/s',
        '+0.0 % (-1.1 % to +1.1 %)', '-2.0 %', '1 / 10']
    assert cells(lines[7]) == ['✅ PASS', 'full', 'PSNR', '32.000 dB', '32.000 dB',
                               '+0.000 dB (-0.047 dB to +0.047 dB)', '-0.100 dB', '1 / 10']
    assert section('\n'.join(lines), 'What to do') == ['Nothing.']


def test_a_regression_reads_like_this():
    text = report(record(28.0), record(32.0, PSNR))
    assert text.startswith(
        '# ❌ REGRESSION: RCAN on cpu 0\n\nperformance is slower than its baseline: throughput '
        '-12.5 % (95 % interval -13.4 % to -11.5 %), not confirmed side by side. full is proven ')
    assert section(text, 'Why') == [
        '- **performance** REGRESSION: 28 images/s is -12.5 % against 32 images/s (95 % interval '
        '-13.4 % to -11.5 %, Student t prediction, 1 run): worse by more than the limit of -2.0 %. '
        'A loss of 2.4 % would be seen 4 times in 5.',
        '- **full** PASS: 32.000 dB is +0.000 dB against 32.000 dB (95 % interval -0.047 dB to '
        '+0.047 dB, Student t prediction, 1 run): not worse than the limit of -0.100 dB. A loss '
        'of 0.119 dB would be seen 4 times in 5.']
    assert section(text, 'What to do') == [
        '- **performance**: Look at the last changes of the code and of the environment below.',
        '- **performance**: To find the change, compare with its parent: `python '
        'harness/run_all.py --device 0 --kind cpu --cases performance --against HEAD~1`']


def test_a_first_run_reads_like_this():
    text = report(record(32.0), baselines=[])
    assert text.startswith('# 🆕 NO_BASELINE: RCAN on cpu 0\n\nperformance cannot be compared yet: '
                           '32 images/s measured.\n\n')
    assert cells(text.splitlines()[6]) == ['🆕 NO_BASELINE', 'performance', 'throughput',
                                           '32 images/s', '-', '-', '-', '1']
    assert section(text, 'What to do') == [
        '- **performance**: Make one: `python -m harness baseline learn --runs 10 --device 0 '
        '--kind cpu --cases performance --reason "first baseline of this machine"`',
        '- **performance**: Or compare with an earlier revision, which needs none: `python '
        'harness/run_all.py --device 0 --kind cpu --cases performance --against HEAD~1`']


def test_a_failure_reads_like_this():
    text = report(record(None, fault='exit status 7 while loading',
                         last_lines=['one', 'two']), record(32.0, PSNR))
    assert text.startswith(
        '# ⛔ INVALID: RCAN on cpu 0\n\nperformance says nothing about the code: run 1 gave no '
        'measurement (exit status 7 while loading). full is proven not worse ')
    assert section(text, 'Why')[0] == (
        '- **performance** INVALID: No statement about the code: run 1 gave no measurement (exit '
        'status 7 while loading).')
    assert section(text, 'What to do') == [
        '- **performance**: See runs/20260102T030405Z-cpu0-performance-1/output.log',
        '- **performance**: Mend it and run again: `python harness/run_all.py --device 0 --kind '
        'cpu --cases performance`']
    assert '\n## performance, run 1: exit status 7 while loading\n' in text
    assert folded(text, 'The last 2 lines of its output') == '```text\none\ntwo\n```'


def test_an_interrupted_session_says_what_did_not_run():
    text = report(record(None, fault='interrupted after 5 s', interrupted=True),
                  ended='it was interrupted during performance, run 1')
    assert text.splitlines()[2].endswith(
        'The session ended early: it was interrupted during performance, run 1; what came after '
        'has not run.')
    assert 'The session ended early' not in report(record(32.0))


def test_a_session_in_which_all_crashed_is_reported_as_well():
    text = report(*(record(None, metric, fault='exit status 1') for metric in (SPEED, PSNR)))
    assert text.startswith('# ⛔ INVALID')
    assert len(section(text, 'Why')) == 2


def test_the_picture_of_the_last_evaluation_is_shown():
    made = [record(32.0, PSNR, index) for index in (1, 2)]
    assert '![' not in report(*made, baselines=[])
    shown = [dataclasses.replace(r, outcome=dataclasses.replace(
        r.outcome, picture_path=f'/somewhere/{r.run.id}/comparison.png')) for r in made]
    text = report(*shown, baselines=[])
    assert text.count('![') == 1
    assert f'](runs/{made[1].run.id}/comparison.png)' in text


def test_the_details_are_folded_and_complete():
    text = report(record(32.0, facts={'driver': '23.0'}), record(None, index=2, fault='hung'))
    assert re.findall('<summary>(.*)</summary>', text) == [
        'All metrics', 'Environment', 'How far to trust this']   # it printed nothing to be folded
    assert text.count('<details>') == text.count('</details>') == 3
    head, _, measured, hung = map(cells, folded(text, 'All metrics').splitlines())
    assert len(head) == len(measured) == len(hung) == 16
    assert dict(zip(head, measured)) == {
        'run': 'performance 1', 'seed': '0', 'images/s': '32', 'step (typical ± MAD)':
        '500.0 ± 1.0 ms', 'p95': '520.0 ms', 'outliers': '12.5 %', 'wall images/s': '31',
        'first step': '2.00 s', 'time to first step': '6.50 s', 'final loss': '4.5000',
        'PSNR': '32.000 dB', 'SSIM': '0.9000', 'bicubic PSNR': '31.537 dB',
        'peak memory': '512 MiB', 'mean CPU': '188 %', 'wall time': '62 s'}
    assert hung[2:13] == ['-'] * 11
    environment = folded(text, 'Environment')
    for row in ('| driver | 23.0 |', '| cpu_model | Kunpeng 920 (0xd01) |', '| preset | smoke |',
                '| command | run_all.py --device 0 |'):
        assert row in environment
    assert '| seed |' not in environment


def test_a_run_of_few_steps_has_a_dash_for_its_speed():
    few = dataclasses.replace(record(), measurement=measurement(
        step_s=None, step_mad_s=None, images_per_s=None, psnr_db=None, ssim=None,
        first_counted_step=None, step_p95_s=None, outlier_share=None))
    row = cells(folded(report(few), 'All metrics').splitlines()[2])
    assert row[2:7] == ['-', '-', '-', '-', '31']


def test_the_smallest_loss_to_be_seen_is_told_with_the_baseline():
    done = summarized(record(32.5))
    detectable = done.verdicts[0].comparison.detectable * 100
    assert ('- performance: with 1 run against 10 of the baseline smoke-sample (2026-01-01 at '
            '0123456789ab: the first), the smallest loss seen 4 times in 5 is '
            f'-{detectable:.1f} %; p = ') in folded(markdown.to_markdown(done),
                                                    'How far to trust this')


def test_the_terminal_gets_a_line_a_case_and_the_reports_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = markdown.closing_lines(summarized(record(28.0), record(32.0, PSNR)),
                                   str(tmp_path / 'r'))
    assert [line.split(':')[0] for line in lines] == ['REGRESSION   performance',
                                                      'PASS         full', 'report', 'page']
    assert lines[2] == f'report: {os.path.join("r", "summary.md")}'


def test_each_case_is_held_against_its_own_baselines_environment():
    trained = dataclasses.replace(baseline(PSNRS, PSNR), environment={'learning_rate': 0.002})
    text = report(record(32.0), record(32.0, PSNR, facts={'learning_rate': 0.002}),
                  baselines=[trained])
    assert '| learning_rate | 0.001 | 0.002 |  |' in folded(text, 'Environment')
    text = report(record(32.0), record(32.0, PSNR), baselines=[trained])
    assert '| learning_rate | 0.001 | 0.002 | differs |' in folded(text, 'Environment')


def test_the_old_arms_picture_is_never_shown_as_this_codes():
    old, new = (dataclasses.replace(r, outcome=dataclasses.replace(
        r.outcome, picture_path='comparison.png')) for r in pair(32.0, 32.0, metric=PSNR))
    done = summarize(session(case(PSNR), against='aaaaaaaaaaaa', max_runs=3), [new, old])
    assert f'](runs/{new.run.id}/comparison.png)' in markdown.to_markdown(done)


def test_a_damaged_history_costs_no_verdict(tmp_path, capsys):
    saved(tmp_path, record(28.0))
    (tmp_path / 'history.sqlite').write_text('no database at all, but long enough to be one' * 99)
    assert verbs.main(['judge', '--reports', str(tmp_path)]) == 1
    assert 'the page shows the runs of this session only' in capsys.readouterr().err


# --- text from elsewhere --------------------------------------------------------------------------

HOSTILE = '<script>alert(1)</script> | <b>\n\n# PASS\n```'


def with_advice(done, *advice):
    return dataclasses.replace(done, verdicts=[
        dataclasses.replace(v, advice=advice) for v in done.verdicts])


def outside_of_fences(text):
    return re.sub(r'(?ms)^```text$.*?^```$', '', text)


def test_log_lines_cannot_break_out_of_their_fence():
    text = report(record(None, fault='exit status 1',
                         last_lines=['```', '~~~', '  ````', '# PASS', '</details>', '<script>']))
    fence = folded(text, 'The last 6 lines of its output')
    assert fence.startswith('```text\n') and fence.endswith('\n```')
    assert fence.count('```') == 2
    assert '# PASS' in fence and '<script>' in fence
    assert '<script>' not in outside_of_fences(text)
    assert outside_of_fences(text).count('</details>') == outside_of_fences(text).count('<details>')


@pytest.mark.parametrize('hostile', [
    lambda: report(record(None, fault=HOSTILE)),
    lambda: report(record(32.0, facts={'driver': HOSTILE})),
    lambda: report(record(32.0), baselines=[baseline(driver=HOSTILE)]),
    lambda: report(record(32.0), baselines=[dataclasses.replace(baseline(), reason=HOSTILE)]),
    lambda: markdown.to_markdown(with_advice(summarized(record(32.0)), HOSTILE)),
], ids=['fault', 'fact', 'match', 'reason', 'advice'])
def test_text_from_elsewhere_neither_renders_nor_ends_a_line(hostile):
    text = hostile()
    assert '&lt;script>alert(1)&lt;/script>' in text
    assert '<script' not in text and '<b>' not in text
    assert '\n# PASS' not in text


@pytest.mark.parametrize('value, cell', [
    ('a|b', r'a\|b'), ('a\\|b', r'a\\\|b'), ('a\nb\r\nc', 'a b c'), ('<br>', '&lt;br>')])
def test_a_cell_stays_one_cell_in_one_line(value, cell):
    rows = folded(report(record(32.0, facts={'driver': value})), 'Environment').splitlines()
    assert f'| driver | {cell} |' in rows


def test_text_from_elsewhere_is_no_link_no_picture_and_no_command_to_a_terminal():
    text = report(record(None, fault='![x](http://example.org/x.png) \x1b[2J',
                         last_lines=['\x1b]0;']))
    assert '![x](' not in text and '!\\[x](http' in text
    assert '\x1b' not in text and '\\x1b' in text and '\\x1b]0;' in text


# --- CSV ------------------------------------------------------------------------------------------

RESULTS = ['session', 'run', 'case', 'arm', 'seed', 'fault', 'disturbance', 'images_per_s',
           'step_s', 'step_mad_s',
           'wall_images_per_s', 'first_step_s', 'time_to_first_step_s', 'final_loss', 'psnr_db',
           'ssim', 'bicubic_psnr_db', 'steps', 'first_counted_step', 'steady', 'step_p95_s',
           'outlier_share', 'accuracy', 'steps_per_s', 'reported_ActualFPS',
           'reported_TrainAccuracy', 'reported_TrainingTime', 'reported_ActualLoss', 'wall_s',
           'peak_memory_mib',
           'mean_cpu_percent', 'foreign_cpu_percent', 'foreign_threads', 'steal_percent',
           'throttled_percent', 'device', 'commit']
VERDICTS = ['case', 'metric', 'unit', 'verdict', 'value', 'runs', 'baseline', 'difference', 'low',
            'high', 'p_value', 'confidence', 'against', 'margin', 'baseline_runs',
            'baseline_name', 'reason']


def read_back(text):
    return pandas.read_csv(io.StringIO(text))


def test_results_csv_has_a_row_a_run():
    rows = read_back(tables.results_csv(
        summarized(record(31.5), record(None, index=2, fault='hung'))))
    assert list(rows.columns) == RESULTS
    assert list(rows.run) == [f'20260102T030405Z-cpu0-performance-{i}' for i in (1, 2)]
    assert rows.images_per_s[0] == 31.5 and pandas.isna(rows.images_per_s[1])
    assert pandas.isna(rows.fault[0]) and rows.fault[1] == 'hung'
    assert (rows.steps_per_s[0], rows.steps[0], rows.seed[1]) == (2, 12, 1)
    assert list(rows.peak_memory_mib) == [512, 512]
    assert set(rows.commit) == {'0123456789ab'}


def test_verdicts_csv_has_a_row_a_gate():
    done = summarized(record(28.0), record(32.0, PSNR))
    rows = read_back(tables.verdicts_csv(done))
    assert list(rows.columns) == VERDICTS
    assert list(rows.verdict) == ['REGRESSION', 'PASS']
    assert list(rows.unit) == ['images/s', 'dB']
    assert list(rows.baseline_runs) == [10, 10]
    assert rows.difference[0] == pytest.approx(-0.125, abs=1e-3)
    assert rows.low[0] == pytest.approx(done.verdicts[0].comparison.low)
    assert rows.reason[0] == done.verdicts[0].reason


def test_a_verdict_without_a_baseline_has_empty_cells():
    rows = read_back(tables.verdicts_csv(summarized(record(32.0), baselines=[])))
    assert list(rows.columns) == VERDICTS
    assert rows.value[0] == 32.0
    assert rows[['baseline', 'difference', 'low', 'high', 'margin', 'baseline_name']].isna().all(
        axis=None)


@pytest.mark.parametrize('fault', ['=cmd|calc', '+1+1', '-2+3', '@SUM(A1)', '\t=1', '\r=1', ' =1'])
def test_no_text_in_a_csv_file_is_a_formula(fault):
    done = summarized(record(None, fault=fault))
    done = dataclasses.replace(done, verdicts=[
        dataclasses.replace(done.verdicts[0], reason=fault)])
    for text in (tables.results_csv(done), tables.verdicts_csv(done)):
        row = next(csv.DictReader(io.StringIO(text, newline='')))
        assert row.get('fault', row.get('reason')) == f"'{fault.strip()}"


def test_a_loss_is_still_a_number_in_the_csv_file():
    assert read_back(tables.verdicts_csv(summarized(record(28.0)))).difference[0] < 0


@pytest.mark.parametrize('fault', ['a,b', 'say "no"', "it's", 'ümlaut ✅', '1 = 1'])
def test_csv_text_comes_back_as_it_was(fault):
    assert read_back(tables.results_csv(summarized(record(None, fault=fault)))).fault[0] == fault


def test_a_row_of_a_csv_file_is_one_line():
    text = tables.results_csv(summarized(record(None, fault='two\nlines\r,\ra\x0btab')))
    assert len(text.splitlines()) == 2
    assert read_back(text).fault[0] == 'two lines , a tab'


# --- JSON -----------------------------------------------------------------------------------------

def strictly(text):
    """JSON without Python's extensions."""
    def refuse(constant):
        raise AssertionError(f'{constant} is no JSON')
    return json.loads(text, parse_constant=refuse)


def test_summary_json_is_the_reports_model_without_the_raw_steps():
    done = summarized(record(28.0), record(None, PSNR, fault='hung'))
    stored = strictly(document.summary_json(done))
    assert stored['schema'] == document.SCHEMA
    assert [v['status'] for v in stored['verdicts']] == ['REGRESSION', 'INVALID']
    assert stored['verdicts'][0]['comparison']['now'] == pytest.approx(28)
    measured = stored['records'][0]['measurement']
    assert measured['images_per_s'] == 28.0
    assert not {'step_seconds', 'losses'} & set(measured)
    assert stored['records'][1]['measurement'] is None


@pytest.mark.parametrize('number', [float('nan'), float('inf'), float('-inf')])
def test_numbers_that_json_does_not_know_become_null(number):
    strange = dataclasses.replace(record(facts={'learning_rate': number}),
                                  measurement=measurement(bicubic_psnr_db=number))
    stored = strictly(document.summary_json(summarized(strange)))['records'][0]
    assert stored['measurement']['bicubic_psnr_db'] is stored['facts']['learning_rate'] is None
    assert strictly(document.to_json(strange))['measurement']['bicubic_psnr_db'] is None


@pytest.mark.parametrize('made', [
    record(31.25), record(32.0, PSNR, 3),
    record(None, fault='exit status 7', last_lines=['é', '<', '\udcff']),
    record(None, fault='interrupted after 5 s', interrupted=True),
    dataclasses.replace(record(), load=None),
    dataclasses.replace(record(), fault='asked for the npu'),
])
def test_run_json_gives_the_same_record_again(made):
    assert document.run_from_json(document.to_json(made), 'run.json') == made


@pytest.mark.parametrize('text', ['', '{', 'null', '[]', '{}', '{"schema": 1}',
                                  document.to_json(record()).replace('"schema": 5', '"schema": 9'),
                                  document.to_json(record()).replace('"images_per_s"', '"joules"'),
                                  document.to_json(record()).replace('"wall_s"', '"wall"')])
def test_what_is_no_record_is_named(text):
    with pytest.raises(ParseError, match=r'runs/1/run\.json is no record of a run'):
        document.run_from_json(text, 'runs/1/run.json')


# --- files ----------------------------------------------------------------------------------------

def test_a_session_is_five_files_that_agree(tmp_path):
    store.save_reports(str(tmp_path), summarized(record(28.0)))
    names = {'junit.xml', 'results.csv', 'summary.json', 'summary.md', 'verdicts.csv'}
    assert set(os.listdir(str(tmp_path))) == names | {'runs'}
    for name in names:
        assert ('REGRESSION' in (tmp_path / name).read_text()) == (name != 'results.csv')


def saved(reports, *records, **changes):
    """A session of these runs on the disk, with its reports."""
    done = summarized(*records)
    done = dataclasses.replace(done, session=dataclasses.replace(done.session, **changes))
    for made in records:
        store.save_run(str(reports), made)
    store.save_reports(str(reports), done)
    return done


def test_saved_runs_are_found_again_the_newest_session_first(tmp_path):
    old = dataclasses.replace(record(), session='20250101T000000Z-cpu0')
    old = dataclasses.replace(old, run=dataclasses.replace(old.run, id=f'{old.session}-full-1'))
    saved(tmp_path, old, id=old.session)
    done = saved(tmp_path, record(), record(index=2))
    assert store.load(str(tmp_path)) == (done.session, [record(), record(index=2)])
    assert store.load(str(tmp_path), old.session)[1] == [old]


@pytest.mark.parametrize('records, changes', [
    ([record(28.0), record(32.0, PSNR)], {}),
    ([record(None, fault='hung', last_lines=['the', 'end'])], {'ended': 'it was interrupted'}),
    (pair(32.0, 31.9) + pair(32.1, 32.0, 2) + pair(32.0, 32.1, 3), {'against': 'aaaaaaaaaaaa'}),
    ([record(32.0)], {'canary_s': (0.01, 0.011), 'certificate': Certificate(
        '2026-01-01', '0123456789ab', {'cpus': 4}, (Trial(0.0, ('PASS',), (3,)),), 0.01, 14.5,
        (0.01, 0.012))}),
])
@pytest.mark.parametrize('named', ['{session}.json', '{run}'])
def test_the_reports_are_made_again_from_the_records_byte_for_byte(tmp_path, capsys, records,
                                                                   changes, named):
    records.sort(key=lambda r: r.run.id)   # they all began in the same second
    done = saved(tmp_path, *records, **changes)
    store.save_all(str(tmp_path), summarize(done.session, records),
                   list(map(evidence.entry, records)))
    reports = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert (tmp_path / 'index.html') in reports
    for path in (*tmp_path.glob('*.*'), *tmp_path.glob('plots/*')):
        path.unlink()
    verbs.main(['judge', str(tmp_path / 'runs' / named.format(session=done.session.id,
                                                              run=records[0].run.id))])
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == reports


def test_a_stored_session_is_reported_again_in_chinese_and_for_another_tool(tmp_path, capsys):
    saved(tmp_path, record(28.0))
    values = tmp_path / 'values.json'
    assert verbs.main(['report', '--reports', str(tmp_path), '--lang', 'zh', '--export',
                       str(values)]) == 0   # a regression, but nobody asked for the verdict
    assert '## 接下来做什么' in (tmp_path / 'summary.md').read_text()
    assert json.loads(values.read_text())[0]['value'] == pytest.approx(28.0)
    assert [line.split(':')[0] for line in capsys.readouterr().out.splitlines()] == [
        'report', 'page']
    assert verbs.main(['judge', '--reports', str(tmp_path)]) == 1
    assert '## What to do' in (tmp_path / 'summary.md').read_text()


def test_the_page_shows_the_runs_of_the_session_where_no_history_was_kept(tmp_path):
    saved(tmp_path, record(28.0))
    verbs.main(['report', '--reports', str(tmp_path)])
    assert f'"{record().run.id}"' in (tmp_path / 'index.html').read_text()
    assert not (tmp_path / 'history.sqlite').exists()


def test_the_page_shows_the_history_that_is_named(tmp_path):
    saved(tmp_path, record(28.0))
    elsewhere = f'sqlite:///{tmp_path / "of-all.sqlite"}'
    other = dataclasses.replace(evidence.entry(record()), run='a run of another machine')
    with History(elsewhere) as kept:
        kept.add(other, '{}')
    verbs.main(['report', '--reports', str(tmp_path), '--history', elsewhere])
    assert 'a run of another machine' in (tmp_path / 'index.html').read_text()


def test_the_history_is_a_page_of_its_own_that_a_browser_opens(tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr('webbrowser.open', opened.append)
    with History(f'sqlite:///{tmp_path / "history.sqlite"}') as kept:
        kept.add(evidence.entry(record()), '{}')
    assert verbs.main(['history', '--open', '--reports', str(tmp_path)]) == 0
    page = tmp_path / 'history.html'
    assert opened == [page.as_uri()]
    assert capsys.readouterr().out == f'page: {os.path.relpath(str(page))}\n'
    assert record().run.id in page.read_text()


@pytest.mark.parametrize('of', ['runs/*/run.json', 'runs/*.json'])
def test_a_damaged_record_is_named(tmp_path, of):
    saved(tmp_path, record())
    path, = tmp_path.glob(of)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ParseError, match=re.escape(str(path))):
        store.load(str(tmp_path))


def test_a_certified_machine_is_quoted_and_another_says_that_it_is_not():
    made = Certificate('2026-01-01', '0123456789ab', {}, (
        Trial(0.0, ('PASS', 'INCONCLUSIVE', 'IMPROVED'), (3, 7, 3)),
        Trial(0.05, ('REGRESSION', 'REGRESSION', 'INVALID'), (3, 3, 7))), 0.01, 14.5, (),
        'performance --max_step=20')
    done = summarized(record(32.0))
    assert 'This machine has not been certified' in markdown.to_markdown(done)
    done = dataclasses.replace(done, session=dataclasses.replace(done.session, certificate=made))
    assert ('On this machine 1 of 3 quiet comparisons alarmed, 1 without an answer (3 pairs); 5 % '
            'slowdowns were caught 2 times of 3, 1 without an answer (3 pairs). Pairs are medians; '
            'tried 2026-01-01 at 0123456789ab with performance --max_step=20, here or '
            ) in markdown.to_markdown(done)


def test_the_environment_of_the_baseline_stands_beside_this_one():
    known = dataclasses.replace(baseline(), environment={'host': 'elsewhere', 'cpus': 4})
    done = summarize(session(case(), baselines=[known]), [record(32.0)])
    table = folded(markdown.to_markdown(done), 'Environment')
    assert table.startswith('| what | here | baseline of performance |')
    assert '| host | lab | elsewhere |' in table and '| python | 3.7.16 |  |' in table


def test_a_canary_that_did_not_run_is_told():
    assert 'did not run, so a machine that changed would not have been seen.' in folded(
        report(record(32.0)), 'How far to trust this')


def test_pairs_are_told_with_the_revision_and_how_many_they_were():
    records = [r for i in (1, 2, 3) for r in pair(32.0, 32.0, i)]
    done = summarize(session(case(), against='aaaaaaaaaaaa', max_runs=3), records)
    row = cells(markdown.to_markdown(done).splitlines()[6])
    assert row[:6] == ['✅ PASS', 'performance', 'throughput', '32 images/s',
                       '32 images/s (aaaaaaaaaaaa)', '+0.0 % (+0.0 % to +0.0 %)']
    assert row[6:] == ['-2.0 %', '3 pairs']
    text = markdown.to_markdown(done)
    assert [cells(line)[0] for line in folded(text, 'All metrics').splitlines()[2:4]] == [
        'performance 1 old', 'performance 1 new']
    assert '| commit | 0123456789ab |' in folded(text, 'Environment')   # of this checkout


def test_a_folder_that_cannot_be_made_is_a_bad_request(tmp_path):
    (tmp_path / 'runs').write_text('a file')
    with pytest.raises(ConfigError, match='choose another place with --reports'):
        store.make_run_folder(str(tmp_path), '1')


def test_no_runs_folder_is_used_twice(tmp_path):
    assert os.path.isdir(store.make_run_folder(str(tmp_path), '1'))
    with pytest.raises(ConfigError):
        store.make_run_folder(str(tmp_path), '1')


@pytest.mark.parametrize('text', ['', 'naïve ✅\n', 'two\r\nlines\n'])
def test_written_text_is_there_with_the_usual_rights(tmp_path, text):
    path = tmp_path / 'new' / 'summary.md'
    write(str(path), text)
    assert path.read_bytes() == text.encode()
    (tmp_path / 'other').write_text('')
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / 'other').stat().st_mode)


def test_text_with_half_a_character_is_written_too(tmp_path):
    write(str(tmp_path / 'summary.md'), 'before \udcff after')
    assert (tmp_path / 'summary.md').read_text() == 'before \\udcff after'


@pytest.mark.parametrize('failing', ['os.replace', 'os.fsync', 'os.chmod'])
@pytest.mark.parametrize('error', [OSError('no space left'), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing, error):
    def fail(*_):
        raise error
    path = tmp_path / 'summary.md'
    path.write_text('old')
    monkeypatch.setattr(failing, fail)
    with pytest.raises(type(error)):
        write(str(path), 'new')
    monkeypatch.undo()
    assert path.read_text() == 'old'
    assert os.listdir(str(tmp_path)) == ['summary.md']


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls, replace = [], os.replace
    monkeypatch.setattr(os, 'fsync', lambda file: calls.append(os.fstat(file).st_size))
    monkeypatch.setattr(os, 'replace', lambda *paths: calls.append(replace(*paths)))
    write(str(tmp_path / 'summary.md'), 'text')
    assert calls == [4, None]   # with all its bytes


def test_writing_leaves_the_umask_as_it_was_and_heeds_it(tmp_path):
    before = os.umask(0o027)
    try:
        write(str(tmp_path / 'summary.md'), 'text')
    finally:
        during = os.umask(before)
    assert during == 0o027
    assert stat.S_IMODE((tmp_path / 'summary.md').stat().st_mode) == 0o640


@pytest.mark.parametrize('data, expected', [
    (b'a\r\nb\n', ['a', 'b']), (b'a\0b', ['a\0b']), (b'\xff\n', ['\ufffd']), (b'', [])])
def test_a_log_is_read_whatever_its_bytes(tmp_path, data, expected):
    (tmp_path / 'log').write_bytes(data)
    assert list(files.lines(str(tmp_path / 'log'))) == expected
    assert files.read(str(tmp_path / 'absent')) == ''


# --- where the time went --------------------------------------------------------------------------

def sentence(**changes):
    """What stands below the table of all metrics."""
    text = report(dataclasses.replace(record(), measurement=measurement(**changes)))
    return folded(text, 'All metrics').partition('\n\n')[2]


def test_a_run_whose_two_throughputs_agree_has_no_sentence():
    assert sentence() == sentence(wall_images_per_s=32 * 0.951) == sentence(images_per_s=None) == ''


def test_a_wall_throughput_far_below_the_step_times_says_where_the_time_went():
    assert sentence(wall_images_per_s=10.0, phases_s={
        'first step': 2.0, 'saving': 3.1, 'evaluation': 12.0, 'input wait': 1.25, 'steps': 5.5,
        'other': 0.01}) == (
        "performance 1: wall throughput is 69 % below the step time's: evaluation took 12.0 s, "
        'saving took 3.1 s, steps beyond their median took 1.2 s, the steps waited 1.2 s for '
        'input, the first step took 2.0 s and counts in neither.')


def test_a_wall_throughput_above_the_step_times_is_told_as_well():
    assert sentence(wall_images_per_s=40.0).startswith(
        "performance 1: wall throughput is 25 % above the step time's: saving took 0.1 s, ")


def test_a_log_without_phases_leaves_the_disagreement_unexplained():
    assert sentence(wall_images_per_s=16.0, phases_s={}) == (
        "performance 1: wall throughput is 50 % below the step time's.")


def test_a_run_that_never_got_steady_says_so():
    assert sentence(steady=False) == (
        'performance 1: the step time never got steady: all after the least warm-up count.')


def test_a_run_json_of_before_these_fields_still_loads():
    stored = json.loads(document.to_json(record()))
    for name in ('first_counted_step', 'steady', 'step_p95_s', 'outlier_share', 'phases_s'):
        del stored['measurement'][name]
    measured = document.run_from_json(json.dumps(stored), 'run.json').measurement
    assert (measured.first_counted_step, measured.steady, measured.phases_s) == (None, True, {})
    assert document.run_from_json(document.to_json(record()), 'run.json') == record()
