# SPDX-License-Identifier: Apache-2.0
"""Two runs that share the machine in turns, so that whatever happens to it meets both alike.

The idea is that of Bulej et al., "Duet Benchmarking", ICPE 2020, without its contention: while one
arm trains, the other is stopped.
"""

import itertools
import signal
import time
from typing import Callable, Iterable, List, Sequence, Tuple

from harness.records import Launch, Outcome, PlannedRun, Turn
from harness.run import POLL_S, Script

TURN_POLL_S = 0.01  # a turn ends early in a step, which is left out
TURN_STEPS = 4      # of a turn, of which the first is left out
TURN_S = 1.0        # a turn lasts at least so long, be the steps ever so short


def take_turns(pair: Sequence[PlannedRun], launches: Sequence[Launch], folders: Sequence[str],
               watch: Callable[[int, Sequence[int], Iterable[str]], int]) -> Tuple[Outcome, ...]:
    """Run both arms of a pair at once, but let only one at a time train.

    Both load side by side; then each in turn makes some steps while the other is stopped.
    Outcome.turns holds the steps that count.
    watch(number of the arm, process ids, its new lines) gives the steps that it has logged.
    Raises RunError where one cannot be started.
    """
    scripts: List[Script] = []

    def look(script: Script):
        number = scripts.index(script)
        script.steps = watch(number, [s.process.pid for s in scripts], script.tail.new_lines())
        script.check()

    try:
        for planned, how, folder in zip(pair, launches, folders):
            scripts.append(Script(planned, how, folder))
        _load(scripts, look)
        _alternate(scripts, look)
        for script in scripts:
            _finish(script, scripts, look)
    except KeyboardInterrupt:
        for script in scripts:
            script.interrupt()
    finally:
        for script in scripts:
            script.end()
    return _outcomes(scripts)


def _load(scripts: Sequence[Script], look: Callable[[Script], None]):
    """Let all begin at once; stop each as soon as it has made its first step."""
    loading = list(scripts)
    while loading and not any(s.over for s in scripts):
        for script in list(loading):
            script.let_run(TURN_POLL_S)
            look(script)
            if script.steps and not script.over:
                script.signal(signal.SIGSTOP)
                loading.remove(script)


def _alternate(scripts: Sequence[Script], look: Callable[[Script], None]):
    """One turn after the other, until one of them has ended."""
    for script in itertools.cycle(scripts):
        if any(s.over for s in scripts):
            return
        first, began = script.steps + 1, time.monotonic()
        script.resume()
        while not script.over and (script.steps < first + TURN_STEPS - 1
                                   or time.monotonic() - began < TURN_S):
            script.let_run(TURN_POLL_S)
            look(script)
        script.signal(signal.SIGSTOP)
        script.turns.append(Turn(first, script.steps))


def _finish(script: Script, scripts: Sequence[Script], look: Callable[[Script], None]):
    """Let one go on alone to its end, unless the other has failed: that leaves no pair."""
    script.resume()
    while not script.over:
        if any(s.fault or s.returncode for s in scripts):
            script.fault = 'stopped, because the other arm of its pair failed'
            return
        script.let_run(POLL_S)
        look(script)


def _outcomes(scripts: Sequence[Script]) -> Tuple[Outcome, ...]:
    """How they ended; of trainings shorter than a turn all steps count."""
    if not all(any(t.last_step > t.first_step for t in s.turns) for s in scripts):
        for script in scripts:
            script.turns = []
    return tuple(script.outcome() for script in scripts)
