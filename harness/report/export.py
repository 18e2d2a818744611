# SPDX-License-Identifier: Apache-2.0
"""Summary -> the JSON of github-action-benchmark, which draws a value over the commits."""

import json
import statistics
from typing import Any, Dict, List

from harness.records import Arm, Status, Summary, Verdict


def to_benchmark_json(summary: Summary) -> str:
    """What its tool `customBiggerIsBetter` reads: an array of name, unit, value, range, extra.

    range, the standard deviation of the runs, is left out where there is one run; a case is left
    out where its verdict says nothing about the code.  value has six digits, as logs have.
    https://github.com/benchmark-action/github-action-benchmark#examples, and its src/extract.ts
    """
    return json.dumps([_benchmark(summary, v) for v in summary.verdicts
                       if v.value is not None and v.status is not Status.INVALID],
                      indent=1, allow_nan=False) + '\n'


def _benchmark(summary: Summary, v: Verdict) -> Dict[str, Any]:
    values = _values(summary, v)
    spread = {'range': f'± {statistics.stdev(values):.3g}'} if len(values) > 1 else {}
    return {'name': f'{v.case}: {v.metric.label} on {summary.session.device.kind}',
            'unit': v.metric.unit, 'value': float(f'{v.value:.6g}'), **spread,
            'extra': f'{v.status.value}: {v.reason}\nsession {summary.session.id}'}


def _values(summary: Summary, v: Verdict) -> List[float]:
    """Of the runs that the verdict is on, where it is on all of them."""
    arm = Arm.NEW if v.against and not v.baseline else Arm.ALONE
    values = [r.value(v.metric) for r in summary.records
              if r.run.case.name == v.case and r.run.arm is arm and not r.disturbed]
    return [x for x in values if x is not None] if len(values) == v.runs else []
