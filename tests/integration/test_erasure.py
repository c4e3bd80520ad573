"""Erasure over HTTP by a real worker: afterwards no store has anything, and nothing comes back."""

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from redis import Redis
from sqlalchemy import text

from core.events import SUBJECTS
from core.settings import Settings
from core.types import AddCounts, Interaction
from embeddings.history_reader import HistoryReader, table_of
from storage import bus
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.redis.users import LATE_SECONDS
from tests.eventful import Sent, event, nothing_waits, publish, until
from tests.histories import watch
from tests.polling import eventually
from tests.served import Served, over_stores
from tests.stored import store_live, store_videos
from tests.working import Working
from upnext.jobs.keys import snapshot_key

pytestmark = pytest.mark.integration

NAMES = [f"v{number:03}" for number in range(60)]
GONE, STAYS = f"gone-{uuid4().hex}", f"stays-{uuid4().hex}"
DIM = 8
TABLES = text(
    "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'queue')"
)
WAITING = text("SELECT count(*) FROM outbox WHERE published_at IS NULL")


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    return over_stores(tmp_path, **store_urls, index="exact", workers="2")


def watches() -> list[Interaction]:
    return [
        watch(f"{user}-{name}", user, name, hours=at)
        for user in (GONE, STAYS)
        for at, name in enumerate(NAMES[:3])
    ]


@pytest.fixture
def users_of_version(settings: Settings) -> Iterator[str]:
    """A live version with a snapshot, and its collection of users."""
    version = asyncio.run(_fill(settings))
    name = f"users_{version}"
    with closing(MilvusWriter.of(settings)) as writer:
        writer.create(name, DIM)
        list(writer.insert(name, [GONE, STAYS], np.eye(2, DIM, dtype=np.float32)))
        writer.seal(name)
        yield name
        writer.drop(name)


async def _fill(settings: Settings) -> str:
    async with pool(settings) as engine:
        await store_videos(engine, NAMES)
        await PostgresInteractions(engine).add_many(watches())
        model = await store_live(settings, engine, NAMES)
        kept = Path(unquote(urlsplit(settings.artifacts_url or "").path)).parent / "snapshot"
        with HistoryReader({}, kept) as reader:
            reader.take(table_of(watches()))
        artifact_store(settings.artifacts_url or "").put(snapshot_key(model.id), kept)
        return model.version


def done(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The job that was asked for, once it is done."""
    assert answer.status_code == 202, answer.text
    path = answer.headers["location"]
    eventually(lambda: client.get(path).json()["status"] == "done", seconds=60, every=0.2)
    job: dict[str, Any] = client.get(path).json()
    return job


def test_an_erased_user_is_nowhere_and_stays_away(
    settings: Settings, users_of_version: str, tmp_path: Path
) -> None:
    with (
        Working(settings, tmp_path / "worker.log"),
        Served(settings) as server,
        server.client() as client,
    ):
        for user in (GONE, STAYS):
            for _ in range(4):  # whichever worker answers
                assert client.get(f"/recs/{user}").json()["metadata"]["cold_start"] is False
        asyncio.run(_sent(settings, broken()))
        assert asyncio.run(_announced(settings, GONE)) == len(broken()) - 1
        batch = done(client, client.post("/recommendations/batch/jobs", json={"all": True}))
        assert batch["counts"]["lists"] == 2

        receipt = done(client, client.delete(f"/users/{GONE}"))
        counts = receipt["counts"]
        assert counts.pop("not_reached")
        assert counts == {
            "history": 3, "cached": 1, "dead_letters": 3, "vectors": 1, "snapshots": 1,
            "batch_results": 1,
        }  # fmt: skip

        _assert_nowhere(settings, users_of_version)
        made = client.get(f"/jobs/{batch['job_id']}/result").text
        assert GONE not in made
        assert STAYS in made
        for _ in range(4):
            assert client.get(f"/users/{GONE}/recommendations").status_code == 404
            assert client.get(f"/recs/{GONE}").json()["metadata"]["cold_start"] is True
            assert client.get(f"/recs/{STAYS}").json()["metadata"]["cold_start"] is False

        again = client.post(f"/users/{GONE}/watch-history", json={"content_id": NAMES[5]})
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        replayed = asyncio.run(_replayed(settings))
        assert (replayed.accepted, replayed.duplicates, replayed.erased) == (0, 3, 3)
        asyncio.run(_sent(settings, [event(GONE, NAMES[5]), event(GONE, NAMES[6], rating=9)]))
        _assert_nowhere(settings, users_of_version)

        repeated = done(client, client.delete(f"/users/{GONE}"))["counts"]
        assert not any(count for name, count in repeated.items() if name != "not_reached")
        assert done(client, client.delete("/users/never-heard-of"))["status"] == "done"
        assert client.get(f"/users/{STAYS}/recommendations").status_code == 200


def broken() -> list[Sent]:
    """Events that become dead letters: three of one user, one of the other."""
    unreadable = event(GONE, NAMES[0]).payload[:-1]
    return [
        event(GONE, NAMES[0], rating=9),
        Sent("analytics.video-watched", unreadable, uuid4()),
        Sent("analytics.video-watched", b"\xff" + unreadable, uuid4()),
        event(STAYS, NAMES[0], rating=9),
    ]


async def _sent(settings: Settings, sent: Sequence[Sent]) -> None:
    """Bring events to the bus; whatever they lead to is there, and announced, at the end."""
    url = settings.bus_url or ""
    await bus.setup(settings)
    await publish(url, sent)
    await nothing_waits(url)
    async with pool(settings) as engine:

        async def relayed() -> bool:
            async with engine.connect() as connection:
                return not await connection.scalar(WAITING)

        await until(relayed)


async def _announced(settings: Settings, user: str) -> int:
    """What we published that holds the id in any form."""
    there, found = bus.bus_of(settings), list[bytes]()

    def note(message: bytes) -> bool:
        if any(needle.encode() in message for needle in needles(user)):
            found.append(message)
        return False  # nothing is deleted

    try:
        for subject in SUBJECTS.values():
            await there.forget(subject, note)
    finally:
        await there.close()
    return len(found)


def needles(user: str) -> list[str]:
    """How the id may stand in a text: as it is, in hexadecimal digits, within base64."""
    inner = [base64.b64encode(b"\0" * shift + user.encode()).decode() for shift in range(3)]
    return [user, user.encode().hex(), *(text[4:-4] for text in inner)]


async def _replayed(settings: Settings) -> AddCounts:
    async with pool(settings) as engine:
        return await PostgresInteractions(engine).add_many(watches())


def _assert_nowhere(settings: Settings, collection: str) -> None:
    """Search every store for the id; only a mark in Redis that nobody can be late may remain."""
    assert asyncio.run(_rows(settings, GONE)) == {}
    assert asyncio.run(_rows(settings, STAYS)) == {
        "public.interactions": 3, "public.users": 1, "public.dead_letters": 1, "public.outbox": 1,
    }  # fmt: skip
    assert asyncio.run(_announced(settings, GONE)) == 0
    assert asyncio.run(_announced(settings, STAYS)) == 1

    with Redis.from_url(settings.redis_url or "") as redis:
        for key in redis.scan_iter():
            if GONE.encode() in key:
                assert 0 <= redis.ttl(key) <= LATE_SECONDS
                assert redis.hkeys(key) == [b"floor"]
            assert GONE.encode() not in _value(redis, key)

    with closing(MilvusWriter.of(settings)) as writer:
        assert writer.lacking(collection, [GONE, STAYS]) == [GONE]

    root = Path(unquote(urlsplit(settings.artifacts_url or "").path))
    for file in (path for path in root.rglob("*") if path.is_file()):
        if file.suffix == ".parquet":
            users = set(pq.read_table(file, columns=["user_id"]).column("user_id").to_pylist())
            assert users == {STAYS}
        assert GONE.encode() not in file.read_bytes()


def _value(redis: Redis, key: bytes) -> bytes:
    """All that a key holds, one after the other."""
    read: dict[bytes | str, Callable[[bytes], Any]] = {
        b"none": lambda _: b"",  # it expired just now
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }
    return repr(read[redis.type(key)](key)).encode()


async def _rows(settings: Settings, user: str) -> dict[str, int]:
    """Tables with rows in which the id stands anywhere, and how many these are."""
    found, ids = {}, [f"%{needle}%" for needle in needles(user)]
    async with pool(settings) as engine, engine.connect() as connection:
        for table in (await connection.execute(TABLES)).scalars():
            rows = text(f"SELECT count(*) FROM {table} AS row WHERE row::text LIKE ANY(:ids)")  # noqa: S608 (a table's name)
            found[table] = await connection.scalar(rows, {"ids": ids})
    return {table: count for table, count in found.items() if count}
