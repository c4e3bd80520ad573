"""The moment at which a log is cut in two: a time, or a share of its events."""

from datetime import UTC, datetime

import numpy as np

from core.clock import SECONDS_A_DAY, days
from core.errors import InvalidInput
from embeddings.evaluation.log import Log
from embeddings.evaluation.protocols import cut_at
from upnext.evaluating.moments import in_seconds

DEFAULT = "0.8"
WANTED = "a time (2026-01-31, 2026-01-31T12:00:00Z) or a share of the events (0.8)"


def cut_of(log: Log, text: str) -> float:
    """The moment, in days, that `--cut-off` means for a log.

    A number below 1 is the share of the events before it; another is a time since the epoch, as in
    a column of times.

    Raises:
        InvalidInput: it is neither, or it is a time and the log has none.
    """
    number = _number(text)
    if number is not None and 0 < number < 1:
        return cut_at(log, 1 - number)
    if not log.timed:
        raise InvalidInput(
            f"--interactions has no occurred_at, so that {text} cannot be found in it: give a "
            "share of its rows, like 0.8.",
            field="cut_off",
        )
    if number is not None and number >= 1:
        return float(in_seconds(np.array([number]))[0]) / SECONDS_A_DAY
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--cut-off {text!r} is not {WANTED}.", field="cut_off") from error
    return days(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
