"""Events that flow while consumers are killed, and the account of them afterwards."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Unavailable
from core.hashing import event_key
from core.settings import Settings, load
from core.types import UserId
from storage import bus
from storage.postgres.engine import pool, reading
from storage.postgres.users import PostgresUsers
from storage.redis.client import connect as connect_redis
from storage.redis.users import RedisUserCache
from tests.patience import PATIENT_BUS, PATIENT_REDIS
from tests.programs import Program

SOURCE = "/test/player"
FIELD = "some-version/1/personalized"
SUBJECTS = {
    "VideoWatched": "analytics.video-watched",
    "VideoRated": "analytics.video-rated",
}
AT_ONCE = 200
AGAIN_SECONDS = 1.0
"""When the bus gives the events of a dead consumer to the next: soon, for the tests' sake."""

WRONG_COUNTERS = """
    SELECT count(*) FROM (
        SELECT video_id, count(*) AS watches FROM interactions GROUP BY video_id
    ) AS counted FULL JOIN (
        SELECT video_id, sum(watches) AS watches FROM popularity GROUP BY video_id
    ) AS kept USING (video_id) WHERE counted.watches IS DISTINCT FROM kept.watches
"""


class Sent(msgspec.Struct, frozen=True):
    """One message for the bus; repeats of an event have its `key`."""

    subject: str
    payload: bytes
    key: UUID


class Consuming(Program):
    """What a worker does with events, without the rest of it."""

    code = """
import asyncio
from core.logging import configure
from core.settings import load
from storage.postgres.engine import pool, reading
from upnext.consuming import consume

async def main():
    settings = load()
    async with pool(settings) as engine:
        await consume(settings, engine)

configure()
asyncio.run(main())
"""


def event(
    user: str, video: str, *, name: str = "", at: datetime | None = None, **data: Any
) -> Sent:
    """A watch, or a rating when `rating` is among the data."""
    kind = "VideoRated" if "rating" in data else "VideoWatched"
    name = name or uuid4().hex
    body = {
        "specversion": "1.0",
        "id": name,
        "source": SOURCE,
        "type": kind,
        "time": at or utc_now(),
        "datacontenttype": "application/json",
        "data": {"user_id": user, "video_id": video, **data},
    }
    return Sent(SUBJECTS[kind], msgspec.json.encode(body), event_key(SOURCE, name))


def traffic(count: int, users: Sequence[str], *, hot: float = 0, seed: int = 0) -> list[Sent]:
    """So many events of 60 videos, and 10 % repeats with other times, close by and far away.

    `hot` is the share of one video.
    """
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    now, run = utc_now(), uuid4().hex
    told = []
    for number in range(count):
        data: dict[str, Any] = {"watched_seconds": draw.uniform(0, 600), "video_seconds": 600}
        if number % 10 == 0:
            data = {"rating": draw.choice((0.5, 3, 5))}
        at = now - timedelta(minutes=draw.uniform(0, 1e5))
        video = "v0" if draw.random() < hot else f"v{draw.randrange(60)}"
        told.append((draw.choice(users), video, f"{run}-{number}", at, data))
    sent = [event(user, video, name=name, at=at, **data) for user, video, name, at, data in told]
    for number in range(count // 10):
        user, video, name, at, data = told[draw.randrange(count // 2)]
        later = event(user, video, name=name, at=at - timedelta(seconds=number + 1), **data)
        after = 1 + next(place for place, one in enumerate(sent) if one.key == later.key)
        near = draw.random() < 0.5
        sent.insert(after if near else draw.randrange(after, len(sent) + 1), later)
    return sent


async def publish(url: str, sent: Sequence[Sent]) -> None:
    """Bring messages to the bus, each as one that was not there before."""
    there = bus.bus_of(load({"bus_url": url}))
    try:
        for first in range(0, len(sent), AT_ONCE):
            part = sent[first : first + AT_ONCE]
            await asyncio.gather(*(_publish(there, one) for one in part))
    finally:
        await there.close()


async def _publish(there: bus.Bus, one: Sent) -> None:
    """As every producer should: until the bus says that it has it."""
    name = uuid4().hex

    async def published() -> bool:
        await there.publish(one.subject, name, one.payload)
        return True

    await until(published)


async def make_streams(url: str) -> None:
    """Streams and consumer, on a bus of the test's own."""
    there = bus.connect(url, bus.Timing(answer=PATIENT_BUS, again=AGAIN_SECONDS))
    try:
        await there.setup()
    finally:
        await there.close()


async def until(
    check: Callable[[], Awaitable[object]], *, seconds: float = 30, every: float = 0.02
) -> None:
    """Return when `check` is true; a dependency that is away meanwhile is asked again."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await check():
                    return
            except Unavailable:
                pass
            await asyncio.sleep(every)


async def nothing_waits(url: str, *, seconds: float = 60) -> None:
    """Return when all events are acknowledged."""
    source = bus.events_of(load({"bus_url": url}))

    async def done() -> bool:
        return await source.waiting() == 0

    try:
        await until(done, seconds=seconds, every=0.1)
    finally:
        await source.close()


@asynccontextmanager
async def lists_kept(settings: Settings, users: Sequence[str]) -> AsyncIterator[list[int]]:
    """Meanwhile lists are made of the users' states, in some milliseconds each, and kept.

    Yields:
        The revisions of the lists, as they are made: a list says only which it was made of.
    """
    made: list[int] = []
    redis = connect_redis(settings.redis_url or "", PATIENT_REDIS)
    async with pool(settings) as engine, aclosing(redis):
        task = asyncio.create_task(_keep_lists(engine, RedisUserCache(redis), users, made))
        yield made
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def _keep_lists(
    engine: AsyncEngine, cache: RedisUserCache, users: Sequence[str], made: list[int]
) -> None:
    store, draw = PostgresUsers(engine), random.Random(1)  # noqa: S311
    while True:
        try:
            user = UserId(draw.choice(users))
            state = await store.state(user, 10)
            await asyncio.sleep(draw.uniform(0, 0.005))
            if state is not None:
                await cache.put_state(state)
                entry = b"%d" % state.revision
                await cache.put_list(user, FIELD, state.revision, entry, 3600)
                made.append(state.revision)
        except Unavailable:
            await asyncio.sleep(0.1)


class Account(msgspec.Struct, frozen=True):
    """What is there afterwards."""

    keys: set[UUID]
    wrong_counters: int
    dead: list[str]
    stale: list[str]


async def account(settings: Settings, users: Sequence[str]) -> Account:
    """Look into the stores; stale is who has a list or a state of an older revision."""
    redis = connect_redis(settings.redis_url or "", PATIENT_REDIS)
    async with pool(settings) as engine, aclosing(redis), engine.connect() as connection:
        cache, stale = RedisUserCache(redis), list[str]()
        rows = await connection.execute(text("SELECT user_id, revision FROM users"))
        revisions = {row.user_id: row.revision for row in rows}
        for user in map(UserId, users):
            entry = await cache.get_list(user, FIELD)
            state = await cache.state(user)
            kept = {int(entry)} if entry else set()
            kept |= {state.revision} if state else set()
            if kept - {revisions.get(user)}:
                stale.append(user)
        keys = set((await connection.execute(text("SELECT event_key FROM interactions"))).scalars())
        wrong = await connection.scalar(text(WRONG_COUNTERS))
        dead = (await connection.execute(text("SELECT reason FROM dead_letters"))).scalars()
        return Account(keys, wrong or 0, list(dead), stale)


async def survive(settings: Settings, sent: Sequence[Sent], kills: int, log: Path) -> None:
    """Send all of it, in parts, while a consumer is killed so many times at random moments."""
    draw = random.Random(2)  # noqa: S311
    consumer, url = Consuming(settings), settings.bus_url or ""
    part = -(-len(sent) // (kills + 1))
    async with pool(settings) as engine:
        for kill in range(kills):
            before = await _rows(engine)
            await publish(url, sent[kill * part : (kill + 1) * part])
            consumer.launch(log)

            async def works(before: int = before) -> bool:
                return await _rows(engine) > before

            await until(works)
            await asyncio.sleep(draw.uniform(0, 0.25))
            consumer.kill()
    await publish(url, sent[kills * part :])
    consumer.launch(log)
    try:
        await nothing_waits(url)
    finally:
        consumer.stop()


async def _rows(engine: AsyncEngine) -> int:
    """Interactions there are, once somebody can say."""
    found: list[int] = []

    async def count() -> bool:
        async with reading(engine) as connection:
            found.append(await connection.scalar(text("SELECT count(*) FROM interactions")) or 0)
        return True

    await until(count)
    return found[0]
