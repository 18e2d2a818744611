# SPDX-License-Identifier: Apache-2.0
"""Records for the tests of the harness: made in one line, whole enough for every stage."""

import dataclasses
from pathlib import Path

from harness.records import (
    PSNR,
    SPEED,
    Arm,
    Baseline,
    Case,
    Device,
    Load,
    Measurement,
    Outcome,
    PlannedRun,
    RunRecord,
    Session,
    Summary,
)

FIXTURES = Path(__file__).resolve().parent / 'fixtures'
CPU = Device('cpu', 0)
CONFIG = {
    'preset': 'smoke', 'scale': 2, 'n_feats': 32, 'n_RG': 2, 'n_RCAB': 2, 'kernel_size': 3,
    'ratio': 16, 'patch_size': 48, 'batch_size': 16, 'max_step': 12, 'learning_rate': 0.001,
    'decay_step': 150, 'decay_rate': 0.5, 'seed': 0, 'fine_tuning': False, 'log_freq': 1,
    'device_kind': 'cpu', 'precision_mode': '', 'loss_scale': '', 'data': '0123abcd',
    'tensorflow': '1.15.0'}
MACHINE = {
    'host': 'lab', 'system': 'Linux', 'cpu_model': 'Kunpeng 920 (0xd01)', 'cpus': 4,
    'memory_gib': 16.0, 'threads': 4, 'device': 'cpu:0', 'device_model': 'cpu', 'driver': 'none',
    'cann': 'none', 'python': '3.7.16', 'commit': '0123456789ab'}
FACTS = {**MACHINE, **CONFIG}
# Ten runs' speeds with a spread of 0.5 %, and PSNRs with one of 0.02 dB; the median of both is 32.
SPEEDS = (31.75, 31.85, 31.9, 31.95, 32.0, 32.0, 32.05, 32.1, 32.15, 32.25)
PSNRS = (31.97, 31.98, 31.98, 31.99, 32.0, 32.0, 32.01, 32.02, 32.02, 32.03)
SCRIPTS = {SPEED.name: ('performance', 'test/train_performance_1p.sh'),
           PSNR.name: ('full', 'test/train_full_1p.sh')}


def case(metric=SPEED, *flags, deadline_s=60.0):
    """The case that the metric judges."""
    name, script = SCRIPTS[metric.name]
    return Case(name, script, flags, metric, deadline_s)


def planned(index=1, metric=SPEED, *flags):
    """Run number `index` of that case."""
    of = case(metric, *flags)
    return PlannedRun(f'20260102T030405Z-cpu0-{of.name}-{index}', of, index, seed=index - 1)


def measurement(**changes):
    """Twelve steps of half a second, evaluated."""
    return dataclasses.replace(Measurement(
        config=CONFIG, device_kind='cpu', steps=12, step_seconds=(2.0,) + (0.5,) * 11,
        losses=(60.0,) + (4.5,) * 11, step_s=0.5, step_mad_s=0.001, images_per_s=32.0,
        wall_images_per_s=31.0, first_step_s=2.0, time_to_first_step_s=6.5, final_loss=4.5,
        psnr_db=32.0, ssim=0.9, bicubic_psnr_db=31.537, first_counted_step=6, steady=True,
        step_p95_s=0.52, outlier_share=0.125, phases_s={
            'first step': 2.0, 'saving': 0.1, 'evaluation': 0.0, 'input wait': 0.0, 'steps': 5.5,
            'other': 0.0}), **changes)


def record(value=32.0, metric=SPEED, index=1, fault='', facts=None, last_lines=(),
           interrupted=False):
    """A run that measured `value`; None: a run that measured nothing."""
    measured = None if value is None else measurement(**{metric.name: value})
    run = planned(index, metric)
    outcome = Outcome(1 if fault else 0, fault, 1767322800.0, 61.5, f'runs/{run.id}/train_0.log',
                      f'runs/{run.id}/output.log', interrupted)
    return RunRecord('20260102T030405Z-cpu0', run, outcome, Load(512 * 2 ** 20, 187.5), measured,
                     fault, {**(FACTS if measured else MACHINE), **(facts or {})},
                     tuple(last_lines))


def baseline(values=SPEEDS, metric=SPEED, name='smoke-sample', margin=None, **match):
    """A baseline of runs like record()'s, but for the facts given."""
    expected = {'preset': 'smoke', 'data': '0123abcd', 'max_step': 12, **match}
    return Baseline(name, case(metric).name, metric, tuple(values), expected,
                    metric.margin if margin is None else margin, '0123456789ab',
                    '2026-01-01', 'the first')


def session(*cases, baselines=(), max_runs=1, **changes):
    """A session of these cases; with one look at the most, it may spend all of the error."""
    return dataclasses.replace(
        Session('20260102T030405Z-cpu0', 'run_all.py --device 0', CPU, {}, MACHINE,
                tuple(cases), tuple(baselines), max_runs), **changes)


def pair(old, new, index=1, metric=SPEED, **changes):
    """Both arms of a pair, that measured these values; changes: of the new arm's record."""
    made = []
    for value, arm in ((old, Arm.OLD), (new, Arm.NEW)):
        alone = record(value, metric, index, facts={'commit': 'aaaaaaaaaaaa'}
                       if arm is Arm.OLD else None)
        run = dataclasses.replace(alone.run, id=f'{alone.run.id}-{arm.value}', arm=arm)
        made.append(dataclasses.replace(alone, run=run))
    return [made[0], dataclasses.replace(made[1], **changes)]


def summary(verdicts, records, ended=''):
    """A session of those runs."""
    return Summary(session(ended=ended), tuple(verdicts), tuple(records))
