# SPDX-License-Identifier: Apache-2.0
"""ModelZoo's modelzoo_level.txt from the runs that are there; what they do not show is not claimed.

The claims are pure; level() reads the runs, and writes or checks the file.
"""

import dataclasses
import math
import os
import re
import statistics
import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from harness import baseline, config, judge, stats, store
from harness.errors import ConfigError
from harness.files import read
from harness.records import SPEED, Arm, Baseline, RunRecord, Session, Status, Verdict
from harness.report.write import write

FILE = os.path.join(config.ROOT, 'modelzoo_level.txt')
# ModelZoo's keys and values (Ascend/modelzoo, CONTRIBUTING.md), the worst first.
VALUES = {'FuncStatus': ('NOK', 'OK'),
          'PerfStatus': ('NOK', 'POK', 'OK', 'PERFECT'),
          'PrecisionStatus': ('NOK', 'POK', 'OK')}
# Times the throughput of a GPU.  "Level with GPU" has no documented tolerance, so it gets none.
CLASSES = (('PERFECT', 1.2), ('OK', 1.0), ('POK', 0.5))
MISSPELT = {'percisionstatus': 'PrecisionStatus'}   # in 22 of the zoo's files
LEAST_RUNS = 3
CONVERGED_STEPS = 1000000    # of the paper preset; fewer say little about its accuracy
MARGIN_DB = 0.1              # a PSNR may be lower by less than this
# What may differ between the trainings of two devices of which one is said to be faster.
DEVICES_OWN = ('device_kind', 'precision_mode', 'loss_scale', 'iterations_per_loop', 'log_freq',
               'mix_compile_mode', 'tensorflow', 'seed', 'max_step')
DECIDED = (Status.PASS, Status.IMPROVED, Status.REGRESSION)

Loaded = Sequence[Tuple[Session, Sequence[RunRecord]]]   # what store.load() gives, oldest first


class Claim(NamedTuple):
    """A key of the file, the best value that the runs allow, and why.

    todo: how to measure it; empty where the value is what an NPU has shown.
    """

    key: str
    value: str
    because: str
    todo: str = ''


class Gpu(NamedTuple):
    """The throughput of a GPU in the same training: one value a run, or one that somebody names."""

    name: str
    images_per_s: Tuple[float, ...]


def level(args) -> int:
    """Say what can be claimed; write the file, or 1 where the file claims more than that."""
    given = _given(args.gpu_images_per_s, args.gpu_name)
    names = store.sessions(args.reports) or ['']   # without any, load() says what to do
    made = claims([store.load(args.reports, name) for name in names], baseline.load_all(), given)
    print('\n'.join(map(sentence, made)))
    path = os.path.relpath(FILE)
    if args.write:
        write(FILE, to_text(made))
        todo = [claim.key for claim in made if claim.todo]
        print(f'{path}: written (commit it)' + (
            f'; not measured, so cautious: {", ".join(todo)}' if todo else ''))
    wrong = excesses(from_text(read(FILE)), made) if args.check else ()
    for line in wrong:
        print(f'{path}: {line}', file=sys.stderr)
    return 1 if wrong else 0


def claims(loaded: Loaded, baselines: Sequence[Baseline],
           given: Optional[Gpu] = None) -> Tuple[Claim, ...]:
    """The three claims, in the file's order.  given: a GPU's throughput instead of runs on one."""
    ours = [(session, [r for r in records if _counts(r)]) for session, records in loaded]
    records = sorted((r for _, of_session in ours for r in of_session),
                     key=lambda r: r.outcome.started_unix_s)
    return _func(records), _perf(records, given), _precision(ours, baselines)


def sentence(claim: Claim) -> str:
    """What is claimed, and why."""
    lines = [f'{claim.key}: {claim.value}' + (', until it is measured' if claim.todo else ''),
             f'    {claim.because}']
    return '\n'.join(lines + ([f'    to measure it: {claim.todo}'] if claim.todo else []))


def to_text(made: Sequence[Claim]) -> str:
    """The file, as strict as ModelZoo describes it."""
    return ''.join(f'{claim.key}:{claim.value}\n' for claim in made)


def from_text(text: str) -> Dict[str, str]:
    """Keys and values of a file as people write them: blanks, CRLF, full-width colons, misspelt."""
    known = {**{key.lower(): key for key in VALUES}, **MISSPELT}
    found = re.findall(r'^[^\S\n]*\ufeff?([A-Za-z]+)\s*[:\uff1a=](.*)$', text, re.M)
    return {known.get(key.lower(), key): value.strip().upper() for key, value in found}


def excesses(held: Mapping[str, str], made: Sequence[Claim]) -> Tuple[str, ...]:
    """Where a file claims more than the runs do, or nothing that can be read."""
    return tuple(filter(None, (_excess(held.get(claim.key, ''), claim) for claim in made)))


def _excess(value: str, claim: Claim) -> str:
    values = VALUES[claim.key]
    if value not in values:
        return (f'{claim.key} must be one of {", ".join(values)}, not {value or "missing"}: '
                f'the runs allow {claim.value}')
    if values.index(value) > values.index(claim.value):
        return (f'{claim.key}:{value} claims more than the runs, which allow {claim.value}: '
                'measure it, or let --write correct the file')
    return ''


def _given(images_per_s: Optional[float], name: str) -> Optional[Gpu]:
    if (images_per_s is None) != (not name):
        raise ConfigError('--gpu-images-per-s and --gpu-name belong together: a throughput, and '
                          'which GPU had it according to whom')
    if images_per_s is None:
        return None
    if not 0 < images_per_s < math.inf:
        raise ConfigError(f'--gpu-images-per-s must be above 0, not {images_per_s}')
    return Gpu(f'{name}, as --gpu-name says', (images_per_s,))


def _counts(record: RunRecord) -> bool:
    """Of this model and checkout, at its own pace, to its own end."""
    run = record.run
    return not (run.case.model_dir or run.arm is not Arm.ALONE or run.slowdown
                or record.outcome.interrupted)


def _func(records: Sequence[RunRecord]) -> Claim:
    """NOK would mean that the flow fails: where no NPU has tried, another device answers."""
    newest = {kind: {r.run.case.name: r for r in records if _kind(r) == kind}
              for kind in ('npu', 'gpu', 'cpu')}
    for failed in newest['npu'].values():
        if failed.fault:
            return Claim('FuncStatus', 'NOK',
                         f'{failed.run.case.script} failed on {_where(failed)}: {failed.fault}')
    for kind, runs in newest.items():
        if set(runs) >= set(config.SCRIPTS) and not any(r.fault for r in runs.values()):
            because = f'both scripts end well on {_where(runs["full"])}'
            return Claim('FuncStatus', 'OK', because, '' if kind == 'npu' else _run_all())
    well = [f'{name} on {kind}' for kind, runs in newest.items() for name, r in runs.items()
            if not r.fault]
    return Claim('FuncStatus', 'NOK', 'the newest runs of both scripts must end well on one kind '
                 f'of device, and here did: {", ".join(well) or "none"}', _run_all())


def _perf(records: Sequence[RunRecord], given: Optional[Gpu]) -> Claim:
    """By the lower end of the interval, so that near a limit it is the lower class."""
    npu = _alike(records, 'npu')
    if len(npu) < LEAST_RUNS:
        return _no_perf('npu', len(npu), _learn('npu'))
    on_gpu = [] if given else _alike(records, 'gpu', _training(npu[-1]))
    if not given and len(on_gpu) < LEAST_RUNS:
        return _no_perf('gpu', len(on_gpu), f'{_learn("gpu")} on a machine with one, and copy its '
                        'reports/runs here; or give --gpu-images-per-s and --gpu-name')
    gpu = given or Gpu(_side(on_gpu), _speeds(on_gpu))
    ratio, low, high = _ratio(_speeds(npu), gpu.images_per_s)
    value = _class(low)
    lower = '' if _class(ratio) == value else (
        f'; {_class(ratio)} by itself, but the interval reaches into {value}')
    return Claim('PerfStatus', value,
                 f'{ratio:.3f} of a GPU\'s throughput (95 % interval {low:.3f} to {high:.3f}'
                 f'{lower}): {SPEED.value(SPEED.mean(_speeds(npu)))} on {_side(npu)}, '
                 f'against {SPEED.value(SPEED.mean(gpu.images_per_s))} on {gpu.name}')


def _no_perf(kind: str, runs: int, todo: str) -> Claim:
    what = 'run' if runs == 1 else 'runs'
    return Claim('PerfStatus', 'NOK', f'{runs} undisturbed {what} of the performance case with the '
                 f'paper preset on {"an NPU" if kind == "npu" else "a GPU"}, of one commit and one '
                 f'training: it takes {LEAST_RUNS}, so no more than NOK is claimed', todo)


def _class(ratio: float) -> str:
    return next((value for value, least in CLASSES if ratio >= least), 'NOK')


def _ratio(npu: Sequence[float], gpu: Sequence[float]) -> Tuple[float, float, float]:
    """NPU over GPU with its 95 % interval, from one t interval a side, which share the error.

    The devices differ in spread; one value of a GPU has none that we know.
    """
    sides = [[math.log(v) for v in values] for values in (npu, gpu)]
    error = stats.ERROR / sum(len(side) > 1 for side in sides)
    (low, high), (gpu_low, gpu_high) = (_interval(side, error) for side in sides)
    ratio = statistics.mean(sides[0]) - statistics.mean(sides[1])
    return math.exp(ratio), math.exp(low - gpu_high), math.exp(high - gpu_low)


def _interval(values: Sequence[float], error: float) -> Tuple[float, float]:
    """Of their mean; its t interval is that of differences from 0."""
    found = stats.paired_interval(values, error)
    return (found.low, found.high) if found else (values[0], values[0])


def _alike(records: Sequence[RunRecord], kind: str,
           training: Optional[Mapping[str, Any]] = None) -> List[RunRecord]:
    """The newest sound performance run on that kind, and all that ran under its conditions."""
    sound = [r for r in records if r.run.case.name == 'performance' and not r.fault
             and not r.disturbed and r.measurement and r.value(SPEED)
             and r.measurement.device_kind == kind and r.facts.get('preset') == 'paper'
             and training in (None, _training(r))]
    return [r for r in sound if _conditions(r) == _conditions(sound[-1])]


def _training(record: RunRecord) -> Dict[str, Any]:
    """What was trained, whatever the device."""
    config_ = record.measurement.config if record.measurement else {}
    return {name: value for name, value in config_.items() if name not in DEVICES_OWN}


def _conditions(record: RunRecord):
    return (_training(record), baseline.match(SPEED, record.facts), record.facts.get('commit'),
            *(record.facts.get(name) for name in DEVICES_OWN if name != 'seed'))


def _side(records: Sequence[RunRecord]) -> str:
    precision = records[-1].facts.get('precision_mode') or 'the default'
    return f'{_where(records[-1])}, {len(records)} runs, precision {precision}'


def _speeds(records: Sequence[RunRecord]) -> Tuple[float, ...]:
    return tuple(v for v in (r.value(SPEED) for r in records) if v)


def _precision(loaded: Loaded, baselines: Sequence[Baseline]) -> Claim:
    """OK: a converged PSNR on an NPU, level with another device's; POK: the loss fits.

    The published PSNRs are of Set5 and others, and the full case measures DIV2K's validation
    images, so what a run is compared with is a baseline of the same training from another kind of
    device: an NPU that agrees with its own past proves nothing.
    """
    others = [b for b in baselines if b.environment.get('device_kind') not in (None, 'npu')]
    todo = _run_all('--cases full --preset smoke')
    for kind in ('npu', 'gpu', 'cpu'):
        found = _decided(loaded, kind, others if kind == 'npu' else baselines)
        if found:
            return _precise(*found, todo='' if kind == 'npu' else todo)
    return Claim('PrecisionStatus', 'NOK', 'no full run is there that a baseline of the same '
                 'training can be compared with', todo)


def _precise(verdict: Verdict, record: RunRecord, todo: str) -> Claim:
    because = f'on {_where(record)}: {verdict.reason}'
    if verdict.status is Status.REGRESSION:
        return Claim('PrecisionStatus', 'NOK', because, todo)
    missing = _missing(verdict, record)
    value = 'POK' if todo or missing else 'OK'
    return Claim('PrecisionStatus', value, f'{because} {missing}'.strip(), todo)


def _missing(verdict: Verdict, record: RunRecord) -> str:
    """What an accuracy that is carried out has, and this has not."""
    steps = record.measurement.steps if record.measurement else 0
    if record.facts.get('preset') != 'paper' or steps < CONVERGED_STEPS:
        return (f'The loss fits, but the accuracy is not carried out: {steps} steps of the '
                f'{record.facts.get("preset")} preset, where the paper\'s takes {CONVERGED_STEPS}.')
    if not verdict.comparison or verdict.comparison.low <= -MARGIN_DB:
        return f'The interval holds a loss of {MARGIN_DB} dB and more.'
    return ''


def _decided(loaded: Loaded, kind: str,
             baselines: Sequence[Baseline]) -> Optional[Tuple[Verdict, RunRecord]]:
    """The newest session's verdict on the full case that says something, and one of its runs."""
    for session, records in reversed(loaded):
        runs = [r for r in records if r.run.case.name == 'full' and _kind(r) == kind]
        if runs:
            judged = dataclasses.replace(session, baselines=tuple(baselines))
            verdict = judge.judge(judged, [runs[0].run.case], runs)[0]
            if verdict.status in DECIDED:
                return verdict, runs[-1]
    return None


def _kind(record: RunRecord) -> str:
    """Of the device that was asked for; where it ran on another, it has a fault."""
    return str(record.facts.get('device', '')).partition(':')[0]


def _where(record: RunRecord) -> str:
    facts = record.facts
    cann = f' with CANN {facts.get("cann")}' if _kind(record) == 'npu' else ''
    return f'{facts.get("device")} ({facts.get("device_model")}{cann}) at {facts.get("commit")}'


def _run_all(more: str = '--data_path DIR') -> str:
    return f'`python harness/run_all.py --kind npu {more}`'


def _learn(kind: str) -> str:
    return (f'`python -m harness baseline learn --runs {stats.SHORT_HISTORY} --kind {kind} '
            '--cases performance --data_path DIR --reason "for the level"`')
