"""Events from files: CloudEvents and flat rows, their keys, and every reason to refuse one."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.hashing import event_key
from core.types import Interaction
from ingest.checks import latest_time
from ingest.event_files import event_reader, read_events
from ingest.events import RatedData, VideoRated, interaction_of
from ingest.report import Reject
from ingest.weights import PLAIN

pytestmark = pytest.mark.unit

NOW = datetime(2025, 6, 1, tzinfo=UTC)
WATCHED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/player",
    "type": "VideoWatched",
    "time": "2025-05-01T10:00:00+02:00",
    "traceparent": "an extension attribute",
    "data": {"user_id": 7, "video_id": "42", "watched_seconds": 30, "video_seconds": 120},
}
FLAT: dict[str, Any] = {"user_id": "7", "video_id": "42", "occurred_at": "2025-05-01T08:00:00Z"}


def read(row: dict[str, Any]) -> Interaction:
    return event_reader(lambda: NOW, lambda: PLAIN)(row)


def refused(folder: Path, row: dict[str, Any]) -> str:
    path = folder / "events.ndjson"
    path.write_bytes(msgspec.json.encode(row))
    (item,) = read_events(path, lambda: NOW, lambda: PLAIN).items
    assert isinstance(item, Reject)
    return item.reason


def test_a_watched_event_is_a_watch_named_by_source_and_id() -> None:
    assert read(WATCHED) == Interaction(
        key=event_key("/player", "e-1"),
        user_id=read(FLAT).user_id,
        video_id=read(FLAT).video_id,
        kind="watch",
        occurred_at=datetime(2025, 5, 1, 8, tzinfo=UTC),
        weight=0.25,
        watched_seconds=30.0,
        video_seconds=120.0,
    )


def test_a_rated_event_is_a_rating() -> None:
    data = {"user_id": "7", "video_id": "42", "rating": 4}
    rated = read({**WATCHED, "type": "VideoRated", "data": data})
    assert (rated.kind, rated.rating, rated.weight) == ("rating", 4.0, 0.75)


def test_the_time_of_arrival_stands_in_for_a_missing_one() -> None:
    data = RatedData(user_id="7", video_id="42", rating=4)
    event = VideoRated(specversion="1.0", id="1", source="s", data=data)
    arrived = datetime(2025, 5, 2, tzinfo=UTC)
    latest = latest_time(lambda: NOW)
    assert interaction_of(event, latest, arrived, PLAIN).occurred_at == arrived
    with pytest.raises(InvalidInput, match="time is missing"):
        interaction_of(event, latest, None, PLAIN)


def test_a_flat_row_without_an_id_is_named_by_what_it_says() -> None:
    same = {**FLAT, "occurred_at": "2025-05-01T10:00:00+02:00", "watched_seconds": 5}
    assert read(FLAT).key == read(same).key
    others = [
        {**FLAT, "user_id": "8"},
        {**FLAT, "video_id": "43"},
        {**FLAT, "occurred_at": "2025-05-01T08:00:01Z"},
        {**FLAT, "rating": 3},
        {**FLAT, "event_id": "1"},
    ]
    assert len({read(row).key for row in [FLAT, *others]}) == 6


def test_a_flat_rows_own_id_names_it() -> None:
    moved = {**FLAT, "event_id": "1", "occurred_at": "2025-05-02T08:00:00Z"}
    assert read({**FLAT, "event_id": 1}).key == read(moved).key


def test_csv_text_becomes_numbers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "user_id,video_id,occurred_at,watched_seconds,rating,recommendation_id\n"
        "7,42,2025-05-01 08:00:00,30.5,,r-1\n"
        "7,42,2025-05-01,,4.5,\n"
        "7,42,1746086400,,,\n"
    )
    first, second, third = read_events(path, lambda: NOW, lambda: PLAIN).items
    assert isinstance(first, Interaction)
    assert (first.watched_seconds, first.recommendation_id) == (30.5, "r-1")
    assert isinstance(second, Interaction)
    assert (second.kind, second.occurred_at) == ("rating", datetime(2025, 5, 1, tzinfo=UTC))
    assert isinstance(third, Interaction)
    assert third.occurred_at == first.occurred_at == datetime(2025, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": ""}, "user_id is empty"),
        ({"user_id": None}, "object missing required field `user_id`"),
        ({"user_id": True}, "user_id: expected `str`, got `bool`"),
        ({"video_id": "a/b"}, "video_id 'a/b' must be 1 to 128 of A-Z a-z 0-9 _ . : - | @ + = ~"),
        ({"rating": 0}, "rating 0.0 must be 0.5 to 5"),
        ({"rating": "much"}, "rating: expected `float | null`, got `str`"),
        ({"rating": "nan"}, "rating nan must be 0.5 to 5"),
        ({"watched_seconds": -1}, "watched_seconds must be a number of seconds, 0 to 8,640,000"),
        ({"watched_seconds": "inf"}, "watched_seconds must be a number of seconds, 0 to 8,640,000"),
        ({"video_seconds": -1}, "video_seconds must be a number of seconds, 0 to 8,640,000"),
        (
            {"rating": 4, "watched_seconds": 4},
            "a row is a watch or a rating: give one of watched_seconds and rating",
        ),
        ({"occurred_at": "yesterday"}, "occurred_at: invalid RFC3339 encoded datetime"),
        ({"occurred_at": "1989-12-31"}, "occurred_at '1989-12-31 00:00:00+00:00' is before 1990"),
        (
            {"occurred_at": "2025-06-01T00:05:01Z"},
            "occurred_at '2025-06-01 00:05:01+00:00' is more than 5 minutes ahead",
        ),
        ({"occurred_at": "0001-01-01"}, "occurred_at: the year 1 is out of range"),
        ({"event_id": ""}, "id is empty"),
        ({"event_id": "x" * 1001}, "id has 1001 characters, at most 1000"),
        ({"colour": "red"}, "object contains unknown field `colour`"),
        (
            {"recommendation_id": "a b"},
            "recommendation_id 'a b' must be 1 to 128 of A-Z a-z 0-9 _ . : - | @ + = ~",
        ),
    ],
)
def test_a_flat_row_that_breaks_a_rule_says_which(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    assert refused(tmp_path, {**FLAT, **change}) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "VideoLiked"}, "type: invalid value 'VideoLiked'"),
        ({"specversion": "0.3"}, "specversion: invalid enum value '0.3'"),
        ({"time": None}, "time is missing"),
        ({"source": ""}, "source is empty"),
        ({"data": {"user_id": "7"}}, "data: object missing required field `video_id`"),
        (
            {"data": {"user_id": "7", "video_id": "4", "x": 1}},
            "data: object contains unknown field `x`",
        ),
    ],
)
def test_an_event_that_breaks_a_rule_says_which(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    assert refused(tmp_path, {**WATCHED, **change}) == reason


def test_five_minutes_ahead_is_let_through() -> None:
    assert read({**FLAT, "occurred_at": "2025-06-01T00:05:00Z"}).occurred_at > NOW


@given(
    st.dictionaries(
        st.sampled_from([*FLAT, *WATCHED, "rating", "watched_seconds", "event_id"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
    )
)
def test_any_row_is_read_or_refused(row: dict[str, Any]) -> None:
    with suppress(InvalidInput, msgspec.ValidationError):
        assert 0 <= read({**FLAT, **row}).weight <= 1
