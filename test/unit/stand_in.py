# SPDX-License-Identifier: Apache-2.0
"""A copy of the project whose python3 is a stand-in: scripts run whole, in milliseconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from model import progress

ROOT = Path(__file__).resolve().parents[2]

# Answers what the scripts ask of python3.  What the model would do: $TRAIN and $TEST, or the files
# of these names, because the harness keeps our variables from its runs.
PYTHON3 = """#!/usr/bin/env bash
case "$*" in
  *env/have.py*) exit "${HAVE:-0}" ;;
  *test/canary.py*) echo 'Canary seconds : 0.010000' ;;
  *--mode=*)
    printf '%s\\n' "$@" >>"{calls}"
    case "$*" in *--mode=train*) eval "${TRAIN:-$(cat "{folder}/TRAIN")}" ;;
                 *) eval "${TEST:-$(cat "{folder}/TEST")}" ;; esac ;;
  *) exec {python} "$@" ;;
esac
"""


def training_log(steps=12, seconds=0.5, batch_size=16, until_step=None, status='success',
                 evaluated=None, **config):
    """What a training prints, made by the writer of the real one; evaluated: dB by step."""
    config = {'preset': 'smoke', 'batch_size': batch_size, 'max_step': steps, 'log_freq': 1,
              'seed': 0, 'device_kind': 'cpu', 'tensorflow': '1.15.0', **config}
    lines = [progress.start('init'), progress.event('config', config), progress.stop('init'),
             progress.start('run'), progress.start('first_step'), progress.stop('first_step'),
             progress.event('device', config['device_kind'], operations=10)]
    # The last step is slow and its loss high: whoever reports it alone is seen.
    for step in range(1, (until_step or steps) + 1):
        last = step == steps
        lines.append(progress.step_lines(step, 94.0 if last else 4 + 1 / step,
                                         9.0 if last else seconds))
        if step in (evaluated or {}):
            lines += evaluation_lines(evaluated[step], 31.537, step_num=step)
    if until_step is None:
        lines += [progress.event('input_wait', 0.25), progress.stop('run', status=status),
                  progress.training_lines([seconds] * (steps - 1) + [9.0], batch_size, 94.0,
                                          f'RCAN_X2_32_2_2-{steps}')]
    return '\n'.join(lines) + '\n'


def evaluation_lines(psnr_db, bicubic_db, **of):
    """What one evaluation prints, of one image; of: the step of a training that goes on."""
    shown = [] if of else [progress.event(
        'comparison', 'comparison.png', side_px=192, gap_px=4,
        rows=[{'image': '0801', 'psnr_db': [27.0, bicubic_db, psnr_db, None]}])]
    return [progress.start('eval', test_set='DIV2K_valid'),
            progress.quality_line(psnr_db, 0.92, '0801'), *shown,
            progress.event('bicubic_psnr', bicubic_db, images=1),
            progress.event('eval_accuracy', psnr_db, ssim=0.92, images=1, **of),
            progress.stop('eval'), progress.quality_line(psnr_db, 0.92, 'DIV2K_valid (1 images)')]


def test_log(psnr_db=32.5, bicubic_db=31.537):
    """What an evaluation prints."""
    return '\n'.join([progress.start('init'), *evaluation_lines(psnr_db, bicubic_db),
                      progress.accuracy_lines(psnr_db, bicubic_db)]) + '\n'


test_log.__test__ = False  # a log, not a test


def is_alive(pid) -> bool:
    """True where a process runs; a zombie has ended."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class Project:
    """The copy: change its files, run its commands, look at what they leave."""

    def __init__(self, folder: Path):
        self.root = folder / 'the project'   # a blank in the path: every script must quote
        self.bin = folder / 'bin'
        self.bin.mkdir()
        for part in ('env', 'harness', 'model'):
            shutil.copytree(ROOT / part, self.root / part,
                            ignore=shutil.ignore_patterns('__pycache__'))
        for script in (ROOT / 'test').glob('*.sh'):
            (self.root / 'test').mkdir(exist_ok=True)
            shutil.copy(script, self.root / 'test')
        for split in ('train', 'valid'):
            (self.root / f'test/photos/DIV2K_{split}_HR').mkdir(parents=True)
        self.calls = folder / 'calls'
        self.program('python3', PYTHON3.replace('{calls}', str(self.calls)).replace(
            '{python}', sys.executable).replace('{folder}', str(folder)))
        self.train = folder / 'train.log'
        self.test = folder / 'test.log'
        self.train.write_text(training_log())
        self.test.write_text(test_log())
        (folder / 'TRAIN').write_text(f'cat {self.train}')
        (folder / 'TEST').write_text(f'cat {self.test}')
        self.env = {'PATH': f'{self.bin}:{os.environ["PATH"]}', 'HOME': str(folder),
                    'RCAN_DEV': str(folder)}
        self.folder = folder

    def program(self, name, text):
        """Put a program first in PATH."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def script(self, name, *args, cwd=None, **env):
        """Run one of the scripts to its end."""
        return self.run('bash', str(self.root / 'test' / name), *args, cwd=cwd, **env)

    def model_does(self, train=None, test=None):
        """From now on, a bash command instead of the training or the evaluation."""
        for name, command in (('TRAIN', train), ('TEST', test)):
            if command:
                (self.folder / name).write_text(command)

    def commit(self):
        """Make what is there a git commit, as a checkout of the project is."""
        for folder in (self.root / 'test/photos').iterdir():
            (folder / 'kept').write_text('')   # git keeps no empty folders
        (self.root / '.gitignore').write_text((ROOT / '.gitignore').read_text())
        me = ['-c', 'user.name=me', '-c', 'user.email=me@example.org']
        for argv in (['init', '-q'], ['add', '-A'], [*me, 'commit', '-qm', 'all of it']):
            subprocess.run(['git', *argv], cwd=str(self.root), check=True)

    def harness(self, *args, **env):
        """Run the main job to its end."""
        return self.run(sys.executable, str(self.root / 'harness/run_all.py'), *args, **env)

    def run(self, *argv, cwd=None, **env):
        """Run a command to its end."""
        return subprocess.run(argv, cwd=str(cwd or self.root), env={**self.env, **env},
                              stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def flags(self, mode='train'):
        """The flags that the model was last started with, by name."""
        runs = self.calls.read_text().split('-u\n')
        last = [run for run in runs if f'--mode={mode}\n' in run][-1].splitlines()
        return dict(flag[2:].split('=', 1) for flag in last if flag.startswith('--'))

    def trained(self) -> bool:
        """True where the model was started at all."""
        return self.calls.exists()

    def output(self, device=0) -> Path:
        """The folder of a device's results."""
        return self.root / 'test/output' / str(device)

    def results(self, device=0):
        """The result files of a device, by name."""
        return {p.name: p.read_text() for p in self.output(device).glob('RCAN*_1p_*.log')}
