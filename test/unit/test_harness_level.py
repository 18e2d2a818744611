# SPDX-License-Identifier: Apache-2.0
"""What modelzoo_level.txt may claim: no more than the runs show."""

import dataclasses
from types import SimpleNamespace

import pytest
from samples import CONFIG, PSNRS, baseline, case, measurement, record, session

from harness import level, store
from harness.baseline import match
from harness.config import ROOT
from harness.errors import ConfigError
from harness.level import Claim, Gpu, claims, excesses, from_text, sentence, to_text
from harness.records import PSNR, SPEED, Arm

PAPER = {**CONFIG, 'preset': 'paper', 'n_feats': 64, 'n_RG': 10, 'n_RCAB': 20, 'max_step': 102}
SPREAD = (0.995, 1.0, 1.005)
MODELS = {'npu': 'Ascend 0xD801', 'gpu': 'Tesla V100', 'cpu': 'cpu'}


def run(kind, metric=SPEED, value=32.0, index=1, fault='', steps=102, config=None, **facts):
    """A run on that kind of device."""
    config = {**(config or PAPER), 'device_kind': kind}
    made = record(value, metric, index, fault, facts={
        **config, 'device': f'{kind}:0', 'device_model': MODELS[kind], **facts})
    measured = made.measurement and measurement(
        **{metric.name: value}, config=config, device_kind=kind, steps=steps)
    outcome = dataclasses.replace(made.outcome,
                                  started_unix_s=made.outcome.started_unix_s + index)
    return dataclasses.replace(made, measurement=measured, outcome=outcome)


def speeds(kind, mean, spread=SPREAD, **changes):
    return [run(kind, value=mean * s, index=i, **changes) for i, s in enumerate(spread, 1)]


def of(records, baselines=(), given=None, **changes):
    """The claims, by key, from one session of those runs."""
    made = claims([(session(case(SPEED), case(PSNR), **changes), list(records))], baselines, given)
    return {claim.key: claim for claim in made}


def perf(*records, given=None):
    return of([r for part in records for r in part], given=given)['PerfStatus']


# --- FuncStatus -----------------------------------------------------------------------------------

def test_the_flow_is_ok_once_both_scripts_have_ended_well_on_an_npu():
    claim = of([run('npu'), run('npu', PSNR)])['FuncStatus']
    assert (claim.value, claim.todo) == ('OK', '')
    assert 'npu:0 (Ascend 0xD801 with CANN none) at 0123456789ab' in claim.because


def test_a_flow_that_failed_on_an_npu_is_not_ok_whatever_other_devices_say():
    fault = 'exit status 134 while compiling'
    claim = of([run('npu', PSNR, None, fault=fault), run('cpu'), run('cpu', PSNR)])['FuncStatus']
    assert (claim.value, claim.todo) == ('NOK', '')
    assert 'test/train_full_1p.sh failed on npu:0' in claim.because and fault in claim.because


def test_a_run_that_was_asked_for_an_npu_and_ran_on_the_cpu_is_a_failed_flow():
    fault = 'asked for the npu, but the training ran on the cpu'
    silent = run('npu', fault=fault)
    assert of([silent, run('npu', PSNR)])['FuncStatus'].value == 'NOK'


def test_the_newest_run_of_a_script_counts():
    failed, mended = run('npu', PSNR, None, 1, fault='exit status 1'), run('npu', PSNR, index=2)
    assert of([mended, run('npu'), failed])['FuncStatus'].value == 'OK'
    again = run('npu', PSNR, None, 3, fault='exit status 1')
    assert of([failed, run('npu'), mended, again])['FuncStatus'].value == 'NOK'


def test_a_run_that_somebody_interrupted_says_nothing_of_the_flow():
    stopped = run('npu', PSNR, None, 2, fault='interrupted after 3 s')
    stopped = dataclasses.replace(stopped, outcome=dataclasses.replace(stopped.outcome,
                                                                       interrupted=True))
    assert of([run('npu'), run('npu', PSNR), stopped])['FuncStatus'].value == 'OK'


def test_another_models_run_says_nothing_of_this_one():
    other = run('npu', PSNR, None, 2, fault='exit status 1')
    foreign = dataclasses.replace(other.run, case=dataclasses.replace(other.run.case,
                                                                      model_dir='EDSR_ID1263'))
    other = dataclasses.replace(other, run=foreign)
    assert of([run('npu'), run('npu', PSNR), other])['FuncStatus'].value == 'OK'


def test_where_no_npu_has_tried_the_flow_is_as_on_another_device_and_it_says_so():
    claim = of([run('cpu'), run('cpu', PSNR)])['FuncStatus']
    assert claim.value == 'OK' and 'cpu:0' in claim.because and '--kind npu' in claim.todo
    assert 'until it is measured' in sentence(claim)


def test_one_script_alone_is_no_flow():
    assert of([run('npu')])['FuncStatus'].value == 'NOK'
    claim = of([run('npu'), run('cpu', PSNR)])['FuncStatus']
    assert claim.value == 'NOK'
    assert claim.because.endswith('performance on npu, full on cpu')


# --- PerfStatus -----------------------------------------------------------------------------------

@pytest.mark.parametrize('ratio, value', [
    (1.3, 'PERFECT'), (1.1, 'OK'), (0.9, 'POK'), (0.45, 'NOK')])
def test_the_class_is_the_throughput_against_a_gpus(ratio, value):
    claim = perf(speeds('npu', 32.0 * ratio), speeds('gpu', 32.0))
    assert (claim.value, claim.todo) == (value, '')
    assert f'{ratio:.3f} of a GPU' in claim.because and 'Tesla V100' in claim.because


@pytest.mark.parametrize('ratio, by_itself, value', [
    (1.205, 'PERFECT', 'OK'), (1.005, 'OK', 'POK'), (0.505, 'POK', 'NOK')])
def test_near_a_limit_it_is_the_lower_class_with_the_reason(ratio, by_itself, value):
    claim = perf(speeds('npu', 32.0 * ratio), speeds('gpu', 32.0))
    assert claim.value == value
    assert f'{by_itself} by itself, but the interval reaches into {value}' in claim.because


def test_the_spread_of_either_side_makes_the_interval_wide():
    wide = (0.9, 1.0, 1.1)
    assert perf(speeds('npu', 41.6), speeds('gpu', 32.0)).value == 'PERFECT'
    assert perf(speeds('npu', 41.6, wide), speeds('gpu', 32.0)).value != 'PERFECT'
    assert perf(speeds('npu', 41.6), speeds('gpu', 32.0, wide)).value != 'PERFECT'


def test_the_interval_is_of_both_sides_together_and_of_one_where_a_number_is_given():
    # 0.5 % of spread, 3 runs: t(0.9875, 2) 6.205 a side, alone t(0.975, 2) 4.303, over sqrt(3)
    both = perf(speeds('npu', 41.6), speeds('gpu', 32.0))
    assert '(95 % interval 1.254 to 1.347)' in both.because
    alone = perf(speeds('npu', 41.6), given=Gpu('V100, our lab', (32.0,)))
    assert '(95 % interval 1.284 to 1.316)' in alone.because


def test_equal_speeds_to_the_last_digit_are_level_with_a_gpu():
    assert perf(speeds('npu', 32.0, (1, 1, 1)), speeds('gpu', 32.0, (1, 1, 1))).value == 'OK'


@pytest.mark.parametrize('npu, gpu, missing', [
    ((), SPREAD, 'an NPU'), (SPREAD[:2], SPREAD, 'an NPU'), (SPREAD, (), 'a GPU'),
    (SPREAD, SPREAD[:2], 'a GPU')])
def test_with_fewer_than_three_runs_a_side_nothing_is_claimed(npu, gpu, missing):
    claim = perf(speeds('npu', 60.0, npu), speeds('gpu', 32.0, gpu))
    assert claim.value == 'NOK' and missing in claim.because and 'takes 3' in claim.because
    assert f'--kind {missing[-3:].lower()}' in claim.todo


def test_what_a_cpu_does_claims_nothing():
    claim = perf(speeds('cpu', 60.0), speeds('gpu', 32.0))
    assert claim.value == 'NOK' and claim.todo


@pytest.mark.parametrize('change', [
    {'disturbance': 'others'}, {'fault': 'exit status 1'},
    {'run': dataclasses.replace(run('npu').run, arm=Arm.NEW)},
    {'run': dataclasses.replace(run('npu').run, slowdown=0.05)}])
def test_a_run_that_is_no_evidence_is_left_out(change):
    npu = speeds('npu', 60.0)
    assert perf(npu, speeds('gpu', 32.0)).value == 'PERFECT'
    npu[0] = dataclasses.replace(npu[0], **change)
    assert perf(npu, speeds('gpu', 32.0)).value == 'NOK'


def test_a_run_whose_graph_was_on_the_cpu_is_none_of_an_npu():
    npu = [dataclasses.replace(r, measurement=dataclasses.replace(r.measurement,
                                                                  device_kind='cpu'))
           for r in speeds('npu', 60.0)]
    assert perf(npu, speeds('gpu', 32.0)).value == 'NOK'


@pytest.mark.parametrize('name, value', [
    ('batch_size', 64), ('scale', 4), ('data', 'ffff0000'), ('optimizer', 'lamb')])
def test_a_gpu_that_trained_something_else_is_not_compared_with(name, value):
    gpu = speeds('gpu', 32.0, config={**PAPER, name: value})
    claim = perf(speeds('npu', 60.0), gpu)
    assert claim.value == 'NOK' and 'a GPU' in claim.because


def test_precision_is_the_devices_own_and_told():
    npu = speeds('npu', 60.0, config={**PAPER, 'precision_mode': 'allow_mix_precision'})
    claim = perf(npu, speeds('gpu', 32.0))
    assert claim.value == 'PERFECT'
    assert 'precision allow_mix_precision' in claim.because
    assert 'precision the default' in claim.because


def test_the_small_preset_says_nothing_of_the_model():
    assert perf(speeds('npu', 60.0, config=CONFIG), speeds('gpu', 32.0, config=CONFIG)).todo


def test_runs_of_two_commits_are_not_thrown_together():
    old = speeds('npu', 60.0)
    new = [run('npu', value=40.0, index=9, commit='ba9876543210')]
    claim = perf(old, new, speeds('gpu', 32.0))
    assert claim.value == 'NOK' and '1 undisturbed run ' in claim.because


def test_a_gpus_throughput_can_be_given_with_its_name():
    claim = perf(speeds('npu', 40.0), given=Gpu('V100, our lab', (32.0,)))
    assert (claim.value, claim.todo) == ('PERFECT', '')
    assert '32 images/s on V100, our lab' in claim.because


# --- PrecisionStatus ------------------------------------------------------------------------------

def reference(kind='gpu', config=PAPER):
    """A baseline of full runs on that kind of device."""
    made = baseline(PSNRS, PSNR)
    return dataclasses.replace(made, match=match(PSNR, config), environment={'device_kind': kind})


def precision(*records, baselines=None):
    return of(records, [reference()] if baselines is None else baselines)['PrecisionStatus']


CONVERGED = {**PAPER, 'max_step': 1000000}


def converged(value):
    return run('npu', PSNR, value, steps=1000000, config=CONVERGED)


def test_a_converged_psnr_level_with_a_gpus_is_ok():
    claim = precision(converged(32.0), baselines=[reference(config=CONVERGED)])
    assert (claim.value, claim.todo) == ('OK', '')
    assert '32.000 dB' in claim.because


def test_a_converged_psnr_that_may_be_a_tenth_of_a_decibel_lower_is_not_ok():
    lenient = dataclasses.replace(reference(config=CONVERGED), margin=0.3)
    claim = precision(converged(31.9), baselines=[lenient])
    assert claim.value == 'POK' and '0.1 dB and more' in claim.because


def test_what_converged_elsewhere_is_not_carried_out_on_an_npu():
    on_gpu = run('gpu', PSNR, steps=1000000, config=CONVERGED)
    claim = precision(on_gpu, baselines=[reference(config=CONVERGED)])
    assert claim.value == 'POK' and claim.todo


def test_a_short_training_that_fits_is_partly_ok():
    claim = precision(run('npu', PSNR))
    assert (claim.value, claim.todo) == ('POK', '')
    assert '102 steps of the paper preset' in claim.because


def test_a_psnr_that_is_worse_on_an_npu_is_not_ok():
    claim = precision(run('npu', PSNR, 31.0), run('cpu', PSNR, 32.0))
    assert (claim.value, claim.todo) == ('NOK', '')


def test_an_npu_that_agrees_with_its_own_past_proves_nothing():
    claim = precision(run('npu', PSNR), baselines=[reference('npu')])
    assert claim.value == 'NOK' and claim.todo


def test_a_baseline_that_does_not_say_where_it_is_from_proves_nothing_of_an_npu():
    unknown = dataclasses.replace(reference(), environment={})
    assert precision(run('npu', PSNR), baselines=[unknown]).todo


def test_a_loss_that_fits_on_a_cpu_is_partly_ok_until_it_is_measured():
    claim = precision(run('cpu', PSNR, config=CONFIG), baselines=[reference('cpu', CONFIG)])
    assert claim.value == 'POK' and 'cpu:0' in claim.because and '--kind npu' in claim.todo


def test_a_loss_that_leaves_the_envelope_does_not_fit():
    curves = tuple(tuple(1.5 + i / 1000 for _ in range(20)) for i in range(10))
    with_curves = dataclasses.replace(reference(), losses=curves)
    worse = run('npu', PSNR)
    worse = dataclasses.replace(worse, measurement=dataclasses.replace(
        worse.measurement, losses=(60.0,) * 40))
    assert precision(worse).value == 'POK'
    assert precision(worse, baselines=[with_curves]).value == 'NOK'


def test_a_session_that_decides_nothing_leaves_it_to_an_older_one():
    good = (session(case(PSNR)), [run('npu', PSNR)])
    crashed = (session(case(PSNR)), [run('npu', PSNR, None, fault='exit status 1')])
    made = claims([good, crashed], [reference()])
    assert made[2].value == 'POK' and not made[2].todo


def test_the_newest_session_that_decides_counts():
    worse, good = ((session(case(PSNR)), [run('npu', PSNR, value)]) for value in (31.0, 32.0))
    assert claims([worse, good], [reference()])[2].value == 'POK'
    assert claims([good, worse], [reference()])[2].value == 'NOK'


def test_without_a_full_run_nothing_is_claimed():
    claim = precision(run('npu'))
    assert claim.value == 'NOK' and claim.todo


# --- the file -------------------------------------------------------------------------------------

MADE = (Claim('FuncStatus', 'OK', 'a'), Claim('PerfStatus', 'POK', 'b'),
        Claim('PrecisionStatus', 'POK', 'c'))
TEXT = 'FuncStatus:OK\nPerfStatus:POK\nPrecisionStatus:POK\n'


def test_the_file_is_written_strictly_and_read_back():
    assert to_text(MADE) == TEXT
    assert excesses(from_text(TEXT), MADE) == ()


@pytest.mark.parametrize('text', [
    TEXT[:-1], TEXT.replace('\n', '\r\n'), TEXT.replace(':', ' : '), TEXT.replace(':', '\uff1a'),
    TEXT.replace('Precision', 'Percision'), '\ufeff' + TEXT.lower(), f'\n  {TEXT}\nAutoTune:OK\n'])
def test_a_file_as_people_write_it_is_read(text):
    assert excesses(from_text(text), MADE) == ()


@pytest.mark.parametrize('held, key', [
    (TEXT.replace('PerfStatus:POK', 'PerfStatus:OK'), 'PerfStatus'),
    (TEXT.replace('PerfStatus:POK', 'PerfStatus:PERFECT'), 'PerfStatus'),
    (TEXT.replace('PrecisionStatus:POK', 'PrecisionStatus:OK'), 'PrecisionStatus'),
    (TEXT.replace('PerfStatus:POK', 'PerfStatus:OK/NOK'), 'PerfStatus'),
    (TEXT.replace('PerfStatus:POK', 'PerfStatus:NOK;OK'), 'PerfStatus'),
    (TEXT.replace('PerfStatus:POK\n', ''), 'PerfStatus'),
    (TEXT.replace('FuncStatus:OK', 'FuncStatus:PERFECT'), 'FuncStatus')])
def test_a_claim_above_the_runs_or_none_that_can_be_read_is_told(held, key):
    line, = excesses(from_text(held), MADE)
    assert line.startswith(key) and 'the runs' in line


def test_a_modest_file_is_in_order():
    assert excesses(from_text('FuncStatus:NOK\nPerfStatus:NOK\nPrecisionStatus:NOK\n'), MADE) == ()


# --- the command ----------------------------------------------------------------------------------

def args(reports, **changes):
    return SimpleNamespace(**{'reports': str(reports), 'gpu_images_per_s': None, 'gpu_name': '',
                              'write': False, 'check': False, **changes})


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A folder with a session of one run of both scripts on the CPU, as the main job leaves it."""
    monkeypatch.setattr(level.baseline, 'load_all', lambda: (reference('cpu', CONFIG),))
    records = [run('cpu', config=CONFIG), run('cpu', PSNR, config=CONFIG)]
    of_session = session(case(SPEED), case(PSNR))
    store.make_reports_folder(str(tmp_path))
    for made in records:
        store.make_run_folder(str(tmp_path), made.run.id)
        store.save_run(str(tmp_path), made)
    store.save_reports(str(tmp_path), store.Summary(of_session, (), tuple(records)))
    return tmp_path


def test_the_shipped_file_claims_what_runs_on_a_cpu_show_and_no_more(reports, capsys):
    assert level.FILE == f'{ROOT}/modelzoo_level.txt'
    assert level.level(args(reports, check=True)) == 0
    out = capsys.readouterr().out
    with open(level.FILE) as f:
        assert f.read() == 'FuncStatus:OK\nPerfStatus:NOK\nPrecisionStatus:POK\n'
    assert [line.split(',')[0] for line in out.splitlines() if not line.startswith(' ')] == [
        'FuncStatus: OK', 'PerfStatus: NOK', 'PrecisionStatus: POK']
    assert out.count('    to measure it: `python') == 3


def test_a_file_that_claims_more_fails_the_check_and_is_corrected_by_writing(
        reports, tmp_path, monkeypatch, capsys):
    file = tmp_path / 'level.txt'
    file.write_text(TEXT.replace('POK', 'OK'))
    monkeypatch.setattr(level, 'FILE', str(file))
    assert level.level(args(reports, check=True)) == 1
    err = capsys.readouterr().err
    assert 'PerfStatus:OK claims more' in err and 'PrecisionStatus:OK claims more' in err
    assert level.level(args(reports, write=True)) == 0
    assert file.read_text() == 'FuncStatus:OK\nPerfStatus:NOK\nPrecisionStatus:POK\n'
    assert 'cautious: FuncStatus, PerfStatus, PrecisionStatus' in capsys.readouterr().out
    assert level.level(args(reports, check=True)) == 0


def test_without_a_flag_no_file_is_touched(reports, tmp_path, monkeypatch):
    monkeypatch.setattr(level, 'FILE', str(tmp_path / 'level.txt'))
    assert level.level(args(reports)) == 0
    assert not (tmp_path / 'level.txt').exists()


def test_a_folder_without_runs_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match='run harness/run_all.py first'):
        level.level(args(tmp_path))


@pytest.mark.parametrize('given', [
    {'gpu_images_per_s': 32.0}, {'gpu_name': 'V100'},
    {'gpu_images_per_s': 0.0, 'gpu_name': 'V100'},
    {'gpu_images_per_s': float('nan'), 'gpu_name': 'V100'},
    {'gpu_images_per_s': float('inf'), 'gpu_name': 'V100'}])
def test_a_gpus_throughput_needs_a_name_and_a_number(reports, given):
    with pytest.raises(ConfigError, match='--gpu-images-per-s'):
        level.level(args(reports, **given))
