"""A serving process through promotions, restarts and sweeps: what can come back stays."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest

from api.app import services
from api.services import Services
from core.clock import utc_now
from core.settings import Settings, load
from core.types import Model, VideoId
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.replicas import PostgresReplicas
from tests.catalogues import video
from tests.made_up import fitted, train
from tests.served import write_videos
from upnext.jobs.sweep import Swept, sweep

pytestmark = pytest.mark.integration
VIDEOS = [VideoId(f"v{number:02}") for number in range(40)]
NOTHING = Swept([], [], [])
AT_ONCE = 4.0  # half a second, and what a busy machine needs; who has to try again waits longer


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, milvus_uri: str, nats_url: str
) -> Settings:
    made = load(
        {
            "home": str(tmp_path / "home"),
            "postgres_url": database_url,
            "redis_url": redis_url,
            "milvus_uri": milvus_uri,
            "bus_url": nats_url,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
        }
    )
    with closing(MilvusWriter(milvus_uri)) as writer:
        for name in writer.collections():
            writer.drop(name)
    write_videos(made, [video(name, "drama") for name in VIDEOS])
    return made


def trained(settings: Settings, count: int) -> list[Model]:
    return [train(settings, fitted(VIDEOS, seed=seed)) for seed in range(1, count + 1)]


async def swept(settings: Settings, minutes: float) -> Swept:
    """A sweep when so much time has passed."""
    return await sweep(settings, lambda: utc_now() + timedelta(minutes=minutes))


async def until(check: Callable[[], object], *, seconds: float = 20) -> float:
    """Wait until `check()` is true; returns the seconds it took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def opened(process: Services) -> set[str]:
    return {version.version for version in process.live.open_versions()}


def serves(process: Services, model: Model) -> Callable[[], bool]:
    def check() -> bool:
        live = process.live.current
        return live is not None and live.version == model.version

    return check


def kept(settings: Settings, model: Model) -> dict[str, bool]:
    """Whether a model's collections, artifacts and local copy are there."""
    with closing(MilvusWriter.of(settings)) as writer:
        names = writer.collections()
    manifest = f"models/{model.version}/manifest.json"
    return {
        "videos": f"videos_{model.version}" in names,
        "users": f"users_{model.version}" in names,
        "artifacts": artifact_store(settings.artifacts_url or "").keys(manifest) == [manifest],
        "copy": (settings.home / "versions" / model.version / "manifest.json").exists(),
    }


ALL = {"videos": True, "users": True, "artifacts": True, "copy": True}
NONE = dict.fromkeys(ALL, False)


@asynccontextmanager
async def artifacts_away(tmp_path: Path) -> AsyncIterator[None]:
    """Without them nothing can be fetched: what answers was open."""
    (tmp_path / "artifacts").rename(tmp_path / "away")
    yield
    (tmp_path / "away").rename(tmp_path / "artifacts")


async def test_back_at_once_and_after_seventy_minutes_with_a_sweep_between(
    settings: Settings, tmp_path: Path
) -> None:
    first, second, third = await asyncio.to_thread(trained, settings, 3)
    async with services(settings) as process:
        # The two newest are open as they are ready, the oldest when it is live.
        await until(lambda: opened(process) == {second.version, third.version})
        await process.promotion.promote(first.id)
        await until(serves(process, first))

        async with artifacts_away(tmp_path):
            await process.promotion.promote(second.id)
            assert await until(serves(process, second)) < AT_ONCE
            assert (await process.promotion.rollback()).id == first.id
            assert await until(serves(process, first)) < AT_ONCE
            await process.promotion.promote(second.id)
            await until(serves(process, second))

        assert await swept(settings, minutes=70) == NOTHING
        assert kept(settings, first) == kept(settings, second) == ALL
        async with artifacts_away(tmp_path):
            assert (await process.promotion.rollback()).id == first.id
            assert await until(serves(process, first)) < AT_ONCE

        # What was rolled back from is kept for the grace period, then it is gone.
        assert await swept(settings, minutes=59) == NOTHING
        assert (await swept(settings, minutes=61)).versions == [second.version]
        await until(lambda: kept(settings, second) == NONE)
        assert kept(settings, first) == kept(settings, third) == ALL


async def test_after_a_restart_without_artifacts_it_can_still_go_back(
    settings: Settings, tmp_path: Path
) -> None:
    first, second = await asyncio.to_thread(trained, settings, 2)
    async with services(settings) as process:
        await process.promotion.promote(first.id)
        await process.promotion.promote(second.id)
        await until(lambda: opened(process) == {first.version, second.version})
        await until(serves(process, second))
    async with artifacts_away(tmp_path), services(settings) as process:
        assert serves(process, second)()
        await until(lambda: opened(process) == {first.version, second.version})
        await process.promotion.rollback()
        assert await until(serves(process, first)) < AT_ONCE
        assert process.live.missing is None


async def test_a_replica_reports_what_it_has_open_and_when_it_ends(settings: Settings) -> None:
    [model] = await asyncio.to_thread(trained, settings, 1)
    async with pool(settings) as engine:
        replicas = PostgresReplicas(engine)
        async with services(settings) as process:
            await until(lambda: opened(process) == {model.version})
            await _reported(replicas, model)
        assert await replicas.lacking("another") == []


async def _reported(replicas: PostgresReplicas, model: Model) -> None:
    """One replica is known, and it has this version and no other."""

    async def counts() -> list[int]:
        return [len(await replicas.lacking(each)) for each in (model.version, "another")]

    async with asyncio.timeout(20):
        while await counts() != [0, 1]:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.02)
