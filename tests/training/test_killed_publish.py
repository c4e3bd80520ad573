"""A publish that is killed at any step: what is live answers on, and the next one cleans up."""

import asyncio
import multiprocessing
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from core.clock import utc_now
from core.errors import Conflict
from core.settings import load
from core.types import Model, VideoId
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from tests.conftest import fresh_database
from tests.made_up import CONTENT_DIM, DIM, fitted, train, unit
from tests.training.dying import VIDEOS, train_until
from upnext.jobs.promote import promote
from upnext.jobs.sweep import sweep

pytestmark = pytest.mark.training
T = TypeVar("T")

FOLLOWING = fitted(VIDEOS, seed=3)
CLEANED = "Dropped what a killed publish left."


class Scene:
    """A live version, and processes that train others over the same stores."""

    def __init__(self, overrides: dict[str, str], index: MilvusWriter) -> None:
        self.overrides = overrides
        self.settings = load(overrides)
        self.index = index
        # Processes that need not import everything anew, and hold no connection of this one.
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["tests.training.dying"])
        self.live = asyncio.run(
            promote(self.settings, train(self.settings, fitted(VIDEOS, seed=1)).id)
        )
        self.collections = index.collections()
        self.answered = lists(index, self.live.version)

    def kill(self, step: str, **how: object) -> Model:
        """A training that is killed at `step`."""
        process = self.forks.Process(target=train_until, args=(step, self.overrides), kwargs=how)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        [killed] = asyncio.run(self._ask(lambda registry: registry.find(status="publishing")))
        with pytest.raises(Conflict):
            asyncio.run(promote(self.settings, killed.id))
        return killed

    def give_up(self, killed: Model) -> None:
        """What every training begins with, for runs whose process has ended."""
        found = asyncio.run(self._ask(lambda registry: registry.fail_stale([killed.id])))
        assert [model.id for model in found] == [killed.id]

    def check_live(self) -> None:
        """What is live is as it was."""
        assert asyncio.run(self._ask(lambda registry: registry.live())) == self.live
        assert lists(self.index, self.live.version) == self.answered

    def check_swept(self, killed: Model, *kept: Model) -> None:
        """The sweep takes the artifacts of the killed run, and of none that is still needed."""
        store = artifact_store(self.settings.artifacts_url or "")
        assert store.keys(f"models/{killed.version}/") != []
        assert killed.version in asyncio.run(sweep(self.settings)).versions
        assert store.keys(f"models/{killed.version}/") == []
        for model in (self.live, *kept):
            assert store.keys(f"models/{model.version}/manifest.json") != []
        with pytest.raises(Conflict):
            asyncio.run(promote(self.settings, killed.id))

    def clear(self) -> None:
        """Drop what a test made."""
        for name in set(self.index.collections()) - {*self.collections}:
            self.index.drop(name)

    async def _ask(self, question: Callable[[PostgresModels], Awaitable[T]]) -> T:
        async with pool(self.settings) as engine:
            return await question(PostgresModels(engine, utc_now))


@pytest.fixture(scope="module")
def stage(
    postgres_url: str,
    template_database: str,
    milvus_uri: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("killed")
    with (
        fresh_database(postgres_url, template_database) as database_url,
        closing(MilvusWriter(milvus_uri)) as index,
    ):
        for name in index.collections():
            index.drop(name)
        overrides = {
            "home": str(folder / "home"),
            "postgres_url": database_url,
            "milvus_uri": milvus_uri,
            "artifacts_url": (folder / "artifacts").as_uri(),
            "sweep_grace_seconds": "0",
        }
        yield Scene(overrides, index)


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    yield stage
    stage.clear()


def lists(index: MilvusWriter, version: str, revision: str = "r1") -> list[tuple[str, ...]]:
    """What searches of a version find."""
    asked = {f"videos_{version}": DIM, f"users_{version}": DIM, f"content_{revision}": CONTENT_DIM}
    return [
        hits.ids
        for name, dim in asked.items()
        for hits in index.search(name, unit(8, dim, seed=9), 10)
    ]


VIDEOS_LEFT = ("videos",)
ALL_LEFT = ("users", "videos")


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("store", ()),
        ("publish", ()),
        ("create videos", ()),
        ("insert videos", VIDEOS_LEFT),
        ("inserting videos", VIDEOS_LEFT),
        ("seal videos", VIDEOS_LEFT),
        ("create users", VIDEOS_LEFT),
        ("insert users", ALL_LEFT),
        ("inserting users", ALL_LEFT),
        ("seal users", ALL_LEFT),
        ("verify videos", ALL_LEFT),
        ("verifying users", ALL_LEFT),
        ("say that it is published", ALL_LEFT),
        ("be ready", ALL_LEFT),
    ],
)
def test_killed_at(scene: Scene, step: str, left: tuple[str, ...]) -> None:
    killed = scene.kill(step)
    names = [f"{kind}_{killed.version}" for kind in left]
    assert scene.index.collections() == sorted([*scene.collections, *names])
    scene.check_live()

    scene.give_up(killed)
    with capture_logs() as logs:
        following = train(scene.settings, FOLLOWING)
    assert [line["collection"] for line in logs if line["event"] == CLEANED] == names
    made = [f"{kind}_{following.version}" for kind in ("users", "videos")]
    assert scene.index.collections() == sorted([*scene.collections, *made])
    assert following.status == "ready"
    scene.check_live()
    scene.check_swept(killed, following)


@pytest.mark.parametrize(
    "step",
    ["create content", "insert content", "inserting content", "seal content", "verify content"],
)
def test_killed_while_it_makes_the_collection_of_a_new_encoder(scene: Scene, step: str) -> None:
    killed = scene.kill(step, revision="r2")
    assert ("content_r2" in scene.index.collections()) == (step != "create content")
    scene.check_live()

    scene.give_up(killed)
    following = train(scene.settings, FOLLOWING, revision="r2")
    assert scene.index.count("content_r2") == len(VIDEOS)
    assert lists(scene.index, following.version, "r2")[-8:] == scene.answered[-8:]
    assert [name for name in scene.index.collections() if killed.version in name] == []
    scene.check_live()
    scene.check_swept(killed, following)


@pytest.mark.parametrize("step", ["seal content", "upserting content", "verifying content"])
def test_killed_while_it_completes_the_collection_that_is_searched(scene: Scene, step: str) -> None:
    far = [VideoId(f"{step} {number}") for number in range(4)]  # nobody's list has them
    killed = scene.kill(step, far=far)
    scene.check_live()

    scene.give_up(killed)
    following = train(scene.settings, fitted(VIDEOS, seed=3, far=far))
    assert following.status == "ready"
    assert {*VIDEOS, *far} <= {id_ for ids, _ in scene.index.scan("content_r1") for id_ in ids}
    scene.check_live()


def test_a_run_under_way_that_has_not_published_is_cleaned_up_after_too(scene: Scene) -> None:
    """Its machine may be another one, where nobody has found out yet that it was killed."""
    killed = scene.kill("seal users")
    assert train(scene.settings, FOLLOWING, model_type="als").status == "ready"
    assert [name for name in scene.index.collections() if killed.version in name] == []
    scene.give_up(killed)


def test_what_is_published_and_not_yet_ready_is_let_alone(scene: Scene) -> None:
    published = scene.kill("be ready")
    train(scene.settings, FOLLOWING, model_type="als")
    assert len([name for name in scene.index.collections() if published.version in name]) == 2
    scene.give_up(published)
