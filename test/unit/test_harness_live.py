# SPDX-License-Identifier: Apache-2.0
"""What the terminal shows meanwhile."""

import dataclasses
import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console
from samples import case, planned

from harness import live
from harness.records import Progress

RUN = planned()


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(live, 'time', SimpleNamespace(monotonic=lambda: now.s))
    return now


def view(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    return live.View(console)


def printed(shown):
    return [line for line in shown.console.file.getvalue().splitlines() if line]


def test_on_no_terminal_each_phase_is_a_line_of_its_own(clock):
    with view(terminal=False) as shown:
        shown.begin(RUN)
        for progress in (Progress('loading'), Progress('loading'), Progress('compiling', 0, 12),
                         Progress('training', 1, 12, 60.3574),
                         Progress('training', 2, 12, 38.5, 23.55), Progress('evaluating', 12, 12)):
            shown.update(RUN, progress)
            clock.s += 0.25
    assert printed(shown) == [
        'performance 1: loading',
        'performance 1: compiling step 0/12',
        'performance 1: training step 1/12 loss 60.357',
        'performance 1: evaluating step 12/12']


def test_on_no_terminal_a_long_phase_is_a_line_every_ten_seconds(clock):
    with view(terminal=False) as shown:
        shown.begin(RUN)
        for step in range(100):   # 25 s
            shown.update(RUN, Progress('training', step, 100, 4.5, 32.04))
            clock.s += 0.25
    assert printed(shown) == [
        f'performance 1: training step {step}/100 loss 4.500 32.0 images/s'
        for step in (0, 40, 80)]


def test_the_next_run_is_announced_at_once(clock):
    with view(terminal=False) as shown:
        for index in (1, 2):
            shown.begin(planned(index))
            shown.update(planned(index), Progress('starting'))
    assert printed(shown) == ['performance 1: starting', 'performance 2: starting']


def test_a_line_longer_than_the_console_is_not_broken(clock):
    long = dataclasses.replace(RUN, case=dataclasses.replace(case(), name='x' * 300))
    with view(terminal=False) as shown:
        shown.begin(long)
        shown.update(long, Progress('starting'))
    assert len(printed(shown)) == 1


def test_on_a_terminal_there_is_a_bar_that_goes_when_all_is_done(clock):
    with view(terminal=True) as shown:
        shown.begin(RUN)
        shown.update(RUN, Progress('training', 3, 12, 4.5, 32.0))
        shown._bar.refresh()
        drawn = shown.console.file.getvalue()
        shown.begin(planned(2))
        shown.update(planned(2), Progress('loading'))
        shown._bar.refresh()
    assert 'performance 1: training' in drawn
    assert re.search(r'3/12 steps.*loss 4\.500 32\.0 images/s', drawn)
    now = shown.console.file.getvalue()[len(drawn):]
    assert 'performance 2: loading' in now.replace('\n', '')
    assert 'performance 1' not in now   # one bar at a time
    assert shown.console.file.getvalue().rstrip('\n').endswith('\x1b[2K')   # wiped
    assert 'training step' not in drawn   # no line as well


@pytest.mark.parametrize('terminal', [True, False])
@pytest.mark.parametrize('name', ['[bold]x[/bold]', '[/x]', '[red]', '\\[x'])
def test_a_name_is_never_taken_for_markup(clock, terminal, name):
    named = dataclasses.replace(RUN, case=dataclasses.replace(case(), name=name))
    with view(terminal) as shown:
        shown.begin(named)
        shown.update(named, Progress('training', 1, 2))
        shown.say(f'so much for {name}')
    assert f'{name} 1: training' in shown.console.file.getvalue()
    assert f'so much for {name}' in shown.console.file.getvalue()


@pytest.mark.parametrize('progress, text', [
    (Progress('loading'), ''), (Progress('training', 1, 2, 4.56789), 'loss 4.568 '),
    (Progress('training', 1, 2, 4.5, 31.96), 'loss 4.500 32.0 images/s'),
    (Progress('training', 1, 2, 0.0, 0.0), 'loss 0.000 0.0 images/s')])
def test_figures_are_shown_as_far_as_they_are_known(progress, text):
    assert live.figures(progress) == text
