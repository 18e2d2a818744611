# SPDX-License-Identifier: Apache-2.0
"""Training log -> Measurement.  The logs in fixtures/ were recorded from real runs."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import FIXTURES
from stand_in import training_log

from harness import files
from harness.errors import ParseError
from harness.parse import TrainingLog
from harness.records import Detail, Picture, Progress, Turn

# Every run of the tests draws the same examples.
fuzzed = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def recorded(name):
    return (FIXTURES / name).read_text(encoding='utf-8').splitlines()


def measure(lines):
    return TrainingLog().feed(lines).measurement()


def number_of(lines, text):
    """The number of the first line that holds a text."""
    return next(i for i, line in enumerate(lines) if text in line)


GOOD = recorded('good.log')                                      # twelve steps and an evaluation
EVALUATION = number_of(GOOD, 'Final checkpoint') + 1             # the evaluation's first line
TRAINED = GOOD[:EVALUATION]
BATCH_SIZE = 16


# --- what a whole log says ------------------------------------------------------------------------

def test_the_speed_is_the_median_after_the_warm_up_and_not_the_last_step():
    # Steps 6 to 12 took .905291 .730554 1.057439 .952685 .708087 .795739 .739954 s.
    measured = measure(GOOD)
    assert measured.step_s == 0.795739
    assert measured.images_per_s == pytest.approx(BATCH_SIZE / 0.795739)
    assert measured.images_per_s != pytest.approx(BATCH_SIZE / 0.739954)    # the last step's
    assert measured.step_mad_s == pytest.approx(0.905291 - 0.795739 - 0.0219)


def test_the_harness_and_the_training_report_the_same_speed():
    reported = float(GOOD[number_of(GOOD, 'Final images/sec')].split()[-1])
    assert measure(GOOD).images_per_s == pytest.approx(reported, abs=1e-4)


def test_the_loss_is_the_last_one_and_not_the_best_of_the_last_five():
    measured = measure(GOOD)
    assert measured.final_loss == 16.1188
    assert min(measured.losses[-5:]) == 15.0197


def test_the_first_step_stands_apart_with_the_time_from_the_start_to_its_end():
    measured = measure(GOOD)
    assert measured.first_step_s == pytest.approx(2.282)
    assert measured.time_to_first_step_s == pytest.approx(6.817)
    assert measured.step_seconds[0] == 2.281566
    # A first step as slow as a compilation leaves the speed as it is.
    slow = [line.replace('2.281566', '600.000000') for line in GOOD]
    assert measure(slow).images_per_s == measured.images_per_s


def test_the_wall_speed_has_everything_between_the_first_step_and_the_last():
    # From 1795417504.815 to 1795417514.666: eleven steps and a checkpoint.
    assert measure(GOOD).wall_images_per_s == pytest.approx(BATCH_SIZE * 11 / 9.851)


def test_an_evaluation_gives_psnr_ssim_and_what_bicubic_reaches():
    measured = measure(GOOD)
    assert measured.psnr_db == 25.7959
    assert measured.ssim == pytest.approx(0.672167, abs=1e-6)
    assert measured.bicubic_psnr_db == pytest.approx(31.537064, abs=1e-6)


def test_a_training_without_an_evaluation_has_no_psnr():
    measured = measure(TRAINED)
    assert (measured.psnr_db, measured.ssim, measured.bicubic_psnr_db) == (None, None, None)
    assert measured.images_per_s == measure(GOOD).images_per_s


def test_steps_losses_and_configuration_are_all_there():
    measured = measure(GOOD)
    assert measured.steps == len(measured.losses) == len(measured.step_seconds) == 12
    assert (measured.losses[0], measured.losses[11]) == (60.3574, 16.1188)
    assert measured.device_kind == 'cpu'
    assert measured.config['preset'] == 'smoke' and measured.config['max_step'] == 12


def test_with_log_freq_4_the_speed_is_of_the_logged_steps_after_the_warm_up():
    # Steps 8 and 12 took .131370 and .168856 s, step 4 is warm-up; batch size 4.
    measured = measure(recorded('log_freq_4.log'))
    assert (measured.steps, len(measured.losses)) == (12, 3)
    assert measured.step_s == pytest.approx((0.131370 + 0.168856) / 2)
    assert measured.images_per_s == pytest.approx(4 / 0.150113)
    assert measured.final_loss == 18.3758


def test_a_log_of_few_steps_has_a_loss_and_no_speed():
    measured = measure(recorded('three_steps.log'))
    assert measured.steps == 3
    assert (measured.step_s, measured.step_mad_s, measured.images_per_s) == (None, None, None)
    assert measured.wall_images_per_s > 0


def test_a_training_of_one_step_is_a_measurement_too():
    assert measure(training_log(steps=1).splitlines()).images_per_s is None


# --- bytes that are no clean text -----------------------------------------------------------------

def through_a_file(path, data):
    path.write_bytes(data)
    return measure(files.lines(str(path)))


@pytest.mark.parametrize('changed', [
    lambda data: data.replace(b'\n', b'\r\n'),
    lambda data: data.replace(b'2 training', b'\xff\xfe no text\n2 training', 1),
    lambda data: data.replace(b'2 training', b'\0\0\n2 training', 1),
    lambda data: b'\xef\xbb\xbf\n' + data,
    lambda data: data.rstrip(b'\n'),
    lambda data: data.replace(b'2 training', b'W0101 a warning between\n2 training', 1),
], ids=['CRLF', 'invalid UTF-8', 'NUL', 'byte order mark', 'no last line end', 'other lines'])
def test_bytes_between_the_lines_change_no_number(tmp_path, changed):
    data = (FIXTURES / 'good.log').read_bytes()
    assert changed(data) != data
    assert through_a_file(tmp_path / 'train_0.log', changed(data)) == measure(GOOD)


def test_lines_with_their_ends_are_read_as_those_without():
    assert measure([line + '\r\n' for line in GOOD]) == measure(GOOD)


@pytest.mark.parametrize('damage', [b'\0', b'\xff', b'x'])
@pytest.mark.parametrize('line', [b'3 training step completed', b'Loss : 34.3841',
                                  b'Elpased time : 0.852674', b'Final PSNR : 25.7959'])
def test_a_byte_within_a_line_makes_the_log_no_measurement(tmp_path, line, damage):
    data = (FIXTURES / 'good.log').read_bytes()
    assert data.count(line + b'\n') == 1
    with pytest.raises(ParseError):
        through_a_file(tmp_path / 'train_0.log', data.replace(line + b'\n', line + damage + b'\n'))


# --- half a result is an error --------------------------------------------------------------------

def is_whole_training(lines):
    """The one place where a log may end early: after the training, before the evaluation."""
    begun = [line for line in lines if line.startswith(':::MLLOG {')]
    return ('"run_stop"' in ''.join(begun) and begun[-1].endswith('}')
            and '"eval_start"' not in ''.join(begun))


@pytest.mark.parametrize('count', range(len(GOOD)))
def test_a_log_torn_after_any_line_is_no_measurement(count):
    torn = GOOD[:count]
    if is_whole_training(torn):
        assert measure(torn).psnr_db is None
    else:
        with pytest.raises(ParseError):
            measure(torn)


def test_a_log_torn_within_a_line_is_no_measurement_either():
    text = '\n'.join(GOOD)
    for end in range(len(text)):
        torn = text[:end].split('\n')
        if not is_whole_training(torn):
            with pytest.raises(ParseError):
                measure(torn)


@pytest.mark.parametrize('lines, complaint', [
    ([], 'the log holds no training: it is empty or of another program'),
    (['Collecting numpy', 'Successfully installed numpy-1.19.5'], 'of another program'),
    ([line for line in GOOD if ':::MLLOG' not in line], 'the log stops early, at step 12'),
    (recorded('killed.log'), 'the log stops early, at step 6: no run_stop'),
    (recorded('out_of_memory.log'), 'the log stops early, at step 0: no device'),
    (recorded('diverged.log'), 'the loss is nan at step 3: the training diverged'),
    ([line.replace('Loss : 17.0109', 'Loss : inf') for line in GOOD], 'the loss is inf at step 11'),
    (['Elpased time : 0.000000' if 'Elpased time : 0.73' in line else line for line in GOOD],
     'a step of 0 seconds'),
    ([line for line in GOOD if line != 'Loss : 34.3841'], '12 steps, 11 losses, 12 step times'),
    ([line for i, line in enumerate(GOOD) if not 7 <= i < 10], '11 steps logged, 12 expected'),
    (GOOD[:10] + GOOD[7:], '13 steps logged, 12 expected'),
    (['30 training step completed' if line.startswith('3 ') else line for line in GOOD],
     'step 30 is logged where step 3 belongs'),
    (['Elpased time : ' + '9' * 400 + '.0' if 'Elpased time : 0.73' in line else line
      for line in GOOD], 'a step of inf seconds'),
    (['9' * 5000 + ' training step completed', *GOOD[7:]], 'the log stops early'),
    ([line.replace('"max_step": 12', '"max_step": 120') for line in GOOD], '120 expected'),
    ([line.replace('"log_freq": 1', '"log_freq": 20') for line in TRAINED if line[0] == ':'],
     '0 steps logged, 0 expected'),
    ([line.replace('"success"', '"aborted"') for line in GOOD], "ended with status 'aborted'"),
    ([line for line in GOOD if 'Final PSNR' not in line], 'the evaluation stops early'),
    ([line for line in GOOD if 'eval_accuracy' not in line], 'no eval_accuracy'),
    ([line for line in GOOD if 'eval_start' not in line], 'no eval_start'),
    ([line for line in GOOD if 'eval_stop' not in line], 'no eval_stop'),
    (['Final PSNR : 35.7959' if 'Final PSNR' in line else line for line in GOOD],
     'Final PSNR is 35.7959, but 25.7959'),
])
def test_what_is_no_measurement_says_why(lines, complaint):
    with pytest.raises(ParseError, match=re.escape(complaint)):
        measure(lines)


@pytest.mark.parametrize('changed', [
    lambda event: event[:-1],                                              # torn
    lambda event: '{',
    lambda event: '[' * 100000,                                            # nested too deeply
    lambda event: '[]',
    lambda event: '"text"',
    lambda event: event.replace('"time_ms": 1', '"time_m": 1'),
    lambda event: event.replace('"time_ms": 1', '"time_ms": 1' + '0' * 400),   # no double
    lambda event: re.sub('"time_ms": [0-9]+', '"time_ms": NaN', event),
    lambda event: event.replace('"metadata": {}', '"metadata": null'),
    lambda event: event.replace('"batch_size": 16', '"batch_size": 0'),
    lambda event: event.replace('"batch_size": 16', '"batch_size": "16"'),
    lambda event: event.replace('"batch_size": 16', '"batch_size": true'),
    lambda event: event.replace('"batch_size": 16', '"batch_size": 1e999'),
    lambda event: event.replace('"max_step": 12', '"max_step": ' + '9' * 30),
    lambda event: event.replace('"log_freq": 1', '"log_freq": null'),
    lambda event: re.sub('"value": {.*}, "meta', '"value": null, "meta', event),
])
def test_a_damaged_event_is_named(changed):
    number = number_of(GOOD, '"config"')
    lines = list(GOOD)
    lines[number] = ':::MLLOG ' + changed(lines[number][len(':::MLLOG '):])
    assert lines != GOOD
    log = TrainingLog().feed(lines)
    assert log.progress().step == 12
    with pytest.raises(ParseError, match='damaged line') as raised:
        log.measurement()
    assert len(str(raised.value)) < 200
    assert lines[number][:40].rstrip() in str(raised.value)


@pytest.mark.parametrize('old, new', [
    ('"value": 25.795918491607686', '"value": null'), ('"ssim": 0.6721676208617325, ', ''),
    ('"value": 31.537064057654796', '"value": "31.5"')])
def test_an_accuracy_that_is_no_number_is_damage(old, new):
    assert old in '\n'.join(GOOD)
    with pytest.raises(ParseError, match='damaged line'):
        measure([line.replace(old, new) for line in GOOD])


# --- whatever comes -------------------------------------------------------------------------------

pieces = st.one_of(st.text(max_size=20), st.sampled_from(
    [':::MLLOG ', ' training step completed', 'Loss : ', 'Elpased time : ', 'Final PSNR : ', 'nan',
     '-inf', '0.5', '9' * 5000, '١', '{}', *GOOD]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3), max_leaves=5)
counts = st.dictionaries(st.sampled_from(['batch_size', 'max_step', 'log_freq']),
                         st.integers() | json_values)
events = st.fixed_dictionaries({
    'key': json_values | st.sampled_from(['config', 'init_start', 'first_step_start', 'device',
                                          'first_step_stop', 'run_stop', 'eval_start',
                                          'eval_accuracy', 'eval_stop', 'comparison']),
    'time_ms': st.integers() | json_values,
    'value': counts | json_values,
    'metadata': st.dictionaries(st.sampled_from(
        ['ssim', 'status', 'step_num', 'side_px', 'gap_px', 'rows']), json_values) | json_values,
}).map(lambda event: ':::MLLOG ' + json.dumps(event))
any_line = events | st.lists(pieces, max_size=4).map(''.join)


def assert_no_surprise(lines):
    log = TrainingLog().feed(lines)
    assert isinstance(log.progress(), Progress)
    try:
        return log.measurement()
    except ParseError as e:
        assert str(e)
        return None


@fuzzed
@given(st.lists(any_line, max_size=30))
def test_no_lines_raise_anything_but_a_parse_error(lines):
    assert_no_surprise(lines)


@fuzzed
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), any_line), max_size=3))
def test_lines_thrown_into_a_good_log_raise_nothing_but_a_parse_error(inserted):
    lines = list(GOOD)
    for place, line in inserted:
        lines.insert(place, line)
    assert_no_surprise(lines)


@st.composite
def mutated(draw):
    """A good log with some lines lost, doubled, swapped, cut or changed in a character."""
    lines = list(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        line, cut = lines[i], draw(st.integers(0, len(lines[i])))
        lines[i:i + 1] = draw(st.sampled_from([
            [], [line, line], [line[:cut]], [line[:cut], line[cut:]], [lines[j]],
            [line[:cut] + draw(st.characters()) + line[cut + 1:]]]))
    return lines


@settings(fuzzed, max_examples=400)
@given(mutated())
def test_no_mutation_of_a_good_log_passes_for_another_number_of_steps(lines):
    measured = assert_no_surprise(lines)
    if measured:
        assert measured.steps == len(measured.losses) == len(measured.step_seconds) == 12


# --- meanwhile ------------------------------------------------------------------------------------

def progress_before(text):
    return TrainingLog().feed(GOOD[:number_of(GOOD, text)]).progress()


@pytest.mark.parametrize('before, phase, step', [
    ('init_start', 'starting', 0),
    ('"config"', 'loading', 0),
    ('first_step_stop', 'compiling', 0),
    ('1 training step', 'training', 0),
    ('12 training step', 'training', 11),
    ('Final images/sec', 'finishing', 12),
    ('eval_stop', 'evaluating', 12),
    ('Final PSNR', 'finishing', 12),
])
def test_progress_names_the_phase_and_the_step(before, phase, step):
    progress = progress_before(before)
    assert (progress.phase, progress.step) == (phase, step)


def test_progress_shows_the_last_loss_and_the_median_speed_so_far():
    progress = progress_before('5 training step')
    assert (progress.loss, progress.max_step) == (28.0592, 12)
    # Of 2.281566, 0.679186, 0.852674 and 0.839156 s.
    assert progress.images_per_s == pytest.approx(BATCH_SIZE / 0.845915)


def test_progress_shows_how_far_the_recent_steps_are_from_that_speed():
    # Of 7.0127, 23.5576, 18.7645 and 19.0668 images/s; the speed is 18.9144.
    assert progress_before('5 training step').images_per_s_mad == pytest.approx(
        (0.1524 + 4.6432) / 2, abs=1e-3)
    assert progress_before('3 training step').images_per_s_mad is None    # of two steps
    assert progress_before('4 training step').images_per_s_mad is not None
    lines, _ = of_steps([0.1 * i for i in range(1, 26)] + [0.5] * 20)
    assert TrainingLog().feed(lines).progress().images_per_s_mad == 0     # of the last twenty
    lines, _ = of_steps([0.5, 0.5, 0.0, 0.5])                             # one was not timed
    assert TrainingLog().feed(lines).progress().images_per_s_mad == 0


def test_lines_may_come_in_any_portions():
    log = TrainingLog()
    for line in GOOD:
        log.feed([line]).progress()
    assert log.measurement() == measure(GOOD)


# --- which steps count, and where the time went ---------------------------------------------------

def of_steps(seconds, **config):
    """A whole log of steps of so many seconds, a tenth of a second apart from each other."""
    time_ms = 1000

    def event(key, after_s, value=None, **metadata):
        nonlocal time_ms
        time_ms += round(1000 * after_s)
        return ':::MLLOG ' + json.dumps(
            {'key': key, 'time_ms': time_ms, 'value': value, 'metadata': metadata})

    config = {'batch_size': 16, 'max_step': len(seconds), 'log_freq': 1, **config}
    lines = [event('init_start', 0), event('config', 1, config), event('first_step_start', 1),
             event('first_step_stop', seconds[0]), event('device', 0, 'cpu')]
    for step, step_s in enumerate(seconds, 1):
        lines += [f'{step} training step completed', 'Loss : 4.0', f'Elpased time : {step_s:.6f}']
    lines += [event('save_start', sum(seconds[1:])), event('save_stop', 2),
              event('eval_start', 0.5), event('eval_accuracy', 1, 30.0, ssim=0.9),
              event('eval_stop', 2), event('save_start', 0), event('save_stop', 1),
              event('run_stop', 0.25, status='success')]
    return lines, event


def test_the_phases_add_up_to_the_time_from_the_first_step_to_the_end():
    lines, _ = of_steps([3.0] + [0.5] * 11)
    measured = measure(lines)
    assert measured.phases_s == pytest.approx({
        'first step': 3, 'steps': 5.5, 'saving': 3, 'evaluation': 3, 'other': 0.75})
    assert measured.wall_images_per_s == pytest.approx(16 * 11 / 12.25)
    assert measured.psnr_db is None     # what was evaluated was a training half done
    assert TrainingLog().feed(lines[:-1]).progress().phase == 'training'


def test_the_evaluation_after_the_training_takes_none_of_its_time():
    lines, event = of_steps([3.0] + [0.5] * 11)
    after = [event('init_start', 5), event('eval_start', 9),
             event('eval_accuracy', 9, 32.5, ssim=0.9), event('eval_stop', 9),
             event('save_start', 9), event('save_stop', 9), 'Final PSNR : 32.5000']
    measured = measure(lines + after)
    assert measured.phases_s == measure(lines).phases_s
    assert measured.psnr_db == 32.5


def test_the_wait_for_input_is_apart_from_the_steps_where_the_log_has_it():
    lines, event = of_steps([3.0] + [0.5] * 11)
    lines.insert(-1, event('input_wait', 0, 1.5))
    assert measure(lines).phases_s['input wait'] == 1.5
    assert measure(lines).phases_s['steps'] == pytest.approx(4)
    for damaged in ('Infinity', '-1.5', 'null', '"1.5"', 'true'):
        with pytest.raises(ParseError, match='damaged line'):
            measure([line.replace('"value": 1.5', f'"value": {damaged}') for line in lines])


def test_a_recorded_run_has_its_phases():
    assert measure(GOOD).phases_s == pytest.approx({
        'first step': 2.282, 'steps': 9.688855, 'saving': 0.161, 'evaluation': 0,
        'other': 9.851 - 9.688855 - 0.161})


def test_a_long_warm_up_does_not_count():
    measured = measure(of_steps([3.0] + [1.5] * 29 + [0.5, 0.51] * 36)[0])
    assert (measured.first_counted_step, measured.steady) == (33, True)   # a batch's first step
    assert measured.images_per_s == pytest.approx(16 / 0.505)


def test_a_run_that_gets_slower_all_the_time_is_not_steady_and_counts_from_the_sixth_step():
    measured = measure(of_steps([3.0] + [0.5 + 0.002 * i for i in range(101)])[0])
    assert (measured.first_counted_step, measured.steady) == (6, False)
    assert measured.step_s == pytest.approx(0.5 + 0.002 * 52)


def test_the_tail_and_the_outliers_are_of_the_steps_that_count():
    measured = measure(of_steps([3.0] * 5 + [0.5] * 19 + [2.0])[0])
    assert measured.outlier_share == pytest.approx(1 / 20)
    assert measured.step_p95_s == pytest.approx(0.5 + 0.05 * 1.5)


def test_of_few_steps_none_counts():
    measured = measure(recorded('three_steps.log'))
    assert (measured.first_counted_step, measured.step_p95_s, measured.outlier_share) == (
        None, None, None)
    assert measured.steady


@pytest.mark.parametrize('factor, is_steady', [(1.0, True), (1.3, False)])
def test_a_run_that_took_turns_has_to_be_steady_too(factor, is_steady):
    # It gets slower, step by step; every fourth step is the first of a turn.
    seconds = [0.25 * factor ** (i / 100) + (9.0 if i % 4 == 1 else 0) for i in range(100)]
    log = training_log(steps=100).splitlines()
    times = iter(seconds)
    log = [f'Elpased time : {next(times):.6f}' if 'Elpased' in line else line for line in log]
    turns = tuple(Turn(i, i + 3) for i in range(2, 99, 4))
    assert TrainingLog().feed(log).measurement(turns).steady is is_steady


def test_of_a_run_that_took_turns_the_speed_is_the_mean_of_the_middle_half():
    # Of the eight steps that count the middle half is 0.2, 0.3, 0.4, 0.4.
    seconds = [0.5] * 6 + [0.2, 0.2, 0.2, 0.3, 0.4, 0.4, 0.4, 9.0]
    log = training_log(steps=14).splitlines()
    times = iter(seconds)
    log = [f'Elpased time : {next(times):.6f}' if 'Elpased' in line else line for line in log]
    made = TrainingLog().feed(log).measurement((Turn(6, 14),))
    assert made.step_s == pytest.approx(0.325)
    assert made.images_per_s == pytest.approx(BATCH_SIZE / 0.325)


def test_of_a_run_that_took_turns_only_steps_begun_in_a_turn_count():
    # Steps 6 to 12 are its turns; the first of each lasted through the stop before.
    seconds = [0.5] * 5 + [9.0, 0.25, 0.25, 9.0, 0.25, 0.25, 0.25] + [0.75] * 13
    log = training_log(steps=25).splitlines()
    times = iter(seconds)
    log = [f'Elpased time : {next(times):.6f}' if 'Elpased' in line else line for line in log]
    turns = (Turn(1, 5), Turn(6, 8), Turn(9, 12))
    made = TrainingLog().feed(log).measurement(turns)
    assert (made.step_s, made.images_per_s) == (0.25, 64)
    assert made.wall_images_per_s is None       # it was stopped half of the time
    assert TrainingLog().feed(log).measurement().step_s == 0.75


# --- the PSNR against the steps, and the picture --------------------------------------------------

def of_an_evaluation(accuracy='30.0', metadata='"ssim": 0.9'):
    """A whole log whose training was evaluated before its end, and what that said."""
    lines, _ = of_steps([3.0] + [0.5] * 11)
    said = '"value": 30.0, "metadata": {"ssim": 0.9}'
    assert sum(said in line for line in lines) == 1
    return [line.replace(said, f'"value": {accuracy}, "metadata": {{{metadata}}}')
            for line in lines]


def test_evaluations_between_the_steps_make_a_curve_that_ends_with_the_last_one():
    curve = measure(of_an_evaluation(metadata='"ssim": 0.9, "step_num": 8')).psnr_curve
    assert curve == ((8, 30.0),)
    assert measure(GOOD).psnr_curve == ((12, 25.7959),)
    assert measure(TRAINED).psnr_curve == ()


def test_an_evaluation_whose_step_is_not_known_or_that_has_no_figure_is_no_point():
    assert measure(of_an_evaluation()).psnr_curve == ()      # of an older training
    assert measure(of_an_evaluation('Infinity', '"ssim": 0.9, "step_num": 8')).psnr_curve == ()


@pytest.mark.parametrize('step, complaint', [
    ('13', 'an evaluation at step 13 of 12'), ('0', 'damaged line'), ('-1', 'damaged line'),
    ('1.5', 'damaged line'), ('true', 'damaged line'), ('"8"', 'damaged line'),
    ('null', 'damaged line')])
def test_a_step_that_cannot_be_makes_the_log_no_measurement(step, complaint):
    with pytest.raises(ParseError, match=complaint):
        measure(of_an_evaluation(metadata=f'"ssim": 0.9, "step_num": {step}'))


LAYOUT = ('{"side_px": 192, "gap_px": 4, "rows": '
          '[{"image": "0801", "psnr_db": [27.5, 31.25, 32.5, null]}]}')


def with_picture(layout=LAYOUT, value='"comparison.png"'):
    """The recorded log with that event in its evaluation."""
    event = (':::MLLOG {"key": "comparison", "time_ms": 1, '
             f'"value": {value}, "metadata": {layout}}}')
    place = number_of(GOOD, 'eval_accuracy')
    return [*GOOD[:place], event, *GOOD[place:]]


def test_a_log_says_what_the_picture_shows():
    assert measure(with_picture()).picture == Picture(
        192, 4, (Detail('0801', (27.5, 31.25, 32.5, None)),))
    assert measure(GOOD).picture is None


def test_of_several_test_sets_no_picture_is_kept_and_none_is_described():
    assert measure(with_picture(value='"B100/comparison.png"')).picture is None


def test_a_name_that_is_no_text_is_made_one():
    shown = measure(with_picture(LAYOUT.replace('0801', r'\udcff <b>'))).picture
    assert shown.rows[0].image == r'\udcff <b>'
    assert shown.rows[0].image.encode('utf-8')


@pytest.mark.parametrize('old, new', [
    ('192', '0'), ('192', '-1'), ('192', '1000000'), ('192', '1.5'), ('192', 'true'),
    ('192', '"192"'), ('4, "rows"', 'null, "rows"'), ('"side_px": 192, ', ''),
    ('"0801"', 'null'), ('"0801"', '17'), ('0801', 'x' * 256), ('"image": "0801", ', ''),
    ('32.5, null', '32.5'), ('32.5, null', '32.5, null, null'), ('32.5', '"32.5"'),
    ('32.5', 'Infinity'), ('32.5', 'NaN'), ('32.5', '-1.0'), ('32.5', 'true'),
    ('[27.5, 31.25, 32.5, null]', 'null'), ('[27.5, 31.25, 32.5, null]', '"abcd"'),
    ('[{', '[7, {'), ('[{"image"', '[], "more": [{"image"'),
    ('[{', '[' + '{"image": "a", "psnr_db": [1.0, 1.0, 1.0, null]}, ' * 100 + '{')])
def test_a_picture_that_cannot_be_is_damage(old, new):
    assert LAYOUT.count(old) == 1
    with pytest.raises(ParseError, match='damaged line'):
        measure(with_picture(LAYOUT.replace(old, new)))
