"""When events occurred, from whatever a log writes: ISO 8601, or numbers since the epoch."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.clock import SECONDS_A_DAY
from core.errors import InvalidInput
from upnext.evaluating.columns import Columns, numbers

MICROSECONDS_A_DAY = SECONDS_A_DAY * 1e6
ZONED = r"(Z|z|[+-]\d\d:?\d\d)$"
NUMBER = r"^\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*$"
UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (np.inf, 1e9))
"""Numbers up to the first are that many of the second in a second: 1e11 s are the year 5138, and
1e11 ms the year 1973."""
MOST_DAYS = 100_000.0  # from the epoch: the year 2243
LAST_DAY = 19_723.0  # 2024-01-01, when all users' last watches are if no times are known
STEP_DAYS = 1 / 24


def days_of(columns: Columns, name: str) -> NDArray[np.float64]:
    """A column of times as days since the epoch, float64 (n,); without a zone they are UTC.

    Whole columns of numbers are seconds, milliseconds, microseconds or nanoseconds since the
    epoch: which of them is told by how large they are.

    Raises:
        InvalidInput: some cell is no time; the message says where.
    """
    array = columns.table.column(name).combine_chunks()
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        _refuse(columns, name, array, pc.is_null(array).to_numpy(zero_copy_only=False))
        found: NDArray[np.float64] = _micros(array) / MICROSECONDS_A_DAY
    elif pa.types.is_string(array.type) and not _are_numbers(array):
        found = _written(columns, name, array) / MICROSECONDS_A_DAY
    else:
        found = in_seconds(numbers(columns, name)) / SECONDS_A_DAY
    _refuse(columns, name, array, np.abs(found) > MOST_DAYS)
    return found


def in_step(owners: NDArray[np.int32]) -> NDArray[np.float64]:
    """Times for events that have none, days since the epoch, (n,): order is kept, gaps are made up.

    Everybody's last event is at one moment, each earlier one an hour before the next.

    Args:
        owners: which user each event is of, in the order of events.
    """
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners)
    ends = np.repeat(np.cumsum(counts), counts)
    left = np.empty(len(owners))
    left[order] = ends - 1 - np.arange(len(owners))
    return LAST_DAY - left * STEP_DAYS


def _are_numbers(array: pa.StringArray) -> bool:
    """Whether most of the first cells are; that all are is looked at when they are read."""
    first = pc.match_substring_regex(array.slice(0, 100), NUMBER)
    return int(pc.sum(first).as_py()) * 2 > len(first)


def in_seconds(read: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers since the epoch, (n,), as seconds: their median says what they count."""
    size = float(np.median(np.abs(read)))
    return read / next(unit for most, unit in UNITS if size < most)


def _written(columns: Columns, name: str, array: pa.StringArray) -> NDArray[np.float64]:
    """Microseconds since the epoch of ISO 8601."""
    array = pc.replace_substring_regex(pc.utf8_trim_whitespace(array), r"(\.\d{6})\d+", r"\1")
    zoned = pc.match_substring_regex(array, ZONED)
    try:
        parsed = [
            _micros(pc.cast(array.filter(which), kind))
            for which, kind in (
                (zoned, pa.timestamp("us", "UTC")),
                (pc.invert(zoned), pa.timestamp("us")),
            )
        ]
    except pa.ArrowInvalid:
        _refuse(columns, name, array, np.array([not _is_time(cell) for cell in array.to_pylist()]))
        raise
    found = np.empty(len(array))
    at = zoned.to_numpy(zero_copy_only=False)
    found[at], found[~at] = parsed
    return found


def _is_time(cell: str) -> bool:
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            pa.scalar(cell).cast(kind)
        except pa.ArrowInvalid:
            continue
        return True
    return False


def _micros(array: pa.Array) -> NDArray[np.float64]:
    zone = getattr(array.type, "tz", None)
    whole = array.cast(pa.timestamp("us", zone), safe=False)
    found: NDArray[np.float64] = whole.cast(pa.int64()).to_numpy().astype(np.float64)
    return found


def _refuse(columns: Columns, name: str, array: pa.Array, bad: NDArray[np.bool_]) -> None:
    """Raise for the first that is bad, if any is."""
    rows = np.flatnonzero(bad)
    if len(rows):
        raise InvalidInput(
            f"{columns.place(int(rows[0]))}: {name} {array[int(rows[0])].as_py()!r} is no time. "
            "Times are ISO 8601 (2026-01-31T12:00:00Z) or seconds since 1970, in every row.",
            field=name,
        )
