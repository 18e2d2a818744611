# SPDX-License-Identifier: Apache-2.0
"""Other models' folders become cases; what makes no sense of them is refused in one line."""

import pytest
from samples import MACHINE

from harness import advice, config, models, rules
from harness.errors import ConfigError
from harness.records import ITEMS

RULES = '''
flags = ['--train_steps=20']
deadline_s = 60
[speed]
pattern = 'took ([0-9.]+)'
unit = 's/step'
[accuracy]
pattern = 'PSNR ([0-9.]+)'
unit = 'dB'
name = 'PSNR'
margin = 0.1
'''


@pytest.fixture
def folder(tmp_path):
    """Makes a model's folder with scripts of these names."""
    def make(*scripts, name='Net_ID1234_for_TensorFlow'):
        test = tmp_path / name / 'test'
        test.mkdir(parents=True)
        for script in scripts:
            (test / script).write_text('echo\n')
        return str(test.parent)
    return make


def cases(*flags):
    return config.cases(config.parse_args(list(flags)))


def test_scripts_are_found_by_pattern_performance_first(folder):
    model = folder('train_full_1p.sh', 'train_performance_1p.sh', 'train_full_8p.sh', 'env.sh',
                   'train_ID3057_FwFM_full_1p.sh', 'train_performance_1p_static.sh')
    assert [case.script for case in cases('--model-dir', model)] == [
        'test/train_performance_1p.sh', 'test/train_performance_1p_static.sh',
        'test/train_ID3057_FwFM_full_1p.sh', 'test/train_full_1p.sh']


def test_a_pattern_names_other_scripts(folder):
    model = folder('train_full_1p.sh', 'train_full_8p.sh')
    case, = cases('--model-dir', model, '--scripts', 'train*8p*.sh')
    assert case.script == 'test/train_full_8p.sh'


def test_only_the_kinds_that_are_wanted_are_run(folder):
    model = folder('train_full_1p.sh', 'train_performance_1p.sh')
    case, = cases('--model-dir', model, '--cases', 'full')
    assert (case.name, case.metric) == ('Net_ID1234_for_TensorFlow.full_1p', ITEMS)


def test_several_folders_are_one_session(folder):
    first, second = folder('train_full_1p.sh', name='A'), folder('train_full_1p.sh', name='B')
    assert [case.name for case in cases('--model-dir', first, '--model-dir', second)] == [
        'A.full_1p', 'B.full_1p']


def test_the_data_path_is_absolute_and_the_rules_add_flags_and_a_deadline(folder, tmp_path):
    (tmp_path / 'rules.toml').write_text(RULES)
    model = folder('train_full_1p.sh')
    case, = cases('--model-dir', model, '--data_path', str(tmp_path), '--rules',
                  str(tmp_path / 'rules.toml'))
    assert case.flags == (f'--data_path={tmp_path}', '--train_steps=20')
    assert (case.deadline_s, case.model_dir) == (60, model)
    assert case.rules == str(tmp_path / 'rules.toml')


def test_an_accuracy_that_rules_can_read_judges_the_full_script_only(folder, tmp_path):
    (tmp_path / 'rules.toml').write_text(RULES)
    model = folder('train_full_1p.sh', 'train_performance_1p.sh')
    speed, accuracy = cases('--model-dir', model, '--rules', str(tmp_path / 'rules.toml'))
    assert speed.metric == ITEMS
    assert (accuracy.metric.name, accuracy.metric.label, accuracy.metric.unit,
            accuracy.metric.margin) == ('accuracy', 'PSNR', 'dB', 0.1)


def test_rules_are_found_by_the_folders_name(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(rules, 'FOLDER', str(tmp_path))
    monkeypatch.setattr(rules.find, '__defaults__', (str(tmp_path),))
    (tmp_path / 'Net_ID1234_for_TensorFlow.toml').write_text(RULES)
    case, = cases('--model-dir', folder('train_full_1p.sh'))
    assert case.rules == str(tmp_path / 'Net_ID1234_for_TensorFlow.toml')


def test_a_deadline_on_the_command_line_comes_before_the_usual_one(folder):
    model = folder('train_full_1p.sh')
    assert cases('--model-dir', model)[0].deadline_s == models.DEADLINE_S
    assert cases('--model-dir', model, '--deadline', '90s')[0].deadline_s == 90


def test_the_command_to_measure_again_names_folder_script_rules_and_data(folder, tmp_path):
    (tmp_path / 'rules.toml').write_text(RULES)
    model = folder('train_full_1p.sh')
    case, = cases('--model-dir', model, '--data_path', str(tmp_path), '--rules',
                  str(tmp_path / 'rules.toml'))
    command = advice.again(case, MACHINE).strip('`').split()[2:]
    assert cases(*command) == (case,)


@pytest.mark.parametrize('flags, complaint', [
    (['--model-dir', 'nowhere'], 'no folder'),
    (['--model-dir', 'MODEL', '--scripts', 'none*'], 'no script none*'),
    (['--model-dir', 'MODEL', '--model-dir', 'MODEL'], 'two cases are called'),
    (['--model-dir', 'MODEL', '--preset', 'smoke'], '--preset: other models'),
    (['--model-dir', 'MODEL', '--max_step', '3'], '--max_step: other models'),
    (['--model-dir', 'MODEL', '--against', 'HEAD'], '--against: other models'),
    (['--model-dir', 'MODEL', '--rules', 'absent.toml'], 'absent.toml'),
    (['--rules', 'a.toml'], '--rules: for other models only'),
    (['--deadline', '3s'], '--deadline: for other models only'),
    (['--scripts', '*'], '--scripts: for other models only'),
    (['--model-dir', 'MODEL', '--cases', 'speed'], "unknown case 'speed'"),
    (['--model-dir', 'MODEL', '--data_path', 'nowhere'], 'no folder at --data_path'),
])
def test_what_makes_no_sense_is_refused_in_one_line(folder, flags, complaint):
    model = folder('train_full_1p.sh')
    with pytest.raises(ConfigError, match=complaint.replace('*', r'\*')) as refused:
        cases(*(model if flag == 'MODEL' else flag for flag in flags))
    assert '\n' not in str(refused.value)


def test_rules_of_one_model_are_not_anothers(folder):
    first, second = folder('train_full_1p.sh', name='A'), folder('train_full_1p.sh', name='B')
    with pytest.raises(ConfigError, match='--rules are of one model'):
        cases('--model-dir', first, '--model-dir', second, '--rules', 'a.toml')
