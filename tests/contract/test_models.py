"""What every registry promises: one run a type, one live version, and a way back."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from core.errors import Conflict, ModelNotFound
from core.types import DataSpan, ModelStatus, Progress
from storage.model_status import MOST_BEGUN
from tests.contract.registries import STEPS, Registry, Time, failed, ready

pytestmark = pytest.mark.contract

HOUR = 3600.0


async def test_a_new_run_is_queued_with_a_version_of_its_own(models: Registry, time: Time) -> None:
    model, _ = await models.create("content", {"half_life": 30, "nested": {"a": [1]}})
    assert model.status == "queued"
    assert model.created_at == time.now
    assert model.params == {"half_life": 30, "nested": {"a": [1]}}
    assert model.version.startswith("content_20260102_030405_")
    assert model.version.replace("_", "").isalnum()
    assert await models.get(model.id) == model
    assert await models.find() == [model]


async def test_what_a_run_found_out_joins_its_params(models: Registry) -> None:
    model, token = await models.create("als", {"seed": 1, "dimensions": None})
    model = await models.update(model.id, token, params={"dimensions": 64})
    assert model.params == {"seed": 1, "dimensions": 64}
    assert (await models.get(model.id)).params == model.params


async def test_a_second_run_of_the_type_is_refused_until_the_first_has_ended(
    models: Registry,
) -> None:
    model, token = await models.create("content", {})
    with pytest.raises(Conflict, match="wait until"):
        await models.create("content", {})
    await models.update(model.id, token, status="failed", error="Stopped.")
    again, _ = await models.create("content", {})
    assert [found.id for found in await models.find(status="queued")] == [again.id]


async def test_updates_keep_what_they_do_not_name(models: Registry, time: Time) -> None:
    model, token = await models.create("content", {})
    data = DataSpan(start=time.now, end=None, interactions=5, users=2, videos=3)
    await models.update(model.id, token, status="training", data=data)
    time.pass_(30)
    await models.update(model.id, token, progress=Progress("training", 0.5, "half"))
    model = await models.update(model.id, token, metrics={"recall@10": 0.25}, artifact_uri="file:")
    assert (model.status, model.data, model.metrics) == ("training", data, {"recall@10": 0.25})
    assert model.progress == Progress("training", 0.5, "half")
    assert model.started_at == time.now - timedelta(seconds=30)
    assert model.artifact_uri == "file:"
    assert model.finished_at is None


async def test_a_run_ends_once(models: Registry, time: Time) -> None:
    model, token = await models.create("content", {})
    model = await models.update(model.id, token, status="failed", error="Too little data.")
    assert (model.finished_at, model.error) == (time.now, "Too little data.")
    with pytest.raises(Conflict, match="has ended"):
        await models.update(model.id, token, status="training")
    with pytest.raises(Conflict, match="has ended"):
        await models.update(model.id, token, progress=Progress("training", 1.0))


@pytest.mark.parametrize("status", ["queued", "publishing", "ready", "live", "retired"])
async def test_a_run_cannot_skip_its_steps(models: Registry, status: ModelStatus) -> None:
    model, token = await models.create("content", {})
    await models.update(model.id, token, status="training")
    with pytest.raises(Conflict, match="cannot become"):
        await models.update(model.id, token, status=status)
    assert (await models.get(model.id)).status == "training"


async def test_another_attempts_token_is_refused(models: Registry) -> None:
    model, _ = await models.create("content", {})
    with pytest.raises(Conflict, match="taken over"):
        await models.update(model.id, uuid4(), progress=Progress("training", 0.1))


async def test_a_silent_run_is_given_up_and_cannot_write_any_more(
    models: Registry, time: Time
) -> None:
    silent, token = await models.create("content", {})
    time.pass_(59)
    await models.update(silent.id, token)
    time.pass_(50)
    assert await models.fail_stale() == []
    time.pass_(1)
    after, _ = await models.create("content", {})
    given_up = await models.get(silent.id)
    assert given_up.status == "failed"
    assert "no sign of life" in (given_up.error or "")
    assert given_up.finished_at == time.now
    with pytest.raises(Conflict):
        await models.update(silent.id, token, status="training")
    time.pass_(61)
    assert [model.id for model in await models.fail_stale()] == [after.id]


async def test_a_run_whose_process_has_ended_is_not_waited_for(models: Registry) -> None:
    orphan, token = await models.create("content", {})
    assert [model.id for model in await models.fail_stale([orphan.id])] == [orphan.id]
    with pytest.raises(Conflict):
        await models.update(orphan.id, token, status="training")
    assert await models.fail_stale([orphan.id]) == []


async def test_a_queued_run_is_claimed_by_one_worker_after_another(models: Registry) -> None:
    asked = await models.queue("als", {"end": None})
    with pytest.raises(Conflict, match="being trained"):
        await models.queue("als", {})
    for _ in range(MOST_BEGUN):
        claimed = await models.claim(asked.id, {"seed": 1, "owner": {"pid": 7}})
        assert claimed is not None
        model, token = claimed
        assert (model.status, model.version, model.started_at) == ("queued", asked.version, None)
        assert (model.params["seed"], model.params["owner"]["pid"]) == (1, 7)
        await models.update(model.id, token, status="training")
    with pytest.raises(Conflict, match="taken over"):
        await models.update(asked.id, uuid4())
    assert await models.claim(asked.id, {}) is None
    failed = await models.get(asked.id)
    assert failed.status == "failed"
    assert "memory" in (failed.error or "")
    assert (await models.queue("als", {})).status == "queued"


async def test_a_run_is_cancelled_at_any_step_and_writes_no_more(models: Registry) -> None:
    waiting = await models.queue("als", {})
    assert (await models.cancel(waiting.id)).status == "cancelled"
    assert await models.claim(waiting.id, {}) is None
    for steps in range(len(STEPS)):
        model, token = await models.create("als", {})
        for status in STEPS[:steps]:
            await models.update(model.id, token, status=status)
        cancelled = await models.cancel(model.id)
        assert (cancelled.status, cancelled.error) == ("cancelled", "It was cancelled.")
        assert cancelled.finished_at
        with pytest.raises(Conflict, match="has ended"):
            await models.update(model.id, token)
        with pytest.raises(Conflict, match="nothing is to be stopped"):
            await models.cancel(model.id)


async def test_what_is_not_there_is_not_found(models: Registry) -> None:
    with pytest.raises(ModelNotFound):
        await models.get("none")
    with pytest.raises(ModelNotFound):
        await models.promote("none")
    with pytest.raises(ModelNotFound):
        await models.update("none", UUID(int=1))


async def test_nothing_is_live_before_the_first_promotion(models: Registry) -> None:
    assert await models.live() is None
    assert await models.previous() is None
    with pytest.raises(Conflict, match="nothing to go back to"):
        await models.rollback()


async def test_promotion_retires_the_one_before(models: Registry, time: Time) -> None:
    first, second = await ready(models, time), await ready(models, time)
    live = await models.promote(first.id)
    assert (live.status, live.promoted_at) == ("live", time.now)
    time.pass_(5)
    assert (await models.promote(second.id)).id == second.id
    assert await models.live() == await models.get(second.id)
    previous = await models.previous()
    assert previous is not None
    assert (previous.id, previous.status) == (first.id, "retired")


async def test_rolling_back_makes_the_one_before_live(models: Registry, time: Time) -> None:
    first, second = await ready(models, time), await ready(models, time)
    await models.promote(first.id)
    await models.promote(second.id)
    assert (await models.rollback()).id == first.id
    assert (await models.get(second.id)).status == "retired"
    with pytest.raises(Conflict):
        await models.rollback()
    assert (await models.promote(second.id)).id == second.id
    assert (await models.rollback()).id == first.id


async def test_only_ready_and_retired_models_go_live(models: Registry, time: Time) -> None:
    dead = await failed(models)
    live = await models.promote((await ready(models, time)).id)
    running, _ = await models.create("content", {})
    for model in (dead, live, running):
        with pytest.raises(Conflict, match="only a ready or retired"):
            await models.promote(model.id)
    assert await models.live() == live


async def test_find_filters_and_gives_the_newest_first(models: Registry, time: Time) -> None:
    made = []
    for _ in range(3):
        made.append((await failed(models)).id)
        time.pass_(1)
    assert [model.id for model in await models.find("content")] == made[::-1]
    assert len(await models.find("content", "failed")) == 3
    assert await models.find(status="live") == []


async def test_sweepable_models_have_ended_long_ago(models: Registry, time: Time) -> None:
    oldest, before, live = [await ready(models, time) for _ in range(3)]
    for model in (oldest, before, live):
        await models.promote(model.id)
    dead = await failed(models)
    time.pass_(HOUR - 1)
    assert await models.sweepable(HOUR) == []
    time.pass_(1)
    assert [model.id for model in await models.sweepable(HOUR)] == [oldest.id, dead.id]
    await models.mark_swept(oldest.id)
    assert [model.id for model in await models.sweepable(HOUR)] == [dead.id]


async def test_a_model_that_is_being_swept_cannot_go_live(models: Registry, time: Time) -> None:
    oldest, before, live = [await ready(models, time) for _ in range(3)]
    for model in (oldest, before, live):
        await models.promote(model.id)
    time.pass_(HOUR)
    assert [model.id for model in await models.sweepable(0)] == [oldest.id]
    with pytest.raises(Conflict, match="swept"):
        await models.promote(oldest.id)
    # Back at `before`, the one before it is `oldest`, which can no longer serve.
    await models.rollback()
    assert await models.previous() is None
    with pytest.raises(Conflict, match="swept"):
        await models.rollback()


async def test_marking_keeps_what_was_never_sweepable(models: Registry, time: Time) -> None:
    model = await ready(models, time)
    await models.mark_swept(model.id)
    assert (await models.promote(model.id)).status == "live"


async def test_the_versions_kept_open(models: Registry, time: Time) -> None:
    assert await models.openable() == []
    first, second, third, fourth, fifth = [await ready(models, time) for _ in range(5)]
    await failed(models)
    assert await opened(models) == [fifth.id, fourth.id]

    await models.promote(first.id)
    assert await opened(models) == [first.id, fifth.id, fourth.id]
    await models.promote(second.id)
    assert await opened(models) == [second.id, fifth.id, fourth.id, first.id]
    time.pass_(1)
    await models.promote(third.id)
    time.pass_(1)
    await models.rollback()  # live again, with `first` before it and `third` just retired
    live, *beside = await opened(models)
    assert live == second.id
    assert sorted(beside) == sorted([first.id, third.id, fourth.id, fifth.id])


async def opened(models: Registry) -> list[str]:
    return [model.id for model in await models.openable()]


async def test_what_is_being_swept_is_not_kept_open(models: Registry, time: Time) -> None:
    for _ in range(2):
        await models.promote((await ready(models, time)).id)
    live = await models.rollback()
    time.pass_(HOUR)
    [rolled_back] = await models.sweepable(HOUR)
    assert rolled_back.id != live.id
    assert await opened(models) == [live.id]


async def test_leftovers_are_runs_that_ended_without_a_version_or_have_not_published(
    models: Registry, time: Time
) -> None:
    live = await models.promote((await ready(models, time)).id)
    dead = await failed(models)
    await ready(models, time)
    running, token = await models.create("als", {})
    mine, _ = await models.create("content", {})
    assert [model.id for model in await models.leftovers(mine.id)] == [dead.id, running.id]

    # What has published waits only for its row to say so.
    await models.mark_published(running.id, token)
    assert [model.id for model in await models.leftovers(mine.id)] == [dead.id]
    await models.update(running.id, token, status="failed")
    assert [model.id for model in await models.leftovers(mine.id)] == [dead.id, running.id]

    await models.sweepable(0)
    await models.mark_swept(dead.id)
    assert [model.id for model in await models.leftovers(mine.id)] == [running.id]
    assert (await models.live()) == live


async def test_a_run_that_was_given_up_cannot_say_that_it_has_published(models: Registry) -> None:
    dead = await failed(models)
    with pytest.raises(Conflict, match="has ended"):
        await models.mark_published(dead.id, uuid4())
    running, _ = await models.create("als", {})
    with pytest.raises(Conflict, match="Another attempt"):
        await models.mark_published(running.id, uuid4())
    with pytest.raises(ModelNotFound):
        await models.mark_published("none", uuid4())
