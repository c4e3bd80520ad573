"""What a read replica reads, and that nothing it reads is older than what was known."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from api.app import services
from core.errors import Unavailable
from core.metrics import DEPENDENCY_ERRORS, DEPENDENCY_SECONDS, REPLICA_READS
from core.settings import Settings, load
from core.types import UserId, VideoId
from storage.artifacts import artifact_store
from storage.breaker import FAILURES
from storage.diagnosis import replica_distance
from storage.postgres import migrate, read_replica
from storage.postgres.engine import connect, pool, reading, transaction
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.read_replica import read_pool
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from storage.stores import connected
from tests.catalogues import video
from tests.conftest import fresh_database
from tests.eventful import until
from tests.histories import watch
from tests.polling import eventually
from tests.served import of_popular_lists
from tests.standby import Primary, Standby
from upnext.diagnosis import dependencies
from upnext.jobs.messages import Request
from upnext.jobs.reading import read

pytestmark = pytest.mark.integration
ANN, BOB = UserId("ann"), UserId("bob")


def done(outcome: str) -> float:
    counted: float = REPLICA_READS.labels(outcome)._value.get()
    return counted


def measured() -> tuple[float, float]:
    """Calls of the replica whose time was taken, and those without an answer."""
    seconds = DEPENDENCY_SECONDS.labels("postgres_read")
    calls: float = sum(bucket.get() for bucket in seconds._buckets)
    errors: float = DEPENDENCY_ERRORS.labels("postgres_read")._value.get()
    return calls, errors


def request() -> Request:
    return Request(
        model_id=uuid4().hex, attempt=uuid4(), model_type="als", version="als_1", parent=0
    )


async def fill(engine: AsyncEngine, name: str, user: str) -> None:
    await PostgresVideos(engine).upsert_many([video(f"{name}{at}", "drama") for at in range(3)])
    await PostgresInteractions(engine).add_many([watch(f"{name} {user}", user, f"{name}0")])


async def ids(videos: PostgresVideos) -> set[str]:
    return {one.id async for page in videos.stream() for one in page}


class TestTwoServers:
    """The address of reads leads to another server, with other content: which reads go there."""

    @pytest.fixture
    def settings(
        self, postgres_url: str, template_database: str, redis_url: str, tmp_path: Path
    ) -> Iterator[Settings]:
        with (
            fresh_database(postgres_url, template_database) as here,
            fresh_database(postgres_url, template_database) as there,
        ):
            asyncio.run(self.fill(here, "here", ANN))
            asyncio.run(self.fill(there, "there", BOB))
            one = of_popular_lists(here, redis_url, tmp_path)
            yield one.model_copy(update={"postgres_read_url": there})

    async def fill(self, url: str, name: str, user: str) -> None:
        async with pool(load({"postgres_url": url})) as engine:
            await fill(engine, name, user)

    async def test_what_reads_much_is_asked_there_and_nothing_else(
        self, settings: Settings
    ) -> None:
        async with connected(settings) as stores:
            assert await ids(stores.catalogue) == {"there0", "there1", "there2"}
            counted = await stores.catalogue.popularity(None)
            assert [row.video_id for row in counted] == ["there0"]
            assert set(await stores.users.states_of([ANN, BOB], 5)) == {BOB}
            assert await stores.users.after("", 0, 9) == [BOB]

            assert await stores.states.state(ANN, 5) is not None
            assert await stores.states.state(BOB, 5) is None
            assert await stores.videos.find(VideoId("here0")) is not None
            assert await stores.videos.find(VideoId("there0")) is None
            await stores.videos.upsert_many([video("here3", "drama")])
            assert await ids(stores.videos) == {"here0", "here1", "here2", "here3"}
            assert await ids(stores.catalogue) == {"there0", "there1", "there2"}

    async def test_a_service_has_its_catalogue_from_there(self, settings: Settings) -> None:
        async with services(settings) as given:
            assert set(given.moment().snapshot.ids) == {"there0", "there1", "there2"}
            page = await given.batch_pages.page(1, 10)
            assert [result.user_id for result in page.results] == [BOB]

            async def both_answer() -> bool:
                health = await given.health.check()
                return health["postgres_read"].status == health["postgres"].status == "ok"

            await until(both_answer)  # a probe has a second, and may be the first to connect

    async def test_a_training_reads_there(self, settings: Settings) -> None:
        store = artifact_store(settings.artifacts_url or "")
        data = await read(settings, request(), store, lambda *_: None)
        assert data.histories.users == [BOB]
        assert set(data.catalogue.ids) == {"there0", "there1", "there2"}


class Pair:
    """A primary and its standby, each with a database of its own kind of trouble."""

    def __init__(self, folder: Path) -> None:
        self.primary = Primary(folder / "primary")
        self.primary.launch()
        self.primary.wait_ready()
        migrate.upgrade(load({"postgres_url": self.primary.url}))
        self.standby = Standby(folder / "standby", self.primary)
        self.start_standby()
        self.settings = load(
            {
                "home": str(folder),
                "postgres_url": self.primary.url,
                "postgres_read_url": self.standby.url,
                "artifacts_url": folder.as_uri(),
            }
        )

    def start_standby(self) -> None:
        self.standby.launch()
        self.standby.wait_ready()

    async def replay(self, *, paused: bool) -> None:
        engine = connect(self.settings, replica=True)
        name = "pg_wal_replay_pause" if paused else "pg_wal_replay_resume"
        async with reading(engine) as connection:
            await connection.execute(text(f"SELECT {name}()"))
        await engine.dispose()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("pair"))
    yield pair
    pair.standby.stop()
    pair.primary.stop()


def test_the_doctor_says_how_far_behind_it_is(pair: Pair) -> None:

    def caught_up() -> bool:
        return asyncio.run(replica_distance(pair.settings)) == "a standby, 0.0 MB behind"

    eventually(caught_up, seconds=30)  # it takes connections before it has replayed everything
    itself = pair.settings.model_copy(update={"postgres_read_url": pair.primary.url})
    assert asyncio.run(replica_distance(itself)).startswith("no standby")
    away = pair.settings.model_copy(update={"postgres_read_url": "postgresql://a@127.0.0.1:9/b"})
    findings = {found.name: found for found in dependencies(full(away), lite=False)}
    assert findings["postgres"].fine
    assert not findings["postgres_read"].fine
    assert "UPNEXT_POSTGRES_READ_URL" in findings["postgres_read"].advice


async def add(engine: AsyncEngine, name: str) -> None:
    await PostgresVideos(engine).upsert_many([video(name, "drama")])


async def test_what_was_just_written_is_read_by_the_standby(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_replica, "HURRIED_SECONDS", 20.0)  # none is late for a busy machine
    by_standby, lagging, (timed, _) = done("replica"), done("lagging"), measured()
    async with read_pool(pair.settings) as engine:
        for at in range(30):
            await add(engine, f"written {at}")
            assert await PostgresVideos(engine).get_many([VideoId(f"written {at}")])
        async with reading(engine) as connection:
            assert await connection.scalar(text("SELECT pg_is_in_recovery()"))
        async with transaction(engine) as connection:
            assert not await connection.scalar(text("SELECT pg_is_in_recovery()"))
    assert done("replica") >= by_standby + 30
    assert measured()[0] >= timed + 30
    assert done("lagging") == lagging


async def test_while_the_standby_is_behind_the_primary_reads(pair: Pair) -> None:
    lagging = done("lagging")
    async with read_pool(pair.settings) as engine:
        await PostgresUsers(engine).count()
        await pair.replay(paused=True)
        try:
            with capture_logs() as lines:
                for at in range(5):
                    await add(engine, f"late {at}")
                    assert f"late {at}" in await ids(PostgresVideos(engine))
        finally:
            await pair.replay(paused=False)
        async with asyncio.timeout(30):
            by_standby = done("replica")
            while done("replica") == by_standby:
                assert "late 4" in await ids(PostgresVideos(engine))
    assert done("lagging") >= lagging + 5
    assert [line["event"] for line in lines] == [
        "The read replica is behind: the primary reads for it."
    ]


async def test_a_training_right_after_an_import_waits_for_it(pair: Pair) -> None:
    store = artifact_store(pair.settings.artifacts_url or "")
    async with pool(pair.settings) as engine:
        await pair.replay(paused=True)
        await fill(engine, "imported", "carl")
        by_standby = done("replica")
        reading_it = asyncio.create_task(read(pair.settings, request(), store, lambda *_: None))
        await asyncio.sleep(0.2)
        assert not reading_it.done()
        await pair.replay(paused=False)
        data = await reading_it
    assert "carl" in data.histories.users
    assert done("replica") > by_standby


async def test_a_standby_that_is_away_costs_nothing_but_a_line(pair: Pair) -> None:
    away, (_, errors) = done("away"), measured()
    async with connected(full(pair.settings)) as stores:
        before = await ids(stores.catalogue)
        pair.standby.end()
        try:
            with capture_logs() as lines:
                for _ in range(2 * FAILURES):
                    assert await ids(stores.catalogue) == before
            said = [line for line in lines if line["log_level"] == "warning"]
            assert [line["dependency"] for line in said] == ["postgres_read"]
            with pytest.raises(Unavailable, match="postgres_read"):
                await stores.probes["postgres_read"]()
            await stores.probes["postgres"]()
        finally:
            pair.start_standby()
        assert done("away") == away + 2 * FAILURES
        assert measured()[1] == errors + 2 * FAILURES
        by_standby = done("replica")
        async with asyncio.timeout(30):
            while done("replica") == by_standby:
                assert await ids(stores.catalogue) == before
                await asyncio.sleep(0.05)


def full(settings: Settings) -> Settings:
    """With addresses of the other stores, which nobody asks."""
    return settings.model_copy(
        update={
            "redis_url": "redis://127.0.0.1:1",
            "milvus_uri": "http://127.0.0.1:1",
            "bus_url": "nats://127.0.0.1:1",
        }
    )
