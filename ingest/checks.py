"""The rules that everything coming in must pass, wherever it comes from.

Each check returns the value in its clean form, or raises `InvalidInput` with a reason that a
person who has the line in front of them can act on.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NewType

from core.clock import Clock
from core.errors import InvalidInput
from core.types import UserId, Video, VideoId

ID = re.compile(r"[A-Za-z0-9_.:\-|@+=~]{1,128}")
ID_RULE = "1 to 128 of A-Z a-z 0-9 _ . : - | @ + = ~"
LONGEST_TITLE = 500
LONGEST_DESCRIPTION = 20_000
LONGEST_TAG = 64  # one genre, region or language
MOST_TAGS = 32
MOST_REGIONS = 300
HIGHEST_MATURITY = 120
LOWEST_RATING, HIGHEST_RATING = 0.5, 5.0
LONGEST_SECONDS = 8_640_000  # 100 days: more is a mistake in units
EARLIEST_EVENT = datetime(1990, 1, 1, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
YEARS = range(1800, 2200)  # of catalogue dates: room for old films, none for typing errors

LatestTime = NewType("LatestTime", datetime)


def shown(value: object) -> str:
    """A value as a reason quotes it: short, on one line."""
    text = repr(value)
    return text if len(text) <= LONGEST_TAG else f"{text[:LONGEST_TAG]}..."


def check_id(value: str, field: str) -> str:
    """An id of the contract's alphabet and length."""
    if not value:
        raise InvalidInput(f"{field} is empty", field=field)
    if ID.fullmatch(value) is None:
        raise InvalidInput(f"{field} {shown(value)} must be {ID_RULE}", field=field)
    return value


def check_user_id(value: str) -> UserId:
    """A user's id."""
    return UserId(check_id(value, "user_id"))


def check_video_id(value: str) -> VideoId:
    """A video's id."""
    return VideoId(check_id(value, "video_id"))


def latest_time(clock: Clock) -> LatestTime:
    """The latest time that an event may carry now: five minutes of clock error are allowed."""
    return LatestTime(clock() + TOLERANCE)


def check_occurred_at(value: datetime, latest: LatestTime) -> datetime:
    """The time of an event, in UTC."""
    moment = utc(value, "occurred_at")
    if moment < EARLIEST_EVENT:
        raise InvalidInput(f"occurred_at {shown(str(value))} is before 1990", field="occurred_at")
    if moment > latest:
        raise InvalidInput(
            f"occurred_at {shown(str(value))} is more than 5 minutes ahead", field="occurred_at"
        )
    return moment


def utc(value: datetime, field: str) -> datetime:
    """A time in UTC; one without a zone is taken as UTC."""
    if value.year not in YEARS:
        raise InvalidInput(f"{field}: the year {value.year} is out of range", field=field)
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value.astimezone(UTC)


def start_of(day: date) -> datetime:
    """Midnight UTC of a date."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def check_seconds(value: float | None, field: str) -> float | None:
    """A duration: a number, not negative, of at most 100 days."""
    if value is None:
        return None
    if not 0 <= value <= LONGEST_SECONDS:  # false for NaN too
        raise InvalidInput(
            f"{field} must be a number of seconds, 0 to {LONGEST_SECONDS:,}", field=field
        )
    return value


def check_rating(value: float) -> float:
    """A rating, 0.5 to 5."""
    if not LOWEST_RATING <= value <= HIGHEST_RATING:  # false for NaN too
        raise InvalidInput(f"rating {shown(value)} must be 0.5 to 5", field="rating")
    return value


def check_text(value: str, field: str, longest: int) -> str:
    """A text that every store can keep, at most `longest` characters."""
    if len(value) > longest:
        raise InvalidInput(f"{field} has {len(value)} characters, at most {longest}", field=field)
    if "\x00" in value:
        raise InvalidInput(f"{field} contains a NUL character", field=field)
    return value


def check_tags(values: Sequence[str], field: str, most: int) -> None:
    """Short labels: none empty, none longer than 64 characters."""
    if len(values) > most:
        raise InvalidInput(f"{field} has {len(values)} entries, at most {most}", field=field)
    for value in values:
        if not value.strip():
            raise InvalidInput(f"{field} has an empty entry", field=field)
        check_text(value, field, LONGEST_TAG)


def check_video(video: Video) -> Video:
    """A video that keeps every rule, its times in UTC.

    Raises:
        InvalidInput: the first rule it breaks.
    """
    check_video_id(video.id)
    if not video.title.strip():
        raise InvalidInput("title is empty", field="title")
    check_text(video.title, "title", LONGEST_TITLE)
    check_text(video.description, "description", LONGEST_DESCRIPTION)
    check_tags(video.genres, "genres", MOST_TAGS)
    check_tags(video.regions, "regions", MOST_REGIONS)
    check_seconds(video.duration_seconds, "duration_seconds")
    if video.language is not None:
        check_tags((video.language,), "language", 1)
    if video.creator_id is not None:
        check_id(video.creator_id, "creator_id")
    if not 0 <= video.maturity <= HIGHEST_MATURITY:
        raise InvalidInput(f"maturity must be an age, 0 to {HIGHEST_MATURITY}", field="maturity")
    return _with_times_in_utc(video)


def _with_times_in_utc(video: Video) -> Video:
    times = {
        field: utc(value, field)
        for field in ("published_at", "available_from", "available_until")
        if (value := getattr(video, field)) is not None
    }
    start, end = times.get("available_from"), times.get("available_until")
    if start is not None and end is not None and start >= end:
        raise InvalidInput("available_until must be after available_from", field="available_until")
    values = {field: getattr(video, field) for field in video.__struct_fields__}
    return Video(**{**values, **times})
