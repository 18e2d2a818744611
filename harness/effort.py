# SPDX-License-Identifier: Apache-2.0
"""How many runs and minutes it takes to see a loss here, by what is known of the spread (pure)."""

import statistics
from typing import Iterator, Optional

from harness import stats
from harness.records import Case, Session
from harness.weigh import differing


def sentences(session: Session, case: Case, see: float, power: float) -> Iterator[str]:
    """One for each baseline that may be compared with, one for pairs.

    see: the loss, as a share; power: the probability with which it is to be seen.
    """
    metric = case.metric
    loss = -metric.rescaled(-see)
    for b in session.baselines:
        facts = {**b.match, **session.machine}   # what is trained is not known yet
        if b.case == case.name and not differing(b.match, facts):
            spread = statistics.stdev(map(metric.scaled, b.values))
            error = stats.share(stats.looks(1, session.max_runs))
            runs = stats.runs_to_narrow(spread, loss, len(b.values), error, power)
            yield _sentence(f'{case.name} against {b.name}', runs, 'runs', b.wall_s, see, power)
    made = session.certificate
    if made:
        error = stats.share(stats.looks(stats.PAIRS, session.max_runs))
        pairs = stats.runs_to_narrow(made.spread, loss, error=error, power=power)
        yield _sentence(f'{case.name} with --against', pairs, 'pairs', made.pair_s, see, power)
    else:
        yield (f'{case.name} with --against: not known, for this machine is not certified: '
               'python -m harness certify')


def _sentence(what: str, runs: Optional[int], unit: str, each_s: float, see: float,
              power: float) -> str:
    if runs is None:
        return f'{what}: more than 100 {unit} to see {see * 100:g} %: use a quieter machine'
    time = f', {runs * each_s / 60:.0f} min' if each_s else ''
    return (f'{what}: {runs} {unit}{time} to see a loss of {see * 100:g} % with probability '
            f'{power:g}')
