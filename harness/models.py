# SPDX-License-Identifier: Apache-2.0
"""Folders of models that are not ours -> cases, by ModelZoo's names of files."""

import fnmatch
import os
from typing import List, Optional, Sequence, Tuple

from harness import rules
from harness.errors import ConfigError
from harness.records import ITEMS, Case, Metric

SCRIPTS = 'train*1p*.sh'   # suffixes differ: train_full_1p_static.sh, train_ID3057_FwFM_full_1p.sh
DEADLINE_S = 4 * 3600.0


def cases(folders: Sequence[str], kinds: Sequence[str], pattern: str, data_path: Optional[str],
          rules_path: Optional[str], deadline_s: Optional[float]) -> Tuple[Case, ...]:
    """The cases of each folder; raises ConfigError for one that has none.

    kinds: of performance and full, those that are wanted.
    """
    if rules_path and len(folders) > 1:
        raise ConfigError('--rules are of one model: name one --model-dir, or keep a file for each '
                          f'in {os.path.relpath(rules.FOLDER)}, called as its folder')
    if not all(folders):
        raise ConfigError('--model-dir is empty: it names a folder')
    found = [case for folder in folders
             for case in _of_folder(os.path.abspath(folder), kinds, pattern, data_path,
                                    rules_path, deadline_s)]
    names = [case.name for case in found]
    twice = next((name for name in names if names.count(name) > 1), '')
    if twice:
        raise ConfigError(f'two cases are called {twice}: give folders of different names')
    return tuple(found)


def kind(script: str) -> str:
    """performance or full: what a script measures, by its name."""
    return 'performance' if 'performance' in os.path.basename(script) else 'full'


def _of_folder(folder: str, kinds: Sequence[str], pattern: str, data_path: Optional[str],
               rules_path: Optional[str], deadline_s: Optional[float]) -> List[Case]:
    if not os.path.basename(folder) or len(os.path.basename(folder).split()) != 1:
        raise ConfigError(f'--model-dir {folder!r}: its name has blanks, at which ModelZoo\'s '
                          'scripts take their paths apart: rename it')
    known = rules_path or rules.find(os.path.basename(folder)) or ''
    rule = rules.load(known) if known else None
    flags = [f'--data_path={os.path.abspath(data_path)}'] if data_path else []
    return [Case(_name(folder, script), os.path.join('test', script),
                 (*flags, *(rule.flags if rule else ())), _metric(script, rule),
                 deadline_s or (rule and rule.deadline_s) or DEADLINE_S, folder,
                 os.path.abspath(known) if known else '')
            for script in _scripts(folder, pattern) if kind(script) in kinds]


def _scripts(folder: str, pattern: str) -> List[str]:
    """Names below test/, performance first; raises ConfigError where there is none."""
    test = os.path.join(folder, 'test')
    if not os.path.isdir(test):
        raise ConfigError(f'no folder {test}: --model-dir names a model in ModelZoo\'s layout, '
                          'with its scripts in test/')
    found = [name for name in os.listdir(test)
             if fnmatch.fnmatch(name, pattern) and os.path.isfile(os.path.join(test, name))]
    if not found:
        raise ConfigError(f'no script {pattern} in {test}: --scripts names others')
    return sorted(found, key=lambda name: (kind(name) == 'full', name))


def _name(folder: str, script: str) -> str:
    """RCAN_ID0268_for_TensorFlow.performance_1p"""
    stem = os.path.splitext(script)[0]
    return f'{os.path.basename(folder)}.{stem[len("train_"):] if stem[:6] == "train_" else stem}'


def _metric(script: str, rule: Optional[rules.Rules]) -> Metric:
    """Accuracy where a full script has one that rules can read, else what ModelZoo calls FPS."""
    if kind(script) == 'full' and rule and rule.accuracy:
        a = rule.accuracy
        return Metric('accuracy', a.name, a.unit, relative=False, margin=a.margin)
    return ITEMS
