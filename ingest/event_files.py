"""Watches and ratings from NDJSON, CSV or Parquet: CloudEvents, or flat rows."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from core.clock import Clock
from core.errors import InvalidInput
from core.types import Interaction
from ingest.checks import latest_time, utc
from ingest.events import Event, RatedData, VideoRated, VideoWatched, WatchedData, interaction_of
from ingest.feed import Feed
from ingest.readers.tables import Layout, feed, open_rows
from ingest.weights import WatchWeights

FILE_SOURCE = "upnext:file"  # names flat rows that bring an id of their own
ROW_SOURCE = "upnext:row"  # names flat rows by what they say


class EventRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One flat row: a rating when `rating` is given, a watch otherwise."""

    user_id: str
    video_id: str
    occurred_at: datetime
    watched_seconds: float | None = None
    video_seconds: float | None = None
    rating: float | None = None
    event_id: str | None = None
    recommendation_id: str | None = None


FLAT = Layout(
    required=("user_id", "video_id", "occurred_at"),
    fields=frozenset(EventRow.__struct_fields__),
    ids=frozenset({"user_id", "video_id", "event_id", "recommendation_id"}),
    times=frozenset({"occurred_at"}),
)


def read_events(path: Path, clock: Clock, weights: Callable[[], WatchWeights]) -> Feed[Interaction]:
    """The interactions of a file; lines with `specversion` are CloudEvents, others flat rows.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file as a whole cannot be used; see `open_rows`.
    """
    rows = open_rows(path, FLAT, "events as NDJSON, CSV or Parquet")
    return feed(rows, event_reader(clock, weights))


def event_reader(
    clock: Clock, weights: Callable[[], WatchWeights]
) -> Callable[[dict[str, Any]], Interaction]:
    """Makes interactions of rows that came in by now, watches weighed by what `weights` gives.

    The function raises `InvalidInput` or `msgspec.ValidationError` for a row it refuses.
    """
    latest = latest_time(clock)

    def read(row: dict[str, Any]) -> Interaction:
        if "specversion" in row:
            event: Event = msgspec.convert(row, VideoWatched | VideoRated)
        else:
            event = _event_of(msgspec.convert(FLAT.tidy(row), EventRow, strict=False))
        return interaction_of(event, latest, None, weights())

    return read


def _event_of(row: EventRow) -> Event:
    kind = "watch" if row.rating is None else "rating"
    moment = utc(row.occurred_at, "occurred_at")
    event_id, source = row.event_id, FILE_SOURCE
    if event_id is None:
        # Spaces are not in the alphabet of ids, so the four parts cannot run into each other.
        event_id = f"{row.user_id} {row.video_id} {kind} {moment.isoformat()}"
        source = ROW_SOURCE
    if row.rating is None:
        watched = WatchedData(
            user_id=row.user_id,
            video_id=row.video_id,
            watched_seconds=row.watched_seconds,
            video_seconds=row.video_seconds,
            recommendation_id=row.recommendation_id,
        )
        return VideoWatched(
            specversion="1.0", id=event_id, source=source, time=moment, data=watched
        )
    if row.watched_seconds is not None:
        raise InvalidInput("a row is a watch or a rating: give one of watched_seconds and rating")
    rated = RatedData(user_id=row.user_id, video_id=row.video_id, rating=row.rating)
    return VideoRated(specversion="1.0", id=event_id, source=source, time=moment, data=rated)
