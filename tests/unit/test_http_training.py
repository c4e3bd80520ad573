"""Training and its end over HTTP, in memory."""

import asyncio
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from core.types import ModelStatus
from storage.memory.models import MemoryModels
from storage.model_status import TRANSITIONS
from tests.asking import ADMIN, SECRET, problem
from tests.contract.registries import Time, brought
from tests.serving import World

pytestmark = pytest.mark.unit


def train(client: TestClient[Litestar], **body: Any) -> Any:
    return client.post("/recs/train", headers=ADMIN, json=body)


def test_a_run_is_queued_and_cancelled(world: World, client: TestClient[Litestar]) -> None:
    answer = train(client, modelType="als", startDate="2026-01-01", endDate="2026-02-01")
    assert answer.status_code == 202
    model = answer.json()
    assert (model["status"], model["model_type"], model["live"]) == ("queued", "als", False)
    assert answer.headers["location"] == f"/recs/models/{model['id']}"
    span = world.registry.models[model["id"]].params
    assert [day.isoformat()[:10] for day in span.values()] == ["2026-01-01", "2026-02-02"]
    problem(train(client, modelType="als"), 409, "conflict")

    path = f"/recs/models/{model['id']}/cancel"
    stopped = client.post(path, headers=ADMIN)
    assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    problem(client.post(path, headers=ADMIN), 409, "conflict")
    problem(client.post("/recs/models/none/cancel", headers=ADMIN), 404, "model_not_found")
    assert train(client, modelType="als").status_code == 202


def test_one_day_is_a_span(world: World, client: TestClient[Litestar]) -> None:
    answer = train(client, modelType="content", startDate="2026-01-01", endDate="2026-01-01")
    params = world.registry.models[answer.json()["id"]].params
    assert (params["end"] - params["start"]).days == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "modelType"),
        ({"modelType": "best"}, "modelType"),
        ({"model_type": "als"}, "model_type"),
        ({"modelType": "als", "seed": 1}, "seed"),
        ({"modelType": "als", "startDate": "2026-02-01", "endDate": "2026-01-01"}, "endDate"),
        ({"modelType": "als", "startDate": "yesterday"}, "startDate"),
        ({"modelType": "als", "startDate": "2026-01-01T00:00:00Z"}, "startDate"),
        ({"modelType": "als", "endDate": "9999-12-31"}, "endDate"),
        ({"modelType": "als", "startDate": "0001-01-01"}, "startDate"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    client: TestClient[Litestar], body: dict[str, Any], named: str
) -> None:
    answer = client.post("/recs/train", headers=ADMIN, json=body)
    assert named in problem(answer, 400, "invalid_parameter")["detail"]


@pytest.mark.parametrize("status", TRANSITIONS)
def test_what_a_model_of_its_status_cannot_do_is_a_conflict(status: ModelStatus) -> None:
    world = World()
    world.models = MemoryModels(world.clock)
    model, _ = asyncio.run(brought(world.models, Time(), status))
    with TestClient(application(world.compose, TokenVerifier(SECRET))) as client:
        for act in {"promote", "cancel"} - set(TRANSITIONS[status].values()):
            answer = client.post(f"/recs/models/{model.id}/{act}", headers=ADMIN)
            assert model.id in problem(answer, 409, "conflict")["detail"]
        if status not in {"live", "retired"}:
            problem(client.post("/recs/models/rollback", headers=ADMIN), 409, "conflict")
    assert asyncio.run(world.models.get(model.id)) == model
