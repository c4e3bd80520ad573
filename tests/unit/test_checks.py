"""What the catalogue refuses, and why."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from core.errors import InvalidInput
from core.types import Video, VideoId
from ingest.checks import ID, check_video
from ingest.video_files import video_of

pytestmark = pytest.mark.unit


def test_every_character_of_the_alphabet_is_an_id() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-|@+=~"
    assert ID.fullmatch(letters)
    others = {chr(code) for code in range(0x250)} - set(letters)
    assert [other for other in others if ID.fullmatch(other)] == []
    assert ID.fullmatch("a\n") is None


def test_times_are_taken_to_utc() -> None:
    east = timezone(timedelta(hours=2))
    naive = datetime(2024, 1, 1, 12)  # noqa: DTZ001 - as files have it
    video = Video(
        id=VideoId("1"), title="t", published_at=datetime(2024, 1, 1, 12, tzinfo=east),
        available_from=naive,
    )  # fmt: skip
    checked = check_video(video)
    assert checked.published_at == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert checked.available_from == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert checked.published_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "video_id is empty"),
        ({"title": "  "}, "title is empty"),
        ({"title": "x" * 501}, "title has 501 characters, at most 500"),
        ({"title": "a\0b"}, "title contains a NUL character"),
        ({"description": "x" * 20_001}, "description has 20001 characters, at most 20000"),
        ({"genres": ["g"] * 33}, "genres has 33 entries, at most 32"),
        ({"genres": ["g" * 65]}, "genres has 65 characters, at most 64"),
        ({"genres": [" "]}, "genres has an empty entry"),
        ({"regions": ["DE"] * 301}, "regions has 301 entries, at most 300"),
        ({"language": ""}, "language has an empty entry"),
        ({"creator_id": "A B"}, "creator_id 'A B' must be 1 to 128"),
        ({"duration_seconds": -1}, "duration_seconds must be a number of seconds, 0 to 8,640,000"),
        (
            {"duration_seconds": "nan"},
            "duration_seconds must be a number of seconds, 0 to 8,640,000",
        ),
        ({"maturity": -1}, "maturity must be an age, 0 to 120"),
        ({"published_at": "0001-01-01"}, "published_at: the year 1 is out of range"),
        (
            {"available_from": "2025-01-02", "available_until": "2025-01-02"},
            "available_until must be after available_from",
        ),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_a_video_that_breaks_a_rule_says_which(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        video_of({"id": "1", "title": "t", **change})
    assert str(caught.value).startswith(reason)
