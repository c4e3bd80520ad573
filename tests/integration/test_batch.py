"""Everybody's list in one file, by several processes over a real database; no index is asked."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from api.maker import maker_over
from api.moment import Moment
from core.errors import Conflict, SetupError, UpnextError
from core.settings import Settings, child_environment, load
from core.types import Interaction, RankingConfig, UserId
from embeddings.version import Version, open_version
from retrieval.catalogue import Catalogue
from retrieval.exact import ExactSearch
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from tests.catalogues import NOW
from tests.histories import watch
from tests.stored import store_live, store_videos
from upnext.cli import main
from upnext.jobs.batch import PAGE, Summary, batch

pytestmark = pytest.mark.integration

NAMES = [f"v{number:03}" for number in range(200)]
USERS = [f"u{number:04}" for number in range(PAGE + 44)]  # a page and some


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return load(
        {
            "home": str(tmp_path / "home"),
            "postgres_url": database_url,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
        }
    )


@pytest.fixture
def version(settings: Settings) -> str:
    """A catalogue, everybody's history and a live version that no index holds."""
    return asyncio.run(_fill(settings))


async def _fill(settings: Settings) -> str:
    async with pool(settings) as engine:
        await store_videos(engine, NAMES)
        await PostgresInteractions(engine).add_many(_watches())
        return (await store_live(settings, engine, NAMES)).version


def _watches() -> list[Interaction]:
    draw = np.random.default_rng(6)
    return [
        watch(f"{user}-{at}", user, name, hours=at)
        for user in USERS
        for at, name in enumerate(draw.choice(NAMES, draw.integers(1, 9), replace=False).tolist())
    ]


def make(settings: Settings, output: Path, **options: Any) -> Summary:
    plain: dict[str, Any] = {"limit": 10, "processes": 2, "clock": lambda: NOW}
    return asyncio.run(batch(settings, output, **plain | options))


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_every_user_has_the_list_that_is_made_for_them_alone(
    settings: Settings, version: str, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    output = tmp_path / "lists.ndjson"
    summary = make(settings, output, on_progress=lambda done, of: told.append((done, of)))
    made = lines(output)
    assert [line["user_id"] for line in made] == USERS
    assert {line["model_version"] for line in made} == {version}
    assert (summary.users, summary.lists, summary.failed) == (len(USERS), len(USERS), {})
    shown = [[item["content_id"] for item in line["recommendations"]] for line in made]
    assert summary.videos == len({name for one in shown for name in one})
    assert all(len(set(one)) == 10 for one in shown)
    watched = {user: set[str]() for user in USERS}
    for one in _watches():
        watched[one.user_id].add(one.video_id)
    assert not any(watched[user] & set(one) for user, one in zip(USERS, shown, strict=True))
    assert told[-1] == (len(USERS), len(USERS))
    some = USERS[:: len(USERS) // 9]
    assert [shown[USERS.index(user)] for user in some] == asyncio.run(
        _alone(settings, version, some)
    )
    fields = {"content_id", "title", "genre", "genres", "popularity_score", "score", "source"}
    assert set(made[0]["recommendations"][0]) == fields
    assert list(tmp_path.glob(".lists*")) == []


async def _alone(settings: Settings, version: str, users: Sequence[str]) -> list[list[str]]:
    """The first 10 for each, made as a request makes them."""
    opened: Version = open_version(
        artifact_store(settings.artifacts_url or ""), version, settings.home / "versions"
    )
    exact = ExactSearch(lambda: [opened], most_bytes=10_000_000)
    maker = maker_over(exact, deadline_seconds=10)
    catalogue = Catalogue()
    async with pool(settings) as engine:
        stored = PostgresVideos(engine)
        catalogue.apply([one async for page in stored.stream() for one in page])
        catalogue.apply_popularity(await stored.popularity(None))
        states = [
            await PostgresUsers(engine).state(UserId(user), settings.state_recent) for user in users
        ]
    moment = Moment(
        live=opened,
        config=RankingConfig(),
        snapshot=catalogue.snapshot,
        now=NOW,
        loaded=True,
    )
    made = [await maker.personal(state.user_id, state, moment) for state in states if state]
    return [[item.video_id for item in one.items[:10]] for one in made]


def test_some_users_in_their_order_and_who_fails_is_named(
    settings: Settings, version: str, tmp_path: Path
) -> None:
    output = tmp_path / "lists.ndjson"
    asked = [UserId(name) for name in (USERS[7], "nobody", USERS[3])]
    summary = make(settings, output, users=asked, limit=3)
    assert [line["user_id"] for line in lines(output)] == [USERS[7], USERS[3]]
    assert {len(line["recommendations"]) for line in lines(output)} == {3}
    assert summary.model_version == version
    assert (summary.users, summary.lists) == (3, 2)
    assert summary.failed == {"nobody": "user_not_found"}


@pytest.mark.usefixtures("version")
def test_a_killed_process_ends_the_batch_and_leaves_the_file_of_before(
    settings: Settings, tmp_path: Path
) -> None:
    output = tmp_path / "lists.ndjson"
    output.write_text("of yesterday\n")

    killed: list[int] = []

    def kill(_done: int, _of: int) -> None:
        for child in [] if killed else psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
                killed.append(child.pid)

    many = [UserId(user) for user in USERS] * 10
    with pytest.raises(UpnextError, match="--processes 1"):
        make(settings, output, users=many, processes=1, on_progress=kill)
    assert len(killed) == 1
    assert output.read_text() == "of yesterday\n"
    assert list(tmp_path.glob(".lists*")) == []


def test_without_a_live_model_there_is_no_batch(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="upnext models promote"):
        make(settings, tmp_path / "lists.ndjson")


@pytest.mark.usefixtures("version")
def test_a_file_that_cannot_be_written_is_said_before_anything_is_made(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="cannot be written"):
        make(settings, tmp_path / "no folder" / "lists.ndjson")


def test_the_command_makes_the_file_and_prints_the_summary(
    settings: Settings, version: str, tmp_path: Path
) -> None:
    users, output = tmp_path / "users.txt", tmp_path / "lists.ndjson"
    users.write_text(f"{USERS[1]}\n\nghost\n{USERS[0]}\n{USERS[1]}\n")
    # Nothing asks the index: the vectors fit. Its address only spares the command to start one.
    environment = child_environment(settings) | {"UPNEXT_MILVUS_URI": "http://127.0.0.1:1"}
    words = ["batch", "--output", str(output), "--users", str(users), "--processes", "1"]
    done = CliRunner().invoke(main, [*words, "--json"], env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["model_version"] == version
    assert summary["failed"] == {"ghost": "user_not_found"}
    assert [line["user_id"] for line in lines(output)] == [USERS[1], USERS[0]]
    users.write_text("fine\nnot an id\n")
    refused = CliRunner().invoke(main, words, env=environment)
    assert refused.exit_code == 2
    assert "line 2" in refused.output
