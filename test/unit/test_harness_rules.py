# SPDX-License-Identifier: Apache-2.0
"""A model's rules, and what comes of its logs by them."""

import math
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import recompute, rules
from harness.errors import ConfigError

RCAN = 'RCAN_ID0268_for_TensorFlow'
STEP_RULE = r'''
[speed]
pattern = 'Elpased time : (\S+)'
unit = 's/step'
'''


@pytest.fixture
def load(tmp_path):
    """Load rules from a text."""
    def load(text):
        path = tmp_path / 'model.toml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return rules.load(str(path))
    return load


@pytest.fixture
def refusal(load):
    """What is said of rules that are refused, without the file's name."""
    def refusal(text):
        with pytest.raises(ConfigError) as refused:
            load(text)
        assert '\n' not in str(refused.value)
        before, name, said = str(refused.value).partition('model.toml')
        assert before and name
        return said.lstrip(': ')
    return refusal


def steps(*seconds):
    return [f'Elpased time : {s}\n' for s in seconds]


def recomputed(of, lines, batch_size=None, log='train_0.log'):
    return recompute.Recompute(of, batch_size).feed(log, lines).result()


# --- what comes with the harness -----------------------------------------------------------------

def test_the_rules_of_rcans_port_read_its_log():
    log = []
    for step in range(1, 51):
        log += [f'{step} training step completed', f'Loss : {100 - step}.0',
                f'Elpased time : {60.0 if step == 1 else 0.5 + step % 5 / 100:.4f}']
    found = recomputed(rules.load(rules.find(RCAN)), log)
    assert found.items_per_s == pytest.approx(16 / 0.52)
    assert found.warmup == 5
    assert len(found.step_seconds) == len(found.losses) == 50
    assert found.accuracy is None and found.fault == ''


def test_a_label_of_another_batch_size_gives_rcans_port_away():
    """Its --batch=32 changes the label and what the speed is made of, and the training nothing."""
    found = recomputed(rules.load(rules.find(RCAN)), steps(*[0.6] * 20), batch_size=32)
    assert recompute.disagreement(26.67, found) == ''
    assert recompute.disagreement(53.33, found) == (
        'the script reports 53.33 items/s, 2 times the 26.67 of its log, whose steps allow '
        '26.13 to 27.21')


@pytest.mark.parametrize('name', sorted(os.listdir(rules.FOLDER)))
def test_what_comes_with_the_harness_is_valid_and_says_where_it_was_found(name):
    assert name.endswith('.toml')
    assert rules.load(os.path.join(rules.FOLDER, name)).source


def test_rules_are_found_by_the_name_of_the_models_folder_only():
    assert rules.find('Other_ID0001_for_TensorFlow') is None
    assert rules.find(f'/somewhere/{RCAN}') == rules.find(RCAN)
    assert rules.find('') is None


# --- what is in the file -------------------------------------------------------------------------

def test_all_keys_are_read(load):
    of = load(r'''
training_time = 'ms/step'
flags = ['--train_steps=100', '--type=']
deadline_s = 600
source = 'test/train_full_1p.sh:124'
[speed]
pattern = 'time (\S+) ms'
unit = 'ms/step'
aggregate = 'mean'
skip = 0
steps_per_match = 20
log = 'train_*_traintime_avg.txt'
[loss]
pattern = 'loss (\S+)'
[accuracy]
pattern = 'PSNR: (\S+)'
aggregate = 'max'
unit = 'dB'
name = 'PSNR'
margin = 0.1
log = 'test_0.log'
''')
    assert of.speed[1:] == ('ms/step', 'mean', 0, 20, 'train_*_traintime_avg.txt')
    assert of.loss.pattern.pattern == r'loss (\S+)'
    assert of.accuracy[1:] == (0.1, 'dB', 'PSNR', 'max', 'test_0.log')
    assert of[3:] == ('ms/step', None, ('--train_steps=100', '--type='), 600,
                      'test/train_full_1p.sh:124')
    assert of.logs == ('test_0.log', 'train_*_traintime_avg.txt')


@pytest.mark.parametrize('unit, seconds', [('ms/step', 0.25), ('s/step', 250), ('step/s', 0.004)])
def test_the_claimed_time_of_training_has_the_unit_that_the_rules_give_it(load, unit, seconds):
    assert recompute.training_step_s(load(f"training_time = '{unit}'"), 250) == seconds


@pytest.mark.parametrize('claimed', [None, 0.0, -1.0, math.inf])
def test_a_claimed_time_that_cannot_be_is_none(load, claimed):
    assert recompute.training_step_s(load("training_time = 'step/s'"), claimed) is None


def test_a_claimed_time_of_training_without_a_unit_is_not_guessed(load):
    assert recompute.training_step_s(load(''), 250.0) is None


SECTION = "[accuracy]\npattern = 'P (.)'\nmargin = 1\n"


@pytest.mark.parametrize('text, said', [
    ('colour = 1', 'colour is unknown: one of speed, loss, accuracy, training_time, '
                   'batch_size, flags, deadline_s, source'),
    ("[loss]\npattern='a (.)'\nunit='dB'", '[loss] unit is unknown: one of pattern, log'),
    ("loss = 'a (.)'", 'loss must be a table: write [loss]'),
    ('[loss]', '[loss] pattern is missing: it must be a regular expression of at most 500 '
               'characters with one group, around the number'),
    ("[speed]\npattern='a (.)'", '[speed] unit is missing: it must be one of s/step, ms/step, '
                                 'step/s, item/s'),
    (f"{STEP_RULE}aggregate = 'max'", "[speed] aggregate must be one of median, mean, last, "
                                      "not 'max'"),
    (f'{STEP_RULE}skip = true', '[speed] skip must be a whole number, 0 or more, not True'),
    (f'{STEP_RULE}skip = -1', '[speed] skip must be a whole number, 0 or more, not -1'),
    (f'{STEP_RULE}steps_per_match = 0',
     '[speed] steps_per_match must be a whole number, 1 or more, not 0'),
    (f'{STEP_RULE}steps_per_match = 2'.replace('s/step', 'item/s'),
     '[speed] steps_per_match is for s/step and ms/step: leave it out, for a speed in item/s is '
     'the same over many steps'),
    ("[accuracy]\npattern = 'P (.)'",
     '[accuracy] margin is missing: it must be a number above 0, in the unit of the accuracy'),
    (SECTION.replace('1', 'nan'), '[accuracy] margin must be a number above 0, in the unit of the '
                                  'accuracy, not nan'),
    (f"{SECTION}aggregate = 'median'",
     "[accuracy] aggregate must be one of last, mean, max, not 'median'"),
    (f"{SECTION}name = ''", "[accuracy] name must be a text, such as PSNR, not ''"),
    (f'{SECTION}unit = "d\\nB"', "[accuracy] unit must be a text, such as dB, not 'd\\nB'"),
    ("training_time = 'minutes'", "training_time must be one of s/step, ms/step, step/s, "
                                  "not 'minutes'"),
    ("batch_size = 1.5", 'batch_size must be a whole number, 1 or more, not 1.5'),
    ("flags = '--a=b'", "flags must be a list of '--name=value' without blanks, and without "
                         "--data_path, not '--a=b'"),
    ("flags = ['--a=b c']", "flags must be a list of '--name=value' without blanks, "
                            "and without --data_path, not ['--a=b c']"),
    ("flags = ['--data_path=/x']", "flags must be a list of '--name=value' without blanks, and "
                                   "without --data_path, not ['--data_path=/x']"),
    ("flags = ['a=b']", "flags must be a list of '--name=value' without blanks, and without "
                        "--data_path, not ['a=b']"),
    ('deadline_s = inf', 'deadline_s must be a number of seconds above 0, not inf'),
    ('source = 2022-03-21', 'source must be a text on one line, not datetime.date(2022, 3, 21)')])
def test_what_the_file_may_not_hold_is_named_with_its_rule(refusal, text, said):
    assert refusal(text) == said


@pytest.mark.parametrize('section', ['', 'speed', 'loss', 'accuracy'])
@pytest.mark.parametrize('value', ['-1', 'nan', 'true', '[[]]', '[1]', '{}', '1979-05-27',
                                   '"\\u0000"'])
def test_a_value_of_a_wrong_type_is_refused_whatever_the_key(refusal, section, value):
    kind = rules.SECTIONS.get(section, rules.Rules)
    needed = {'pattern': "'(.)'", 'unit': "'s/step'", 'margin': '1'}
    for wrong in kind._fields:
        lines = [f'{key} = {value if key == wrong else needed[key]}' for key in kind._fields
                 if key == wrong or key not in kind._field_defaults]
        assert wrong in refusal('\n'.join([section and f'[{section}]', *lines]))


@pytest.mark.parametrize('log', ['../other.log', '/etc/passwd', 'train_0.log', 'train_.log', 7])
def test_a_log_is_another_file_of_the_output_folder(refusal, log):
    assert refusal(f'{STEP_RULE}log = {log!r}') == (
        "[speed] log must be the name of a file in the output folder, other than the training's "
        f'own train_<id>.log, not {log!r}')


@pytest.mark.parametrize('pattern, said', [
    ('loss [0-9]+', 'has 0 groups: it takes one, around the number; write (?:...) for others'),
    ('(loss) (.)', 'has 2 groups: it takes one, around the number; write (?:...) for others'),
    ('loss (', 'is no regular expression: missing ), unterminated subpattern at position 5'),
    ('.*loss (.)', 'begins with a wildcard, which takes long: begin with what the line says')])
def test_a_pattern_that_finds_no_number_is_refused(refusal, pattern, said):
    assert refusal(f"[loss]\npattern = '{pattern}'") == f'[loss] pattern {pattern!r} {said}'


@pytest.mark.parametrize('pattern', [
    'x (a+)+b', '(?:(?:a*)){2,}(.)', '(?:a|a)*(.)', '(?:a?){25}(.)', '((?:[0-9]+)*)x',
    '(?:(?:ab?)c)+(.)', r'(?:\)*)*(.)', '(?:[)]+)+(.)'])
def test_a_pattern_that_may_take_for_ever_is_refused(refusal, pattern):
    assert refusal(f"[loss]\npattern = '{pattern}'").endswith(
        'repeats a group that holds *, +, ?, {} or |, which may take for ever: repeat single '
        'characters only')


@pytest.mark.parametrize('pattern', [
    r'loss[ :=]+([0-9.]+(?:e[-+]?[0-9]+)?)', r'(?:loss|Loss) : (\S+)', r'\(a\)+ (.+)',
    r'[(]*loss(.)', r'step (?:ab)*(\S+?),', r'x{2,3} (\d{1,4})'])
def test_a_pattern_that_repeats_single_characters_is_taken(load, pattern):
    assert load(f"[loss]\npattern = '{pattern}'").loss.pattern.pattern == pattern


@pytest.mark.parametrize('text', ['a = ', b'\xff\xfe', 'a = ' + '[' * 5000,
                                  "[loss]\npattern='(.)'\n[loss]"])
def test_a_file_that_is_no_toml_is_named(refusal, text):
    assert refusal(text).startswith('cannot be read as rules (TOML): ')


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'no.toml cannot be read as rules \(TOML\): No such'):
        rules.load(str(tmp_path / 'no.toml'))


VALUES = st.recursive(st.one_of(
    st.booleans().map(lambda b: str(b).lower()), st.integers(-9, 9).map(str),
    st.floats().map(str), st.sampled_from(["'s/step'", "'(.)'", "'x'", '[]', '{}', '1979-05-27'])),
    lambda inner: inner.map('[{}]'.format), max_leaves=3)


@given(st.lists(st.tuples(st.sampled_from([*rules.Rules._fields, *rules.Speed._fields, 'x']),
                          VALUES)), st.sampled_from(['', '[speed]', '[accuracy]']))
def test_rules_of_whatever_content_are_taken_or_refused(tmp_path_factory, pairs, section):
    path = tmp_path_factory.mktemp('rules') / 'a.toml'
    path.write_text('\n'.join([section, *map(' = '.join, pairs)]))
    try:
        taken = rules.load(str(path))
    except ConfigError as e:
        assert str(path) in str(e)
    else:
        assert isinstance(taken, rules.Rules)


# --- what comes of a log -------------------------------------------------------------------------

@pytest.mark.parametrize('unit, number, step_s, items_per_s', [
    ('s/step', 0.5, 0.5, 32), ('ms/step', 500, 0.5, 32), ('step/s', 2, 0.5, 32),
    ('item/s', 32, 0.5, 32)])
def test_each_unit_gives_the_time_of_a_step_and_the_speed(load, unit, number, step_s, items_per_s):
    found = recomputed(load(STEP_RULE.replace('s/step', unit)), steps(*[number] * 6), 16)
    assert found.step_seconds == (step_s,) * 6
    assert found.items_per_s == items_per_s


def test_without_a_batch_size_steps_have_a_time_but_no_speed(load):
    found = recomputed(load(STEP_RULE), steps(*[0.5] * 6))
    assert found.step_seconds == (0.5,) * 6
    assert found.items_per_s is None and found.bounds_items_per_s is None
    assert recompute.disagreement(99, found) == ''


def test_without_a_batch_size_items_have_a_speed_but_steps_no_time(load):
    found = recomputed(load(STEP_RULE.replace('s/step', 'item/s')), steps(*[32] * 6))
    assert found.items_per_s == 32
    assert found.step_seconds == () and found.warmup == 0


def test_the_batch_size_of_the_rules_is_believed_before_the_label(load):
    found = recomputed(load(f'batch_size = 8\n{STEP_RULE}'), steps(*[0.5] * 6), 16)
    assert found.items_per_s == 16


def test_the_time_of_many_steps_is_divided(load):
    found = recomputed(load(f'{STEP_RULE}steps_per_match = 100'), steps(*[130] * 6), 16)
    assert found.step_seconds == (1.3,) * 6
    assert found.items_per_s == pytest.approx(16 / 1.3)


@pytest.mark.parametrize('aggregate, items_per_s', [('median', 16), ('mean', 8), ('last', 4)])
def test_the_warm_up_is_left_out_of_each_aggregate(load, aggregate, items_per_s):
    of = load(f"{STEP_RULE}aggregate = '{aggregate}'\nskip = 2")
    found = recomputed(of, steps(60, 9, 1, 1, 4), 16)
    assert found.items_per_s == items_per_s
    assert found.warmup == 2
    assert found.step_seconds == (60, 9, 1, 1, 4)


def test_a_first_line_of_zero_is_no_fault_but_one_behind_the_warm_up_is(load):
    of = load(f'{STEP_RULE}skip = 1'.replace('s/step', 'item/s'))
    good = recomputed(of, steps(0, 30, 32), 16)
    assert good.fault == '' and good.items_per_s == 31
    assert good.warmup == 0 and len(good.step_seconds) == 2
    assert recomputed(of, steps(0, 30, 0)).fault == (
        'the log gives 0 item/s, which cannot be: nothing was timed')


@pytest.mark.parametrize('lines, fault', [
    ([], 'the log tells of no step: nothing fits the pattern of [speed]'),
    (steps('soon', ''), 'the log tells of no step: nothing fits the pattern of [speed]'),
    (steps(1, 1, 1), 'the log tells of 3 steps, but the first 5 are the warm-up'),
    (steps(*[0.0] * 9), 'the log gives 0 s/step, which cannot be: nothing was timed'),
    (steps(*[-1] * 9), 'the log gives -1 s/step, which cannot be: nothing was timed'),
    (steps(*['nan'] * 9), 'the log gives nan s/step, which cannot be: nothing was timed')])
def test_a_log_without_times_is_no_measurement(load, lines, fault):
    found = recomputed(load(STEP_RULE), lines, 16)
    assert found.fault == fault
    assert found.items_per_s is None and found.step_seconds == ()


@pytest.mark.parametrize('bad', ['nan', 'inf', '-inf'])
def test_a_loss_that_is_no_number_is_a_fault(load, bad):
    of = load(f"{STEP_RULE}[loss]\npattern = 'Loss : (\\S+)'")
    found = recomputed(of, ['Loss : 3.5', f'Loss : {bad}', *steps(*[1] * 9)], 16)
    assert found.fault == f'loss 2 of the log is {bad}: the training diverged'
    assert found.items_per_s == 16


def test_an_accuracy_that_is_no_number_is_a_fault(load):
    found = recomputed(load(SECTION.replace('(.)', r'(\S+)')), ['P nan'])
    assert found.accuracy is None
    assert found.fault == 'the log gives nan as the accuracy'


@pytest.mark.parametrize('aggregate, value', [('last', 32), ('mean', 33), ('max', 36)])
def test_an_accuracy_is_that_of_its_aggregate(load, aggregate, value):
    of = load(SECTION.replace('(.)', r'(\S+)') + f"aggregate = '{aggregate}'")
    assert recomputed(of, ['P 31', 'P 36', 'P 32']).accuracy == value


def test_an_accuracy_that_the_log_does_not_tell_is_none(load):
    assert recomputed(load(SECTION), ['nothing']) == recompute.Recomputed()


def test_each_section_reads_its_own_log(load):
    of = load(f"{STEP_RULE}log = 'train_*_avg.txt'\n[loss]\npattern = 'time : (.)'")
    found = (recompute.Recompute(of, 1).feed('train_0.log', steps(*[7] * 3))
             .feed('train_0_avg.txt', steps(*[1] * 6)).result())
    assert found.losses == (7, 7, 7)
    assert found.step_seconds == (1,) * 6


def test_lines_may_come_in_any_portions(load):
    lines, reader = steps(*range(1, 20)), recompute.Recompute(load(STEP_RULE), 16)
    for line in lines:
        reader.feed('train_0.log', [line])
    assert reader.result() == recomputed(load(STEP_RULE), lines, 16)


def test_a_progress_bar_in_one_line_is_taken_apart(load):
    of = load(r"""
[speed]
pattern = '([0-9]+)ms/step'
unit = 'ms/step'
skip = 0""")
    bar = '\b' * 40 + '10/10 [====] - 4ms/step - loss: 0.1'
    assert recomputed(of, [f'1/10 [>] - 2ms/step\r2/10 - 3ms/step{bar}\n' + 'x' * 5000],
                      1).step_seconds == (0.002, 0.003, 0.004)


def test_nuls_of_a_log_that_was_cut_do_not_hide_a_line(load):
    of = load("[loss]\npattern = '^Loss : ([^ ]+)'")
    assert recomputed(of, ['\0\0\0Loss : 3.5\0\0', 'Loss : 2\r\n']).losses == (3.5, 2)


def test_the_steps_so_far_are_counted_with_the_warm_up(load):
    reader = recompute.Recompute(load(STEP_RULE)).feed('train_0.log', steps(0, 1))
    assert reader.steps == 2
    assert reader.feed('train_0.log', steps(1)).steps == 3


def test_a_line_of_ten_megabytes_is_passed_over(load):
    of = load("[loss]\npattern = 'a.*b.*c (.)'")
    assert recomputed(of, ['ab' * 5_000_000 + 'c 1', 'abc 2']).losses == (2,)


def test_a_number_may_end_a_sentence_and_one_with_two_points_is_none(load):
    of = load("[loss]\npattern = 'loss ([0-9.]+)'")
    assert recomputed(of, ['loss 3.5.', 'loss 1.2.3', 'loss .']).losses == (3.5,)


TEXTS = st.lists(st.one_of(
    st.text(), st.binary().map(lambda b: b.decode('utf-8', 'replace')),
    st.builds('{} {}'.format, st.sampled_from('tlp'),
              st.one_of(st.floats(), st.integers(), st.text(max_size=3)))), max_size=20)


@given(TEXTS, st.sampled_from(list(recompute.SECONDS)), st.sampled_from([None, 1, 16]))
def test_whatever_the_log_holds_comes_to_a_speed_or_a_fault(lines, unit, batch_size):
    of = rules.Rules(rules.Speed(re.compile('t (.+)'), unit, 'mean', skip=1),
                     rules.Loss(re.compile('l (.+)')), rules.Accuracy(re.compile('p (.+)'), 1.0))
    found = recomputed(of, lines, batch_size)
    assert found.fault or all(0 < s < math.inf for s in found.step_seconds)
    assert found.items_per_s is None or 0 < found.items_per_s < math.inf
    assert found.accuracy is None or math.isfinite(found.accuracy)
    if found.items_per_s:
        low, high = found.bounds_items_per_s
        assert low * (1 - 1e-9) <= found.items_per_s <= high * (1 + 1e-9)


# --- models of the zoo, each by its own kind of log ----------------------------------------------

# Rules, a log and what comes of it: items a second with a batch of 16, and the accuracy.
ZOO = {
    # Each script's own choice of lines, where it can be defended; the mean where it takes the last.
    'DenseNet121_ID0067': (r"""
[speed]
pattern = '\bFPS: *(\S+)'
unit = 'item/s'
aggregate = 'mean'
skip = 1""", ['step: 1 FPS: 3.2 loss: 7.1', 'step: 2 FPS: 400.0 loss: 7.0',
              'step: 3 FPS: 410.0 loss: 6.9'], 405, None),
    'DIEN_ID3065': (r"""
[speed]
pattern = 'avg_examples_per_second[ =:]+([0-9.]+)'
unit = 'item/s'
aggregate = 'mean'""", [*['avg_examples_per_second: 12.5'] * 5, 'avg_examples_per_second: 9000',
                        'avg_examples_per_second: 9200'], 9100, None),
    'BertBase_Google_ID0631': (r"""
[speed]
pattern = 'global_step/sec: ([0-9.]+)'
unit = 'step/s'
skip = 2""", [f'I1125 10:07:56.12 281472 tpu_estimator.py:2307] global_step/sec: {rate}'
              for rate in (0.01, 1.9, 2.0, 2.5, 3.0)], 40, None),
    'OSNet_ID1379': (r"""
[speed]
pattern = '([0-9]+)ms/step'
unit = 'ms/step'
skip = 1
[accuracy]
pattern = 'val_acc: ([0-9.]+)'
margin = 0.01""", ['\b' * 30 + '1/3 [>..] - ETA: 9s - 9000ms/step' + '\b' * 30
                   + '2/3 [=>.] - ETA: 0s - 80ms/step' + '\b' * 30
                   + '3/3 [===] - 80ms/step - loss: 0.3 - val_acc: 0.91'], 200, 0.91),
    'BSRN_ID1296': (r"""
[speed]
pattern = 'time: ([0-9.]+)s'
unit = 's/step'
aggregate = 'mean'
skip = 2""", ['iter 1 loss: 2.0 time: 31.5s', 'iter 2 loss: 1.9 time: 0.9s',
              'iter 3 loss: 1.8 time: 0.3s', 'iter 4 loss: 1.7 time: 0.5s'], 40, None),
    'SWD_ID1211': (r"""
[speed]
pattern = 'Avg[ :=]+([0-9.]+)'
unit = 's/step'
skip = 0
log = 'train_*_traintime_avg.txt'""", {'train_0.log': ['Avg: 99'],
                                       'train_0_traintime_avg.txt': ['Avg: 0.32']}, 50, None),
    'stackgan_ID0760': (r"""
[speed]
pattern = '\bfps: *([0-9.]+)'
unit = 'item/s'
[accuracy]
pattern = 'inception score: ([0-9.]+)'
margin = 0.05
log = 'test_0.log'""", {'train_0.log': ['fps: 1', *['fps: 77.5'] * 7],
                        'test_0.log': ['inception score: 3.7']}, 77.5, 3.7),
    'EDSR_ID1263': (r"""
[accuracy]
pattern = 'val PSNR: (\S+)'
unit = 'dB'
name = 'PSNR'
margin = 0.1""", ['epoch 9 - val PSNR: 33.690 - val SSIM: 0.926',
                  'epoch 10 - val PSNR: 33.720 - val SSIM: 0.927'], None, 33.72),
    'SR_EA': (r"""
[accuracy]
pattern = "'PSNR': ([0-9.]+)"
margin = 0.1""", ["valid: {'SSIM': 0.96, 'PSNR': 37.9}"], None, 37.9),
    'NOISE2NOISE': (r"""
[accuracy]
pattern = 'Average PSNR[ :=]+([0-9.]+)'
margin = 0.1
aggregate = 'max'""", ['Average PSNR: 31.1', 'Average PSNR: 31.6', 'Average PSNR: 31.4'],
        None, 31.6),
    'MZSR_ID1072': (r"""
[speed]
pattern = '100 steps: ([0-9.]+) s'
unit = 's/step'
steps_per_match = 100
skip = 1""", ['100 steps: 250.0 s', '100 steps: 80.0 s', '100 steps: 80.0 s'], 20, None),
}


@pytest.mark.parametrize('name', list(ZOO))
def test_the_rules_of_a_model_of_the_zoo_read_its_kind_of_log(load, name):
    text, logs, items_per_s, accuracy = ZOO[name]
    reader = recompute.Recompute(load(text), 16)
    for log, lines in (logs if isinstance(logs, dict) else {'train_0.log': logs}).items():
        reader.feed(log, lines)
    found = reader.result()
    assert found.fault == ''
    assert (found.items_per_s, found.accuracy) == (
        items_per_s and pytest.approx(items_per_s), accuracy)


# --- what is reported, and what the log says -----------------------------------------------------

JITTER = [60.0, 0.61, 0.6, 0.6, 0.6, 0.58, 0.62, 0.6, 0.59, 0.9, 0.6, 0.6, 0.6, 0.55, 0.6]


@pytest.mark.parametrize('honest', [
    JITTER[-1], sum(JITTER) / 15, sum(JITTER[1:]) / 14, sum(JITTER[-5:]) / 5, max(JITTER[5:]),
    min(JITTER), JITTER[9]])
def test_each_step_and_each_mean_of_the_log_is_an_honest_report(load, honest):
    found = recomputed(load(STEP_RULE), steps(*JITTER), 16)
    assert recompute.disagreement(round(16 / honest, 2), found) == ''


@pytest.mark.parametrize('lie', [266.67, 0.6, 3074 / 16, 53.33, 16 / 60.0])
def test_what_no_step_and_no_mean_of_the_log_gives_is_not(load, lie):
    said = recompute.disagreement(lie, recomputed(load(STEP_RULE), steps(*JITTER), 16))
    assert f'reports {lie:.4g} items/s' in said and '26.67 of its log' in said


def test_the_rounding_of_two_decimals_is_no_lie(load):
    found = recomputed(load(STEP_RULE), steps(*[100.0] * 9), 16)
    assert recompute.disagreement(0.16, found) == ''
    found = recomputed(load(STEP_RULE), steps(*[300.0] * 9), 16)
    assert recompute.disagreement(0.05, found) == ''   # 0.0533


def test_where_either_is_unknown_nothing_is_said(load):
    assert recompute.disagreement(None, recomputed(load(STEP_RULE), steps(*[1] * 9), 16)) == ''
    assert recompute.disagreement(5, recompute.Recomputed()) == ''
