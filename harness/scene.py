# SPDX-License-Identifier: Apache-2.0
"""What is going on -> the lines that a terminal shows of it (pure)."""

import dataclasses
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from rich.text import Text

from harness.outlook import Estimate, Outlook, Standing, ahead
from harness.records import Moment, PlannedRun, Progress

LABEL = 8                # columns, the blank after it included
PLAIN_WIDTH = 100        # what a line of a log may have
STYLES = {'PASS': 'green', 'IMPROVED': 'green', 'REGRESSION': 'bold red', 'INVALID': 'bold red'}


@dataclass(frozen=True)
class Running:
    """A run on its way; seconds are those of time.monotonic()."""

    planned: PlannedRun
    progress: Progress = Progress('starting')
    first: Tuple[float, int] = (0.0, 0)   # when the first step was seen that is done, and which
    last: Tuple[float, int] = (0.0, 0)    # the same of the latest

    def seen(self, progress: Progress, now_s: float) -> 'Running':
        """As its log says by now."""
        if progress.step == self.progress.step:
            return dataclasses.replace(self, progress=progress)
        mark = (now_s, progress.step)
        return dataclasses.replace(self, progress=progress, last=mark,
                                   first=self.first if self.first[1] else mark)

    def training_left_s(self, now_s: float) -> Optional[float]:
        """By its pace since the first step, which compiles; None: it has none, or should be done.

        By the clock, not by the time of its steps: an arm that takes turns stops in between.
        """
        (first_s, first), (last_s, last) = self.first, self.last
        if last == first or last >= self.progress.max_step:
            return None
        pace_s = (last_s - first_s) / (last - first)
        left_s = last_s + (self.progress.max_step - last) * pace_s - now_s
        return left_s if left_s > 0 else None


@dataclass(frozen=True)
class Scene:
    """All that the block shows."""

    outlook: Outlook = Outlook()
    doing: str = ''                       # where nothing runs
    runs: Tuple[Running, ...] = ()        # one, or both arms of a pair that take turns
    began_s: float = 0.0
    moment: Moment = Moment()

    def left(self, now_s: float) -> Optional[Estimate]:
        """Of what runs now: by its steps, and by what such runs have taken; None: not known."""
        by_steps = [s for s in (run.training_left_s(now_s) for run in self.runs) if s is not None]
        by_runs = [s.run_s * len(self.runs) - (now_s - self.began_s)
                   for s in self.outlook.standings if self.is_running(s) and s.run_s is not None]
        whole = any(s > 0 for s in by_runs)
        known = by_steps + (by_runs if whole else [])
        return Estimate(max(known), whole) if known else None

    def after(self, elapsed_and_left_s: float) -> Tuple[Standing, ...]:
        """The standings without what runs now; another run will take as long, if none has ended."""
        each_s = elapsed_and_left_s / len(self.runs)
        return tuple(dataclasses.replace(
            s, to_look=s.to_look - len(self.runs), to_end=s.to_end - len(self.runs),
            run_s=s.run_s or each_s) if self.is_running(s) else s
            for s in self.outlook.standings)

    def is_running(self, standing: Standing) -> bool:
        """Whether a run of that case is on its way."""
        return any(run.planned.case.name == standing.case for run in self.runs)


def block(scene: Scene, now_s: float, width: int) -> List[Text]:
    """The lines that stay in place on a terminal, none longer than width."""
    names = max((len(s.case) for s in scene.outlook.standings), default=0) + 2
    lines = [Text(), *(_row(s.case, _case_parts(s, scene.is_running(s)), width, names)
                       for s in scene.outlook.standings)]
    if not scene.runs:
        return [*lines, _cut(Text(scene.doing), width)]
    for run in scene.runs:
        lines += [_bar(run, width), _row('speed', _speed(run.progress), width)]
    lines.append(_row('time', [f'{_words(scene.left(now_s))} left',
                               f'after {duration(now_s - scene.began_s)}'], width))
    lines.append(_row(scene.outlook.goal, goal_parts(scene, now_s), width))
    lines.append(_row('host', _host(scene.moment, len(scene.runs)), width))
    device = _device(scene.moment)
    return [*lines, _row('device', device, width)] if device else lines


def goal_parts(scene: Scene, now_s: float) -> List[str]:
    """When all that is asked for is known: at the next look if that is clear, else at the last."""
    left = scene.left(now_s)
    if not left:
        return ['?']
    after = scene.after(now_s - scene.began_s + left.seconds)
    look, end = (ahead(left, after, to_end) for to_end in (False, True))
    if scene.outlook.end is not None and end.whole:   # no run starts that would end later
        most_s = max(left.seconds, scene.outlook.end - now_s)
        look, end = (Estimate(min(e.seconds, most_s)) for e in (look, end))
    if not end.whole or look == end:
        return [f'in {_words(look)}']
    return [f'{_words(look)} if clear', f'at most {_words(end)}']


def plain_line(run: Running, left: Optional[Estimate]) -> str:
    """How far a run is, for a log."""
    progress = run.progress
    steps = f' step {progress.step}/{progress.max_step}' if progress.max_step else ''
    line = f'{run.planned.title}: {progress.phase}{steps} {figures(progress)}'.rstrip()
    longer = f'{line}, {_words(left)} left' if left else line
    return longer if len(longer) < PLAIN_WIDTH else line


def figures(progress: Progress) -> str:
    """Loss and speed, as far as they are known."""
    return ' '.join(reversed(_speed(progress)))


def duration(seconds: float) -> str:
    """A time as people say it, with two digits: more would only flicker."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 6000 else f'{seconds / 3600:.1f} h'


def _words(estimate: Optional[Estimate]) -> str:
    if not estimate:
        return '?'
    return ('' if estimate.whole else 'at least ') + duration(estimate.seconds)


def _case_parts(standing: Standing, is_running: bool) -> List[str]:
    """The runs made of at most so many, and the verdict so far."""
    unit, word = standing.unit, standing.verdict
    made = f'{standing.made} {unit}{"" if standing.made == 1 else "s"}'
    if is_running:
        most = f'{"at most " if standing.to_end > standing.to_look else ""}{standing.most}'
        return [f'{unit} {standing.made + 1} of {most}', *([f'{word} so far'] if word else [])]
    if standing.most:   # its turn will come again
        return [f'{word} so far', f'after {made}'] if word else ['to come']
    return [f'{word} after {made}' if word else f'{made} made']


def _bar(run: Running, width: int) -> Text:
    """The arm or number, the phase, a bar, the steps."""
    progress = run.progress
    line = _label(f'{run.planned.arm.value or "run"} {run.planned.index}')
    line.append(f'{progress.phase:11}')
    if not progress.max_step:
        return _cut(line, width)
    steps = f' {progress.step}/{progress.max_step} steps'
    columns = max(0, width - line.cell_len - len(steps))
    done = min(columns, columns * progress.step // progress.max_step)
    line.append('━' * done, 'green').append('─' * (columns - done), 'dim').append(steps)
    return _cut(line, width)


def _speed(progress: Progress) -> List[str]:
    speed, loss = progress.images_per_s, progress.loss
    spread = '' if progress.images_per_s_mad is None else f' ± {progress.images_per_s_mad:.1f}'
    return ([] if speed is None else [f'{speed:.1f}{spread} images/s']) + (
        [] if loss is None else [f'loss {loss:.3f}'])


def _host(moment: Moment, runs: int) -> List[str]:
    ours = 'this run' if runs == 1 else 'this pair'
    return _known((f'{ours} {{:.1f}} cores', moment.cpu_percent, 100),
                  ('others {:.1f}', moment.foreign_cpu_percent, 100),
                  ('{:.0f} MiB', moment.memory_mib, 1))


def _device(moment: Moment) -> List[str]:
    return _known(('{:.0f} % busy', moment.device_percent, 1),
                  ('{:.0f} °C', moment.device_celsius, 1),
                  ('{:.0f} MiB', moment.device_memory_mib, 1),
                  ('{:.0f} W', moment.device_watts, 1))


def _known(*values: Tuple[str, Optional[float], float]) -> List[str]:
    return [form.format(value / unit) for form, value, unit in values if value is not None]


def _row(label: str, parts: Sequence[str], width: int, columns: int = LABEL) -> Text:
    """As many parts as there is room for, the first in any case: half a number would be another."""
    fitting = next((parts[:n] for n in range(len(parts), 1, -1)
                    if columns + len(', '.join(parts[:n])) <= width), parts[:1])
    line = _label(label, columns).append(', '.join(fitting))
    for style in sorted(set(STYLES.values())):
        line.highlight_words([word for word in STYLES if STYLES[word] == style], style)
    return _cut(line, width)


def _label(text: str, columns: int = LABEL) -> Text:
    return Text().append(f'{text:{columns - 1}} ', 'dim')


def _cut(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width, overflow='ellipsis')
    return line
