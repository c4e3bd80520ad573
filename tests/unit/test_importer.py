"""The importer's account: every row is accepted, a duplicate or rejected, and said so."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from core.clock import EPOCH
from core.errors import Unavailable
from core.types import AddCounts, Interaction, Progress, UpsertCounts, UserId, Video, VideoId
from ingest.feed import Feed
from ingest.importer import Importer
from ingest.report import Counts, Reject
from storage.memory.history import MemoryHistory
from storage.memory.users import MemoryUserCache
from storage.memory.videos import MemoryVideos
from tests.histories import watch

pytestmark = pytest.mark.unit


class LostCache:
    """Redis is away."""

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:  # noqa: ARG002
        raise Unavailable("redis")


class RecordingCache:
    def __init__(self) -> None:
        self.calls: list[dict[UserId, int]] = []

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        self.calls.append(dict(revisions))


class FailingHistory:
    """PostgreSQL goes away after the first batch."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Interaction]] = []

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        if self.batches:
            raise Unavailable("postgres")
        self.batches.append(interactions)
        return AddCounts(len(interactions), 0, {})


def video(number: int, title: str = "A title") -> Video:
    return Video(id=VideoId(str(number)), title=title)


def feed_of_videos(*items: Video | Reject) -> Feed[Video]:
    return Feed("videos.csv", items, lambda: 0.5)


def feed_of_events(*items: Interaction | Reject) -> Feed[Interaction]:
    return Feed("events.csv", items, lambda: 0.5)


async def test_a_report_counts_new_known_and_refused_rows_by_kind() -> None:
    videos, history = MemoryVideos(), MemoryHistory()
    refused = Reject("videos.csv", 3, "title is empty")
    first = Importer(videos, history, MemoryUserCache(), batch=2)
    await first.videos(feed_of_videos(video(1), video(2), refused, video(3)))
    await first.interactions(feed_of_events(watch("a", "u", "1"), watch("a", "u", "1")))
    assert first.report.videos == Counts(accepted=3, rejected=1)
    assert first.report.interactions == Counts(accepted=1, duplicates=1)
    assert (first.report.accepted, first.report.duplicates, first.report.rejected) == (4, 1, 1)
    assert first.report.errors == [refused]

    again = Importer(videos, history, MemoryUserCache())
    await again.videos(feed_of_videos(video(1), video(2, "Another title"), video(3)))
    assert again.report.videos == Counts(accepted=1, duplicates=2)


async def test_only_the_first_hundred_rejects_are_kept_and_all_are_told() -> None:
    told: list[Reject] = []
    importer = Importer(
        MemoryVideos(), MemoryHistory(), MemoryUserCache(), on_reject=told.append, batch=10
    )
    rejects = [Reject("videos.csv", line, "bad") for line in range(1, 251)]
    await importer.videos(feed_of_videos(*rejects))
    assert importer.report.rejected == 250
    assert importer.report.errors == rejects[:100]
    assert told == rejects


async def test_users_of_every_batch_are_forgotten_repeats_included() -> None:
    history, cache = MemoryHistory(lambda: EPOCH), RecordingCache()  # so revisions count from 1
    events = (watch("a", "u", "1"), watch("b", "v", "1"), watch("c", "u", "2"))
    for _ in range(2):
        await Importer(MemoryVideos(), history, cache, batch=2).interactions(
            feed_of_events(*events)
        )
    u, v = UserId("u"), UserId("v")
    assert cache.calls == [{u: 1, v: 1}, {u: 2}, {u: 2, v: 1}, {u: 2}]


async def test_a_lost_cache_is_a_warning_and_the_data_is_written() -> None:
    history = MemoryHistory()
    importer = Importer(MemoryVideos(), history, LostCache(), batch=1)
    await importer.interactions(feed_of_events(watch("a", "u", "1"), watch("b", "u", "2")))
    assert [len(page) async for page in history.stream()] == [2]
    assert importer.report.accepted == 2
    assert len(importer.report.warnings) == 1
    assert "Run the same import again once Redis is back" in importer.report.warnings[0]


async def test_a_lost_database_ends_the_import_with_what_was_written_counted() -> None:
    history = FailingHistory()
    importer = Importer(MemoryVideos(), history, LostCache(), batch=1)
    with pytest.raises(Unavailable, match="postgres"):
        await importer.interactions(feed_of_events(watch("a", "u", "1"), watch("b", "u", "2")))
    assert importer.report.accepted == 1


async def test_progress_is_told_from_the_start_to_the_end() -> None:
    told: list[Progress] = []
    importer = Importer(
        MemoryVideos(), MemoryHistory(), MemoryUserCache(), on_progress=told.append, batch=1
    )
    await importer.videos(feed_of_videos(video(1), video(2)))
    assert [(now.stage, now.fraction) for now in told] == [
        ("videos.csv", 0.0),
        ("videos.csv", 0.5),
        ("videos.csv", 0.5),
        ("videos.csv", 1.0),
    ]
    assert told[-1].message == "2 accepted, 0 duplicates, 0 rejected"


async def test_rows_are_read_as_they_are_written() -> None:
    """No more than a batch is read ahead of what is written."""
    read = 0
    ahead: list[int] = []

    class Watched(MemoryVideos):
        async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
            ahead.append(read)
            return await super().upsert_many(videos)

    def rows() -> Iterator[Video]:
        nonlocal read
        for number in range(9):
            read += 1
            yield video(number)

    importer = Importer(Watched(), MemoryHistory(), MemoryUserCache(), batch=3)
    await importer.videos(Feed("videos.csv", rows(), lambda: 0.0))
    assert ahead == [3, 6, 9]
