# SPDX-License-Identifier: Apache-2.0
"""ModelZoo's rules, each broken alone in a folder that keeps them all.

The numbers in brackets are those of the defects of ModelZoo's own RCAN.
"""

import json
import os
import shutil
import time
from argparse import Namespace
from pathlib import Path

import pytest
from model_folders import (
    FULL,
    GOOD,
    LEVEL,
    PERFORMANCE,
    README,
    TESTCASE,
    contributed,
    make,
    rcan_id0268,
)
from stand_in import is_alive

from harness import run
from harness.compliance.check import check, examine
from harness.compliance.folder import read_folder
from harness.compliance.rule import Severity, State
from harness.compliance.rules import RULES
from harness.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def failed(root, environment=None):
    """The findings of the broken rules; with an environment, the scripts are started."""
    findings = examine(read_folder(str(root)), environment or {})
    return [f for f in findings if f.state is State.FAIL]


def started(root):
    return failed(root, {'PATH': os.environ['PATH']})


def line_of(root, path, text):
    """The first line that holds a text."""
    return next(i for i, line in enumerate((root / path).read_text().splitlines(), 1)
                if text in line)


# --- a folder that keeps the rules ----------------------------------------------------------------

def test_a_good_folder_keeps_every_rule(tmp_path):
    root = make(tmp_path)
    findings = examine(read_folder(str(root)), {'PATH': os.environ['PATH']})
    assert {f.rule.id: (f.what, f.state) for f in findings if f.state is not State.PASS} == {
        'testcase-time': ("it sets no limit that can be read: only a run on the gate's machine "
                          'can tell', State.NOT_APPLICABLE)}


def test_a_good_folder_is_not_changed_by_the_check(tmp_path):
    root = make(tmp_path)
    before = {p: p.read_bytes() for p in root.rglob('*') if p.is_file()}
    started(root)
    assert {p: p.read_bytes() for p in root.rglob('*') if p.is_file()} == before


def test_our_own_folder_keeps_every_rule_that_is_more_than_advice():
    # The tests' own environment is that of env/run.sh, which the scripts would go through else.
    findings = failed(ROOT, {**os.environ, 'RCAN_ENV': '1'})
    assert [(f.rule.id, f.path, f.line, f.what) for f in findings if f.decides] == []


# --- each rule, broken alone ----------------------------------------------------------------------

BOTH = (FULL, PERFORMANCE)
SUCCESS = 'Run testcase success!'

# rule: file, what stands there, what stands there then, what the line named holds
STATIC = {
    'readme': ('README.md', README, None, ''),
    'licence': ('LICENSE', 'Apache License\n', None, ''),
    'source-headers': ('main.py', '# SPDX-License-Identifier: Apache-2.0\n', '', 'print'),
    'readme-data-links': ('README.md', 'Bring images.', 'wget https://a.org/data.zip', 'wget'),
    'readme-results': ('README.md', '| FPS | 32.0 |', '', ''),
    'level': ('modelzoo_level.txt', LEVEL, None, ''),
    'level-format': ('modelzoo_level.txt', 'PerfStatus:OK', 'PerfStatus: OK', 'PerfStatus'),
    'level-values': ('modelzoo_level.txt', 'PerfStatus:OK', 'PerfStatus:OK/NOK', 'PerfStatus'),
    'testcase': ('test/train_testcase.sh', TESTCASE, None, ''),
    'testcase-sentences': ('test/train_testcase.sh', SUCCESS, 'success', ''),
    'testcase-time': ('test/train_testcase.sh', 'bash train', 'timeout 900 bash train', '900'),
    'scripts': (PERFORMANCE, GOOD, None, ''),
    'requirements': ('requirements.txt', 'numpy==1.19.5\n', None, ''),
    'readme-sections': ('README.md', '## 迁移学习指导', '## 其他', ''),
    'scripts-line-ends': (FULL, 'wait $!\n', 'wait $!\r\n', 'wait $!'),
    'network-name': (FULL, 'Tiny_ID0001', 'Tiny_ID1000', 'Tiny_ID1000'),
    'data-path-message': (FULL, '[Error] para', 'Error: para', '== --data_path'),
    'device-kept': (FULL, 'export RANK_SIZE=1', 'export ASCEND_DEVICE_ID=3', '=3'),
    'data-not-removed': (FULL, 'wait $!', 'wait $!; rm -rf $data_path', 'rm -rf $data_path'),
    'result-blanks': (FULL, 'E2ETrainingTime = ', 'E2ETrainingTime= ', 'E2ETrainingTime='),
    'result-keys': (FULL, 'echo "TrainAccuracy =', 'echo "trainAccuracy =', 'trainAccuracy'),
    'case-suffix': (FULL, 'p_acc', 'p_perf', 'CaseName='),
    'log-name': (FULL, 'train_$ASCEND_DEVICE_ID.log', 'train.log', 'nohup python3'),
    'fps-plain': (FULL, '"%.2f", \'$batch', '"%.3g", \'$batch', '%.3g'),
    'fps-averaged': (FULL, 'NR > 5 { sum += $NF; n++ } END { printf "%.2f", 1000 * sum / n }',
                     'END { printf "%.2f", 1000 * $NF }', 'step_time=`'),
    'flags-kept': (FULL, 'start=', 'batch_size=16\nstart=',
                   'batch_size=16\nstart='),
    'requirements-pinned': ('requirements.txt', '==1.19.5', '>=1.19', 'numpy'),
    'env-script': ('test/env.sh', 'export', None, ''),
    'flags-used': (FULL, '--precision_mode $precision_mode', '', '== --precision_mode'),
    'flags-not-fixed': (FULL, '--max_step $max_step', '--max_step 12', 'python3'),
    'echo-apart': (FULL, 'echo "usage', 'echo"usage', 'echo"usage'),
    'background-status': (FULL, 'wait $!\n', '', 'status=$?'),
    'results-kept': (FULL, 'rm -rf $cur_path/output/$ASCEND_DEVICE_ID', 'rm -rf $cur_path/output/*',
                     'rm -rf'),
    'sources-not-edited': (FULL, 'start=', 'sed -i s/16/8/ ../main.py\nstart=', 'sed -i'),
    'paths': (FULL, 'data_path=""', 'data_path="/npu/traindata/tiny"', '/npu/traindata'),
    'result-order': (FULL, 'E2ETrainingTime = ', 'Network = ', ''),
    'case-conditions': (FULL, '_bs${batch_size}', '', 'CaseName='),
    'loss-name': (FULL, 'train_${CaseName}_loss', '${CaseName}_loss', '_loss.txt'),
    'training-time': (FULL, '1000', '1', ''),
    'accuracy': (FULL, '`grep "Final PSNR" $log | awk \'{ print $NF }\'`', '"None"', 'accuracy='),
}
# What goes with it: a rule that the same words break.
ALSO = {
    'readme': {'readme-data-links', 'readme-results', 'readme-sections'}, 'level': set(),
    'testcase': set(), 'fps-averaged': set(), 'flags-not-fixed': {'flags-used'},
    'results-kept': set(), 'result-order': {'result-keys'}, 'device-kept': set(),
}


@pytest.mark.parametrize('rule', sorted(STATIC))
def test_a_rule_that_is_broken_is_named_with_its_place(tmp_path, rule):
    root = make(tmp_path)
    path, there, then, at = STATIC[rule]
    if then is None:
        (root / path).unlink()
    else:
        text = (root / path).read_text()
        assert there in text
        (root / path).write_bytes(text.replace(there, then).encode())
    found = failed(root)
    assert rule in {f.rule.id for f in found} <= {rule} | ALSO.get(rule, set())
    spot = next(f for f in found if f.rule.id == rule)
    if then is not None and at:
        text = (root / path).read_text() + '\n'
        assert (spot.path, spot.line) == (path, text[:text.index(at)].count('\n') + 1)


@pytest.mark.parametrize('harmless', [
    'if [ -z "$ASCEND_DEVICE_ID" ]; then export ASCEND_DEVICE_ID=0; fi',
    '[ -n "$batch_size" ] || batch_size=8', '# rm -rf $data_path', 'sed -n 1p ../main.py',
    'cache=${TINY_CACHE:-/data/tiny}', 'rm -rf $cur_path/output/$ASCEND_DEVICE_ID/ckpt',
    'test -d /home/ma-user/modelarts', 'echo "batch_size=$batch_size"', 'true && wait'])
def test_a_line_that_only_looks_like_a_defect_is_none(tmp_path, harmless):
    root = make(tmp_path)
    (root / FULL).write_text((root / FULL).read_text().replace('start=', f'{harmless}\nstart='))
    assert failed(root) == []


# rule: what stands in the full script, what stands there then, what the line named holds
DYNAMIC = {
    'no-data': ('must be config"\n    exit 1', 'must be config"\n    exit 0', 'data_path'),
    'data-kept': ('wait $!', 'wait $!; cp $0 $data_path', None),
    'ends': ('wait $!', 'sleep 99', 'python3'),
    'starts': ('start=', 'fi\nstart=', 'python3'),
    'crash-status': ('exit $status', 'true', 'python3'),
    'crash-numbers': ('exit $status', 'step_ms=500; echo "ActualFPS = 48.03\nCaseName = x" >'
                      '$cur_path/output/$ASCEND_DEVICE_ID/x.log; exit 1', 'ActualFPS'),
    'output-folder': ('output/$ASCEND_DEVICE_ID', 'out/$ASCEND_DEVICE_ID', None),
    'flags-arrive': ('--batch_size $batch_size', '', '== --batch_size'),
    'unknown-flags': ('exit 2', 'true', '== --data_path'),
    'help': ('exit 0', 'exit 1', '--help'),
    'data-path-exists': ('[[ ! -d $data_path ]]', '[[ -z $data_path ]]', '$data_path =='),
    'other-results': ('${ASCEND_DEVICE_ID:-0}', '${ASCEND_DEVICE_ID:-}', 'rm -rf'),
    'sources-kept': ('wait $!', 'wait $!; echo >>../main.py', None),
    'stays-inside': ('wait $!', 'wait $!; rm -rf /no/such/place', 'rm -rf /no/such'),
}


@pytest.mark.parametrize('rule', sorted(DYNAMIC))
def test_a_rule_that_is_broken_by_a_run_is_named_with_its_place(tmp_path, monkeypatch, rule):
    if rule == 'ends':
        monkeypatch.setattr('harness.compliance.dry_run.TIMEOUT_S', 1.0)
    root = make(tmp_path)
    there, then, at = DYNAMIC[rule]
    (root / PERFORMANCE).unlink()
    text = (root / FULL).read_text()
    assert there in text
    (root / FULL).write_text(text.replace(there, then))
    spot = next(f for f in started(root) if f.rule.id == rule)
    assert spot.path == FULL
    if at:
        assert spot.line == line_of(root, FULL, at)


def test_each_rule_is_broken_by_some_test():
    here = {'folder-name', 'level-keys', 'scripts-have-code', 'scripts-written-once',
            'scripts-differ', 'data-path-flag', 'value-apart'}
    assert {rule.id for rule in RULES} == {*STATIC, *DYNAMIC, *here}
    assert len({rule.id for rule in RULES}) == len(RULES)


def ids(root):
    return {f.rule.id for f in failed(root)}


def test_a_folder_with_another_name_than_the_zoos_is_wrong_only_where_it_claims_one(tmp_path):
    assert 'folder-name' in ids(make(tmp_path, name='Tiny_for_TensorFlow'))
    assert ids(make(tmp_path, name='checkout')) == set()


def test_a_misspelt_key_of_the_level_is_shown_with_the_right_one(tmp_path):
    root = make(tmp_path)
    (root / 'modelzoo_level.txt').write_text(LEVEL.replace('Precision', 'Percision'))
    found = {f.what: f.line for f in failed(root)}
    assert found == {'unknown key PercisionStatus: PrecisionStatus is meant': 3,
                     'no PrecisionStatus': None}


def test_a_contributed_model_needs_more_keys_in_its_level(tmp_path):
    (tmp_path / 'contrib').mkdir()
    assert {f.what for f in failed(make(tmp_path / 'contrib'))} == {
        'no GPUStatus', 'no NPUMigrationStatus', 'no AutoTune'}


@pytest.mark.parametrize('text, what', [
    ('', 'it is empty'), ('  Apache License\n  Version 2.0\n', 'holds the text of the licence')])
def test_a_script_without_code_is_no_script(tmp_path, text, what):
    root = make(tmp_path)
    (root / FULL).write_text(text)
    assert [f.path for f in failed(root) if what in f.what] == [FULL]


def test_a_script_that_stands_twice_in_its_file_is_seen(tmp_path):
    root = make(tmp_path)
    text = (root / FULL).read_text()
    (root / FULL).write_text(text + text)
    spot = next(f for f in failed(root) if f.rule.id == 'scripts-written-once')
    assert (spot.path, spot.line) == (FULL, text.count('\n') + 1)


def test_a_full_script_that_is_the_performance_script_is_seen(tmp_path):
    root = make(tmp_path)
    shutil.copy(str(root / FULL), str(root / PERFORMANCE))
    assert {'scripts-differ', 'case-suffix'} <= ids(root)


def test_a_script_that_takes_no_data_path_is_seen(tmp_path):
    root = make(tmp_path)
    for path in BOTH:
        (root / path).write_text((root / path).read_text().replace('--data_path=*', '--data=*'))
    assert {f.path for f in failed(root) if f.rule.id == 'data-path-flag'} == set(BOTH)


# --- a folder like ModelZoo's RCAN ----------------------------------------------------------------

@pytest.fixture(scope='module')
def rcan(tmp_path_factory):
    root = rcan_id0268(tmp_path_factory.mktemp('zoo'))
    return root, started(root)


@pytest.mark.parametrize('rule, at, what', [
    ('flags-not-fixed', '--max_step 102', '--max_step 102'),                        # (1)
    ('flags-used', '== --max_step', '--max_step is parsed'),                         # (1)
    ('flags-used', '== --precision_mode', '--precision_mode is parsed'),             # (2)
    ('flags-used', '== --profiling', '--profiling is parsed'),                       # (2)
    ('flags-used', '== --loss_scale', '--loss_scale is parsed'),                     # (2)
    ('flags-arrive', '== --batch*', '--batch='),                                     # (3)
    ('crash-status', 'python3.7 ./main.py', 'exit status 0'),                        # (4)
    ('background-status', '$? -eq 0', '$? after &'),                                 # (4)
    ('other-results', 'rm -rf', 'ASCEND_DEVICE_ID is unset'),                        # (5)
    ('value-apart', '== --data_path', 'misread'),                                    # (8)
    ('data-path-exists', '$data_path ==', 'not there'),                              # (9)
    ('echo-apart', 'echo"usage', 'command not found'),                               # (10)
    ('help', '--help', 'a command that is not'),                                     # (10)
    ('fps-averaged', 'END {print', 'last line alone'),                               # (11)
    ('loss-name', '_loss.txt', 'train_${CaseName}_loss.txt'),                        # (13)
    ('training-time', 'TrainingTime = ', 'milliseconds'),                            # (14)
    ('accuracy', 'train_accuracy="None"', 'None'),                                   # (15)
])
def test_the_defects_of_modelzoos_rcan_are_found(rcan, rule, at, what):
    root, findings = rcan
    text = (root / FULL).read_text()
    line = text[:text.index(at)].count('\n') + 1
    spots = [(f.path, f.line) for f in findings if f.rule.id == rule and what in f.what]
    start = line
    while rule in ('flags-not-fixed',) and text.splitlines()[start - 2].endswith('\\'):
        start -= 1   # a command of several lines is named by its first
    assert (FULL, start) in spots


def test_modelzoos_rcan_keeps_what_it_keeps(rcan):
    _, findings = rcan
    assert not {'result-keys', 'result-blanks', 'case-suffix', 'log-name', 'network-name',
                'device-kept', 'data-path-flag', 'no-data', 'data-kept', 'ends',
                'output-folder'} & {f.rule.id for f in findings if f.path == FULL}


def test_scripts_of_the_second_family_are_understood(tmp_path):
    assert {f.rule.id for f in started(contributed(tmp_path))} == {
        'crash-status', 'unknown-flags', 'value-apart', 'help', 'data-path-exists',
        'other-results', 'loss-name'}


# --- what a dry run does not do -------------------------------------------------------------------

def test_a_script_that_would_write_outside_of_its_folder_is_not_started(tmp_path):
    root, witness = make(tmp_path), tmp_path / 'witness'
    (root / PERFORMANCE).unlink()
    (root / FULL).write_text(f'#!/bin/bash\necho x > /etc/tiny\ntouch {witness}\n')
    found = {f.rule.id: (f.what, f.line) for f in started(root)}
    assert found['stays-inside'] == ('it writes to /etc/tiny', 2)
    assert not witness.exists()


def test_a_script_cannot_remove_what_is_not_in_its_copy(tmp_path):
    root, kept = make(tmp_path), tmp_path / 'kept'
    kept.write_text('mine')
    text = (root / FULL).read_text()
    (root / FULL).write_text(text.replace('wait $!', f'wait $!; rm -rf "{kept}"'))
    assert f'rm would change {kept}' in {f.what for f in started(root)}
    assert kept.read_text() == 'mine'


def test_without_a_run_the_rules_of_runs_do_not_apply(tmp_path):
    root = make(tmp_path)
    found = examine(read_folder(str(root)), {})
    assert {f.rule.id for f in found if f.what == 'the scripts were not started'} == {
        *DYNAMIC, 'value-apart'}


# --- the command ----------------------------------------------------------------------------------

def answer(capsys, root, form='text'):
    status = check(Namespace(path=str(root), format=form, no_run=True))
    return status, capsys.readouterr().out


def test_the_status_is_1_where_a_rule_that_is_more_than_advice_is_broken(tmp_path, capsys):
    root = make(tmp_path)
    assert answer(capsys, root)[0] == 0
    (root / 'requirements.txt').write_text('numpy\n')
    assert answer(capsys, root)[0] == 0   # advice
    (root / 'LICENSE').unlink()
    assert answer(capsys, root)[0] == 1


def test_the_text_says_where_what_it_costs_and_whose_rule_it_is(tmp_path, capsys):
    root = make(tmp_path)
    (root / 'modelzoo_level.txt').write_text(LEVEL.replace('PerfStatus:OK', 'PerfStatus:OK/NOK'))
    text = answer(capsys, root)[1]
    assert text.startswith(
        'FAIL  level-values: its values are the guide\'s, and may be merged (official)\n'
        "      modelzoo_level.txt:2: PerfStatus: OK/NOK is the template's choice, not one value\n"
        '      costs: the state means nothing, or keeps the model out\n'
        '      rule:  Ascend/modelzoo CONTRIBUTING.md l.263-296\n')
    assert text.splitlines()[-1].startswith(
        "Tiny_ID0001_for_TensorFlow: does not keep ModelZoo's rules: ")


def test_the_heaviest_failures_come_first(tmp_path, capsys):
    root = rcan_id0268(tmp_path)
    order = [line.rsplit('(', 1)[1].rstrip(')') for line in answer(capsys, root)[1].splitlines()
             if line.startswith('FAIL')]
    assert order == sorted(order, key=[s.value for s in Severity].index)
    assert len(set(order)) == 3


def test_markdown_has_a_row_for_each_rule_and_keeps_words_in_their_cells(tmp_path, capsys):
    root = make(tmp_path)
    (root / 'modelzoo_level.txt').write_text(LEVEL.replace('PerfStatus:OK', 'PerfStatus:A|B'))
    text = answer(capsys, root, 'md')[1]
    assert '`modelzoo_level.txt:2` PerfStatus: A\\|B' in text
    assert text.count('\n| ') == 2 + 1 + len(RULES)


def test_json_has_every_rule_with_its_findings(tmp_path, capsys):
    root = make(tmp_path)
    (root / 'LICENSE').unlink()
    said = json.loads(answer(capsys, root, 'json')[1])
    assert not said['compliant']
    rules = {rule['rule']: rule for rule in said['rules']}
    assert list(rules) == [rule.id for rule in RULES]
    assert rules['licence']['state'] == 'fail'
    assert rules['licence']['findings'] == [{'path': '', 'line': None, 'what': 'it is not there'}]
    assert rules['help']['why'] == 'the scripts were not started'


@pytest.mark.parametrize('made', ['nothing', 'another folder'])
def test_a_path_that_is_no_models_folder_is_refused_in_one_line(tmp_path, made):
    if made == 'another folder':
        (tmp_path / 'x').mkdir()
    with pytest.raises(ConfigError, match='name the folder of one model'):
        read_folder(str(tmp_path / 'x'))


# --- run.try_out ----------------------------------------------------------------------------------

def test_a_command_that_is_tried_out_says_its_status_and_all_it_prints(tmp_path):
    assert run.try_out(['bash', '-c', 'echo a; echo b >&2; exit 3'], str(tmp_path),
                       os.environ, 60) == (3, 'a\nb\n')


def test_a_command_that_does_not_end_in_time_has_no_status(tmp_path):
    status, output = run.try_out(['bash', '-c', 'echo a; sleep 99'], str(tmp_path), os.environ, 0.5)
    assert (status, output) == (None, 'a\n')


def test_nothing_that_a_command_starts_outlives_it(tmp_path):
    status, output = run.try_out(['bash', '-c', 'sleep 99 & echo $!'], str(tmp_path),
                                 os.environ, 60)
    assert status == 0
    while is_alive(int(output)):   # it has been killed, and ends when it gets to it
        time.sleep(0.05)
