from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import EPOCH
from core.errors import Conflict
from core.settings import Settings
from core.types import Progress, Video, VideoId, Watch
from embeddings.text import REVISION
from embeddings.user_encoder import user_vector
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos
from tests.measured import Labels, series
from tests.training.conftest import videos
from upnext.jobs.promote import promote, promote_first, rollback
from upnext.jobs.self_recall import RecallWatch
from upnext.jobs.sweep import sweep
from upnext.jobs.train import train

pytestmark = pytest.mark.training

CONTENT = f"content_{REVISION}"


def ignore(_progress: Progress) -> None:
    pass


async def recall(settings: Settings, engine: AsyncEngine) -> dict[Labels, float]:
    await RecallWatch(settings, engine).look()
    return series("upnext_ann_self_recall")


@pytest.mark.usefixtures("history")
async def test_versions_are_made_go_live_come_back_and_are_swept(
    settings: Settings, engine: AsyncEngine, index: MilvusWriter, tmp_path: Path
) -> None:
    heard: list[Progress] = []
    first = await train(settings, "content", None, None, heard.append)
    assert (first.status, first.error) == ("ready", None)
    assert (first.data.interactions, first.data.users, first.data.videos) == (72, 12, 30)
    assert first.data.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert first.metrics["recall@10"] == 1.0  # four of the user's kind are left
    stages = list(dict.fromkeys(progress.stage for progress in heard))
    assert stages == [
        "reading", "encoding", "fitting", "judging", "evaluating", "refitting", "storing",
        "publishing", "ready",
    ]  # fmt: skip
    store = artifact_store(settings.artifacts_url or "")
    assert first.artifact_uri == f"{store.url}/models/{first.version}/"
    assert store.keys("snapshots/") == [f"snapshots/{first.id}.parquet"]
    kept = first.params["snapshot"]
    assert (kept["key"], kept["rows"]) == (f"snapshots/{first.id}.parquet", 72)
    for stage in stages:
        shares = [progress.fraction for progress in heard if progress.stage == stage]
        assert shares == sorted(shares)
    counts = {name: index.count(name) for name in index.collections()}
    assert counts == {f"videos_{first.version}": 30, f"users_{first.version}": 12, CONTENT: 30}

    version = open_version(store, first.version, tmp_path / "cache")
    likes = user_vector(version.encoder, [Watch(VideoId("toys-Hull"), EPOCH, 1.0)], version.items)
    assert likes is not None
    [found] = index.search(f"videos_{first.version}", likes[np.newaxis], 10)
    assert {id_.partition("-")[0] for id_ in found.ids} == {"toys"}
    content, _ = version.content.take([VideoId("crime-Faro")])
    [found] = index.search(CONTENT, content, 10)
    assert {id_.partition("-")[0] for id_ in found.ids} == {"crime"}

    # A second version: one text is new, one has changed.
    changed = Video(id=VideoId("toys-Arden"), title="Arden", description="Robots fight aliens.")
    added = Video(id=VideoId("new"), title="New", description="A murder in the harbour.")
    await PostgresVideos(engine).upsert_many([changed, added])
    heard.clear()
    assert await recall(settings, engine) == {}  # nothing is live
    assert (await promote_first(settings, first)).status == "live"
    assert await recall(settings, engine) == {(): 1.0}
    second = await train(settings, "content", None, None, heard.append)
    assert "2 texts were new" in [progress.message for progress in heard]
    assert index.count(CONTENT) == 31
    assert (await promote_first(settings, second)).status == "ready"
    assert (await promote(settings, second.id)).status == "live"
    assert (await sweep(settings)).versions == []  # the live one, and the one before it
    assert (await rollback(settings)).id == first.id

    swept = await sweep(settings)
    assert swept.versions == [second.version]
    assert swept.collections == [f"users_{second.version}", f"videos_{second.version}"]
    assert swept.artifacts == [f"models/{second.version}/", f"snapshots/{second.id}.parquet"]
    assert (await sweep(settings)).versions == []
    assert len(index.collections()) == 3
    with pytest.raises(Conflict):
        await promote(settings, second.id)


@pytest.mark.usefixtures("catalogue")
async def test_a_catalogue_nobody_watched_makes_a_model(
    settings: Settings, index: MilvusWriter
) -> None:
    model = await train(settings, "content", None, None, ignore)
    assert (model.status, model.metrics) == ("ready", {})
    assert index.count(f"users_{model.version}") == 0
    assert index.count(f"videos_{model.version}") == 30


@pytest.mark.usefixtures("history")
async def test_only_interactions_of_the_span_count(settings: Settings, index: MilvusWriter) -> None:
    start, end = (datetime(2026, 1, day, tzinfo=UTC) for day in (2, 4))
    model = await train(settings, "content", start, end, ignore)
    assert index.count(f"users_{model.version}") == 12
    assert (model.data.start, model.data.interactions) == (start, 24)
    assert model.params["end"] == "2026-01-04T00:00:00Z"


async def test_too_few_videos_fail_with_a_sentence(
    settings: Settings, engine: AsyncEngine, index: MilvusWriter, registry: PostgresModels
) -> None:
    await PostgresVideos(engine).upsert_many(videos()[:3])
    model = await train(settings, "content", None, None, ignore)
    assert model.status == "failed"
    assert model.error == (
        "The catalogue has 3 videos, a model needs 10: "
        "bring some in with `upnext import`, then train again."
    )
    assert await registry.get(model.id) == model
    assert index.collections() == []
