"""What becomes of a model that nobody asked to be made live, by `UPNEXT_PROMOTE`."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Unavailable
from core.settings import Settings, load
from core.types import Model
from storage.postgres.models import PostgresModels
from tests.stored import store_ready
from upnext.jobs import train as training
from upnext.jobs.promote import promote_passed
from upnext.jobs.train import train_queued

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load(
        {
            "home": str(tmp_path / "home"),
            "postgres_url": database_url,
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
            "index": "exact",  # no index is asked whether it has them
        }
    )


@pytest.fixture
def passed(settings: Settings) -> Settings:
    return settings.model_copy(update={"promote": "passed"})


async def live(engine: AsyncEngine) -> Model | None:
    return await PostgresModels(engine, utc_now).live()


async def test_the_first_goes_live_and_another_waits_unless_settings_say_so(
    settings: Settings, passed: Settings, engine: AsyncEngine
) -> None:
    first = await store_ready(settings, engine, ["a", "b"])
    assert (await promote_passed(settings, first)).status == "live"
    second = await store_ready(settings, engine, ["a", "b"])
    assert (await promote_passed(settings, second)).status == "ready"
    assert (await promote_passed(passed, second)).status == "live"
    found = await live(engine)
    assert found is not None
    assert found.id == second.id


async def test_one_whose_worker_ended_before_it_went_live_does_so_when_its_job_is_found(
    passed: Settings, engine: AsyncEngine
) -> None:
    await promote_passed(passed, await store_ready(passed, engine, ["a", "b"]))
    waiting = await store_ready(passed, engine, ["a", "b"])
    await train_queued(passed, waiting.id)
    found = await live(engine)
    assert found is not None
    assert found.id == waiting.id
    await train_queued(passed, waiting.id)  # again: it is live, there is nothing to do
    assert await live(engine) == found


async def test_one_that_cannot_go_live_for_an_outage_does_so_when_it_is_tried_again(
    passed: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Model:
        raise Unavailable("milvus")

    waiting = await store_ready(passed, engine, ["a", "b"])
    with monkeypatch.context() as outage:
        outage.setattr(training, "promote_passed", away)
        with pytest.raises(Unavailable):  # what the queue tries again
            await train_queued(passed, waiting.id)
    assert await live(engine) is None
    await train_queued(passed, waiting.id)
    found = await live(engine)
    assert found is not None
    assert found.id == waiting.id
