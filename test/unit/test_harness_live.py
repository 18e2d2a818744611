# SPDX-License-Identifier: Apache-2.0
"""Where words go: a block that stays in place on a terminal, plain lines elsewhere."""

import dataclasses
import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console
from samples import case, planned
from stand_in import ROOT

from harness import live
from harness.outlook import Outlook, Standing
from harness.records import Arm, Progress
from harness.scene import Moment

RUN = planned()
OLD, NEW = (dataclasses.replace(RUN, id=f'{RUN.id}-{arm.value}', arm=arm)
            for arm in (Arm.OLD, Arm.NEW))


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(live, 'time', SimpleNamespace(monotonic=lambda: now.s))
    return now


def console(terminal, term='xterm', width=100):
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None,
                   _environ={'TERM': term})


def view(terminal, **options):
    return live.View(console(terminal), **options)


def printed(shown):
    return [line for line in shown.console.file.getvalue().splitlines() if line]


def drawn(shown):
    """What a refresh writes, without the control codes."""
    before = len(shown.console.file.getvalue())
    shown._live.refresh()
    return re.sub('\x1b\\[[0-9;?]*[a-zA-Z]', '', shown.console.file.getvalue()[before:])


# --- on no terminal -------------------------------------------------------------------------------

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


def test_on_no_terminal_a_long_phase_is_a_line_every_ten_seconds_with_the_time_left(clock):
    with view(terminal=False) as shown:
        shown.begin(RUN)
        for step in range(100):   # 25 s
            shown.update(RUN, Progress('training', step, 100, 4.5, 32.04, 0.51))
            clock.s += 0.25
    assert printed(shown) == [
        f'performance 1: training step {step}/100 loss 4.500 32.0 ± 0.5 images/s{left}'
        for step, left in ((0, ''), (40, ', at least 15 s left'), (80, ', at least 5 s left'))]


def test_both_arms_of_a_pair_have_lines_of_their_own(clock):
    with view(terminal=False) as shown:
        shown.begin(OLD, NEW)
        for step in (1, 2):
            for arm in (OLD, NEW):
                shown.update(arm, Progress('training', step, 12))
    assert printed(shown) == ['performance 1 old: training step 1/12',
                              'performance 1 new: training step 1/12']


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


def test_a_dumb_terminal_gets_plain_lines_and_no_control_codes(clock):
    with live.View(console(True, term='dumb')) as shown:
        shown.doing('timing')
        shown.begin(RUN)
        shown.update(RUN, Progress('starting'))
    assert shown.console.file.getvalue() == 'timing\nperformance 1: starting\n'


def test_a_ci_system_that_forces_colours_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv('FORCE_COLOR', '1')
    with live.View() as shown:
        shown.begin(RUN)
        shown.update(RUN, Progress('starting'))
    assert capsys.readouterr().err == 'performance 1: starting\n'


# --- on a terminal --------------------------------------------------------------------------------

def test_on_a_terminal_a_block_shows_the_run_and_goes_when_all_is_done(clock):
    with view(terminal=True) as shown:
        shown.expect(Outlook(standings=(Standing('performance', 'run', 0, 1, '', 1, 1),)))
        shown.begin(RUN)
        shown.update(RUN, Progress('training', 3, 12, 4.5, 32.0, 0.4), Moment(cpu_percent=190.0))
        block = drawn(shown)
        shown.begin(planned(2))
        shown.update(planned(2), Progress('loading'))
        later = drawn(shown)
    assert re.search(r'run 1 +training +━+─+ 3/12 steps\n', block)
    assert '32.0 ± 0.4 images/s, loss 4.500' in block
    assert 'this run 1.9 cores' in block and 'run 1 of 1' in block
    assert 'run 2   loading' in later and '3/12' not in later   # one run at a time
    assert '1.9 cores' not in later                             # nor a load that was another's
    assert shown.console.file.getvalue().rstrip('\n').endswith('\x1b[2K')   # wiped
    assert '\x1b[?25h' in shown.console.file.getvalue()                     # the cursor is back


def test_what_is_said_stays_above_the_block(clock):
    with view(terminal=True) as shown:
        shown.begin(RUN)
        shown._live.refresh()
        shown.say('so much for that')
        text = shown.console.file.getvalue()
    assert text.index('so much for that') < text.rindex('run 1   starting')


def test_what_goes_on_between_runs_is_in_the_block_alone(clock):
    with view(terminal=True) as shown:
        shown.doing('canary: timing')
        assert 'canary' not in shown.console.file.getvalue()
        assert 'canary: timing' in drawn(shown)
        shown.begin(RUN)
        assert 'canary' not in drawn(shown)


def test_the_block_never_gets_lower(clock):
    with view(terminal=True) as shown:
        shown.begin(OLD, NEW)
        both = drawn(shown).count('\n')
        shown.begin(RUN)
        assert drawn(shown).count('\n') == both
        shown.doing('canary: timing')
        assert drawn(shown).count('\n') == both > 5


def test_a_terminal_that_has_got_narrower_is_wiped_of_the_lines_it_has_broken(clock):
    with view(terminal=True) as shown:
        shown.begin(RUN)
        shown.update(RUN, Progress('training', 3, 12))
        whole = drawn(shown).count('\n')   # its bar takes 72 columns
        shown.console.width = 40
        before = len(shown.console.file.getvalue())
        shown._live.refresh()
        wiped = shown.console.file.getvalue()[before:].count('\x1b[1A')
    assert wiped == whole + 1


def test_an_exception_gives_the_cursor_back(clock):
    shown = view(terminal=True)
    with pytest.raises(KeyboardInterrupt), shown:
        assert '\x1b[?25l' in shown.console.file.getvalue()
        raise KeyboardInterrupt
    assert '\x1b[?25h' in shown.console.file.getvalue()


@pytest.mark.parametrize('terminal', [True, False])
@pytest.mark.parametrize('name', ['[bold]x[/bold]', '[/x]', '[red]', '\\[x'])
def test_a_name_is_never_taken_for_markup(clock, terminal, name):
    named = dataclasses.replace(RUN, case=dataclasses.replace(case(), name=name))
    with view(terminal) as shown:
        shown.expect(Outlook(standings=(Standing(name, 'run', 0, 1, '', 1, 1),)))
        shown.begin(named)
        shown.update(named, Progress('training', 1, 2))
        shown.say(f'so much for {name}')
    written = shown.console.file.getvalue()
    assert (f'{name}  run 1 of 1' if terminal else f'{name} 1: training') in written
    assert f'so much for {name}' in written


# --- quiet, and readers that go away --------------------------------------------------------------

@pytest.mark.parametrize('terminal', [True, False])
def test_quiet_says_only_what_is_wrong(clock, terminal):
    with view(terminal, quiet=True) as shown:
        shown.doing('canary: timing')
        shown.begin(RUN)
        shown.update(RUN, Progress('training', 1, 2))
        shown.say('by the way')
        shown.warn('the canary did not run')
    assert shown.console.file.getvalue() == 'the canary did not run\n'


@pytest.mark.parametrize('gone', ['stdout', 'stderr'])
def test_a_reader_that_is_gone_is_no_reason_to_end_or_for_another_status(gone):
    program = ('from harness import live\n'
               'with live.View() as view:\n'
               '    for _ in range(3): view.say("x" * 100000)\n'
               'live.answer("y" * 100000)\n'
               'live.answer("and more")\n'
               'raise SystemExit(5)')
    reading, writing = os.pipe()
    os.close(reading)
    streams = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, gone: writing}
    done = subprocess.run([sys.executable, '-c', program], cwd=str(ROOT), timeout=60, **streams)
    os.close(writing)
    assert done.returncode == 5
    assert done.stdout == (None if gone == 'stdout' else b'y' * 100000 + b'\nand more\n')
    assert done.stderr == (None if gone == 'stderr' else (b'x' * 100000 + b'\n') * 3)
