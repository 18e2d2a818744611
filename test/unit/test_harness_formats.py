# SPDX-License-Identifier: Apache-2.0
"""Records -> what other programs read: JUnit, GitHub's formats, JSON by its schema, CSV."""

import copy
import csv
import dataclasses
import io
import json
import re
import typing
from pathlib import Path
from xml.parsers import expat

import junitparser
import pandas
import pytest
from jsonschema import Draft202012Validator
from samples import PSNRS, baseline, case, measurement, pair, record, session

from harness import records
from harness.judge import summarize
from harness.records import (
    METRICS,
    PSNR,
    Arm,
    Certificate,
    Detail,
    Picture,
    Status,
    Summary,
    Telemetry,
    Trial,
    Turn,
)
from harness.report import document, export, github, junit, tables

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / 'harness/report/summary.schema.json').read_text(encoding='utf-8'))
VALIDATOR = Draft202012Validator(SCHEMA)
BASELINES = (baseline(), baseline(PSNRS, PSNR))
# Escape sequences, NUL, lone surrogates, what ends a CDATA section, noncharacters, all line ends.
HOSTILE = 'a\x00\x1b[31m\udcff]]><!--&lt;\ufffe\r\n::error::b\x85\u2028%0A,:\x0b=1'


def summarized(*made, baselines=BASELINES, **changes):
    """The summary of these runs, judged with all of the error for one look."""
    metrics = {r.run.case.metric.name: r.run.case.metric for r in made}.values()
    of = session(*map(case, metrics), baselines=baselines)
    return summarize(dataclasses.replace(of, **changes), made)


def crashed(*last_lines, fault='exit status 7', **how):
    return record(None, fault=fault, last_lines=last_lines, **how)


def evaluated(picture_path='/somewhere/comparison.png'):
    """A run with all that a record can hold."""
    made = record(32.0, PSNR)
    telemetry = Telemetry((0.0,), (150.0,), (None,), (512.0,), (None,), (None,), (None,), (None,))
    return dataclasses.replace(
        made, telemetry=telemetry, outcome=dataclasses.replace(
            made.outcome, picture_path=picture_path, turns=(Turn(2, 5),)),
        measurement=measurement(psnr_curve=((6, 31.0), (12, 32.0)), picture=Picture(
            96, 4, (Detail('0801', (30.0, 31.5, 32.0, None)),))))


PAIRS = pair(32.0, 31.9) + pair(32.1, 32.0, 2) + pair(32.0, 32.1, 3)
KINDS = {
    'PASS': summarized(record(32.0), evaluated()),
    'IMPROVED': summarized(record(36.0)),
    'NO_BASELINE': summarized(record(32.0), baselines=()),
    'INCONCLUSIVE': summarized(record(31.5)),
    'REGRESSION': summarized(record(28.0), record(32.0, PSNR)),
    'INVALID': summarized(crashed(HOSTILE), record(32.0, PSNR)),
    'pairs': summarized(*PAIRS, against='aaaaaaaaaaaa'),
    'interrupted': summarized(crashed(interrupted=True), ended='it was interrupted',
                              unconfirmed={'performance': 'no such commit'}),
    'not begun': summarize(session(case(), ended='the budget is spent'), ()),
    'certified': summarized(record(32.0), canary_s=(0.01, 0.011), certificate=Certificate(
        '2026-01-01', '0123456789ab', {'cpus': 4}, (Trial(0.0, ('PASS', 'INVALID'), (3, 7)),),
        0.01, 14.5, (0.01, 0.012))),
}
each_kind = pytest.mark.parametrize('kind', list(KINDS))


def test_there_is_a_sample_of_every_verdict():
    for status in Status:
        assert KINDS[status.value].verdicts[0].status is status


# --- junit.xml ------------------------------------------------------------------------------------

def suite_of(summary):
    """As a real consumer reads it."""
    suite, = junitparser.JUnitXml.fromstring(junit.to_junit(summary).encode('utf-8'))
    return suite


@each_kind
def test_junit_has_a_case_a_gate_with_counts_that_agree(kind):
    suite = suite_of(KINDS[kind])
    verdicts = KINDS[kind].verdicts
    assert [(c.classname, c.name) for c in suite] == [
        (f'RCAN.{v.case}', v.metric.label) for v in verdicts]
    counted = suite.tests, suite.failures, suite.errors, suite.skipped
    suite.update_statistics()
    assert counted == (suite.tests, suite.failures, suite.errors, suite.skipped)
    assert suite.tests == len(verdicts) > 0


@pytest.mark.parametrize('status, result', [
    ('PASS', None), ('IMPROVED', None), ('NO_BASELINE', junitparser.Skipped),
    ('INCONCLUSIVE', junitparser.Skipped), ('REGRESSION', junitparser.Failure),
    ('INVALID', junitparser.Error)])
def test_junit_passes_only_what_is_proven_and_fails_only_what_is_worse(status, result):
    verdict = KINDS[status].verdicts[0]
    found = next(iter(suite_of(KINDS[status]))).result
    if result is None:
        assert found == []
    else:
        assert [type(r) for r in found] == [result]
        assert (found[0].type, found[0].message) == (status, verdict.reason)
        assert found[0].text == '\n'.join((verdict.reason, *verdict.advice))


def test_junit_tells_the_time_of_all_runs_of_a_case():
    suite = suite_of(summarized(record(32.0), record(32.0, index=2), record(32.0, PSNR)))
    assert [c.time for c in suite] == [123.0, 61.5]
    assert suite.time == 184.5


def test_junit_says_of_which_session_device_and_commit_it_is():
    suite = suite_of(KINDS['PASS'])
    assert suite.name == 'RCAN on cpu 0'
    assert {p.name: p.value for p in suite.properties()} == {
        'session': '20260102T030405Z-cpu0', 'device': 'cpu:0', 'commit': '0123456789ab'}


def test_junit_keeps_the_last_lines_of_a_failed_run_and_the_reason_of_a_passed_one():
    failed, = suite_of(summarized(crashed('first', 'last')))
    assert failed.system_out == (
        '20260102T030405Z-cpu0-performance-1: exit status 7\nfirst\nlast')
    passed = next(iter(suite_of(KINDS['PASS'])))
    assert passed.system_out == f'PASS: {KINDS["PASS"].verdicts[0].reason}'


def test_junit_is_well_formed_whatever_a_log_holds():
    every = ''.join(map(chr, range(0x3000))) + '\ud800\udfff\ufffe\uffff]]>\U0010ffff'
    for text in (HOSTILE, every):
        xml = junit.to_junit(summarized(crashed(text, fault=text), record(32.0, PSNR)))
        expat.ParserCreate().Parse(xml.encode('utf-8'), True)   # raises where it is not
        assert len(junitparser.JUnitXml.fromstring(xml.encode('utf-8'))) == 1


def test_junit_shows_what_xml_cannot_hold():
    failed, = suite_of(summarized(crashed('\x1b[31m\x00\udcff]]>\r&<ü✅')))
    assert failed.system_out.endswith('\n\\x1b[31m\\x00\\udcff]]>\\r&<ü✅')


# --- GitHub ---------------------------------------------------------------------------------------

def obeyed(line):
    """A workflow command as the runner reads it: level, title, message."""
    level, title, message = re.fullmatch('::(error|warning|notice) title=([^:,]*)::(.*)',
                                         line).groups()
    title = title.replace('%3A', ':').replace('%2C', ',')
    return (level, *(text.replace('%0D', '\r').replace('%0A', '\n').replace('%25', '%')
                     for text in (title, message)))


@pytest.mark.parametrize('status, level', [
    ('PASS', 'notice'), ('IMPROVED', 'notice'), ('NO_BASELINE', 'notice'),
    ('INCONCLUSIVE', 'warning'), ('REGRESSION', 'error'), ('INVALID', 'error')])
def test_an_annotation_a_verdict_says_what_and_why_and_what_to_do(status, level):
    verdicts, lines = KINDS[status].verdicts, github.annotations(KINDS[status])
    assert len(lines) == len(verdicts)
    assert obeyed(lines[0]) == (level, f'{status}: performance', '\n'.join(
        (verdicts[0].reason, *verdicts[0].advice)))


def test_text_from_elsewhere_gives_github_no_second_command():
    made = KINDS['PASS']
    made = dataclasses.replace(made, verdicts=[dataclasses.replace(
        made.verdicts[0], case=HOSTILE, reason=HOSTILE, advice=(HOSTILE, '%0A'))])
    line, = github.annotations(made)
    assert '\r' not in line and '\n' not in line
    shown = HOSTILE.replace('\udcff', '\\udcff')   # standard output takes no lone surrogate
    assert obeyed(line) == ('notice', f'PASS: {shown}', f'{shown}\n{shown}\n%0A')


def published(summary, **environ):
    appended = []
    lines = github.publish(summary, environ, lambda *said: appended.append(said))
    return lines, appended


def test_only_github_is_told():
    assert published(KINDS['PASS'], GITHUB_STEP_SUMMARY='/step') == ([], [])
    assert published(KINDS['PASS'], GITHUB_ACTIONS='true') == (
        github.annotations(KINDS['PASS']), [])
    lines, ((path, text),) = published(KINDS['PASS'], GITHUB_ACTIONS='true',
                                       GITHUB_STEP_SUMMARY='/step')
    assert (lines, path) == (github.annotations(KINDS['PASS']), '/step')
    assert text == github.step_summary(KINDS['PASS'])


def test_the_step_summary_is_the_report_without_pictures_that_github_cannot_find():
    text = github.step_summary(KINDS['PASS'])
    assert text.startswith('# ✅ PASS: RCAN on cpu 0\n')
    assert '## What to do' in text and 'All metrics' in text
    assert '](runs/' not in text and '](plots/' not in text
    assert text == github.step_summary(summarized(record(32.0), evaluated(picture_path='')))


def test_a_step_summary_is_never_above_a_mebibyte():
    short = github.step_summary(summarized(crashed('é' * 400000)))
    assert not short.startswith('>') and 'é' * 400000 in short
    for lines in (['é' * 700000], ['é' * 99] * 9999, ['é'] * 400000):
        text = github.step_summary(summarized(crashed(*lines)))
        assert text.startswith('> Too long for GitHub: the end is missing here')
        assert '\n\n# ⛔ INVALID: RCAN on cpu 0\n' in text and text.endswith('\n')
        assert len(text.encode('utf-8')) <= 2 ** 20


# --- github-action-benchmark ----------------------------------------------------------------------

def benchmarks(summary):
    return json.loads(export.to_benchmark_json(summary))


def test_a_benchmark_has_the_fields_that_github_action_benchmark_reads():
    first, second = benchmarks(summarized(record(31.9), record(32.1, index=2),
                                          record(32.5981, PSNR)))
    assert first == {
        'name': 'performance: throughput on cpu', 'unit': 'images/s', 'value': 31.9998,
        'range': '± 0.141', 'extra': first['extra']}
    assert re.match('PASS: 32 images/s is .*\nsession 20260102T030405Z-cpu0$', first['extra'])
    assert second == {'name': 'full: PSNR on cpu', 'unit': 'dB', 'value': 32.5981,
                      'extra': second['extra']}


def test_the_value_of_pairs_is_the_new_arms_with_the_spread_of_its_runs():
    made, = benchmarks(KINDS['pairs'])
    assert (made['value'], made['range']) == (31.9999, '± 0.1')


def test_a_spread_is_of_the_runs_that_the_value_is_of():
    disturbed = dataclasses.replace(record(16.0, index=3), disturbance='a compiler ran')
    made, = benchmarks(summarized(record(31.9), record(32.1, index=2), disturbed))
    assert (made['value'], made['range']) == (31.9998, '± 0.141')
    pairs = [dataclasses.replace(r, disturbance='a compiler ran' if i == 0 else '')
             for i, r in enumerate(pair(32.0, 16.0, 4) + PAIRS)]   # of the old arm alone
    made, = benchmarks(summarized(*pairs, against='aaaaaaaaaaaa'))
    assert made['value'] == 31.9999 and 'range' not in made


@pytest.mark.parametrize('made', [
    crashed(), dataclasses.replace(record(32.0), disturbance='a compiler ran')])
def test_what_says_nothing_of_the_code_is_no_benchmark(made):
    assert benchmarks(summarized(made)) == []
    assert [b['unit'] for b in benchmarks(summarized(made, record(32.0, PSNR)))] == ['dB']


# --- summary.json and its schema ------------------------------------------------------------------

OPEN = {'machine', 'facts', 'config', 'match', 'environment', 'phases_s', 'unconfirmed'}
LEFT_OUT = {('RunRecord', 'telemetry'), ('Measurement', 'step_seconds'), ('Measurement', 'losses')}
DEFINED = {name: made for name, made in SCHEMA['$defs'].items() if 'properties' in made}


def stored(kind):
    return json.loads(document.summary_json(KINDS[kind]))


def places(value, name=''):
    """Every object whose shape is ours, depth first."""
    if isinstance(value, dict) and name not in OPEN:
        yield value
        for key, inner in value.items():
            yield from places(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, name)


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@each_kind
def test_every_summary_is_as_its_schema_says(kind):
    VALIDATOR.validate(stored(kind))


def test_a_summary_with_a_field_less_or_more_is_not():
    found = {kind: stored(kind) for kind in ('PASS', 'certified')}
    tried = 0
    for whole in found.values():
        for place in places(whole):
            for key in [*place, 'surplus']:
                before = copy.copy(place)
                place.pop(key) if key in place else place.update(surplus=1)
                assert not VALIDATOR.is_valid(whole), f'{key} of {sorted(before)}'
                place.clear()
                place.update(before)
                tried += 1
        VALIDATOR.validate(whole)
    assert tried > 200


@pytest.mark.parametrize('path, wrong', [
    ('schema', 3), ('verdicts.0.status', 'FINE'), ('verdicts.0.value', '32.0'),
    ('verdicts.0.comparison.p_value', 1.5), ('session.device.kind', 'tpu'),
    ('records.0.outcome.wall_s', None), ('records.0.run.arm', 'left'), ('records.0.load', []),
    ('records.0.measurement.steady', 1), ('records.0.measurement.images_per_s', True),
    ('records.1.measurement.psnr_curve', [[6, 31.0, 1]]), ('records.1.last_lines', 'end'),
    ('session.variables', {'TOKEN': 'secret'})])
def test_a_summary_with_a_wrong_value_is_not(path, wrong):
    whole = place = stored('PASS')
    *outer, last = (int(key) if key.isdigit() else key for key in path.split('.'))
    for key in outer:
        place = place[key]
    assert last in place
    place[last] = wrong
    assert not VALIDATOR.is_valid(whole)


def of_summary(kind=Summary, seen=None):
    """Every record that a summary holds, by the types of its fields."""
    seen = {} if seen is None else seen
    if dataclasses.is_dataclass(kind):
        seen[kind.__name__] = kind
        for hint in typing.get_type_hints(kind, vars(records)).values():
            of_summary(hint, seen)
    for inner in getattr(kind, '__args__', None) or ():
        of_summary(inner, seen)
    return seen


def test_the_schema_knows_every_field_of_the_records_and_no_other():
    found = {name: [f.name for f in dataclasses.fields(kind) if (name, f.name) not in LEFT_OUT]
             for name, kind in of_summary().items()}
    for gone in ('Summary', 'Telemetry'):
        del found[gone]
    assert {name: list(made['properties']) for name, made in DEFINED.items()} == found
    assert list(SCHEMA['properties']) == ['schema'] + [f.name for f in dataclasses.fields(Summary)]


@pytest.mark.parametrize('made', [SCHEMA, *DEFINED.values()], ids=['summary', *DEFINED])
def test_the_schema_demands_every_field_and_describes_it(made):
    assert made['additionalProperties'] is False
    assert made['required'] == list(made['properties'])
    assert all(len(field['description']) > 5 for field in made['properties'].values())


def test_the_schema_knows_every_word_and_metric_and_the_version():
    properties = {name: made['properties'] for name, made in DEFINED.items()}
    assert SCHEMA['properties']['schema']['const'] == document.SCHEMA
    assert SCHEMA['$defs']['Status']['enum'] == [s.value for s in Status]
    assert properties['PlannedRun']['arm']['enum'] == [arm.value for arm in Arm]
    assert properties['Metric']['name']['enum'] == list(METRICS)


# --- CSV ------------------------------------------------------------------------------------------

FILES = {'results.csv': (tables.RESULTS, tables.results_csv),
         'verdicts.csv': (tables.VERDICTS, tables.verdicts_csv)}
each_file = pytest.mark.parametrize('name', list(FILES))


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline='')))


@each_file
def test_every_column_is_documented_in_order_with_its_unit(name):
    readme = (ROOT / 'reports/README.md').read_text(encoding='utf-8')
    table = readme.split(f'\n### {name}\n')[1].split('\n#')[0]
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines() if line.startswith('|')]
    assert rows[0] == ['column', 'unit', 'what it is']
    assert [row[0].strip('`') for row in rows[2:]] == list(FILES[name][0])
    assert all(len(row) == 3 and all(row) for row in rows[2:])


@each_file
@each_kind
def test_every_csv_file_has_the_same_columns(name, kind):
    columns, to_csv = FILES[name]
    assert list(pandas.read_csv(io.StringIO(to_csv(KINDS[kind]))).columns) == list(columns)


@each_file
def test_a_csv_file_of_nothing_is_its_head(name):
    columns, to_csv = FILES[name]
    read = pandas.read_csv(io.StringIO(to_csv(Summary(session(), (), ()))))
    assert (list(read.columns), len(read)) == (list(columns), 0)


def test_numbers_have_the_digits_of_what_was_measured():
    exact = dataclasses.replace(record(67.12929942184891), measurement=measurement(
        images_per_s=67.12929942184891, step_mad_s=0.0037780000000000036, step_s=0.238346))
    row, _ = rows_of(tables.results_csv(summarized(exact, crashed(index=2))))
    assert row['images_per_s'] == '67.1292994'
    assert (row['step_s'], row['step_mad_s']) == ('0.238346', '0.003778')
    assert (row['steps'], row['seed'], row['wall_s']) == ('12', '0', '61.5')   # not 12.0


@pytest.mark.parametrize('text', ['hung;=1+1', 'hung; @SUM(A1)', '＝1+1', ';-2'])
def test_no_cell_is_a_formula_where_semicolons_separate_them(text):
    row, = rows_of(tables.results_csv(summarized(crashed(fault=text))))
    assert not re.search(r'(^|;)\s*[=+\-@＝]', row['fault'])
    assert row['fault'].replace("'", '') == text


def test_hostile_text_stays_in_its_cell():
    text = tables.results_csv(summarized(crashed(fault=HOSTILE), crashed(index=2)))
    assert len(text.splitlines()) == 3
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f]', text)
    row, other = rows_of(text)
    assert row['fault'].startswith('a\\x00\\x1b[31m') and other['fault'] == 'exit status 7'
