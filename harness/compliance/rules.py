# SPDX-License-Identifier: Apache-2.0
"""All rules, in the order of the report: why each is one, and what it costs to break it."""

from functools import partial

from harness.compliance import rules_files as files
from harness.compliance import rules_level as level
from harness.compliance import rules_readme as text
from harness.compliance import rules_results as results
from harness.compliance import rules_runs as runs
from harness.compliance import rules_scripts as scripts
from harness.compliance.rule import Rule, Severity

official, de_facto, advice = (partial(Rule, severity) for severity in Severity)

GUIDE = 'Ascend/modelzoo CONTRIBUTING.md l.'
ZOO = 'Ascend/ModelZoo-TensorFlow commit '
# What the zoo's own folders do, counted at its last commit.
COUNT = 'Ascend/ModelZoo-TensorFlow at a2c3332a6: '
GATE = 'the gate cannot start: the pull request is refused'
NO_ROW = 'the dashboard shows no result of this model'

RULES = (
    official(
        'readme', 'a README', f'{GUIDE}7, 181-219', 'nobody knows what it is and how to run it',
        files.readme),
    official(
        'licence', 'a LICENSE', f'{GUIDE}37-97', 'nobody may use it', files.licence),
    official(
        'source-headers', 'each Python file names its licence', f'{GUIDE}37-97',
        'a file that is copied elsewhere has lost its licence', files.headers),
    official(
        'folder-name', 'the folder is <Network>_ID<number>_for_TensorFlow', f'{GUIDE}33, 298',
        'tools that find models by name pass it by', files.folder_name),
    official(
        'readme-data-links', 'no direct link to data in README or scripts', f'{GUIDE}203-209',
        'data are spread against their licence', text.data_links),
    official(
        'readme-results', 'the README says in a table what was reached', f'{GUIDE}199',
        'nobody can tell whether a result is good', text.results_table),
    official(
        'level', 'a modelzoo_level.txt', f'{GUIDE}263-296', 'the state of the model is unknown',
        level.there),
    official(
        'level-format', 'its lines are Key:VALUE, without blanks', f'{GUIDE}263-268',
        'tools misread the state', level.lines),
    official(
        'level-keys', 'its keys are the guide\'s', f'{GUIDE}263-296',
        'a state under another name is not read', level.keys),
    official(
        'level-values', 'its values are the guide\'s, and may be merged', f'{GUIDE}263-296',
        'the state means nothing, or keeps the model out', level.values),
    official(
        'testcase', 'a train_testcase.sh', f'{GUIDE}229, 239', GATE, files.testcase),
    official(
        'testcase-sentences', 'it says "Run testcase success!" or "Run testcase failed!"',
        f'{GUIDE}241', 'the gate waits for a sentence that never comes',
        files.testcase_sentences),
    official(
        'testcase-time', 'it takes ten minutes at the most', f'{GUIDE}227',
        'the gate ends it before it has ended', files.testcase_time),
    de_facto(
        'scripts', 'test/train_full_1p.sh and test/train_performance_1p.sh',
        f'{COUNT}86% have both', NO_ROW, files.both_scripts),
    de_facto(
        'requirements', 'a requirements.txt', f'{COUNT}92% have one',
        'the first run fails for a missing package', files.requirements),
    de_facto(
        'scripts-have-code', 'no script is empty or holds the licence',
        f'{COUNT}26 of 440 full scripts break it', f'bash succeeds at once, and {NO_ROW}',
        files.scripts_have_code),
    de_facto(
        'scripts-line-ends', 'Unix line ends', f'{COUNT}3 of 873 break it',
        'bash stops with a syntax error', files.line_ends),
    de_facto(
        'scripts-written-once', 'no script stands twice in its file',
        f'{COUNT}SRNET_ID1089 breaks it', 'every run trains twice', files.written_once),
    de_facto(
        'scripts-differ', 'the full script is no copy of the performance script',
        f'{COUNT}13 folders break it', 'one result overwrites the other', files.scripts_differ),
    de_facto(
        'network-name', 'Network is the folder\'s name', f'{COUNT}52 of 873 break it',
        'the dashboard books the result under another model', files.network_name),
    de_facto(
        'data-path-flag', 'the scripts take --data_path=', f'{COUNT}96% keep it',
        'whoever starts the scripts cannot say where the data are', scripts.data_path_flag),
    de_facto(
        'data-path-message', '[Error] para "data_path" must be config', f'{COUNT}86% keep it',
        'a missing flag shows up as some other error, later', scripts.data_path_message),
    de_facto(
        'no-data', 'without --data_path: exit status 1 and that message, or data of its own',
        f'{COUNT}86% keep it', 'it trains on nothing, or on a path of another machine',
        runs.no_data),
    de_facto(
        'device-kept', 'ASCEND_DEVICE_ID is not overwritten', f'{ZOO}b7303418b (!979)',
        'it trains on a device that somebody else uses', scripts.device_kept),
    de_facto(
        'stays-inside', 'files outside of the folder are not written',
        f'{COUNT}Siamese_ID1289 and CovPoolFER_ID1215 break it',
        'other people\'s files are lost', runs.stays_inside),
    de_facto(
        'data-not-removed', 'no rm -rf of the data', f'{COUNT}1 of 873 breaks it (TCC_ID0714)',
        'the data are gone for all other models', scripts.data_not_deleted),
    de_facto(
        'data-kept', 'a run leaves the data as they were', f'{COUNT}1 of 873 is known to break it',
        'the next model trains on other data', runs.data_kept),
    de_facto(
        'starts', 'with --data_path alone, the training starts', f'{COUNT}16 of 873 break it',
        NO_ROW, runs.starts),
    de_facto(
        'ends', 'a script ends when Python has ended', f'{COUNT}3 of 853 break it',
        'the machine is blocked until somebody looks', runs.ends),
    de_facto(
        'crash-status', 'a crashed training fails the script',
        f'{GUIDE}326 (error codes); {COUNT}43 of 853 keep it',
        'CI is green although nothing was trained', runs.crash_status),
    de_facto(
        'crash-numbers', 'a crashed training reports no numbers',
        f'{COUNT}3 of 853 break it', 'the dashboard shows a speed that nobody measured',
        runs.crash_numbers),
    de_facto(
        'output-folder', 'results lie in test/output/<device>/', f'{COUNT}97% keep it', NO_ROW,
        runs.output_folder),
    de_facto(
        'result-keys', f'all of {", ".join(results.KEYS)}',
        f'{ZOO}2223c44b3, 9e80c4d67 (!479), 7af29b56e (!975)',
        'the dashboard has an empty field', results.keys),
    de_facto(
        'result-blanks', 'Key = value, with a blank on both sides',
        f'{ZOO}3f6d83c9e (!478), 5948adfa7 (!451)', 'the dashboard does not see the key',
        results.separators),
    de_facto(
        'case-suffix', 'CaseName ends in _acc (full) or _perf (performance)',
        f'{ZOO}cc51c72c0, 82c821923 (!964), 7af29b56e (!975)',
        'the dashboard takes the run for one of the other kind', results.case_suffix),
    de_facto(
        'log-name', 'the training log is train_<device>.log', f'{ZOO}41738fb5e, 15c6df9b2 (!670)',
        'the log is not stored: nobody can look into a failure', results.log_name),
    de_facto(
        'fps-plain', 'ActualFPS without scientific notation', f'{ZOO}ac41f40c2 (!859)',
        'the dashboard does not read the number', results.plain_numbers),
    de_facto(
        'fps-averaged', 'ActualFPS is an average, not the last step',
        f'{ZOO}0abacdc32 (!57), 86203378d, 4cde7d8ee', 'one slow step is the result',
        results.averaged),
    de_facto(
        'flags-kept', 'no flag is overwritten after it is parsed', f'{ZOO}01246a368',
        'the dashboard shows another batch size and speed than was trained',
        scripts.flags_kept),
    advice(
        'readme-sections', 'the six sections of the template',
        f'{COUNT}25% have all six; the guide\'s example DenseNet121_ID0067',
        'users look for what every other README has', text.sections),
    advice(
        'requirements-pinned', 'each package with its version',
        'Ascend/modelzoo contrib/ENVIRONMENTS.md pins the gate\'s machine',
        'a new version of a package breaks the model', files.pinned),
    advice(
        'env-script', 'a test/env.sh', f'{COUNT}21% have one',
        'every user sets the environment by hand', files.env_script),
    advice(
        'flags-used', 'each flag that is parsed is used',
        f'{COUNT}69% break it for --precision_mode',
        'a flag does nothing, and nobody is told', scripts.flags_used),
    advice(
        'flags-not-fixed', 'Python gets no fixed value for what a flag sets',
        f'{COUNT}RCAN_ID0268 breaks it', 'a flag does nothing, and nobody is told',
        scripts.flags_not_fixed),
    advice(
        'flags-arrive', 'each flag\'s value reaches Python', f'{COUNT}RCAN_ID0268 breaks it',
        'a flag changes a label at the most, and a speed is computed from it',
        runs.flags_arrive),
    advice(
        'unknown-flags', 'an unknown flag is refused', f'{COUNT}the template ignores it',
        'a misspelt flag costs a whole run', runs.unknown_flags),
    advice(
        'value-apart', '--data_path DIR is understood or refused',
        f'{COUNT}the template misreads it', 'it trains on a path that nobody gave',
        runs.value_apart),
    advice(
        'help', '--help works', f'{COUNT}816 of 873 break it',
        'users read the script to find its flags', runs.help_works),
    advice(
        'echo-apart', 'echo stands apart from its text', f'{COUNT}655 of 873 break it',
        'a line of the help is missing', scripts.echo_apart),
    advice(
        'data-path-exists', 'a --data_path that is not there is refused',
        f'{COUNT}2 of 873 keep it', 'the error comes minutes later, from Python',
        runs.missing_data),
    advice(
        'background-status', '$? is not read after &', f'{COUNT}24 of 873 break it',
        'a check that can never fail', scripts.status_of_background),
    advice(
        'results-kept', 'no rm -rf of all devices\' results',
        f'{COUNT}19% break it',
        'results of other runs are lost', scripts.results_not_deleted),
    advice(
        'other-results', 'other devices\' results survive a run',
        f'{COUNT}90% break it where ASCEND_DEVICE_ID is unset',
        'results of other runs are lost', runs.other_results),
    advice(
        'sources-not-edited', 'no sed -i on sources', f'{COUNT}23% break it',
        'a second run is not the same as the first', scripts.sources_not_edited),
    advice(
        'sources-kept', 'a run changes nothing but test/output', f'{COUNT}23% break it',
        'a second run is not the same as the first', runs.sources_kept),
    advice(
        'paths', 'no path of one machine', f'{COUNT}33 of 873 break it with /npu/traindata',
        'it runs on no other machine', scripts.paths_portable),
    advice(
        'result-order', 'the keys in the template\'s order', f'{COUNT}the template',
        'results are harder to compare by eye', results.order),
    advice(
        'case-conditions', 'CaseName names batch size and number of devices',
        f'{ZOO}08a52afa2, 1b283bf0f', 'runs that differ overwrite each other',
        results.case_conditions),
    advice(
        'loss-name', 'the losses are in train_<CaseName>_loss.txt', f'{COUNT}74% keep it',
        'the curve of the loss is not found', results.loss_name),
    advice(
        'training-time', 'TrainingTime is milliseconds a step', f'{COUNT}the template',
        'numbers are a thousand times too small', results.milliseconds),
    advice(
        'accuracy', 'a full run measures the accuracy', f'{GUIDE}241, 263-296',
        'nobody knows whether it still learns', results.accuracy_measured),
)
