"""A model trained into S3, and services that have nothing of it on their disk."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.settings import Settings
from core.types import Model, Progress
from embeddings.manifest import folder
from storage.artifacts import artifact_store
from tests.polling import eventually
from tests.ports import free_port
from tests.s3 import FaultyS3, point_at
from tests.served import Served
from upnext.jobs.promote import promote
from upnext.jobs.train import train

pytestmark = pytest.mark.training

START_SECONDS = 60.0  # of a process on a busy machine; it waits 10 for a version
RETURN_SECONDS = 30.0
USER = "ann"


@pytest.fixture
def s3() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


@pytest.fixture
def bucket(s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> str:
    return point_at(s3, monkeypatch)


@pytest.fixture
def on_s3(
    settings: Settings, redis_url: str, nats_url: str, encoded: Path, bucket: str
) -> Settings:
    """The settings of a service whose artifacts are in S3, the texts encoded."""
    store = artifact_store(bucket)
    for path in (encoded / "content").rglob("*.parquet"):
        store.put(path.relative_to(encoded).as_posix(), path)
    served = {
        "artifacts_url": bucket,
        "redis_url": redis_url,
        "bus_url": nats_url,
        "jwt_secret": "a secret of this test only, long enough for an HMAC",
        "workers": 1,
    }
    return Settings.model_validate({**dict(settings), **served})


def with_disk(settings: Settings, home: Path) -> Settings:
    return settings.model_copy(update={"home": home, "port": free_port()})


async def trained(settings: Settings) -> Model:
    model = await train(settings, "content", None, None, ignore)
    assert (model.status, model.error) == ("ready", None)
    return await promote(settings, model.id)


def ignore(_progress: Progress) -> None:
    pass


def asked(client: httpx.Client) -> Any:
    answer = client.get(f"/recs/{USER}", params={"limit": 5})
    assert answer.status_code == 200, answer.text
    return answer.json()


def opened(client: httpx.Client, model: Model) -> None:
    """Wait for lists of this model: a process that took too long to open it starts without."""
    eventually(
        lambda: asked(client)["metadata"]["model_version"] == model.version, seconds=RETURN_SECONDS
    )


def kinds(body: Any) -> set[str]:
    return {one["content_id"].partition("-")[0] for one in body["recommendations"][:3]}


@pytest.mark.usefixtures("filled")
def test_a_service_starts_from_s3_or_waits_for_it_while_serving(
    on_s3: Settings, s3: FaultyS3, tmp_path: Path
) -> None:
    model = asyncio.run(trained(on_s3))
    kept = artifact_store(on_s3.artifacts_url or "").keys(folder(model.version))
    assert f"models/{model.version}/manifest.json" in kept

    with Served(with_disk(on_s3, tmp_path / "first")) as served, served.client() as client:
        watched = {"content_id": "toys-Hull"}
        client.post(f"/users/{USER}/watch-history", json=watched).raise_for_status()
        opened(client, model)
        body = asked(client)
        assert body["metadata"]["degraded"] == []
        assert kinds(body) == {"toys"}
    local = {path.name for path in (tmp_path / "first" / "versions" / model.version).iterdir()}
    assert local == {key.rpartition("/")[2] for key in kept}

    s3.refuse()
    began = time.monotonic()
    with Served(with_disk(on_s3, tmp_path / "second")) as served, served.client() as client:
        assert time.monotonic() - began < START_SECONDS
        body = asked(client)
        assert len(body["recommendations"]) == 5
        assert "artifacts" in body["metadata"]["degraded"]
        assert body["metadata"]["model_version"] is None
        s3.mend()
        opened(client, model)
        body = asked(client)
        assert body["metadata"]["degraded"] == []
        assert kinds(body) == {"toys"}

    # What is on the disk needs no store, not even one that hangs.
    s3.fail("slow", method="LIST")
    with Served(with_disk(on_s3, tmp_path / "second")) as served, served.client() as client:
        opened(client, model)
