# SPDX-License-Identifier: Apache-2.0
"""Two arms in turns.  The scripts stand in; the processes and their stops are real."""

import dataclasses
import os

import pytest
from samples import CPU, case
from stand_in import is_alive

from harness import plan, run, turns

PATIENCE_S = 60   # until a test gives up waiting for what must come
arms_pids = []

# Makes a step every 20 ms of its own time and logs it; says when it works and when it does not.
TRAINER = '''
i=0
while [ $i -lt {steps} ]; do
  i=$((i + 1)); echo "$1 $i" >>"$SHARED"; sleep 0.02
  echo "$i training step completed" >>test/output/0/train_0.log
done
{end}
'''


@pytest.fixture
def arms(tmp_path, monkeypatch):
    """Two projects whose scripts write what they do into one file, line by line."""
    monkeypatch.setattr(turns, 'TURN_S', 0.1)
    monkeypatch.setattr(run, 'GRACE_S', 0.3)

    def take_turns(steps=(60, 60), ends=('exit 0', 'exit 0'), slowdown=0.0, deadline_s=PATIENCE_S,
                   interrupt_at=None):
        roots, folders, lines = [], [], [[], []]
        of = dataclasses.replace(case(deadline_s=deadline_s), script='script.sh')
        pair = plan.pair(of, 1, 'session', slowdown)
        for planned_arm, count, end in zip(pair, steps, ends):
            root = tmp_path / planned_arm.arm.value
            (root / 'test/output/0').mkdir(parents=True)
            (root / 'script.sh').write_text(TRAINER.format(steps=count, end=end).replace(
                '$1', planned_arm.arm.value))
            roots.append(str(root))
            folders.append(str(tmp_path / f'run-{planned_arm.arm.value}'))
            os.mkdir(folders[-1])

        def watch(number, pids, new):
            arms_pids[:] = pids
            lines[number] += new
            if interrupt_at and len(lines[number]) >= interrupt_at:
                raise KeyboardInterrupt
            return len(lines[number])

        environment = {**os.environ, 'SHARED': str(tmp_path / 'shared')}
        launches = [run.launch(arm, CPU, environment, root) for arm, root in zip(pair, roots)]
        outcomes = turns.take_turns(pair, launches, folders, watch)
        work = (tmp_path / 'shared').read_text().split('\n')[:-1]
        return outcomes, [line.split()[0] for line in work]

    return take_turns


def test_the_arms_of_a_pair_alternate_and_both_come_to_their_end(arms):
    (old, new), work = arms()
    assert (old.fault, new.fault, old.returncode, new.returncode) == ('', '', 0, 0)
    assert work.count('old') == work.count('new') == 60
    switches = sum(a != b for a, b in zip(work, work[1:]))
    assert len(old.turns) >= 2 and len(new.turns) >= 2
    # Once both have begun there is one switch a turn; side by side it would be some 118.
    assert switches <= len(old.turns) + len(new.turns) + 20   # while both loaded


def test_turns_are_of_steps_one_after_the_other_and_never_overlap(arms):
    outcomes, _ = arms()
    for outcome in outcomes:
        assert len(outcome.turns) >= 2
        for turn in outcome.turns[:-1]:
            assert turn.last_step - turn.first_step + 1 >= turns.TURN_STEPS
        for one, next_one in zip(outcome.turns, outcome.turns[1:]):
            assert one.last_step < next_one.first_step


def test_where_one_arm_fails_the_other_is_stopped_and_both_say_so(arms):
    (old, new), _ = arms(steps=(3, 100), ends=('exit 7', 'exit 0'))
    assert old.fault == 'exit status 7'
    assert new.fault == 'stopped, because the other arm of its pair failed'
    assert not any(is_alive(pid) for pid in arms_pids)


def test_an_interruption_ends_both_arms_even_the_one_that_is_stopped(arms):
    (old, new), _ = arms(steps=(1000, 1000), interrupt_at=8)
    assert old.interrupted and new.interrupted
    assert not any(is_alive(pid) for pid in arms_pids)


def test_an_arm_that_hangs_meets_its_deadline(arms):
    (old, new), _ = arms(steps=(5, 5), ends=('sleep 60', 'exit 0'), deadline_s=0.7)
    assert 'no end after' in old.fault
    assert not any(is_alive(pid) for pid in arms_pids)
