"""A service lost with all its stores, and back from a backup: the same lists, nothing half."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.answers import Asked
from api.app import services
from core.clock import utc_now
from core.errors import NotFound, SetupError, Unavailable
from core.hashing import event_key
from core.settings import Settings, load
from core.types import Interaction, UserId, VideoId
from storage.artifacts import DirectoryArtifacts
from storage.embedded.stack import EmbeddedStack
from storage.milvus_writer import MilvusWriter
from storage.postgres.copying import LEFT_OUT
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from storage.postgres.models import PostgresModels
from storage.postgres.tables import metadata
from tests.catalogues import video
from tests.conftest import fresh_database
from tests.contract.test_dead_letters import refused
from tests.made_up import fitted, train
from tests.served import write_videos
from upnext.backups.contents import names
from upnext.backups.place import place_of
from upnext.backups.restore import check, restore
from upnext.backups.save import backup
from upnext.jobs.rebuild import rebuild

pytestmark = pytest.mark.integration
VIDEOS = [VideoId(f"back-{number:02}") for number in range(30)]
USER, GONE = UserId("back-ann"), UserId("back-erased")
NOW = utc_now()


def tell(_share: float, _message: str) -> None:
    pass


@dataclass(frozen=True)
class World:
    """A service that is in use, and one that has nothing yet but the same servers."""

    old: Settings
    new: Settings
    place: str


@pytest.fixture
def world(
    tmp_path: Path, postgres_url: str, template_database: str, milvus_uri: str, nats_url: str
) -> Iterator[World]:
    with (
        fresh_database(postgres_url, template_database) as first,
        fresh_database(postgres_url, template_database) as second,
        EmbeddedStack(tmp_path / "redis", ["redis"]) as servers,
    ):
        with closing(MilvusWriter(milvus_uri)) as writer:
            for name in writer.collections():
                writer.drop(name)
        old, new = (
            load(
                {
                    "home": str(tmp_path / home),
                    "postgres_url": url,
                    "redis_url": servers.servers["redis"].url,
                    "milvus_uri": milvus_uri,
                    "bus_url": nats_url,
                    "artifacts_url": (tmp_path / home / "artifacts").as_uri(),
                }
            )
            for home, url in (("old", first), ("new", second))
        )
        for settings in (old, new):
            settings.home.mkdir()
        asyncio.run(_use(old))
        yield World(old, new, str(tmp_path / "safe"))


async def _use(settings: Settings) -> None:
    await asyncio.to_thread(write_videos, settings, [video(name, "drama") for name in VIDEOS])
    async with pool(settings) as engine:
        watches = [
            Interaction(
                key=event_key("back", f"{user} {at}"),
                user_id=user,
                video_id=VIDEOS[at],
                kind="watch",
                occurred_at=NOW,
                weight=0.1 + 0.2,  # not exact in ten digits
            )
            for user in (USER, GONE)
            for at in range(5)
        ]
        await PostgresInteractions(engine).add_many(watches)
        model = await asyncio.to_thread(train, settings, fitted(VIDEOS, seed=3))
        await PostgresModels(engine, utc_now).promote(model.id)
        jobs = PostgresJobs(engine, utc_now)
        await PostgresErasures(engine, utc_now).ask(GONE, "ops")
        batch = await jobs.ask("batch", "ops", {"limit": 3})
        await jobs.begin(batch.id)
        await jobs.put("encoding", "schedule")
        await PostgresModels(engine, utc_now).create("als", {})
        await PostgresDeadLetters(engine).keep([refused(b"\x00 as it came \xff")])


async def rows(settings: Settings) -> dict[str, list[Any]]:
    async with pool(settings) as engine, engine.connect() as connection:
        return {
            name: sorted(
                map(repr, (await connection.execute(text(f'SELECT t::text FROM "{name}" t'))).all())  # noqa: S608
            )
            for name in metadata.tables
            if name not in LEFT_OUT
        }


async def shown(settings: Settings) -> list[VideoId]:
    async with services(settings) as process:
        answer = await process.recommender.recommend(Asked(USER))
        assert answer.metadata.degraded == ()
        return [VideoId(each.content_id) for each in answer.recommendations]


def lose_everything(world: World) -> None:
    """The index and the old database's artifacts; Redis keeps what the restored truth denies."""
    with closing(MilvusWriter.of(world.old)) as writer:
        for name in writer.collections():
            writer.drop(name)
    world.old.home.rename(world.old.home.with_name("lost"))


def test_a_lost_service_is_back(world: World) -> None:
    before, given = asyncio.run(shown(world.old)), asyncio.run(rows(world.old))
    name, made = backup(world.old, world.place, tell)
    assert check(world.new, world.place, None, tell)[0] == name
    lose_everything(world)

    restored = restore(world.new, world.place, None, tell)

    assert (restored.name, restored.live) == (name, made.live)
    assert restored.rebuilt.versions == [made.live]
    assert set(restored.rebuilt.collections) == {
        "content_r1",
        f"videos_{made.live}",
        f"users_{made.live}",
    }
    assert restored.rebuilt.users == 1  # whose list was kept
    now = asyncio.run(rows(world.new))
    same = set(given) - {"jobs", "models", "outbox"}
    assert {name: now[name] for name in same} == {name: given[name] for name in same}
    assert len(now["interactions"]) == 10
    assert asyncio.run(shown(world.new)) == before
    asyncio.run(_what_was_under_way_has_ended_or_is_queued(world.new))
    asyncio.run(_numbers_go_on_after_the_last(world.new))


async def _what_was_under_way_has_ended_or_is_queued(settings: Settings) -> None:
    async with pool(settings) as engine, engine.connect() as connection:

        async def pairs(query: str) -> list[tuple[str, str]]:
            return sorted((row[0], row[1]) for row in await connection.execute(text(query)))

        assert await pairs("SELECT kind, status FROM jobs") == [
            ("batch", "failed"),
            ("erasure", "queued"),
        ]
        assert await pairs("SELECT model_type, status FROM models") == [
            ("als", "failed"),
            ("content", "live"),
        ]
        queued = "SELECT args->>'id', 'erasure' FROM queue.procrastinate_jobs WHERE status = 'todo'"
        erasure = "SELECT id, kind FROM jobs WHERE kind = 'erasure'"
        assert await pairs(queued) == await pairs(erasure) != []


async def _numbers_go_on_after_the_last(settings: Settings) -> None:
    async with pool(settings) as engine:
        letters = PostgresDeadLetters(engine)
        await letters.keep([refused(b"after", place=2)])
        kept = [each.payload for each in await letters.latest(10)]
    assert kept == [b"after", b"\x00 as it came \xff"]


def test_nothing_is_written_where_it_should_not_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: DirectoryArtifacts, key: str, _path: Path) -> None:
        raise Unavailable("artifacts", f"{key}: no space left")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryArtifacts, "put", full)
        with pytest.raises(Unavailable, match="no space left"):
            backup(world.old, world.place, tell)
    assert names(place_of(world.place, world.old)) == []
    assert list(world.old.home.glob("backup-*")) == []
    with pytest.raises(NotFound, match="no complete backup"):
        restore(world.new, world.place, None, tell)
    with pytest.raises(SetupError, match="outside"):
        backup(world.old, f"{world.old.artifacts_url}/backups", tell)

    name, _made = backup(world.old, world.place, tell)
    before = asyncio.run(rows(world.old))
    with pytest.raises(SetupError, match="in use"):
        restore(world.old, world.place, None, tell)
    assert asyncio.run(rows(world.old)) == before
    for part in ("tables/interactions", "artifacts/models"):
        _a_damaged_backup_leaves_the_database_empty(world, name, part)


def _a_damaged_backup_leaves_the_database_empty(world: World, name: str, part: str) -> None:
    [damaged, *_] = sorted(
        path for path in Path(world.place, name).rglob("*.*") if part in path.as_posix()
    )
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for attempt in (partial(check, world.new), partial(restore, world.new)):
        with pytest.raises(SetupError, match="is damaged"):
            attempt(world.place, None, tell)
    assert not any(asyncio.run(rows(world.new))[table] for table in ("videos", "users", "models"))
    damaged.write_bytes(whole)


def test_only_what_the_index_lacks_is_made_anew(world: World) -> None:
    with closing(MilvusWriter.of(world.old)) as writer:
        [version] = [
            name.removeprefix("videos_") for name in writer.collections() if "videos_" in name
        ]
        rebuild(world.old, tell)
        assert rebuild(world.old, tell).collections == []
        writer.drop(f"videos_{version}")
        assert rebuild(world.old, tell).collections == [f"videos_{version}"]
