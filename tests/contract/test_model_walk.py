"""Every status of a model against every other: what the table has happens, and nothing else."""

from uuid import UUID

import pytest

from core.errors import Conflict
from core.types import Baseline, Model, ModelStatus
from storage.model_status import STEPS as RUNNING
from storage.model_status import TRANSITIONS
from tests.contract.registries import STEPS, Registry, Time, brought, failed, ready

pytestmark = pytest.mark.contract


async def moved(
    models: Registry, time: Time, model: Model, token: UUID, following: ModelStatus
) -> bool:
    """Do what leads to `following`; whether the registry did it. Raises `Conflict`."""
    way = TRANSITIONS[model.status].get(following)
    if following == "queued":
        return await models.claim(model.id, {}) is not None
    if following == "cancelled":
        await models.cancel(model.id)
    elif following == "live":
        await models.promote(model.id)
    elif way == "flip":
        await models.promote((await ready(models, time)).id)
    elif way == "supersede":
        for _ in range(2):
            await ready(models, time)
        await models.sweepable(0)
    else:
        await models.update(model.id, token, status=following)
    return True


def test_the_table_has_every_status() -> None:
    every = set(ModelStatus.__args__)  # type: ignore[attr-defined]
    assert set(TRANSITIONS) == every
    assert {to for ways in TRANSITIONS.values() for to in ways} == every


@pytest.mark.parametrize("status", TRANSITIONS)
async def test_what_the_table_has_happens_and_nothing_else(
    models: Registry, time: Time, status: ModelStatus
) -> None:
    for following in TRANSITIONS:
        model, token = await brought(models, time, status)
        assert model.status == status
        time.pass_(1)
        if following in TRANSITIONS[status]:
            assert await moved(models, time, model, token, following), following
            assert (await models.get(model.id)).status == following
        elif following == status and status in RUNNING:
            assert await moved(models, time, model, token, following)  # a sign of life
            assert await models.get(model.id) == model
        else:
            await _refused(models, time, model, token, following)
        if (await models.get(model.id)).status in RUNNING:
            await models.cancel(model.id)


async def _refused(
    models: Registry, time: Time, model: Model, token: UUID, following: ModelStatus
) -> None:
    if following == "queued":  # a queue may name a run that has ended: there is nothing to do
        assert not await moved(models, time, model, token, following)
    else:
        with pytest.raises(Conflict, match=model.id):
            await moved(models, time, model, token, following)
    assert await models.get(model.id) == model


@pytest.mark.parametrize("to", ["cancelled", "queued", "live", "retired"])
async def test_a_run_cannot_write_what_others_decide(
    models: Registry, time: Time, to: ModelStatus
) -> None:
    model, token = await brought(models, time, "publishing")
    with pytest.raises(Conflict, match="cannot become"):
        await models.update(model.id, token, status=to)
    assert await models.get(model.id) == model


async def test_what_waits_behind_two_newer_ones_retires_and_is_swept(
    models: Registry, time: Time
) -> None:
    live = await models.promote((await ready(models, time)).id)
    old, *newer = [await ready(models, time) for _ in range(3)]
    time.pass_(3599)
    assert await models.sweepable(3600) == []
    time.pass_(3)
    assert await models.sweepable(3600) == []  # from now on its grace runs
    assert (await models.get(old.id)).status == "retired"
    opened = [model.id for model in await models.openable()]
    assert opened == [live.id, *(model.id for model in reversed(newer))]
    time.pass_(3600)
    assert [model.id for model in await models.sweepable(3600)] == [old.id]
    with pytest.raises(Conflict, match="swept"):
        await models.promote(old.id)


async def test_a_rejected_model_keeps_numbers_and_reason_and_never_goes_live(
    models: Registry, time: Time
) -> None:
    dead = await failed(models)
    time.pass_(1)
    model, token = await models.create("als", {})
    for step in STEPS[:2]:
        await models.update(model.id, token, status=step)
    judged = Baseline(model_id=dead.id, metrics={"ndcg@10": 0.2})
    time.pass_(1)
    model = await models.update(
        model.id,
        token,
        status="rejected",
        metrics={"ndcg@10": 0.1},
        baseline=judged,
        error="It finds less.",
    )
    assert await models.get(model.id) == model
    assert (model.baseline, model.metrics) == (judged, {"ndcg@10": 0.1})
    assert (model.error, model.finished_at) == ("It finds less.", time.now)
    with pytest.raises(Conflict, match="only a ready or retired"):
        await models.promote(model.id)
    assert [one.id for one in await models.sweepable(0)] == [dead.id, model.id]
