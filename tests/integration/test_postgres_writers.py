"""Writers side by side: no deadlock, no lost count, no change that a reader walks past."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import days, utc_now
from core.errors import Conflict
from core.hashing import event_key, hash64
from core.types import Change, ChangeCursor, Interaction, Model, UserId, Video, VideoId
from storage.postgres.changes import PostgresChanges, note
from storage.postgres.engine import transaction
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from tests.news import read_changes

pytestmark = pytest.mark.integration

DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
BATCHES, ROWS, USERS, VIDEOS, KEYS = 24, 200, 40, 25, 3000


def _batches(seed: int) -> list[list[Interaction]]:
    """Batches that share users, videos and many keys, each in an order of its own."""
    draw = np.random.default_rng(seed)
    catalogue = {}
    for number in range(KEYS):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(
            seconds=int(draw.integers(30_000_000))
        )
        catalogue[number] = Interaction(
            key=event_key("crowd", str(number)),
            user_id=UserId(f"u{draw.integers(USERS)}"),
            video_id=VideoId(f"v{draw.integers(VIDEOS)}"),
            kind="watch",
            occurred_at=moment,
            weight=float(draw.choice([0.0, 0.05, 0.5, 1.0])),
        )
    return [[catalogue[int(draw.integers(KEYS))] for _ in range(ROWS)] for _ in range(BATCHES)]


async def test_writers_with_the_same_users_videos_and_keys_never_deadlock(
    engine: AsyncEngine,
) -> None:
    store = PostgresInteractions(engine)
    batches = _batches(7)
    counts = await asyncio.gather(*(store.add_many(batch) for batch in batches))
    distinct = {row.key: row for batch in batches for row in batch}
    async with engine.connect() as connection:
        kept = set((await connection.execute(text("SELECT event_key FROM interactions"))).scalars())
    assert kept == distinct.keys()
    assert sum(count.accepted for count in counts) == len(kept)
    assert sum(count.accepted + count.duplicates for count in counts) == BATCHES * ROWS
    await _check_counters(engine, list(distinct.values()))
    await _check_users(engine, list(distinct.values()))


async def test_two_writers_share_heavy_users_and_a_hot_video(engine: AsyncEngine) -> None:
    """Half of all events are of one video, and a user has watched thousands."""
    store, draw = PostgresInteractions(engine), np.random.default_rng(11)
    history = [_watched("heavy", f"v{number}", f"h{number}") for number in range(5000)]
    await store.add_many(history)

    def batch(name: str) -> list[Interaction]:
        users = ["heavy" if draw.random() < 0.2 else f"u{draw.integers(500)}" for _ in range(500)]
        videos = ["v0" if draw.random() < 0.5 else f"v{draw.integers(5000)}" for _ in range(500)]
        made = zip(users, videos, strict=True)
        return [_watched(*one, f"{name}-{at}") for at, one in enumerate(made)]

    async def write(batches: list[list[Interaction]]) -> None:
        for one in batches:
            await store.add_many(one)

    parts = [[batch(f"{writer}-{number}") for number in range(5)] for writer in range(2)]
    await asyncio.gather(*map(write, parts))
    rows = history + [row for part in parts for one in part for row in one]
    counted = {row.video_id: row.watches for row in await PostgresVideos(engine).popularity(None)}
    assert counted == Counter(row.video_id for row in rows)
    await _check_users(engine, rows)
    async with transaction(engine) as connection:
        assert await connection.scalar(DEADLOCKS) == 0
    state = await PostgresUsers(engine).state(UserId("heavy"), 200)
    assert state is not None
    assert (len(state.recent), len(state.watched)) == (200, 5000)


def _watched(user: str, video: str, name: str) -> Interaction:
    return Interaction(
        key=event_key("crowd", name),
        user_id=UserId(user),
        video_id=VideoId(video),
        kind="watch",
        occurred_at=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=hash64(name) % 10**7),
        weight=1.0,
    )


async def _check_counters(engine: AsyncEngine, rows: list[Interaction]) -> None:
    """Counters equal a recount, and the shards were used."""
    found = {row.video_id: row for row in await PostgresVideos(engine).popularity(None)}
    assert {key: row.watches for key, row in found.items()} == Counter(r.video_id for r in rows)
    for video_id, row in found.items():
        ours = [(r.weight, days(r.occurred_at)) for r in rows if r.video_id == video_id]
        weight, moment = np.array(ours).T
        last = moment.max()
        for kept, half_life in ((row.log2_slow, 14.0), (row.log2_fast, 1.0)):
            decayed = np.sum(weight * np.exp2((moment - last) / half_life))
            assert kept - last / half_life == pytest.approx(np.log2(decayed), abs=1e-9)
    async with transaction(engine) as connection:
        shards = (await connection.execute(text("SELECT DISTINCT shard FROM popularity"))).all()
    assert len(shards) > 1


async def _check_users(engine: AsyncEngine, rows: list[Interaction]) -> None:
    """Every user is there once, in byte order, dated by the newest event."""
    users = PostgresUsers(engine)
    listed = [user_id async for page in users.stream() for user_id in page]
    assert listed == sorted({row.user_id for row in rows}, key=str.encode)
    newest: dict[str, datetime] = {}
    for row in rows:
        newest[row.user_id] = max(row.occurred_at, newest.get(row.user_id, row.occurred_at))
    async with transaction(engine) as connection:
        kept = await connection.execute(text("SELECT user_id, last_event_at FROM users"))
        assert {row.user_id: row.last_event_at for row in kept} == newest


async def test_catalogue_writers_with_the_same_ids_never_deadlock(engine: AsyncEngine) -> None:
    store = PostgresVideos(engine)
    ids = [VideoId(f"v{i}") for i in range(300)]
    draw = np.random.default_rng(3)
    batches = [
        [Video(id=ids[i], title=f"written by {number}") for i in draw.permutation(300)[:200]]
        for number in range(12)
    ]
    counts = await asyncio.gather(*(store.upsert_many(batch) for batch in batches))
    written = {video.id for batch in batches for video in batch}
    assert sum(count.inserted for count in counts) == len(written) == await store.count()


async def test_a_change_never_turns_up_behind_a_reader(engine: AsyncEngine) -> None:
    """The older transaction commits last: the younger one's change comes first, each comes once."""
    videos, changes = PostgresVideos(engine), PostgresChanges(engine)
    younger, last = Change("video", ("younger",)), Change("video", ("last",))
    start = await changes.end()
    async with transaction(engine) as older:
        await note(older, Change("video", ("older",)))
        await videos.upsert_many([Video(id=VideoId("younger"), title="Younger")])
        found, place = await changes.read(start)
        assert found == [younger]
        assert (place.transaction, place.id, len(place.ahead)) == (start.transaction, start.id, 1)
        assert await changes.read(place) == ([], place)
        await videos.upsert_many([Video(id=VideoId("last"), title="Last")])
        found, both = await changes.read(place)
        assert found == [last]
        assert await changes.read(start) == ([younger, last], both)
        later = await changes.end()
    found, cursor = await read_changes(changes, both, 1)
    assert found == [Change("video", ("older",))]
    assert await changes.read(cursor) == ([], cursor)
    everything = [Change("video", ("older",)), younger, last]
    assert (await read_changes(changes, later, 3))[0] == everything


async def test_a_reader_that_missed_news_is_told_of_everything(engine: AsyncEngine) -> None:
    changes = PostgresChanges(engine)
    start = await changes.end()
    for name in ("a", "b", "c"):
        await PostgresVideos(engine).upsert_many([Video(id=VideoId(name), title=name)])
    _, seen = await read_changes(changes, start, 3)
    assert await changes.prune(utc_now() + timedelta(days=1)) == 2
    assert await changes.read(seen) == ([], seen)
    found, cursor = await changes.read(start)
    assert found == [Change("video", ()), Change("model", ()), Change("config", ())]
    assert await changes.read(cursor) == ([], cursor)


async def test_a_cursor_of_another_database_is_told_of_everything(engine: AsyncEngine) -> None:
    changes = PostgresChanges(engine)
    ahead = ChangeCursor((await changes.end()).transaction + 1_000_000, 5)
    found, cursor = await changes.read(ahead)
    assert {change.kind for change in found} == {"video", "model", "config"}
    assert await changes.read(cursor) == ([], cursor)


async def test_readers_of_history_do_not_hold_changes_up(engine: AsyncEngine) -> None:
    store, changes = PostgresVideos(engine), PostgresChanges(engine)
    await store.upsert_many([Video(id=VideoId("a"), title="A")])
    start = await changes.end()
    pages = store.stream()
    assert await anext(pages)
    await store.upsert_many([Video(id=VideoId("b"), title="B")])
    found, _ = await read_changes(changes, start, 1)
    await pages.aclose()  # type: ignore[attr-defined]
    assert found == [Change("video", ("b",))]


async def test_changes_come_in_pages_and_can_be_forgotten(engine: AsyncEngine) -> None:
    changes = PostgresChanges(engine)
    async with transaction(engine) as connection:
        for number in range(1001):
            await note(connection, Change("video", (str(number),)))
    found, _ = await read_changes(changes, ChangeCursor(), 1001)
    assert [change.keys[0] for change in found] == [str(n) for n in range(1001)]
    assert len((await changes.read(ChangeCursor()))[0]) == 1000
    assert await changes.prune(utc_now() - timedelta(days=1)) == 0
    assert await changes.prune(utc_now() + timedelta(days=1)) == 1000


async def _ready(models: PostgresModels) -> Model:
    model, token = await models.create("content", {})
    await models.update(model.id, token, status="training")
    await models.update(model.id, token, status="evaluating")
    await models.update(model.id, token, status="publishing")
    return await models.update(model.id, token, status="ready")


async def test_promotions_at_once_leave_one_live_and_tell_of_each(engine: AsyncEngine) -> None:
    models = PostgresModels(engine, utc_now)
    made = [await _ready(models) for _ in range(6)]
    await asyncio.gather(*(models.promote(model.id) for model in made))
    live = await models.live()
    assert live is not None
    assert [model.id for model in await models.find(status="live")] == [live.id]
    found, _ = await read_changes(PostgresChanges(engine), ChangeCursor(), 2 * len(made))
    ready, promoted = found[: len(made)], found[len(made) :]
    for told in (ready, promoted):
        assert sorted(change.keys for change in told) == sorted((model.id,) for model in made)
    assert found[-1] == Change("model", (live.id,))


async def test_runs_begun_at_once_are_one_run(engine: AsyncEngine) -> None:
    models = PostgresModels(engine, utc_now)
    begun = await asyncio.gather(
        *(models.create("content", {}) for _ in range(6)), return_exceptions=True
    )
    assert len([one for one in begun if isinstance(one, Conflict)]) == 5
    assert len(await models.find()) == 1


async def test_the_database_itself_holds_one_live_model(engine: AsyncEngine) -> None:
    models = PostgresModels(engine, utc_now)
    for _ in range(2):
        await _ready(models)
    force = text("UPDATE models SET status = 'live'")
    with pytest.raises(Exception, match="models_one_live"):
        async with transaction(engine) as connection:
            await connection.execute(force)
    assert await models.live() is None
