"""Machines that only work in the background keep no copies of versions that nobody is to open."""

import asyncio
from pathlib import Path

import pytest

from core.settings import Settings, load
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from tests.stored import store_live
from upnext.jobs.batch import batch
from upnext.jobs.sweep import Swept, sweep

pytestmark = pytest.mark.integration


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
def live(settings: Settings) -> str:
    """The live version; beside its copy there is one of a version that is long gone."""

    async def store() -> str:
        async with pool(settings) as engine:
            return (await store_live(settings, engine, ["a", "b"])).version

    version = asyncio.run(store())
    copies = settings.home / "versions"
    open_version(artifact_store(settings.artifacts_url or ""), version, copies)
    (copies / "content_gone" / "tail").mkdir(parents=True)
    (copies / "content_gone" / "tail" / "segment.npy").touch()
    return version


def copies(settings: Settings) -> list[str]:
    return [path.name for path in (settings.home / "versions").iterdir() if path.is_dir()]


def test_a_sweep_deletes_them(settings: Settings, live: str) -> None:
    assert asyncio.run(sweep(settings)) == Swept([], [], [])
    assert copies(settings) == [live]


def test_a_batch_deletes_them(settings: Settings, live: str, tmp_path: Path) -> None:
    asyncio.run(batch(settings, tmp_path / "lists.ndjson", limit=10, processes=1))
    assert copies(settings) == [live]
