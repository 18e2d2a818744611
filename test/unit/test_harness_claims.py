# SPDX-License-Identifier: Apache-2.0
"""The lenient reader of ModelZoo's summary files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import claims

# As RCAN_ID0268's own scripts write it.
RCAN = '''\
Network = RCAN_ID0268_for_TensorFlow
RankSize = 1
BatchSize = 16
DeviceType = aarch64
CaseName = RCAN_ID0268_for_TensorFlow_bs16_1p_perf
ActualFPS = 26.67
TrainingTime = 0.60
ActualLoss = 94.0
E2ETrainingTime = 143
'''


def with_value(key, value, text=RCAN):
    """The summary with another value of a key."""
    lines = [line for line in text.splitlines() if not line.startswith(f'{key} ')]
    return '\n'.join([*lines, f'{key} = {value}', ''])


def test_a_summary_as_modelzoo_writes_it_is_read_whole():
    read = claims.read(RCAN)
    assert read[1:] == (26.67, None, 94.0, 0.60, 143.0, 16,
                        'RCAN_ID0268_for_TensorFlow_bs16_1p_perf', ())
    assert list(read.values) == [line.split()[0] for line in RCAN.splitlines()]
    assert read.values['DeviceType'] == 'aarch64'
    assert claims.fault(read) == ''


def test_a_summary_is_known_by_its_case_name():
    assert claims.is_summary(RCAN)
    assert claims.is_summary('\ufeffCaseName= x\r\n')
    assert not claims.is_summary('100 training step completed\nLoss : 3\nthe CaseName = x\n')


def test_keys_that_nobody_knows_are_kept():
    assert claims.read(f'{RCAN}train_accuracy = 0.91\n').values['train_accuracy'] == '0.91'


def test_line_ends_of_windows_a_mark_of_byte_order_and_nuls_do_not_matter():
    text = '\ufeff' + RCAN.replace('\n', '\r\n').replace('26.67', '26.67\0')
    assert claims.read(text) == claims.read(RCAN)


@pytest.mark.parametrize('line, side', [
    ('E2ETrainingTime= 7', 'before'), ('E2ETrainingTime =7', 'behind')])
def test_a_missing_blank_is_noted_and_the_value_read(line, side):
    read = claims.read(RCAN.replace('E2ETrainingTime = 143', line))
    assert read.e2e_s == 7
    assert read.notes == (f'E2ETrainingTime has no blank {side} its equals sign',)


def test_what_is_odd_about_a_key_is_noted_once():
    read = claims.read(with_value('BatchSize', 'x\nBatchSize= x'))
    assert read.notes == ('BatchSize has no blank before its equals sign',
                          'BatchSize is there more than once', "BatchSize is no number: 'x'")
    assert len(claims.read(f'{RCAN}A= 1\nA= 2\nA= 3\n').notes) == 2


def test_a_blank_value_is_no_missing_blank():
    assert claims.read(with_value('ActualLoss', '').replace('= \n', '=\n')).notes == ()


@pytest.mark.parametrize('nothing', ['None', 'NULL', ''])
def test_an_accuracy_that_nobody_measured_is_none_and_not_zero(nothing):
    read = claims.read(with_value('TrainAccuracy', nothing))
    assert read.accuracy is None
    assert read.notes == ()


def test_a_value_that_should_be_a_number_is_noted():
    read = claims.read(with_value('TrainAccuracy', 'Loss'))
    assert read.accuracy is None
    assert read.notes == ("TrainAccuracy is no number: 'Loss'",)


@pytest.mark.parametrize('text, value', [('37.9 dB', 37.9), ('91.2%', 91.2), ('.5', 0.5)])
def test_an_accuracy_may_have_its_unit_behind_it(text, value):
    assert claims.read(with_value('TrainAccuracy', text)).accuracy == value


@pytest.mark.parametrize('text, size', [('16', 16), ('16.0', 16), ('', None), ('0', None),
                                        ('x', None), ('1.5', None)])
def test_a_batch_size_is_a_whole_number_or_unknown(text, size):
    assert claims.read(with_value('BatchSize', text)).batch_size == size


def test_scientific_notation_is_read_and_noted():
    read = claims.read(with_value('ActualFPS', '2.667e+01'))
    assert read.fps == 26.67
    assert read.notes == ('ActualFPS is in scientific notation',)


@pytest.mark.parametrize('unit', ['images/s', 'img/sec', 'fps'])
def test_a_speed_may_have_its_unit_behind_it(unit):
    read = claims.read(with_value('ActualFPS', f'26.67 {unit}'))
    assert read.fps == 26.67
    assert read.notes == ('ActualFPS has a unit behind its number',)


@pytest.mark.parametrize('unit', ['ms', 's', 'step/s', 'it/s', 'sec/step'])
def test_a_speed_in_another_unit_than_items_per_second_is_none(unit):
    read = claims.read(with_value('ActualFPS', f'26.67 {unit}'))
    assert read.fps is None
    assert claims.fault(read) == f'ActualFPS is 26.67 {unit}, which is no speed'


@pytest.mark.parametrize('value, why', [
    ('', 'ActualFPS is blank: the script has found no speed'),
    ('nan', "ActualFPS is 'nan', which is no speed"),
    ('-nan', "ActualFPS is '-nan', which is no speed"),
    ('inf', "ActualFPS is 'inf', which is no speed"),
    ('1e999', 'ActualFPS is 1e999, which is no speed'),
    ('0.00', 'ActualFPS is 0.00, which is no speed'),
    ('-3.5', 'ActualFPS is -3.5, which is no speed'),
    ('None', "ActualFPS is 'None', which is no speed"),
    ('awk: division by zero', "ActualFPS is 'awk: division by zero', which is no speed"),
    ('26.1 27.2', "ActualFPS is '26.1 27.2', which is no speed"),
    ('26.1\n27.2\n27.2',
     'ActualFPS has 2 different values, 26.1 and 27.2 among them')])
def test_a_speed_that_is_none_is_a_fault_that_names_it(value, why):
    read = claims.read(with_value('ActualFPS', value))
    assert read.fps is None
    assert claims.fault(read) == why


def test_a_long_value_is_cut_in_the_sentence():
    assert len(claims.fault(claims.read(with_value('ActualFPS', 'x' * 5000)))) < 120


def test_lines_of_one_speed_that_agree_are_that_speed():
    read = claims.read(with_value('ActualFPS', '26.67\n26.67'))
    assert read.fps == 26.67
    assert read.notes == ('ActualFPS has 2 lines',)


def test_the_last_of_two_values_wins_and_is_noted():
    read = claims.read(f'{RCAN}ActualLoss = 3.5\n')
    assert read.loss == 3.5
    assert read.notes == ('ActualLoss is there more than once',)


def test_two_runs_in_one_file_leave_open_which_speed_is_meant():
    read = claims.read(RCAN + RCAN.replace('26.67', '53.33'))
    assert read.fps is None
    assert claims.fault(read) == 'ActualFPS has 2 different values, 26.67 and 53.33 among them'


def test_a_summary_without_a_case_or_a_speed_is_no_measurement():
    assert 'CaseName' in claims.fault(claims.read(''))
    assert 'CaseName' in claims.fault(claims.read(with_value('CaseName', '')))
    assert claims.fault(claims.read('CaseName = x_perf\n')) == 'the summary has no ActualFPS'


def test_a_training_that_diverged_is_no_measurement():
    read = claims.read(with_value('ActualLoss', 'nan'))
    assert read.loss is None
    assert claims.fault(read) == 'ActualLoss is nan: the training diverged'


@pytest.mark.parametrize('name, kind, notes', [
    ('X_bs16_1p_perf', 'full', ('CaseName says perf, but the script is of kind full',)),
    ('X_bs16_1p_acc', 'performance', ('CaseName says acc, but the script is of kind performance',)),
    ('X_bs16_1p_perf', 'performance', ()), ('X_bs16_1p_accu', 'full', ()),
    ('X_accuracy_bs16_1p', 'full', ()), ('X_RT2_perf_bs16_1p_acc', 'full', ())])
def test_a_case_name_of_the_other_kind_is_noted(name, kind, notes):
    assert claims.read(with_value('CaseName', name), kind).notes == notes


def test_a_known_failure_is_noted():
    assert claims.read(with_value('ModelStatus', '图执行FAIL')).notes == (
        "ModelStatus tells of a known failure: '图执行FAIL'",)


# The speeds of section 2.2, as each script's own chain of grep and awk writes them.
@pytest.mark.parametrize('text, fps', [
    ('26.67', 26.67),                          # RCAN_ID0268: awk with two decimals
    ('  412.5', 412.5),                        # DenseNet121_ID0067
    ('9712.34\n', 9712.34),                    # DIEN_ID3065
    ('5.31e+02', 531.0),                       # before ac41f40c2 of the zoo
    ('49152', 49152.0),                        # Transformer_ID0004: words/s
    ('512.00', 512.0),                         # GraphSAGE_ID0089: a constant
    ('24.1 \t', 24.1), ('1.', 1.0)])
def test_speeds_are_read_as_the_scripts_of_the_zoo_write_them(text, fps):
    assert claims.read(with_value('ActualFPS', text)).fps == fps


LINES = st.lists(st.one_of(
    st.text(max_size=20), st.sampled_from(RCAN.splitlines()),
    st.sampled_from(['ActualFPS =', 'ActualFPS = ', 'CaseName = ', 'BatchSize = ']),
    st.builds('ActualFPS = {}'.format, st.one_of(st.floats(), st.integers(), st.text()))))


@given(LINES, st.sampled_from(['\n', '\r\n', '\r', '']), st.sampled_from(list(claims.KINDS)))
def test_whatever_the_file_holds_it_is_read_and_faulted_or_has_a_speed(lines, end, kind):
    read = claims.read(end.join(lines), kind)
    assert claims.fault(read) or 0 < read.fps < float('inf')
    assert '\n' not in claims.fault(read)


@given(st.binary(max_size=300))
def test_bytes_of_whatever_kind_are_read(data):
    read = claims.read(f'CaseName = x\nActualFPS = {data.decode("utf-8", "replace")}')
    assert read.fps is None or any(c in b'0123456789' for c in data)


@given(st.text(st.characters(blacklist_characters='0123456789')))
def test_a_text_without_digits_has_no_speed(text):
    assert claims.read(text).fps is None
    assert claims.read(f'ActualFPS = {text}').fps is None
