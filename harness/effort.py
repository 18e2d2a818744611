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
    loss = metric.loss(see)
    for b in session.baselines:
        facts = {**b.match, **session.machine}   # what is trained is not known yet
        if b.case == case.name and not differing(b.match, facts):
            what = f'{case.name} against {b.name}'
            if len(b.values) < stats.SHORT_HISTORY:
                yield f'{what}: not known, for its {len(b.values)} runs do not show the spread'
                continue
            spread = statistics.stdev(map(metric.scaled, b.values))
            runs = stats.runs_to_narrow(spread, loss, len(b.values), session.max_runs, power,
                                        metric.loss(b.margin))
            yield _sentence(what, runs, 'runs', b.wall_s, see, power, b.margin)
    made = session.certificate
    if made:
        pairs = stats.runs_to_narrow(made.spread, loss, max_runs=session.max_runs, power=power,
                                     margin=metric.loss(metric.margin))
        yield _sentence(f'{case.name} with --against, as certified with {made.case}', pairs,
                        'pairs', made.pair_s, see, power, metric.margin)
    else:
        yield (f'{case.name} with --against: not known, for this machine is not certified: '
               'python -m harness certify')


def _sentence(what: str, runs: Optional[int], unit: str, each_s: float, see: float,
              power: float, margin: float) -> str:
    if see <= margin:
        return (f'{what}: a loss of {see * 100:g} % is within the limit of {margin * 100:g} %, so '
                'it is not to be called')
    if runs is None:
        return f'{what}: more than 100 {unit} to see {see * 100:g} %: use a quieter machine'
    time = f', {runs * each_s / 60:.0f} min' if each_s else ''
    return (f'{what}: {runs} {unit}{time} to see a loss of {see * 100:g} % with probability '
            f'{power:g}')
