import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from core.errors import Unavailable
from core.types import (
    Change,
    ChangeCursor,
    Model,
    PopularityRow,
    RankingConfig,
    Video,
    VideoId,
)
from embeddings.version import Version
from retrieval.catalogue import Catalogue
from retrieval.follower import POPULARITY_OVERLAP, Follower
from retrieval.live import LiveConfig, LiveModel
from tests.catalogues import NOW, counted, ids, indexed, random_vectors, video

pytestmark = pytest.mark.unit


class Truth:
    """All that a follower reads, in memory; `away` names a dependency that does not answer."""

    def __init__(self) -> None:
        self.videos: dict[VideoId, Video] = {}
        self.counters: list[PopularityRow] = []
        self.older: list[PopularityRow] = []
        self.config = RankingConfig()
        self.model: Model | None = None
        self.away: set[str] = set()
        self.opened: list[str] = []
        self.kept: list[Collection[str]] = []
        self.asked_since: list[datetime | None] = []
        self.asked = asyncio.Event()
        self._changes: list[Change] = []

    def put(self, *videos: Video) -> None:
        self.videos |= {entry.id: entry for entry in videos}
        self.note("video", *(entry.id for entry in videos))

    def note(self, kind: str, *keys: str) -> None:
        self._changes.append(Change(kind, keys))  # type: ignore[arg-type]

    def promote(self, version: str) -> None:
        self.model = Model(
            id=version, model_type="content", version=version, status="live", created_at=NOW
        )
        self.note("model", version)

    def _answer(self, dependency: str) -> None:
        self.asked.set()
        if dependency in self.away:
            raise Unavailable(dependency)

    async def stream(self) -> AsyncIterator[Sequence[Video]]:
        self._answer("postgres")
        for entry in list(self.videos.values()):
            yield [entry]

    async def get_many(self, asked: Sequence[VideoId]) -> list[Video]:
        self._answer("postgres")
        return [self.videos[id_] for id_ in asked if id_ in self.videos]

    async def popularity(self, since: datetime | None) -> list[PopularityRow]:
        self._answer("postgres")
        self.asked_since.append(since)
        return self.counters

    async def popularity_of(self, asked: Sequence[VideoId]) -> list[PopularityRow]:
        self._answer("postgres")
        return [row for row in self.older if row.video_id in asked]

    async def end(self) -> ChangeCursor:
        self._answer("postgres")
        return ChangeCursor(0, len(self._changes))

    async def read(self, after: ChangeCursor) -> tuple[list[Change], ChangeCursor]:
        self._answer("postgres")
        return self._changes[after.id :], ChangeCursor(0, len(self._changes))

    async def live(self) -> Model | None:
        self._answer("postgres")
        return self.model

    async def load_config(self) -> RankingConfig:
        self._answer("postgres")
        return self.config

    def open_version(self, model: Model) -> Version:
        self._answer("artifacts")
        self.opened.append(model.version)
        version, _ = indexed(["a"], random_vectors(1))
        return replace(version, version=model.version)


class Replica:
    """A follower of a `Truth` and what it keeps current."""

    def __init__(self, truth: Truth) -> None:
        self.asked = truth.asked
        self.catalogue = Catalogue()
        self.live = LiveModel()
        self.config = LiveConfig()
        self.follower = Follower(
            catalogue=self.catalogue,
            live=self.live,
            config=self.config,
            reader=truth,
            changes=truth,
            models=truth,
            open_version=truth.open_version,
            keep_versions=truth.kept.append,
            load_config=truth.load_config,
            poll_seconds=0.001,
            popularity_seconds=0.001,
            clock=lambda: NOW,
        )

    async def until(self, check: Callable[[], object]) -> None:
        """Wait until `check()` is true, looking whenever the follower asks for something."""
        async with asyncio.timeout(10):
            while not check():
                self.asked.clear()
                await self.asked.wait()

    def version(self) -> str | None:
        return self.live.current.version if self.live.current else None

    def title(self, name: str) -> str | None:
        snapshot = self.catalogue.snapshot
        row = int(snapshot.rows(ids(name))[0])
        return None if row < 0 else snapshot.title(row)


@asynccontextmanager
async def following(truth: Truth) -> AsyncIterator[Replica]:
    replica = Replica(truth)
    task = asyncio.create_task(replica.follower.run())
    try:
        yield replica
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()


def _truth() -> Truth:
    truth = Truth()
    truth.put(video("a"), video("b"))
    truth.counters = [counted("b", 7)]
    truth.config = RankingConfig(version=4)
    truth.promote("content_1")
    return truth


async def test_everything_is_loaded_at_first() -> None:
    async with following(_truth()) as replica:
        await replica.follower.loaded.wait()
        await replica.follower.settled.wait()
        await replica.until(lambda: replica.config.current.version == 4)
        assert replica.version() == "content_1"
        assert replica.catalogue.snapshot.popularity_of(1) == 1


async def test_without_a_live_version_it_settles_too() -> None:
    truth = Truth()
    async with following(truth) as replica:
        await replica.follower.settled.wait()
        assert replica.version() is None


async def test_changed_and_new_videos_are_taken_in() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.put(video("b", title="Changed", available=False), video("c"))
        await replica.until(lambda: replica.title("c"))
        assert replica.title("b") == "Changed"
        assert replica.catalogue.snapshot.eligible(NOW).tolist() == [True, False, True]


async def test_a_video_brings_the_popularity_of_events_that_came_before_it() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.older = [counted("c", 50)]
        truth.put(video("c"))
        await replica.until(lambda: replica.title("c"))
        assert replica.catalogue.snapshot.popularity_of(2) == 1
        assert replica.catalogue.snapshot.popularity_of(1) == 0.5


async def test_news_of_all_videos_reads_the_catalogue_again() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.videos |= {entry.id: entry for entry in [video("c")]}
        truth.note("video")
        await replica.until(lambda: replica.title("c"))


async def test_popularity_is_asked_for_from_a_little_before_the_last_time() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.follower.loaded.wait()
        truth.counters = [counted("a", 50)]
        await replica.until(lambda: replica.catalogue.snapshot.popularity_of(0) == 1)
        assert replica.catalogue.snapshot.popularity_of(1) == 0.5
        assert truth.asked_since[0] is None
        assert set(truth.asked_since[1:]) == {NOW - POPULARITY_OVERLAP}


async def test_a_promotion_swaps_and_going_back_opens_nothing() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.version() == "content_1")
        truth.promote("content_2")
        await replica.until(lambda: replica.version() == "content_2")
        truth.promote("content_1")
        await replica.until(lambda: replica.version() == "content_1")
        assert truth.opened == ["content_1", "content_2"]
        await replica.until(lambda: len(truth.kept) == 2)
        assert [sorted(names) for names in truth.kept] == [["content_1", "content_2"]] * 2


async def test_a_new_configuration_comes_into_force() -> None:
    truth = _truth()
    async with following(truth) as replica:
        await replica.until(lambda: replica.config.current.version == 4)
        truth.config = RankingConfig(version=5, diversity=0.9)
        truth.note("config", "5")
        await replica.until(lambda: replica.config.current.version == 5)


async def test_a_version_that_cannot_be_opened_leaves_the_old_one_and_the_catalogue_goes_on() -> (
    None
):
    truth = _truth()
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: replica.version() == "content_1")
            truth.away.add("artifacts")
            truth.promote("content_2")
            await replica.until(lambda: _lines(logs, "warning"))
            truth.put(video("c"))
            await replica.until(lambda: replica.title("c"))
            assert replica.version() == "content_1"
            truth.away.clear()
            await replica.until(lambda: replica.version() == "content_2")
            await replica.until(lambda: _lines(logs, "info", "Renewal goes on."))
    assert [line["dependency"] for line in _lines(logs, "warning")] == ["artifacts"]


async def test_an_outage_keeps_what_is_known_and_is_two_log_lines() -> None:
    truth = _truth()
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.follower.settled.wait()
            await replica.follower.loaded.wait()
            truth.away.add("postgres")
            await replica.until(lambda: _lines(logs, "warning"))
            before = replica.catalogue.snapshot
            truth.put(video("b", title="Changed meanwhile"))
            truth.promote("content_2")
            assert replica.catalogue.snapshot is before
            truth.away.clear()
            await replica.until(lambda: replica.title("b") == "Changed meanwhile")
            await replica.until(lambda: replica.version() == "content_2")
            await replica.until(lambda: _lines(logs, "info", "Renewal goes on."))
    told = [(line["log_level"], line["dependency"]) for line in logs if "dependency" in line]
    assert told == [("warning", "postgres"), ("info", "postgres")]


async def test_it_waits_for_stores_that_are_away_at_the_start() -> None:
    truth = _truth()
    truth.away |= {"postgres", "artifacts"}
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: _lines(logs, "warning"))
            assert not replica.follower.loaded.is_set()
            truth.away.clear()
            await replica.follower.loaded.wait()
            await replica.follower.settled.wait()
            assert replica.title("a") == "Title of a"


async def test_a_fault_of_ours_is_logged_with_its_traceback_and_does_not_end_it() -> None:
    truth = _truth()
    broken = ValueError("a fault of ours")

    async def load_config() -> RankingConfig:
        raise broken

    truth.load_config = load_config  # type: ignore[method-assign]
    with capture_logs() as logs:
        async with following(truth) as replica:
            await replica.until(lambda: _lines(logs, "warning"))
            truth.put(video("c"))
            await replica.until(lambda: replica.title("c"))
    [line] = _lines(logs, "warning")
    assert line["exc_info"] is broken
    assert line["work"] == "ranking configuration"


def _lines(logs: Sequence[object], level: str, event: str = "") -> list[dict[str, object]]:
    return [
        line
        for line in logs
        if isinstance(line, dict)
        and line["log_level"] == level
        and event in (str(line["event"]), "")
    ]
