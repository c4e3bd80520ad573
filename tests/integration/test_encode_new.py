"""Videos that come after training, in the index and in a running service."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from structlog.testing import capture_logs

from core.errors import Conflict, NotFound
from core.settings import Settings, child_environment, load
from core.types import Change, ChangeCursor, Model, Progress, Video
from embeddings.content_store import ContentStore, Segment
from embeddings.items import normalised
from embeddings.tail import segments
from embeddings.text import CONTENT_DIM, REVISION, genres_of, text_hash, text_of
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.changes import PostgresChanges
from storage.postgres.engine import pool
from storage.postgres.publishing import adding, publishing
from tests.catalogues import fitted_of, ids, random_vectors, video
from tests.polling import eventually
from tests.ports import free_port
from tests.served import Served, put_live, write_videos
from upnext.cli import main
from upnext.jobs import add, encode_new
from upnext.jobs.encode_new import Updated, encode_new_videos
from upnext.jobs.publisher import Lock

pytestmark = pytest.mark.integration

GENRES = ("drama", "comedy", "space")
VIDEOS = [video(f"v{number:03}", GENRES[number % 3]) for number in range(60)]


def vectors_of(videos: Sequence[Video]) -> NDArray[np.float32]:
    """Text vectors that point where the genre does."""
    drawn = 0.02 * random_vectors(len(videos), CONTENT_DIM)
    drawn[np.arange(len(videos)), [GENRES.index(one.genres[0]) for one in videos]] += 1.0
    return normalised(drawn)


def keep_encoded(settings: Settings, videos: Sequence[Video]) -> None:
    """Have the text vectors of these videos, so that nothing has to be encoded."""
    hashes = [text_hash(text_of(one), genres_of(one)) for one in videos]
    rows = Segment([one.id for one in videos], np.array(hashes, np.uint64), vectors_of(videos))
    ContentStore(artifact_store(settings.artifacts_url or ""), REVISION).append(rows)


def come(settings: Settings, *videos: Video) -> None:
    """Videos enter the catalogue."""
    write_videos(settings, videos)
    keep_encoded(settings, videos)


def ignore(_progress: Progress) -> None:
    pass


@pytest.fixture
def writer(milvus_uri: str) -> Iterator[MilvusWriter]:
    writer = MilvusWriter(milvus_uri)
    yield writer
    writer.close()


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, milvus_uri: str, nats_url: str
) -> Settings:
    settings = load(
        {
            "home": str(tmp_path / "home"),
            "port": str(free_port()),
            "workers": "2",
            "postgres_url": database_url,
            "redis_url": redis_url,
            "milvus_uri": milvus_uri,
            "bus_url": nats_url,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
            "jwt_secret": "a secret of this test only, long enough for an HMAC",
        }
    )
    come(settings, *VIDEOS)
    return settings


@pytest.fixture
def version(settings: Settings) -> str:
    """The live version, which has all of `VIDEOS`."""
    fitted = fitted_of([one.id for one in VIDEOS], vectors_of(VIDEOS))
    return put_live(settings, fitted, REVISION).version


def holds(writer: MilvusWriter, version: str, *names: str) -> bool:
    return not any(
        writer.lacking(name, names) for name in (f"content_{REVISION}", f"videos_{version}")
    )


def test_a_running_service_finds_videos_that_came_after_training(
    settings: Settings, version: str, writer: MilvusWriter
) -> None:
    with Served(settings) as served, served.client() as client:
        client.post("/users/nora/watch-history", json={"content_id": "v002"}).raise_for_status()
        come(settings, video("new-space", "space", age_days=0), video("new-drama", "drama"))
        done = encode_new_videos(settings, ignore)
        assert done == Updated(0, {version: 2})
        assert holds(writer, version, "new-space", "new-drama")

        eventually(
            lambda: _knows(client, "new-space") and _known_everywhere(served, "new-space"),
            seconds=20,
        )
        assert _alike(client, "v002", "new-space")
        alike = client.get("/videos/new-space/similar", params={"limit": 10}).json()
        assert alike["metadata"]["degraded"] == []
        assert {one["genre"] for one in alike["recommendations"]} == {"space"}
        entries = client.get("/recs/nora", params={"limit": 100}).json()["recommendations"]
        source = {one["content_id"]: one["source"] for one in entries}
        assert source["new-space"] == "nearest"

        write_videos(settings, [video("new-space", "space", available=False)])
        eventually(lambda: not _alike(client, "v002", "new-space"), seconds=20)


def _known_everywhere(served: Served, name: str) -> bool:
    """Whether both workers have vectors of a video: each connection may meet another one."""
    for _ in range(8):
        with served.client() as client:
            if not _knows(client, name):
                return False
    return True


def _knows(client: httpx.Client, name: str) -> bool:
    """Whether the worker that this client stays with has vectors of a video."""
    answer = client.get(f"/videos/{name}/similar")
    return answer.is_success and not answer.json()["metadata"]["degraded"]


def _alike(client: httpx.Client, name: str, wanted: str) -> bool:
    body = client.get(f"/videos/{name}/similar", params={"limit": 30}).json()
    return wanted in [one["content_id"] for one in body["recommendations"]]


def test_only_what_is_new_or_has_another_text_is_added(
    settings: Settings, version: str, writer: MilvusWriter
) -> None:
    assert encode_new_videos(settings, ignore) == Updated(0, {version: 0})
    assert segments(artifact_store(settings.artifacts_url or ""), version) == ()
    come(settings, video("v000", "space", description="Now another."), video("new", "comedy"))
    assert encode_new_videos(settings, ignore) == Updated(0, {version: 2})
    assert encode_new_videos(settings, ignore) == Updated(0, {version: 0})
    opened = open_version(
        artifact_store(settings.artifacts_url or ""), version, settings.home / "versions"
    )
    texts, known = opened.content.take(ids("v000", "new", "v003"))
    assert known.all()
    assert np.argmax(texts, axis=1).tolist() == [2, 1, 0]
    [hits] = writer.search(f"content_{REVISION}", texts[:1], 2)
    assert hits.ids[0] == "v000"


def test_the_version_before_gets_them_too(
    settings: Settings, version: str, writer: MilvusWriter
) -> None:
    fitted = fitted_of([one.id for one in VIDEOS[:-1]], vectors_of(VIDEOS)[:-1])
    later = put_live(settings, fitted, REVISION).version
    come(settings, video("new", "space"))
    assert encode_new_videos(settings, ignore).added == {later: 2, version: 1}
    assert holds(writer, version, "new")
    assert holds(writer, later, "new", VIDEOS[-1].id)


@pytest.mark.parametrize("lost", ["its artifacts", "its collection"])
def test_a_version_that_is_lost_keeps_no_other_from_new_videos(
    settings: Settings, version: str, writer: MilvusWriter, lost: str
) -> None:
    later = put_live(settings, fitted_of([one.id for one in VIDEOS], vectors_of(VIDEOS)), REVISION)
    come(settings, video("new", "space"))
    if lost == "its artifacts":
        artifact_store(settings.artifacts_url or "").delete(f"models/{version}/")
    else:
        writer.drop(f"videos_{version}")
    with capture_logs() as logs:
        done = encode_new_videos(settings, ignore)
    assert done.added == {later.version: 1}
    assert holds(writer, later.version, "new")
    told = [line for line in logs if line["log_level"] == "warning"]
    assert [line["version"] for line in told] == [version]
    artifact_store(settings.artifacts_url or "").delete(f"models/{later.version}/")
    rmtree(settings.home / "versions")
    with pytest.raises(NotFound):
        encode_new_videos(settings, ignore)


def test_of_two_at_a_time_the_slower_puts_no_older_text_back(
    settings: Settings, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(settings, video("v000", "comedy"), video("new", "space"))
    faster: list[Updated] = []

    def slow(*args: Any) -> list[Model]:
        """While the slower one, which has read the catalogue, is on its way to the lock."""
        if not faster:
            faster.append(Updated(0, {}))
            come(settings, video("v000", "space", description="The newest."))
            faster.append(encode_new_videos(settings, ignore))
        return asyncio.run(openable(*args))

    openable = encode_new._openable

    async def overtaken(*args: Any) -> list[Model]:
        return await asyncio.to_thread(slow, *args)

    monkeypatch.setattr(encode_new, "_openable", overtaken)
    assert encode_new_videos(settings, ignore).added == {version: 0}
    assert faster[1].added == {version: 2}
    store = artifact_store(settings.artifacts_url or "")
    opened = open_version(store, version, settings.home / "versions")
    assert np.argmax(opened.content.take(ids("v000"))[0], axis=1).tolist() == [2]


STEPS = {
    "texts written": (MilvusWriter, "upsert", 1),
    "texts sealed": (MilvusWriter, "seal", 1),
    "items written": (MilvusWriter, "upsert", 2),
    "items sealed": (MilvusWriter, "seal", 2),
    "the tail": (add, "append", 1),
    "the news": (encode_new, "_announce", 1),
}


@pytest.mark.parametrize("step", STEPS)
def test_one_that_was_killed_before_a_step_is_completed_by_the_next(
    settings: Settings,
    version: str,
    writer: MilvusWriter,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    come(settings, video("new", "space"))
    owner, name, nth = STEPS[step]
    calls = count(1)

    def call(*args: Any) -> Any:
        if next(calls) == nth:
            raise KeyboardInterrupt
        return original(*args)

    original = getattr(owner, name)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            encode_new_videos(settings, ignore)
    before = asyncio.run(news_end(settings))
    encode_new_videos(settings, ignore)
    assert holds(writer, version, "new")
    assert writer.count(f"videos_{version}") == len(VIDEOS) + 1
    store = artifact_store(settings.artifacts_url or "")
    opened = open_version(store, version, settings.home / "versions")
    assert opened.items.take(ids("new"))[1].all()
    heard = [change for change in asyncio.run(news(settings, before)) if change.kind == "model"]
    assert heard == [Change("model", (version,))]


async def news_end(settings: Settings) -> ChangeCursor:
    async with pool(settings) as engine:
        return await PostgresChanges(engine).end()


async def news(settings: Settings, after: ChangeCursor) -> list[Change]:
    async with pool(settings) as engine:
        return (await PostgresChanges(engine).read(after))[0]


def lose(writer: MilvusWriter, collection: str, *lost: str) -> None:
    """Make a collection anew without some of its rows."""
    pages = list(writer.scan(collection))
    ids = [id_ for page, _ in pages for id_ in page]
    vectors = np.concatenate([page for _, page in pages])
    kept = [row for row, id_ in enumerate(ids) if id_ not in lost]
    writer.create(collection, vectors.shape[1])
    for _ in writer.insert(collection, [ids[row] for row in kept], vectors[kept]):
        pass
    writer.seal(collection)


def test_what_the_index_has_lost_of_a_tail_is_written_again(
    settings: Settings, version: str, writer: MilvusWriter
) -> None:
    come(settings, video("new", "space"), video("newer", "space"))
    encode_new_videos(settings, ignore)
    for name in (f"content_{REVISION}", f"videos_{version}"):
        lose(writer, name, "new")
    assert not holds(writer, version, "new")
    assert encode_new_videos(settings, ignore).added == {version: 0}
    assert holds(writer, version, "new", "newer")


@pytest.mark.parametrize("lock", [adding, publishing])
def test_it_refuses_while_another_writes_to_the_index(
    settings: Settings, version: str, writer: MilvusWriter, lock: Lock
) -> None:
    come(settings, video("new", "space"))
    with asyncio.Runner() as runner:
        holding = held(settings, lock)
        runner.run(holding.__aenter__())
        with pytest.raises(Conflict):
            encode_new_videos(settings, ignore)
        runner.run(holding.__aexit__(None, None, None))
    assert not holds(writer, version, "new")
    encode_new_videos(settings, ignore)
    assert holds(writer, version, "new")


@asynccontextmanager
async def held(settings: Settings, lock: Lock) -> AsyncIterator[None]:
    async with pool(settings, patient=True) as engine, lock(engine):
        yield


def test_the_command_says_what_it_did(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(main, ["embeddings", "update"])
    assert "No model serves" in told.stdout
    version = put_live(settings, fitted_of([], vectors_of([])), REVISION).version
    told = CliRunner().invoke(main, ["embeddings", "update", "--json"])
    assert json.loads(told.stdout) == {"encoded": 0, "added": {version: len(VIDEOS)}}
    told = CliRunner().invoke(main, ["embeddings", "update"])
    assert told.stdout.split("\n")[:2] == ["0 texts encoded", f"0 videos added to {version}"]
