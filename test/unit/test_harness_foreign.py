# SPDX-License-Identifier: Apache-2.0
"""What another model's script has left is believed as far as it was witnessed, and no further."""

import dataclasses

import pytest
from samples import CPU, case, planned

from harness import foreign
from harness.records import ITEMS, Device, Load, Outcome
from harness.sandbox import Left
from harness.witness import Call

NPU, GPU = Device('npu', 0), Device('gpu', 0)
SUMMARY = '''Network = Net_ID1_for_TensorFlow
RankSize = 1
BatchSize = 16
DeviceType = x86_64
CaseName = Net_ID1_for_TensorFlow_bs16_1p_perf
ActualFPS = {fps}
TrainingTime = {ms}
ActualLoss = 0.5
E2ETrainingTime = 9
'''
RULES = '''
training_time = 'ms/step'
[speed]
pattern = 'took ([0-9.]+) s'
unit = 's/step'
skip = 1
[loss]
pattern = 'loss (\\S+)'
'''
STEPS = 'step 1 took 2.0 s loss 4\n' + ''.join(
    f'step {i} took {0.5 + i / 1000:.3f} s loss {4 / i:.2f}\n' for i in range(2, 12))
FACTS = {'commit': 'abc', 'data': '123', 'awk': 'mawk', 'sandbox': 'bubblewrap'}
SOUND = Call(('../main.py', '--batch', '16'), 0, 9.0)
TRACEBACK = 'Traceback (most recent call last):\n  File "main.py", line 3\nKeyError: 1\n'


class Run:
    """A run whose files and witnesses are given."""

    def __init__(self, tmp_path):
        self.folder = tmp_path
        (tmp_path / 'Net' / 'test').mkdir(parents=True)
        (tmp_path / 'rules.toml').write_text(RULES)
        (tmp_path / 'output.log').write_text('')

    def evaluate(self, log=STEPS, fps='31.75', ms='504', calls=(SOUND,), rules=True, device=CPU,
                 summary=SUMMARY, outcome=None, load=None, kind='performance', script='echo',
                 output='', more=None, **left):
        """The measurement, and why it is none."""
        name = f'test/train_{kind}_1p.sh'
        (self.folder / 'Net' / name).write_bytes(script.encode())
        of = dataclasses.replace(
            case(ITEMS), script=name, model_dir=str(self.folder / 'Net'), flags=('--x=1',),
            rules=str(self.folder / 'rules.toml') if rules else '')
        (self.folder / 'output.log').write_text(output)
        name = 'Net_ID1_for_TensorFlow_bs16_1p_perf.log'
        files = {'train_0.log': log, name: summary and summary.format(fps=fps, ms=ms),
                 **(more or {})}
        for file, text in files.items():
            (self.folder / file).write_text(text or '')
        kept = tuple(str(self.folder / name) for name, text in files.items() if text is not None)
        ended = dataclasses.replace(outcome or Outcome(0, '', 0.0, 10.0, '', ''),
                                    output_path=str(self.folder / 'output.log'))
        return foreign.evaluate(
            dataclasses.replace(planned(), case=of), device, ended,
            Left(kept, tuple(calls), (), (), '', FACTS)._replace(**left), load)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_with_rules_the_speed_is_of_the_logs_steps_and_both_are_kept(run):
    measured, why = run.evaluate()
    assert why == ''
    assert measured.images_per_s == pytest.approx(16 / 0.5065, rel=1e-3)
    assert (measured.steps, measured.first_counted_step) == (11, 2)
    assert measured.final_loss == pytest.approx(4 / 11, abs=0.01)
    assert measured.reported.values['ActualFPS'] == '31.75'
    assert measured.reported.items_per_s == 31.75
    assert measured.reported.recomputed_items_per_s == measured.images_per_s
    assert measured.reported.remarks == ()


def test_without_rules_the_speed_is_the_scripts_own(run):
    measured, why = run.evaluate(rules=False)
    assert (why, measured.images_per_s, measured.step_seconds) == ('', 31.75, ())
    assert (measured.reported.recomputed_items_per_s, measured.reported.rules) == (None, '')
    assert measured.final_loss == 0.5


def test_what_runs_must_share_is_told(run):
    measured, _ = run.evaluate()
    assert measured.config == {
        'network': 'Net_ID1_for_TensorFlow', 'script': 'train_performance_1p.sh', 'flags': '--x=1',
        'batch_size': 16, **FACTS}


def test_the_batch_of_the_rules_is_what_was_trained_whatever_the_script_calls_it(run):
    (run.folder / 'rules.toml').write_text('batch_size = 16\n' + RULES)
    summary = SUMMARY.replace('BatchSize = 16', 'BatchSize = 32')
    measured, why = run.evaluate(summary=summary)
    assert (why, measured.config['batch_size']) == ('', 16)
    _, why = run.evaluate(summary=summary, fps='63.5')
    assert 'times the' in why


@pytest.mark.parametrize('changes, why', [
    ({'outcome': Outcome(None, 'no end after 3 s', 0.0, 3.0, '', '')}, 'no end after 3 s'),
    ({'data_changed': 'a/b'}, 'its data changed meanwhile (a/b first), though not by it'),
    ({'calls': [Call(('main.py',), 1, 0.1)]},
     '`python main.py` ended with status 1, which its script hides'),
    ({'calls': [SOUND, Call(('-m', 'train'), 137, 0.1)]},
     '`python -m train` ended with status 137, which its script hides'),
    ({'calls': [Call(('main.py',), None, None)]},
     'its script ended while `python main.py` was still running'),
    ({'calls': []}, 'no Python was seen to start'),
    ({'calls': [SOUND, Call(('-',), 1, 30.0)]}, '`python -c or -` ended with status 1'),
    ({'calls': [SOUND, Call(('eval.py',), 3, 0.1, inner=True)]}, '`python eval.py` ended with'),
    ({'calls': [SOUND._replace(wall_s=0.0)]}, 'but its programs ran for 0.0 s'),
    ({'calls': [SOUND._replace(wall_s=60.0)], 'outcome': Outcome(0, '', 0.0, 2.0, '', '')},
     'but its programs ran for 2.0 s'),
    ({'output': TRACEBACK}, 'output.log has a Python traceback'),
    ({'data_changed': 'a/b', 'facts': {**FACTS, 'sandbox': 'a copy'}},
     'it changed its data (a/b is not as it was)'),
    ({'summary': SUMMARY + 'Status = 3\n'}, 'the failure that it looks for'),
    ({'summary': SUMMARY + 'ModelStatus = 图执行FAIL\n'}, "looks for: '图执行FAIL'"),
    ({'summary': None, 'outcome': Outcome(2, 'exit status 2', 0.0, 9.0, '', '')},
     'CaseName =; its status is 2'),
    ({'summary': None}, 'it left no result file: none of 1 files below test/output has a line '
                        'CaseName ='),
    ({'summary': None, 'script': '\n'}, 'CaseName =; the script is empty'),
    ({'summary': None, 'script': 'a\r\nb\r\n'}, 'CaseName =; its lines end in CRLF'),
    ({'summary': None, 'script': '   Apache License\n'}, 'it holds the text of a licence'),
    ({'fps': ''}, 'ActualFPS is blank'),
    ({'fps': 'nan'}, 'ActualFPS is'),
    ({'fps': '-3'}, 'ActualFPS is -3'),
    ({'log': TRACEBACK, 'rules': False}, 'train_0.log has a Python traceback'),
    ({'log': STEPS + TRACEBACK}, 'train_0.log has a Python traceback'),
    ({'log': 'nothing\n'}, 'the log tells of no step'),
    ({'log': STEPS.replace('loss 0.80', 'loss nan')}, 'the training diverged'),
    ({'fps': '317.5'}, 'the script reports 317.5 items/s, 10'),
    ({'calls': [SOUND._replace(wall_s=0.5)]}, 'its log tells of 7.1 s of steps, but its programs '
                                              'ran for 0.5 s'),
])
def test_what_is_no_evidence_is_named(run, changes, why):
    measured, said = run.evaluate(**changes)
    assert measured is None
    assert why in said


@pytest.mark.parametrize('changes', [
    {'calls': [SOUND, Call(('-V',), 1, 0.1)]},           # a question, no program
    {'calls': [SOUND, Call(('-m', 'pip', 'list'), 1, 0.1)]},
    {'calls': [SOUND, Call(('worker.py',), None, None, inner=True)]},   # its parent ended it
    {'calls': [SOUND, Call(('worker.py',), 143, 1.0, inner=True)]},
    {'calls': [SOUND, Call(('-c', 'import x'), 1, 0.1)], 'output': TRACEBACK},
    {'log': STEPS + 'Exception ignored in: <bound method>\n' + TRACEBACK},
    {'log': STEPS + '--- Logging error ---\n' + TRACEBACK},
    {'summary': SUMMARY + 'Status = 0\nModelStatus = OK\n'},
    {'outcome': Outcome(1, 'exit status 1', 0.0, 10.0, '', '')},   # of its last command
    {'more': {'train_0_clean.log': STEPS}},                         # no second training
    {'log': STEPS + SUMMARY.format(fps='1', ms='1')},               # cat $result >>$log
    {'more': {'readme.txt': SUMMARY.format(fps='9999', ms='1')}},
    {'log': STEPS[:60] + TRACEBACK + STEPS[60:]},        # it was handled, and training went on
])
def test_what_is_harmless_is_no_fault(run, changes):
    measured, why = run.evaluate(**changes)
    assert why == ''
    assert measured.images_per_s


@pytest.mark.parametrize('changes, remark', [
    ({'edited': ('config.py', 'main.py')}, 'it changed 2 of its own files (config.py first)'),
    ({'strays': ('python3',)}, 'it left processes running, which were ended: python3'),
    ({'summary': SUMMARY.replace('= 9', '= 900')}, 'E2ETrainingTime is 900 s, but it ran for 10.0'),
    ({'ms': '31.7'}, 'TrainingTime is 31.7 ms a step, but its log says 506.5'),
    ({'kind': 'full'}, 'CaseName says perf, but the script is of kind full'),
    ({'outcome': Outcome(1, 'exit status 1', 0.0, 10.0, '', '')},
     'its script ended with status 1'),
])
def test_what_is_wrong_and_no_reason_to_reject_is_remarked(run, changes, remark):
    measured, why = run.evaluate(**changes)
    assert why == ''
    assert remark in ' '.join(measured.reported.remarks)


# --- on which device ------------------------------------------------------------------------------

OFFLOADED = ('geop_npu.cc:712] The model has been compiled on the Ascend AI processor, current '
             'graph id is:1\n')


@pytest.mark.parametrize('device', [NPU, GPU])
def test_a_training_that_shows_no_device_was_on_the_cpu(run, device):
    measured, why = run.evaluate(device=device)
    assert measured is None
    assert why.startswith('the training ran on the CPU: ')
    assert why.endswith(f'it was on the {device.kind}')


def test_the_adapters_own_words_show_an_npu(run):
    measured, why = run.evaluate(log=OFFLOADED + STEPS, device=NPU)
    assert (why, measured.device_kind) == ('', 'npu')


def test_a_configuration_that_names_the_npu_shows_none(run):
    _, why = run.evaluate(log='custom_op.name = "NpuOptimizer"; import npu_bridge\n' + STEPS,
                          device=NPU)
    assert why.startswith('the training ran on the CPU')


@pytest.mark.parametrize('device', [NPU, GPU])
def test_a_process_of_the_run_on_the_device_shows_it(run, device):
    used = Load(1, 1.0, device_used='python3 (1234) held 3021 MiB of it')
    assert run.evaluate(device=device, load=used)[1] == ''
    assert run.evaluate(device=device, load=Load(1, 1.0))[1].startswith('the training ran on the')
