"""A replica that follows a truth in memory, of which any part can be away."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from msgspec.structs import replace

from core.errors import Unavailable
from core.types import (
    Change,
    ChangeCursor,
    Model,
    ModelStatus,
    PopularityRow,
    RankingConfig,
    Video,
    VideoId,
)
from embeddings.version import Version
from retrieval.catalogue import Catalogue
from retrieval.follower import Follower
from retrieval.live import LiveConfig, LiveModel
from retrieval.version_keeper import VersionKeeper
from tests.catalogues import NOW, counted, ids, indexed, random_vectors, video


class Truth:
    """All that a follower reads, in memory; `away` names a dependency that does not answer."""

    def __init__(self) -> None:
        self.videos: dict[VideoId, Video] = {}
        self.counters: list[PopularityRow] = []
        self.older: list[PopularityRow] = []
        self.config = RankingConfig()
        self.model: Model | None = None
        self.away: set[str] = set()
        self.damaged: set[str] = set()
        self.others: list[Model] = []
        self.opened: list[str] = []
        self.tails: dict[str, tuple[str, ...]] = {}
        self.behind: set[str] = set()
        self.asked_for_tails = 0
        self.refuses_tails = False
        self.reports: list[list[str]] = []
        self.refuses_reports = False
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
        """Make a version live; the one before stays wanted."""
        before = [replace(self.model, status="retired")] if self.model else []
        self.others = [*before, *(model for model in self.others if model.version != version)]
        self.model = model_of(version, "live")
        self.note("model", version)

    def end_run(self, version: str) -> None:
        """Let a version be ready."""
        self.others = [model_of(version, "ready"), *self.others]
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

    async def openable(self) -> list[Model]:
        self._answer("postgres")
        return [*([self.model] if self.model else []), *self.others]

    async def report(self, versions: Collection[str]) -> None:
        self._answer("postgres")
        if self.refuses_reports:
            raise Unavailable("postgres")
        self.reports.append(sorted(versions))

    async def load_config(self) -> RankingConfig:
        self._answer("postgres")
        return self.config

    def open_version(self, model: Model) -> Version:
        self._answer("artifacts")
        if model.version in self.damaged:
            raise Unavailable("artifacts", f"{model.version} is damaged")
        self.opened.append(model.version)
        version, _ = indexed(["a"], random_vectors(1))
        behind = model.version in self.behind
        return dataclasses.replace(version, version=model.version, behind=behind)

    def renew_version(self, version: Version) -> Version | None:
        self.asked_for_tails += 1
        self._answer("artifacts")
        if self.refuses_tails:
            raise Unavailable("artifacts")
        segments = self.tails.get(version.version, ())
        return None if segments == version.segments else _with(version, segments)


def model_of(version: str, status: ModelStatus) -> Model:
    return Model(id=version, model_type="content", version=version, status=status, created_at=NOW)


def _with(version: Version, segments: tuple[str, ...]) -> Version:
    return dataclasses.replace(version, segments=segments)


class Replica:
    """A follower of a `Truth` and what it keeps current."""

    def __init__(self, truth: Truth) -> None:
        self.asked = truth.asked
        self.catalogue = Catalogue()
        self.live = LiveModel()
        self.config = LiveConfig()
        self.follower = Follower(
            catalogue=self.catalogue,
            config=self.config,
            reader=truth,
            changes=truth,
            versions=VersionKeeper(
                live=self.live,
                models=truth,
                open_version=truth.open_version,
                renew_version=truth.renew_version,
                keep_versions=truth.kept.append,
                report=truth.report,
                retry_seconds=0.001,
            ),
            load_config=truth.load_config,
            poll_seconds=0.001,
            popularity_seconds=0.001,
            clock=lambda: NOW,
        )

    async def until(self, check: Callable[[], object]) -> None:
        """Wait until `check()` is true, looking whenever the follower asks for something."""
        async with asyncio.timeout(30):
            while not check():
                self.asked.clear()
                await self.asked.wait()

    def open(self) -> set[str]:
        return {version.version for version in self.live.open_versions()}

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


def a_truth() -> Truth:
    """Two videos, of which one is popular, a configuration and a live version."""
    truth = Truth()
    truth.put(video("a"), video("b"))
    truth.counters = [counted("b", 7)]
    truth.config = RankingConfig(version=4)
    truth.promote("content_1")
    return truth


def lines(logs: Sequence[object], level: str, event: str = "") -> list[dict[str, object]]:
    """Log lines of a level, and of an event if one is named."""
    return [
        line
        for line in logs
        if isinstance(line, dict)
        and line["log_level"] == level
        and event in (str(line["event"]), "")
    ]
