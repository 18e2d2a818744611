# SPDX-License-Identifier: Apache-2.0
"""The frozen records that stages exchange.  Units are in the names."""

import enum
import math
import statistics
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

from harness.errors import ConfigError


@dataclass(frozen=True)
class Device:
    """One device: number `index` of its kind."""

    kind: str
    index: int


@dataclass(frozen=True)
class Session:
    """What all runs of one call of the main job share."""

    id: str
    command: str
    device: Device
    variables: Mapping[str, str]          # the environment of every run
    machine: Mapping[str, Any]
    reports: str                          # folder


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

    def unscaled(self, difference: float) -> float:
        """A difference on that scale as a share, or in the unit."""
        return math.expm1(difference) if self.relative else difference

    def rescaled(self, difference: float) -> float:
        """The inverse of unscaled()."""
        return math.log1p(difference) if self.relative else difference

    def mean(self, values: Sequence[float]) -> float:
        """The mean on that scale, as a value: geometric, where ratios matter."""
        mean = statistics.mean(map(self.scaled, values))
        return math.exp(mean) if self.relative else mean

    def change(self, difference: float) -> str:
        """A difference in words: -3.1 % or -0.12 dB."""
        return f'{difference * 100:+.1f} %' if self.relative else f'{difference:+.3f} {self.unit}'

    def value(self, value: float) -> str:
        """A value with its unit, with the digits that it deserves."""
        return f'{value:.4g} {self.unit}' if self.relative else f'{value:.3f} {self.unit}'


SPEED = Metric('images_per_s', 'throughput', 'images/s', relative=True, margin=0.02)
PSNR = Metric('psnr_db', 'PSNR', 'dB', relative=False, margin=0.1)
METRICS = {m.name: m for m in (SPEED, PSNR)}


@dataclass(frozen=True)
class Case:
    """One of ModelZoo's scripts with its flags."""

    name: str
    script: str               # relative to the project's root
    flags: Tuple[str, ...]
    metric: Metric
    deadline_s: float


@dataclass(frozen=True)
class PlannedRun:
    """One run of a case; its seed makes it another draw of weights and patches."""

    id: str
    case: Case
    index: int                # 1, 2, ... of this case
    seed: int

    @property
    def argv(self) -> Tuple[str, ...]:
        """The command, from the project's root."""
        return ('bash', self.case.script, *self.case.flags, f'--seed={self.seed}')


@dataclass(frozen=True)
class Progress:
    """How far a run is, as its log says."""

    phase: str
    step: int = 0
    max_step: int = 0
    loss: Optional[float] = None
    images_per_s: Optional[float] = None


@dataclass(frozen=True)
class Load:
    """What the processes of a run took from the host."""

    peak_memory_bytes: int    # resident, all processes of the run together
    mean_cpu_percent: float   # 100 is one core


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


@dataclass(frozen=True)
class Measurement:
    """What one training log says."""

    config: Mapping[str, Any]             # what was trained, as the training says
    device_kind: str                      # where it was trained, as the executed graph proves
    steps: int
    step_seconds: Tuple[float, ...]       # of every logged step, in order
    losses: Tuple[float, ...]             # of the same steps
    step_s: Optional[float]               # median after the warm-up; None: too few steps
    step_mad_s: Optional[float]           # median absolute deviation of the same steps
    images_per_s: Optional[float]         # batch size over step_s
    wall_images_per_s: float              # with everything between the first step and the last
    first_step_s: float                   # compiles the graph
    time_to_first_step_s: float           # from the start of the process to the first step done
    final_loss: float
    psnr_db: Optional[float] = None       # mean over the test images; None: not evaluated
    ssim: Optional[float] = None
    bicubic_psnr_db: Optional[float] = None


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
    made: str                             # day and commit
    reason: str

    def __post_init__(self):
        if not self.values or not all(0 < v < float('inf') for v in self.values):
            raise ConfigError(f'baseline {self.name}: values must be positive numbers, one a run')
        if not 0 < self.margin < (1 if self.metric.relative else float('inf')):
            raise ConfigError(f'baseline {self.name}: margin must be above 0, and a share below 1, '
                              f'not {self.margin}')


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
    """Runs against a baseline; differences are shares (relative metric) or in its unit."""

    now: float
    baseline: float
    difference: float
    low: float                            # of the 95 % interval of the difference
    high: float
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
    baseline: Optional[Baseline] = None
    comparison: Optional[Comparison] = None


@dataclass(frozen=True)
class Summary:
    """All that a report shows."""

    session: str
    command: str
    device: Device
    machine: Mapping[str, Any]
    verdicts: Tuple[Verdict, ...]
    records: Tuple[RunRecord, ...]
    interrupted: str = ''                 # what was running when somebody stopped the session
