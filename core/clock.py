"""Time comes from outside, so that tests can set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_A_DAY = 86_400.0


def utc_now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def days(moment: datetime) -> float:
    """Days since the epoch, with fractions."""
    return (moment - EPOCH).total_seconds() / SECONDS_A_DAY
