# SPDX-License-Identifier: Apache-2.0
"""MLPerf's lines of a training log, read and checked (pure); model/progress.py writes them.

:::MLLOG {"time_ms": 1580000000000, "key": "run_start", "value": null, "metadata": {}, ...}
"""

import json
import math
from typing import Any, Dict, NamedTuple, Optional, Tuple

from harness.records import Detail, Picture

TOKEN = ':::MLLOG '
COUNTS = ('batch_size', 'max_step', 'log_freq')  # of the configuration: what is computed with
COLUMNS = 4                                      # of a picture: LR, bicubic, RCAN, HR
MOST_ROWS, MOST_PX, MOST_LETTERS = 100, 4096, 255   # that are believed of a picture


class Event(NamedTuple):
    """One of these lines."""

    time_ms: float
    value: Any
    metadata: Dict[str, Any]


def read(text: str) -> Tuple[str, Event]:
    """The key and the event of what follows the token.

    Raises ValueError where it is damaged, or lacks what is computed with.
    """
    try:
        parsed = json.loads(text)
        key = str(parsed['key'])
        event = Event(float(parsed['time_ms']), parsed['value'], dict(parsed['metadata']))
        usable = math.isfinite(event.time_ms) and CHECKS.get(key, bool)(event)
    except (ArithmeticError, LookupError, RecursionError, TypeError) as e:
        raise ValueError(str(e)) from e
    if not usable:
        raise ValueError(f'no {key}')
    return key, event


def picture(event: Event) -> Picture:
    """The layout that the event `comparison` describes; raises where it is absurd."""
    side_px, gap_px, rows = (event.metadata[name] for name in ('side_px', 'gap_px', 'rows'))
    if not (all(is_count(px) and px <= MOST_PX for px in (side_px, gap_px))
            and 0 < len(rows) <= MOST_ROWS and all(len(row['psnr_db']) == COLUMNS for row in rows)):
        raise ValueError('no layout')
    return Picture(side_px, gap_px, tuple(
        Detail(_text(row['image']), tuple(map(_decibel, row['psnr_db']))) for row in rows))


def is_count(value: Any) -> bool:
    """True for a positive number of things."""
    return type(value) is int and 0 < value < 2 ** 31


def _has_counts(event: Event) -> bool:
    counted = {'iterations_per_loop': 1, **event.value}
    return all(is_count(counted[name]) for name in ('iterations_per_loop', *COUNTS))


def _is_accuracy(event: Event) -> bool:
    return (isinstance(event.value, float) and isinstance(event.metadata['ssim'], float)
            and is_count(event.metadata.get('step_num', 1)))


def _decibel(value: Any) -> Optional[float]:
    if value is None or isinstance(value, float) and 0 <= value < math.inf:
        return value
    raise ValueError('no decibel')


def _text(value: Any) -> str:
    """An image's name as text that can be written, though a file's name may be none."""
    if not isinstance(value, str) or len(value) > MOST_LETTERS:
        raise ValueError('no name')
    return value.encode('utf-8', 'backslashreplace').decode('utf-8')


CHECKS = {
    'config': _has_counts,
    'eval_accuracy': _is_accuracy,
    'bicubic_psnr': lambda event: isinstance(event.value, float),
    'input_wait': lambda event: isinstance(event.value, float) and 0 <= event.value < math.inf,
    'comparison': lambda event: bool(picture(event)),
}
