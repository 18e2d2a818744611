# SPDX-License-Identifier: Apache-2.0
"""The frozen records that stages exchange.  Units are in the names."""

import enum
import math
import statistics
from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

from harness.errors import ConfigError


@dataclass(frozen=True)
class Device:
    """One device: number `index` of its kind."""

    kind: str
    index: int


@dataclass(frozen=True)
class Metric:
    """What a case is judged by; higher is better for both that we have."""

    name: str                 # the field of Measurement
    label: str                # what people call it
    unit: str
    relative: bool            # differences are ratios (speed) or plain differences (dB)
    margin: float             # a loss up to this is accepted: a share, or in the unit

    def scaled(self, value: float) -> float:
        """A value on the scale where runs are compared: the logarithm, where ratios matter."""
        return math.log(value) if self.relative else value

    def restored(self, scaled: float) -> float:
        """The inverse of scaled()."""
        return math.exp(scaled) if self.relative else scaled

    def unscaled(self, difference: float) -> float:
        """A difference on that scale as a share, or in the unit."""
        return math.expm1(difference) if self.relative else difference

    def rescaled(self, difference: float) -> float:
        """The inverse of unscaled()."""
        return math.log1p(difference) if self.relative else difference

    def loss(self, amount: float) -> float:
        """A loss, as a share or in the unit, as a positive distance on that scale."""
        return -self.rescaled(-amount)

    def mean(self, values: Sequence[float]) -> float:
        """The mean on that scale, as a value: geometric, where ratios matter."""
        return self.restored(statistics.mean(map(self.scaled, values)))

    def change(self, difference: float) -> str:
        """A difference in words: -3.1 % or -0.12 dB."""
        if self.relative:
            return f'{round(difference * 100, 1) + 0.0:+.1f} %'   # + 0.0: no -0.0
        return f'{round(difference, 3) + 0.0:+.3f} {self.unit}'

    def direction(self, difference: float) -> str:
        """A difference in one word; higher is better for both metrics."""
        less, more = ('slower', 'faster') if self.relative else ('worse', 'better')
        return less if difference < 0 else more

    def value(self, value: float) -> str:
        """A value with its unit, with the digits that it deserves."""
        return f'{value:.4g} {self.unit}' if self.relative else f'{value:.3f} {self.unit}'


SPEED = Metric('images_per_s', 'throughput', 'images/s', relative=True, margin=0.02)
PSNR = Metric('psnr_db', 'PSNR', 'dB', relative=False, margin=0.1)
ITEMS = Metric('images_per_s', 'throughput', 'items/s', relative=True, margin=0.02)
METRICS = {m.name: m for m in (
    SPEED, PSNR, Metric('accuracy', 'accuracy', '', relative=False, margin=0.01))}


@dataclass(frozen=True)
class Case:
    """One of ModelZoo's scripts with its flags."""

    name: str
    script: str               # relative to the project's root, or to model_dir
    flags: Tuple[str, ...]
    metric: Metric
    deadline_s: float
    model_dir: str = ''       # of a model that is not ours; empty: this project
    rules: str = ''           # file that says how to read that model's log; empty: nothing does


class Arm(enum.Enum):
    """Which code a run is of."""

    ALONE = ''                # this checkout, to be compared with a baseline
    OLD = 'old'               # the revision that it is compared with
    NEW = 'new'               # this checkout, beside an old one


@dataclass(frozen=True)
class PlannedRun:
    """One run of a case; its seed makes it another draw of weights and patches."""

    id: str
    case: Case
    index: int                # 1, 2, ... of this case; both arms of a pair have the same
    seed: int
    arm: Arm = Arm.ALONE
    slowdown: float = 0.0     # from outside, on purpose: 0.05 makes everything last 5 % longer

    @property
    def title(self) -> str:
        """What it is called within its session: performance 2 old."""
        return f'{self.case.name} {self.index} {self.arm.value}'.rstrip()

    @property
    def argv(self) -> Tuple[str, ...]:
        """The command, from the project's root; other models' scripts know no seed."""
        seed = () if self.case.model_dir else (f'--seed={self.seed}',)
        return ('bash', self.case.script, *self.case.flags, *seed)


class Launch(NamedTuple):
    """How a script is started, and where it writes its training log."""

    argv: Tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    log_path: str


@dataclass(frozen=True)
class Progress:
    """How far a run is, as its log says."""

    phase: str
    step: int = 0
    max_step: int = 0
    loss: Optional[float] = None
    images_per_s: Optional[float] = None       # of the recent steps, the median
    images_per_s_mad: Optional[float] = None   # of the same steps, the median distance from it


@dataclass(frozen=True)
class Load:
    """What the processes of a run took from the host, and what others did; 100 % is one core."""

    peak_memory_bytes: int    # resident, all processes of the run together
    mean_cpu_percent: float
    foreign_cpu_percent: Optional[float] = None   # of all other processes; None: not known
    foreign_threads: Optional[float] = None       # of others, that ran or waited, the median
    steal_percent: Optional[float] = None         # that the hypervisor gave to others
    throttled_percent: Optional[float] = None     # of the time: heat or a quota held it back
    device_others: Tuple[str, ...] = ()           # other processes that used the device
    device_slowed: str = ''                       # why it was slower than it can be
    device_alarm: str = ''                        # the worst that its tool complained of
    device_used: str = ''                         # what proves that the run used it; empty: nothing


class Moment(NamedTuple):
    """A run at one moment; None: not known, which is not zero.

    The shares are of the time since the moment before.
    """

    cpu_percent: Optional[float] = None           # of its processes; 100 % is one core
    foreign_cpu_percent: Optional[float] = None   # of all others
    memory_mib: Optional[float] = None            # resident, all its processes together
    device_percent: Optional[float] = None        # of the time, that the device worked
    device_memory_mib: Optional[float] = None
    device_celsius: Optional[float] = None
    device_watts: Optional[float] = None


@dataclass(frozen=True)
class Telemetry:
    """The moments of a run, in columns of equal length."""

    at_s: Tuple[float, ...]                          # since the run began
    cpu_percent: Tuple[Optional[float], ...]         # as of a Moment, all of them
    foreign_cpu_percent: Tuple[Optional[float], ...]
    memory_mib: Tuple[Optional[float], ...]
    device_percent: Tuple[Optional[float], ...]
    device_memory_mib: Tuple[Optional[float], ...]
    device_celsius: Tuple[Optional[float], ...]
    device_watts: Tuple[Optional[float], ...]


@dataclass(frozen=True)
class Detail:
    """One row of a run's picture: a detail of one image, as LR, bicubic, RCAN and HR."""

    image: str
    psnr_db: Tuple[Optional[float], ...]  # of this detail, by column; None: HR, or equal to it


@dataclass(frozen=True)
class Picture:
    """How the picture of a run is laid out: squares with white between them."""

    side_px: int
    gap_px: int
    rows: Tuple[Detail, ...]


@dataclass(frozen=True)
class Turn:
    """Steps that a run made while the other arm of its pair was stopped.

    The first of them had begun before, so it lasted as long as the stop did: it says nothing.
    """

    first_step: int
    last_step: int


@dataclass(frozen=True)
class Outcome:
    """How a script ended.  Its logs stay on disk; this only points at them."""

    returncode: Optional[int]  # None: it had to be stopped
    fault: str                 # why it is no measurement; empty where the script succeeded
    started_unix_s: float
    wall_s: float
    log_path: str              # the training log; empty where this run wrote none
    output_path: str           # all that the script printed
    interrupted: bool = False  # by whoever sat before it, not by its deadline
    picture_path: str = ''     # LR, bicubic, RCAN and HR side by side; empty: not evaluated
    turns: Tuple[Turn, ...] = ()  # where it took turns with another arm; else nothing


@dataclass(frozen=True)
class Reported:
    """What another model's script says of itself, beside what its log says."""

    values: Mapping[str, str]             # of its result file, as written
    items_per_s: Optional[float]          # its ActualFPS
    recomputed_items_per_s: Optional[float]   # from its log; None: no rules say how
    rules: str                            # the file of the rules; empty: none
    remarks: Tuple[str, ...] = ()         # what is wrong with it, and still no reason to reject it


@dataclass(frozen=True)
class Measurement:
    """What one training log says."""

    config: Mapping[str, Any]             # what was trained, as the training says
    device_kind: str                      # where it was trained, as the executed graph proves
    steps: int
    step_seconds: Tuple[float, ...]       # of every logged step, in order
    losses: Tuple[float, ...]             # of the same steps
    step_s: Optional[float]               # median of the steps that count (interquartile mean of a
                                          # run that took turns); None: too few steps
    step_mad_s: Optional[float]           # median absolute deviation from it, of the same steps
    images_per_s: Optional[float]         # batch size over step_s
    wall_images_per_s: Optional[float]    # with all between the first step and the last
    first_step_s: Optional[float]         # compiles the graph; None: another model's, unknown
    time_to_first_step_s: Optional[float]  # from the start of the process to the first step done
    final_loss: Optional[float]
    psnr_db: Optional[float] = None       # mean over the test images; None: not evaluated
    ssim: Optional[float] = None
    bicubic_psnr_db: Optional[float] = None
    first_counted_step: Optional[int] = None  # those before are warm-up; None: none counts
    steady: bool = True                   # False: never; then all after the least warm-up count
    step_p95_s: Optional[float] = None    # 95th percentile of the steps that count
    outlier_share: Optional[float] = None  # of them: slower than median + 5 scaled MADs
    phases_s: Mapping[str, float] = field(default_factory=dict)  # from the first step to the end
    psnr_curve: Tuple[Tuple[int, float], ...] = ()  # step and dB of every evaluation
    picture: Optional[Picture] = None     # of Outcome.picture_path
    accuracy: Optional[float] = None      # of another model, in the unit that its rules name
    reported: Optional[Reported] = None   # of another model


@dataclass(frozen=True)
class RunRecord:
    """Everything about one run: what a verdict can be made from again."""

    session: str
    run: PlannedRun
    outcome: Outcome
    load: Optional[Load]
    measurement: Optional[Measurement]
    fault: str                            # empty: a measurement to be judged
    facts: Mapping[str, Any]              # what the numbers depend on
    last_lines: Tuple[str, ...] = ()      # of the output, where there is a fault
    disturbance: str = ''                 # by others on the machine; empty: none that was seen
    telemetry: Optional[Telemetry] = None

    @property
    def disturbed(self) -> str:
        """What makes its value no evidence; load on a machine changes speeds, never a PSNR."""
        return self.disturbance if self.run.case.metric.relative else ''

    def value(self, metric: Metric) -> Optional[float]:
        """What this run has measured of a metric; None where it has not."""
        return getattr(self.measurement, metric.name, None)


@dataclass(frozen=True)
class Baseline:
    """What a case has reached before, run by run."""

    name: str                             # the file's name without .json
    case: str
    metric: Metric
    values: Tuple[float, ...]             # one a run, in the metric's unit
    match: Mapping[str, Any]              # facts that a run must share to be compared
    margin: float
    commit: str
    day: str
    reason: str
    losses: Tuple[Tuple[float, ...], ...] = ()   # one curve a run: see loss_curve()
    canary_s: Tuple[float, ...] = ()      # of the same sessions
    wall_s: float = 0.0                   # of one run, the median; 0: unknown
    environment: Mapping[str, Any] = field(default_factory=dict)   # all facts, for diff

    def __post_init__(self):
        if not self.values or not all(0 < v < float('inf') for v in self.values):
            raise ConfigError(f'baseline {self.name}: values must be positive numbers, one a run')
        if not 0 < self.margin < (1 if self.metric.relative else float('inf')):
            raise ConfigError(f'baseline {self.name}: margin must be above 0, and a share below 1, '
                              f'not {self.margin}')
        if self.losses and len({len(curve) for curve in self.losses}) != 1:
            raise ConfigError(f'baseline {self.name}: loss curves must be equally long')

    @property
    def made(self) -> str:
        """Day and commit, in words."""
        return f'{self.day} at {self.commit}'


@dataclass(frozen=True)
class Trial:
    """What comparisons of the same code, one arm slowed on purpose, were called."""

    slowdown: float                       # 0: two equal arms, every alarm is false
    calls: Tuple[str, ...]                # the word of each verdict
    runs: Tuple[int, ...]                 # pairs that each took


@dataclass(frozen=True)
class Certificate:
    """How far verdicts can be trusted on one machine, as tried out there."""

    day: str
    commit: str
    match: Mapping[str, Any]              # of the machine
    trials: Tuple[Trial, ...]
    spread: float                         # sd of differences within pairs of equal arms
    pair_s: float                         # that one pair takes, the median
    canary_s: Tuple[float, ...]
    case: str = ''                        # what was compared, with its flags and TensorFlow


class Status(enum.Enum):
    """What can be said of a case; the value is its word in every report."""

    PASS = 'PASS'                    # proven not worse by more than the margin
    IMPROVED = 'IMPROVED'
    NO_BASELINE = 'NO_BASELINE'      # measured; nothing to compare with
    INCONCLUSIVE = 'INCONCLUSIVE'    # measured; too noisy to say
    REGRESSION = 'REGRESSION'        # worse by more than the margin
    INVALID = 'INVALID'              # not measured: says nothing about the code


@dataclass(frozen=True)
class Comparison:
    """Runs against a baseline, or pairs; differences are shares (speed) or in the unit."""

    now: float
    baseline: float
    margin: float                         # the loss that is accepted
    difference: float
    low: float                            # of the interval of the difference
    high: float
    p_value: float                        # of no difference, adjusted for the number of gates
    error: float                          # that this look may spend: the interval holds 1 - error
    detectable: float                     # the smallest loss that this many runs would show


@dataclass(frozen=True)
class Verdict:
    """The judgement on one case, with the sentence that explains it."""

    case: str
    metric: Metric
    status: Status
    reason: str
    advice: Tuple[str, ...]               # what to do, commands included
    value: Optional[float] = None         # mean over the runs, on the metric's scale
    runs: int = 0
    baseline: Optional[Baseline] = None   # None: none, or compared with the old arm
    comparison: Optional[Comparison] = None
    against: str = ''                     # the old arm's commit, where pairs decided
    undecided: bool = False               # more runs may decide it
    disturbed: bool = False               # INVALID for the machine's sake, not the runs'
    curve: str = ''                       # where the loss curves leave the envelope, if they do


@dataclass(frozen=True)
class Session:
    """What all runs of one call of the main job share, and what their verdicts are made with."""

    id: str
    command: str
    device: Device
    variables: Mapping[str, str]          # the environment of every run
    machine: Mapping[str, Any]
    cases: Tuple[Case, ...]
    baselines: Tuple[Baseline, ...]       # of these cases, as they were
    max_runs: int                         # of each case, or pairs
    against: str = ''                     # revision of the old arm; empty: the baselines decide
    certificate: Optional[Certificate] = None
    canary_s: Tuple[float, ...] = ()      # the fixed workload: before, between and after
    ended: str = ''                       # why before all was decided; empty: it was not
    unconfirmed: Mapping[str, str] = field(default_factory=dict)  # by case: why there are no pairs


@dataclass(frozen=True)
class Summary:
    """All that a report shows."""

    session: Session
    verdicts: Tuple[Verdict, ...]
    records: Tuple[RunRecord, ...]
