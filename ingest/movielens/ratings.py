"""ratings.csv: who gave which film how many stars, and when."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.clock import Clock
from core.errors import InvalidInput
from core.hashing import event_key
from core.types import Interaction
from ingest.checks import (
    check_occurred_at,
    check_rating,
    check_user_id,
    check_video_id,
    latest_time,
    shown,
)
from ingest.feed import Feed
from ingest.readers.csv_rows import CsvRows
from ingest.readers.lines import require
from ingest.readers.tables import feed
from ingest.weights import rating_weight

SOURCE = "movielens"
COLUMNS = ("userId", "movieId", "rating", "timestamp")


def read_ratings(folder: Path, clock: Clock) -> Feed[Interaction]:
    """The ratings of a MovieLens folder.

    Raises:
        SetupError: there is no ratings.csv.
        InvalidInput: it lacks a column.
    """
    path = require(folder / "ratings.csv", f"a MovieLens file with {', '.join(COLUMNS)}")
    return feed(CsvRows(path, COLUMNS), _reader(clock))


def _reader(clock: Clock) -> Callable[[dict[str, Any]], Interaction]:
    latest = latest_time(clock)

    def read(row: dict[str, Any]) -> Interaction:
        user_id = check_user_id(row.get("userId", ""))
        video_id = check_video_id(row.get("movieId", ""))
        rating = check_rating(_number(row, "rating"))
        occurred_at = check_occurred_at(_moment(row), latest)
        return Interaction(
            key=event_key(SOURCE, f"{user_id} {video_id} {row['timestamp']}"),
            user_id=user_id,
            video_id=video_id,
            kind="rating",
            occurred_at=occurred_at,
            weight=rating_weight(rating),
            rating=rating,
        )

    return read


def _number(row: dict[str, Any], field: str) -> float:
    text = row.get(field, "")
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{field} {shown(text)} is not a number", field=field) from error


def _moment(row: dict[str, Any]) -> datetime:
    seconds = _number(row, "timestamp")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        text = shown(row["timestamp"])
        raise InvalidInput(
            f"timestamp {text} is not a time in seconds", field="timestamp"
        ) from error
