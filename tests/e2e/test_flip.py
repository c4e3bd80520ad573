"""From als to sequence and back under load: two services of two workers each, over one store."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api.auth import Role
from core.clock import utc_now
from core.hashing import event_key
from core.settings import Settings, load
from core.types import Interaction, Model, ModelType, UserId, VideoId
from embeddings.history_reader import HistoryReader, table_of
from embeddings.version import Fitted
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from tests.catalogues import video
from tests.e2e.flip_load import Answer, FlipLoad, Question
from tests.e2e.recomputing import Recomputing
from tests.made_up import fitted, train
from tests.polling import eventually
from tests.ports import free_port
from tests.served import Served, write_videos
from upnext.jobs.fitting.recipe import Material
from upnext.jobs.promote import promote
from upnext.jobs.recipes import recipe_of
from upnext.tokens import make_token

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

GENRES = ("drama", "comedy", "space", "crime", "music", "sport", "nature")
VIDEOS = [VideoId(f"video-{number:03}") for number in range(420)]
USERS = [f"user-{number:02}" for number in range(60)]
ASKED_ABOUT = VIDEOS[::20]
KINDS: dict[ModelType, dict[str, Any]] = {
    "als": {},
    "sequence": {"dimensions": 24, "epochs": 5, "learning_rate": 1e-2},
}
WITHIN_SECONDS = 20.0
"""What a promotion may take to its answer, and from there on a worker to follow: it learns of it in
half a second, and other tests take of the machine."""
ENOUGH = 100
"""So many answers of each phase hold most users' lists."""
WORKERS = 4


@pytest.fixture
def stores(
    tmp_path: Path, database_url: str, redis_url: str, milvus_uri: str, nats_url: str
) -> dict[str, str]:
    with closing(MilvusWriter(milvus_uri)) as writer:
        for name in writer.collections():
            writer.drop(name)
    return {
        "workers": "2",
        "postgres_url": database_url,
        "redis_url": redis_url,
        "milvus_uri": milvus_uri,
        "bus_url": nats_url,
        "artifacts_url": (tmp_path / "artifacts").as_uri(),
        "jwt_secret": "a secret of this test only, long enough for an HMAC",
    }


@pytest.fixture
def settings(stores: dict[str, str], tmp_path: Path) -> list[Settings]:
    """Of two machines: a home and an address of their own, the same stores."""
    return [
        load(stores | {"home": str(tmp_path / name), "port": str(free_port())})
        for name in ("one", "other")
    ]


@pytest.fixture
def models(settings: list[Settings]) -> list[Model]:
    """The live model and one that is ready, for a catalogue that people have watched."""
    write_videos(
        settings[0],
        [
            video(name, GENRES[row % 7], GENRES[row % 5], age_days=row + 400)
            for row, name in enumerate(VIDEOS)
        ],
    )
    watches = _watches()
    asyncio.run(_watched(settings[0], watches))
    first, second = (
        train(settings[0], learnt(watches, kind, params), model_type=kind)
        for kind, params in KINDS.items()
    )
    return [asyncio.run(promote(settings[0], first.id)), second]


def learnt(watches: list[Interaction], kind: ModelType, params: dict[str, Any]) -> Fitted:
    """A model of these watches, and of texts that are made up."""
    texts = fitted(VIDEOS, seed=1).content
    ids = [VideoId(name.decode()) for name in texts.ids.tolist()]
    with HistoryReader({name: row for row, name in enumerate(ids)}) as reader:
        reader.take(table_of(watches))
    histories = reader.histories()
    recipe = recipe_of(kind, Material(ids, histories, texts.vectors), 1, params)
    return recipe.fit(histories, lambda _share, _said: None)


async def _watched(settings: Settings, watches: list[Interaction]) -> None:
    async with pool(settings) as engine:
        await PostgresInteractions(engine).add_many(watches)


def _watches() -> list[Interaction]:
    began = utc_now() - timedelta(days=40)
    return [
        Interaction(
            key=event_key("flip", f"{user} {at}"),
            user_id=UserId(name),
            video_id=VIDEOS[(user * 37 + at * at * 11) % len(VIDEOS)],
            kind="watch",
            occurred_at=began + timedelta(days=at, minutes=user),
            weight=1.0,
        )
        for user, name in enumerate(USERS)
        for at in range(5 + user % 20)
    ]


@pytest.fixture
def services(settings: list[Settings], models: list[Model]) -> Iterator[list[Served]]:
    assert models
    with ExitStack() as running:
        yield [running.enter_context(Served(each)) for each in settings]


def question(settings: Settings, path: str, sub: str, role: Role) -> Question:
    token = make_token(settings, sub, (role,), timedelta(hours=1))
    return Question(path, {"Authorization": f"Bearer {token}"})


@dataclass(frozen=True, slots=True)
class Flip:
    """A promotion or rollback over HTTP, in monotonic seconds, and what was live from then on."""

    began: float
    answered: float
    version: str


async def flip(service: Served, path: str, ops: Question, target: Model) -> Flip:
    async with httpx.AsyncClient(base_url=service.address, headers=ops.headers) as client:
        began = time.monotonic()
        answer = await client.post(path, timeout=20)
        answered = time.monotonic()
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == target.version
    return Flip(began, answered, target.version)


async def test_promote_and_roll_back_under_load(
    services: list[Served], settings: list[Settings], models: list[Model], tmp_path: Path
) -> None:
    first, second = models
    ops = question(settings[0], "", "ops", "admin")
    known = [question(settings[0], f"/recs/{name}?limit=20", name, "user") for name in USERS]
    known += [Question(f"/videos/{name}/similar", ops.headers) for name in ASKED_ABOUT]
    load = FlipLoad(services, known, ops)
    flips: list[Flip] = []
    async with load.going_on():
        followed = [await followed_by_all(load, first.version)]
        for _ in range(2):
            promotion = f"/recs/models/{second.id}/promote"
            flips.append(await flip(services[0], promotion, ops, second))
            followed.append(await followed_by_all(load, second.version))
            flips.append(await flip(services[1], "/recs/models/rollback", ops, first))
            followed.append(await followed_by_all(load, first.version))

    assert [answer.problem for answer in load.answers if answer.body is None] == []
    assert {answer.version for answer in load.answers} == {first.version, second.version}
    assert max(at.answered - at.began for at in flips) < WITHIN_SECONDS
    kept = {answer.body["metadata"].get("cache_hit") for answer in load.answers if answer.body}
    assert {True, False} <= kept
    made = load.made()
    assert len(made) > len(load.answers) / 4
    check_followed(made, flips, followed[1:])
    copies = Recomputing(settings[0], [first.version, second.version], tmp_path / "copies")
    await check_recomputed(made, copies)
    await flip(services[0], f"/recs/models/{second.id}/promote", ops, second)
    await check_moved(services[0], known[0], second.version)


async def followed_by_all(load: FlipLoad, version: str) -> float:
    """Until each worker makes answers of it, and all made enough; when the last began to."""
    since = time.monotonic()

    def all_do() -> bool:
        return len(load.workers(version, since)) == WORKERS

    await asyncio.to_thread(eventually, all_do, seconds=60)
    followed, before = time.monotonic(), len(load.made())
    await asyncio.to_thread(eventually, lambda: len(load.made()) >= before + ENOUGH, seconds=60)
    return followed


async def followed(client: httpx.AsyncClient, path: str, version: str) -> Any:
    """The first list of that version from the worker of this connection: it follows by itself."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        body = (await client.get(path)).json()
        if body["metadata"]["model_version"] == version:
            return body
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def check_moved(service: Served, asked: Question, version: str) -> None:
    """The network reads a watch as soon as it is written: the next list is another."""
    async with httpx.AsyncClient(base_url=service.address, headers=asked.headers) as client:
        before = await followed(client, asked.path, version)
        ids = [item["content_id"] for item in before["recommendations"]]
        path = f"/users/{before['user_id']}/watch-history"
        assert (await client.post(path, json={"content_id": ids[-1]})).status_code == 201
        after = (await client.get(asked.path)).json()
    assert after["metadata"]["model_version"] == version
    found = [item["content_id"] for item in after["recommendations"]]
    assert ids[-1] not in found
    assert found[: len(ids) - 1] != ids[:-1]


def check_followed(answers: list[Answer], flips: list[Flip], followed: list[float]) -> None:
    """Soon after each flip all workers follow, and then each answer is of the new version."""
    ends = [*(at.began for at in flips[1:]), math.inf]
    for at, since, end in zip(flips, followed, ends, strict=True):
        assert since - at.answered < WITHIN_SECONDS
        after = {
            answer.version for answer in answers if answer.asked >= since and answer.there < end
        }
        assert after <= {at.version}


async def check_recomputed(answers: list[Answer], copies: Recomputing) -> None:
    """Each answer is, id for id, what the version that it names makes of the user's history."""
    made: dict[tuple[str, str | None, str], list[str]] = {}
    for answer in answers:
        assert answer.body is not None
        metadata = answer.body["metadata"]
        assert answer.degraded == [], metadata
        path = urlsplit(answer.path).path
        key = (path, answer.version, metadata["generated_at"][:13])  # lists are of an hour
        if key not in made:
            made[key] = await copies.made(
                path, str(answer.version), datetime.fromisoformat(metadata["generated_at"])
            )
        found = [item["content_id"] for item in answer.body["recommendations"]]
        assert found, answer.path
        assert found == made[key][: len(found)], (key, metadata)
    lists = {(path, version): ids for (path, version, _), ids in made.items()}
    one, other = {version for _, version in lists}
    both = [
        f"/recs/{user}"
        for user in USERS
        if {(f"/recs/{user}", one), (f"/recs/{user}", other)} <= lists.keys()
    ]
    assert len(both) > len(USERS) / 2
    assert all(lists[path, one] != lists[path, other] for path in both)
