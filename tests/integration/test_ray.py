"""A history read by Ray, and what is learnt from it, against the same read by one process."""

import os
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncEngine

from core.settings import load
from core.types import VideoId
from embeddings.version import Fitted
from storage.artifacts import artifact_store
from storage.postgres import history_columns
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from tests.histories import watch
from tests.polling import eventually
from tests.unit.test_ray_reader import assert_same
from upnext.jobs.fitting.als import Als
from upnext.jobs.fitting.recipe import Material
from upnext.jobs.messages import Request
from upnext.jobs.reading import Data, read

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("ray") is None, reason="upnext[ray] is not installed"),
]

USERS, VIDEOS = 60, 30
TOLD = ("RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO")


async def test_a_model_is_the_same_by_ray_and_nothing_stays(
    engine: AsyncEngine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(engine)
    monkeypatch.setattr(history_columns, "TABLE_BYTES", 4_000)  # a row group each
    for name in TOLD:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # noqa: TID251 - put back at the end
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "120")  # on a busy machine it needs 30
    settings = load({"postgres_url": database_url, "artifacts_url": tmp_path.as_uri()})
    store = artifact_store(settings.artifacts_url or "")
    before, kept = processes(), litter()

    async def of(reader: str) -> Data:
        one = settings.model_copy(update={"training_reader": reader})
        return await read(one, request(), store, lambda *_: None)

    plain, by_ray = await of("arrow"), await of("ray")
    assert_same(by_ray.histories, plain.histories)
    assert by_ray.span() == plain.span()
    assert by_ray.snapshot.rows == plain.snapshot.rows == plain.histories.count

    one, other = fitted(plain), fitted(by_ray)
    assert one.items.vectors.tobytes() == other.items.vectors.tobytes()
    assert np.array_equal(one.watches, other.watches)

    eventually(lambda: processes() <= before, seconds=60)  # PostgreSQL has some now and then
    assert litter() == kept


async def fill(engine: AsyncEngine) -> None:
    draw = np.random.default_rng(3)
    await PostgresVideos(engine).upsert_many([video(f"v{at:02}", "drama") for at in range(VIDEOS)])
    await PostgresInteractions(engine).add_many(
        [
            watch(f"{user} {at}", f"u{user:02}", f"v{chosen:02}", hours=at, weight=draw.random())
            for user in range(USERS)
            for at, chosen in enumerate(draw.integers(0, VIDEOS + 2, 25).tolist())
        ]
    )


def request() -> Request:
    return Request(
        model_id=uuid4().hex, attempt=uuid4(), model_type="als", version="als_1", parent=0
    )


def fitted(data: Data) -> Fitted:
    material = Material(data.catalogue.ids, data.histories, texts(data.catalogue.ids))
    return Als.chosen(material, 5, None).fit(data.histories, lambda *_: None)


def texts(ids: list[VideoId]) -> NDArray[np.float32]:
    made = np.random.default_rng(4).normal(size=(len(ids), 384)).astype(np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(made, axis=1, keepdims=True)
    return made / lengths


def processes() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def litter() -> set[Path]:
    """What Ray, or we for it, could leave on the machine."""
    found = {path for path in (Path.home() / ".ray", Path("/tmp/ray")) if path.exists()}  # noqa: S108
    return found | set(Path("/tmp").glob("upnext-ray-*"))  # noqa: S108
