# SPDX-License-Identifier: Apache-2.0
"""Reports in Chinese: all that they say is translated, and nothing but that."""

import ast
import dataclasses
import re
import time
from pathlib import Path

import pytest
from samples import (
    FACTS,
    PSNRS,
    SPEEDS,
    baseline,
    case,
    measurement,
    pair,
    record,
    session,
)

from harness.causes import CAUSES
from harness.disturbance import disturbance
from harness.evidence import fault
from harness.judge import summarize
from harness.records import PSNR, SPEED, Certificate, Device, Load, Status, Telemetry, Trial, Turn
from harness.report import content
from harness.report.chinese import KINDS, NUMBER, PLACEHOLDER, pairs, to_chinese
from harness.report.curves import session_charts
from harness.run import GUARD
from harness.stats import loss_curve
from harness.weigh import FIRST_REASON

HARNESS = Path(__file__).resolve().parents[2] / 'harness'
PAIRS = list(pairs())
HAN = '[\u4e00-\u9fff]'
WORD = '[A-Za-z]{3,}'
# What has no other name in Chinese: names, units, flags, facts and the values that these have here.
NAMES = set(re.findall(WORD, (
    'SIGABRT SIGSEGV TensorFlow ABI ASCEND_DEVICE_ID RANK_TABLE_FILE CaseName ActualFPS '
    'TrainAccuracy ActualLoss TrainingTime PATH Python CRLF Debian apt install bubblewrap '
    'Warning Alarm Critical '
    'RCAN PSNR SSIM MAD NPU CPU CANN Adapter Student Welch Holm images min MiB MHz npu log git '
    'fetch unshallow npu-smi info dmesg npu_bridge set_env source ascend Ops '
    'JavaScript UTC nan abc bash MLLOG run_stop Final --batch_size --data_path --budget '
    'performance full images_per_s smoke-sample near '
    f'first firmware elsewhere oneDNN python {FACTS} {[s.value for s in Status]}')))


def english_left(text):
    """The English words of a text beside code, paths, commits, names and a baseline's reason."""
    kept = r'`[^`]*`|\S+/\S+\.\w+|[0-9]+T\S+|[0-9a-f]{12}|the first| (?:old|new)\b'
    return [word for word in re.findall(WORD, re.sub(kept, ' ', text)) if word not in NAMES]


# --- every kind of verdict, from records ----------------------------------------------------------

CANARY = tuple(0.010 * (1 + 0.002 * i) for i in (-2, -1, 0, 1, 2, 0, 1, -1))
NOISY = (28.0, 30.0, 31.0, 32.0, 32.0, 32.0, 32.0, 33.0, 34.0, 36.0)
CERTIFICATE = Certificate('2026-01-01', '0123456789ab', {}, (
    Trial(0.0, ('PASS',) * 29 + ('INVALID',), (3,) * 30),
    Trial(0.1, ('REGRESSION',) * 10, (3,) * 10)), 0.01, 14.0, CANARY)


def summed(*records, baselines=(), max_runs=3, **changes):
    """The summary of these runs."""
    cases = [case(metric) for metric in (SPEED, PSNR)
             if any(r.run.case.metric == metric for r in records)]
    return summarize(session(*cases, baselines=baselines, max_runs=max_runs, **changes), records)


def compared(*ratios, metric=SPEED, of=(), **changes):
    """Pairs whose new arm measured so many times what the old one did; `of`: other runs."""
    return summed(*of, *(r for i, ratio in enumerate(ratios, 1)
                         for r in pair(30.0, 30.0 * ratio, i, metric)),
                  **{'against': '' if of else 'aaaaaaaaaaaa', **changes})


def changed(records, which=slice(None), **changes):
    """Records of which some have other fields."""
    chosen = list(records)
    chosen[which] = [dataclasses.replace(r, **changes) for r in chosen[which]]
    return chosen


def in_turns(records):
    return [dataclasses.replace(r, outcome=dataclasses.replace(r.outcome, turns=(Turn(1, 4),)))
            for r in records]


def suspected(*ratios, **changes):
    """A regression against a baseline, and its pairs."""
    return compared(*ratios, of=[record(28.0)], **{'baselines': [baseline()], **changes})


def pairs_of(*ratios):
    return [r for i, ratio in enumerate(ratios, 1) for r in pair(30.0, 30.0 * ratio, i)]


def trained(losses, *, speed=32.0):
    return dataclasses.replace(record(), measurement=measurement(images_per_s=speed,
                                                                 losses=losses))


FALLING = tuple(50 * 0.95 ** i for i in range(40))
CURVES = dataclasses.replace(baseline(), losses=tuple(
    loss_curve([x * (1 + 0.004 * i) for x in FALLING]) for i in range(-5, 5)))
KNOWN = dataclasses.replace(baseline(), canary_s=CANARY)
ELSEWHERE = dataclasses.replace(baseline(PSNRS, PSNR), environment={
    'host': 'elsewhere', 'tensorflow': '1.15.5 (oneDNN)', 'cpus': 4})
BUSY = disturbance(Load(1, 100.0, foreign_cpu_percent=90.0, foreign_threads=3.0,
                        steal_percent=5.0, throttled_percent=20.0,
                        device_others=('python3 (7)',),
                        device_alarm='npu-smi calls its health Alarm',
                        device_slowed='its AI cores worked at 600 of 1000 MHz'), 4)
WRONG_DEVICE = fault(record().run, Device('npu', 0), measurement())

SUMMARIES = {
    'PASS': summed(record(32.0), record(32.0, PSNR), certificate=CERTIFICATE, canary_s=CANARY,
                   baselines=[baseline(), baseline(PSNRS, PSNR)]),
    'IMPROVED': summed(record(36.0), baselines=[baseline()]),
    'too good': summed(record(33.0, PSNR), baselines=[baseline(PSNRS, PSNR)]),
    'NO_BASELINE': summed(record(32.0)),
    'nearest differs': summed(record(32.0), baselines=[
        baseline(name='near', cpus=96, firmware='7')]),
    'few baseline runs': summed(record(32.0), baselines=[baseline(SPEEDS[:4])]),
    'INCONCLUSIVE': summed(record(31.6), baselines=[baseline()]),
    'needs a quieter machine': summed(record(32.0), baselines=[baseline(NOISY)]),
    'REGRESSION': summed(record(28.0), baselines=[baseline()]),
    'curve': summed(trained(tuple(x * 1.5 if i >= 30 else x for i, x in enumerate(FALLING))),
                    baselines=[CURVES]),
    'made elsewhere': summed(record(32.0, PSNR), baselines=[ELSEWHERE]),
    'pairs pass': compared(1.0, 1.001, 0.999),
    'pairs regress': compared(0.9, 0.91, 0.905),
    'pairs improve': compared(1.1, 1.11, 1.105),
    'pairs are unclear': compared(0.9, 1.1, 1.0),
    'pairs need quiet': compared(0.5, 2.0, 1.0, max_runs=100),
    'too few pairs': compared(1.0, 1.0),
    'unequal pairs': summed(*changed(
        pairs_of(1.0, 1.001, 0.999), slice(0, None, 2),
        facts={**{k: v for k, v in FACTS.items() if k != 'loss_scale'}, 'batch_size': 8}),
        against='aaaaaaaaaaaa'),
    'canary in pairs': compared(1.0, 1.001, 0.999, canary_s=(0.010, 0.014)),
    'canary in turns': summed(*in_turns(pairs_of(1.0, 1.001, 0.999)), canary_s=(0.010, 0.014),
                              against='aaaaaaaaaaaa'),
    'canary since the baseline': summed(record(28.0), baselines=[KNOWN], canary_s=(0.012, 0.0121)),
    'disturbed': summed(*changed([record(32.0)], disturbance=BUSY), baselines=[baseline()]),
    'disturbed pairs': summed(*changed(pairs_of(1.0, 1.0, 1.0, 1.0), slice(0, 3, 2),
                                       disturbance=BUSY), against='aaaaaaaaaaaa', max_runs=5),
    'confirmed': suspected(0.9, 0.91, 0.905),
    'the machine changed': suspected(1.0, 1.001, 0.999),
    'not confirmed': suspected(0.9, 1.1, 1.0),
    'confirmation disturbed': summed(record(28.0), *changed(
        pairs_of(0.9, 0.9, 0.9), disturbance=BUSY), baselines=[baseline()]),
    'confirmation failed': summed(record(28.0), *changed(
        pairs_of(0.9, 0.9, 0.9), slice(0, 1), fault='exit status 1 while loading',
        measurement=None), baselines=[baseline()]),
    'could not be confirmed': suspected(unconfirmed={
        'performance': "no git revision '0123456789ab' here: git log shows those that are; a "
                       'shallow clone gets the others by git fetch --unshallow'}),
    'no time to confirm': suspected(0.9, unconfirmed={
        'performance': 'the time of --budget is used up'}, ended='the time of --budget is used up'),
    'changed meanwhile': summed(record(28.0), *in_turns(pairs_of(0.9, 0.91, 0.905)),
                                baselines=[KNOWN], canary_s=(0.010, 0.010, 0.014)),
    'crashed': summed(record(None, fault=f'exit status 7 while loading; {CAUSES[0][1]}'),
                      record(None, index=2, fault=f'exit status 1 while training; {CAUSES[4][1]}')),
    'hung': summed(record(None, fault='hung: not a line in its log for 1800 s while compiling')),
    'deadline': summed(record(None, fault='no end after 60 s while evaluating')),
    'interrupted': summed(record(None, fault='interrupted after 5 s while starting',
                                 interrupted=True),
                          ended='it was interrupted during performance, run 1'),
    'wrong device': summed(record(32.0, fault=WRONG_DEVICE)),
    'an arm crashed': summed(*changed(pairs_of(1.0), slice(0, 1), measurement=None,
                                      fault='stopped, because the other arm of its pair failed'),
                             against='aaaaaaaaaaaa'),
    'measured nothing': summed(record(None)),
    'no metric': summed(dataclasses.replace(record(), measurement=measurement(
        images_per_s=None))),
    'did not run': summarize(session(case(), ended='the time of --budget is used up'), []),
    'nothing': summarize(session(), []),
    'telemetry': summed(dataclasses.replace(
        record(31.95, PSNR), telemetry=Telemetry((0.0, 1.0), *[(1.0, 2.0)] * 7), measurement=(
            measurement(psnr_db=31.95, psnr_curve=((6, 31.0), (12, 31.95))))),
        baselines=[baseline(PSNRS, PSNR)]),
    'never steady': summed(dataclasses.replace(record(), measurement=measurement(
        steady=False, wall_images_per_s=16.0, phases_s={
            'first step': 2.0, 'saving': 1.5, 'evaluation': 2.5, 'input wait': 0.5,
            'steps': 7.0, 'other': 0.7}))),
}


def texts(summary):
    """All that a report says of a session, but for the environment, which is names and values."""
    said = content.of(summary)
    yield from (said.title, said.sentence, *said.metrics.head, *said.environment.head,
                *said.remarks, *said.trust)
    yield from (cell for row in (said.gates.head, *said.gates.rows) for cell in row)
    yield from (part.text for part in (*said.reasons, *said.advice))
    yield from (failure.title for failure in said.failures)
    for chart in session_charts(summary):
        yield from (chart.title, chart.x_label, chart.y_label, chart.note)
        yield from (part.name for part in (*chart.lines, *chart.bands, *chart.spans))


@pytest.mark.parametrize('kind', list(SUMMARIES))
def test_no_english_is_left_and_numbers_and_code_stay(kind):
    for english in texts(SUMMARIES[kind]):
        chinese = to_chinese(english)
        assert not english_left(chinese), chinese
        for same in (NUMBER, r'`[^`]*`'):
            assert sorted(re.findall(same, chinese)) == sorted(re.findall(same, english)), chinese


def test_these_are_all_kinds():
    assert {v.status for s in SUMMARIES.values() for v in s.verdicts} == set(Status)


def test_a_confirmed_regression_reads_like_this():
    verdict, = SUMMARIES['confirmed'].verdicts
    assert to_chinese(verdict.reason) == (
        '28 images/s，基线为 32 images/s，变化 -12.5 %（97.5 % 区间 -13.6 % 至 -11.4 %，'
        'Student t 预测，1 次运行）：变差，且超出限值 -2.0 %。若变差 2.4 %，5 次中能看出 4 次。'
        '已确认。与基线的版本并排比较：27.15 images/s，版本 aaaaaaaaaaaa 为 30 images/s，'
        '变化 -9.5 %（95 % 区间 -10.7 % 至 -8.3 %，配对 t 检验，3 对）：变差，且超出限值 -2.0 %。'
        '若变差 2.3 %，5 次中能看出 4 次。')


@pytest.mark.parametrize('english, chinese', [
    ('PASS', 'PASS（通过）'), ('❌ REGRESSION', '❌ REGRESSION（退化）'),
    ('INVALID: RCAN on npu 3', 'INVALID（无效）：npu 3 上的 RCAN'),
    ('Made up. Confirmed. Unheard of.', 'Made up. 已确认。Unheard of.'),
    ('exit status 7 while loading; unheard of', '退出码 7，当时处于加载阶段；unheard of'),
    ('No statement about the code: run 1 gave no measurement (unheard of).',
     '不能说明代码的好坏：第 1 次运行没有得到测量值（unheard of）。'),
    ('Mend it and run again: `a. Confirmed. {x}; (Nothing.`',
     '修复之后重新运行：`a. Confirmed. {x}; (Nothing.`')])
def test_what_is_known_is_translated_in_its_place(english, chinese):
    assert to_chinese(english) == chinese


@pytest.mark.parametrize('text', [
    '', ' ', '-', 'performance', 'full', '32 images/s', '12.5 %', '0123456789ab', 'run.json',
    'performance 2 old', '20260102T030405Z-cpu0-full-1', 'What nobody has said yet.', '`Nothing.`',
    '`a. Confirmed. b`', 'PASSED', 'REGRESSION today', 'Nothing', 'a (b. Confirmed. c)',
    'train.py:7: the disk is full', '102 training step completed', 'two\nlines. Confirmed.\n',
    *(name for name in FACTS if name != 'seed'), *map(str, FACTS.values())])
def test_all_else_stays_as_it_is(text):
    assert to_chinese(text) == text


# --- what no record here provokes -----------------------------------------------------------------

@pytest.mark.parametrize('english', [
    *(meaning for _, meaning in CAUSES),
    'its clocks were held down (abc)',
    'it succeeded, but wrote no training log', 'cannot start bash: abc',
    'asked for max_step 102, but it trained with 12',
    "damaged line: ':::MLLOG (; . '", 'torn log: 3 steps, 2 losses, 1 step times',
    'the log holds no training: it is empty or of another program',
    'the loss is nan at step 5: the training diverged',
    'the log stops early, at step 7: no run_stop', "the training ended with status 'abc'",
    '12 steps logged, 24 expected for max_step 24 and log_freq 1',
    'step 3 is logged where step 2 belongs', 'an evaluation at step 24 of 12',
    'a step of 1e-07 seconds cannot be: nothing was timed',
    'the evaluation stops early: no Final PSNR', 'Final PSNR is 32.1, but 32.2 was measured',
    'cannot check 0123456789ab out into /a/b.c: remove that folder, or see what `git` says',
    '/a/b.c has changes, so it is not 0123456789ab any more: remove it, or undo them with git'])
def test_every_fault_is_translated(english):
    assert not english_left(to_chinese(english))
    assert not english_left(to_chinese(
        f'No statement about the code: run 2 gave no measurement ({english}).'))


IN_COMMANDS = {FIRST_REASON, GUARD, 'faster, or more accurate, since ...'}


def prose(module):
    """The constant parts of the sentences that a module makes, of three words or more."""
    tree = ast.parse((HARNESS / module).read_text(encoding='utf-8'))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    left_out = IN_COMMANDS | {ast.get_docstring(node, clean=False) for node in ast.walk(tree)
                              if isinstance(node, documented)}
    # Python 3.7 calls the value of a constant s.
    values = (vars(node).get('value', vars(node).get('s')) for node in ast.walk(tree))
    texts = {value for value in values if isinstance(value, str)} - left_out
    for sentence in (part for text in texts for part in text.split('. ')):
        constant = re.sub('`[^`]*`', '', sentence).strip().rstrip('.')
        if len(re.findall(f' {WORD}', f' {constant}')) >= 3:
            yield constant


@pytest.mark.parametrize('module', [
    'judge.py', 'weigh.py', 'evidence.py', 'foreign.py', 'claims.py',
    'disturbance.py', 'turns.py', 'run.py',
    'report/content.py', 'report/curves.py', 'report/trends.py', 'report/markdown.py'])
def test_a_sentence_that_changes_takes_its_pair_along(module):
    found = list(prose(module))
    assert found
    assert [text for text in found if not any(text in of.english for of in PAIRS)] == []


# --- the pairs ------------------------------------------------------------------------------------

SAMPLES = {
    'number': '3', 'change': '-2.0 %', 'value': '32 images/s', 'code': '`a b`', 'sign': '❔',
    'name': 'abc', 'text': 'a b, c', 'word': 'old', 'phrase': '3 pairs', 'said': 'it did not run',
    'list': 'cpus (96 there, 4 here), abc (1 there, unknown here)'}


@pytest.mark.parametrize('of', PAIRS, ids=lambda of: of.english[:40])
def test_a_pair_fits_its_own_sentence_and_no_other_gets_in_its_way(of):
    samples = {name: SAMPLES[kind] for name, kind in of.kinds}
    english = PLACEHOLDER.sub(lambda m: samples[m.group(1)], of.english)
    shown = {'word': '旧版本', 'phrase': '3 对', 'said': '没有运行',
             'list': 'cpus（对方为 96，本次为 4）、abc（对方为 1，本次未知）'}
    chinese = of.chinese.format(**{name: shown.get(kind, SAMPLES[kind]) for name, kind in of.kinds})
    assert to_chinese(english) == chinese != english


def test_both_sides_of_a_pair_hold_the_same_placeholders():
    for english, chinese, kinds in PAIRS:
        names = [name for name, _ in kinds]
        assert sorted(names) == sorted(re.findall(r'\{(\w+)\}', chinese)), english
        assert len(set(names)) == len(names), english
        assert {kind for _, kind in kinds} <= set(KINDS), english
        assert sum('+?' in KINDS[kind] for _, kind in kinds) <= 1, english   # see KINDS
    assert len({of.english for of in PAIRS}) == len(PAIRS)


def test_chinese_is_written_in_one_way():
    full = '[，。：；（）、]'
    for _, chinese, kinds in PAIRS:
        for name, kind in kinds:   # those that are Chinese, and those that are not
            chinese = chinese.replace(f'{{{name}}}', '中' if kind in ('word', 'phrase') else 'x')
        assert not re.search(f'{HAN}[A-Za-z0-9%]|[A-Za-z0-9%]{HAN}', chinese), chinese
        assert not re.search(f'{HAN}[,;:()]|[,;:()]{HAN}| {full}|{full} ', chinese), chinese


# --- hostile text ---------------------------------------------------------------------------------

@pytest.mark.parametrize('piece', [
    'a', '. ', '. A', '(', ')(', '`', '; ', ', ', '1', '1 dB is ', ' there, ', ' while ', ': ',
    '\n', '{', '\\', 'No statement about the code: ', 'run 1 gave no measurement (',
    "Side by side with the baseline's revision: ", 'cpus (1 there, 2 here), '])
@pytest.mark.parametrize('size', [9000, 100000])   # less and more than what can be a sentence
def test_a_log_in_place_of_a_sentence_takes_no_time(piece, size):
    junk = (piece * size)[:size]
    started = time.process_time()
    for text in (junk, f'{junk} zzz', f'Confirmed. {junk}', f'abc was disturbed: {junk}',
                 f'No statement about the code: run 1 gave no measurement ({junk}).'):
        assert isinstance(to_chinese(text), str)
    # It is hundredths of a second; trying all ways in which a pattern may fit would take hours.
    assert time.process_time() - started < 10
