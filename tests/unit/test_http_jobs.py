"""Batch jobs and their results over HTTP, in memory."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.asking import ADMIN, bearer, problem
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

SHOP, OTHER = bearer("shop", "service"), bearer("other", "service")
PATH = "/recommendations/batch/jobs"


def asked(client: TestClient[Litestar], **body: Any) -> dict[str, Any]:
    answer = client.post(PATH, headers=SHOP, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['job_id']}"
    return job


def test_a_job_is_queued_and_its_body_is_the_contracts(
    world: World, client: TestClient[Litestar]
) -> None:
    job = asked(client, user_ids=["ann", 7, "ann"], limit=5)
    assert job == {
        "job_id": job["job_id"],
        "kind": "batch",
        "status": "queued",
        "progress": {"fraction": 0.0, "message": "waiting for a worker"},
        "counts": {},
        "created_at": job["created_at"],
        "finished_at": None,
        "error": None,
    }
    assert world.job_store.asked[job["job_id"]] == {
        "limit": 5,
        "user_ids": ["ann", "7"],
        "active_within_days": None,
    }
    assert client.get(f"/jobs/{job['job_id']}", headers=SHOP).json() == job
    everybody = asked(client, all=True, active_within_days=30)
    assert world.job_store.asked[everybody["job_id"]] == {
        "limit": 10,
        "user_ids": None,
        "active_within_days": 30,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_ids"),
        ({"user_ids": ["ann"], "all": True}, "user_ids"),
        ({"all": False}, "all"),
        ({"user_ids": ["ann"], "active_within_days": 3}, "active_within_days"),
        ({"user_ids": [10**130]}, "user_id"),
    ],
)
def test_what_is_neither_some_users_nor_everybody_is_refused(
    client: TestClient[Litestar], body: dict[str, Any], field: str
) -> None:
    answer = client.post(PATH, headers=SHOP, json=body)
    found = problem(answer, 400, "invalid_parameter")
    assert [error["field"] for error in found["errors"]] == [field]


@pytest.mark.parametrize(
    "body",
    [
        {"user_ids": []},
        {"user_ids": ["a b"]},
        {"user_ids": ["u"] * 100_001},
        {"all": True, "limit": 0},
        {"all": True, "limit": 101},
        {"all": True, "active_within_days": 0},
        {"all": True, "genre": "drama"},
    ],
)
def test_bounds_of_a_batch(client: TestClient[Litestar], body: dict[str, Any]) -> None:
    problem(client.post(PATH, headers=SHOP, json=body), 400, "invalid_parameter")


def test_100_000_users_may_be_asked_for(client: TestClient[Litestar]) -> None:
    asked(client, user_ids=[f"user-{number:030}" for number in range(100_000)])


def test_a_service_sees_its_own_jobs_and_who_runs_the_service_sees_all(
    client: TestClient[Litestar],
) -> None:
    path = f"/jobs/{asked(client, all=True)['job_id']}"
    problem(client.get(path, headers=OTHER), 404, "job_not_found")
    problem(client.get(f"{path}/result", headers=OTHER), 404, "job_not_found")
    problem(client.get("/jobs/none", headers=ADMIN), 404, "job_not_found")
    for headers in (ADMIN, bearer("ci", "trainer")):
        assert client.get(path, headers=headers).status_code == 200


async def test_upkeep_is_for_those_who_run_the_service_whatever_a_service_is_called(
    world: World, client: TestClient[Litestar]
) -> None:
    path = f"/jobs/{(await world.job_store.ask('sweep', 'shop', {})).id}"
    problem(client.get(path, headers=SHOP), 404, "job_not_found")
    assert client.get(path, headers=ADMIN).json()["kind"] == "sweep"


def test_a_result_is_streamed_or_followed_when_it_is_there(
    world: World, client: TestClient[Litestar]
) -> None:
    job_id = asked(client, all=True)["job_id"]
    path = f"/jobs/{job_id}/result"
    problem(client.get(path, headers=SHOP), 409, "conflict")
    world.job_store.change(job_id, status="failed", error="No model is live.")
    assert "No model is live" in problem(client.get(path, headers=SHOP), 409, "conflict")["detail"]

    lines = b'{"user_id":"ann"}\n' * 50_000
    world.files.files["batches/1"] = lines
    world.job_store.change(job_id, status="done", result="batches/1")
    answer = client.get(path, headers=SHOP)
    assert (answer.status_code, answer.content) == (200, lines)
    assert answer.headers["content-type"].startswith("application/x-ndjson")

    world.files.links["batches/1"] = "https://store/batches/1?signed"
    answer = client.get(path, headers=SHOP, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        "https://store/batches/1?signed",
    )
    world.job_store.change(job_id, result=None)
    problem(client.get(path, headers=SHOP), 404, "not_found")


def test_jobs_need_the_database(world: World, client: TestClient[Litestar]) -> None:
    world.jobs.away = True
    problem(client.post(PATH, headers=SHOP, json={"all": True}), 503, "unavailable")
    problem(client.get("/jobs/none", headers=SHOP), 503, "unavailable")


def test_an_erasure_is_a_job_and_keeps_the_user_out(
    world: World, client: TestClient[Litestar]
) -> None:
    watch = {"content_id": NAMES[0]}
    assert client.post("/users/ann/watch-history", headers=ADMIN, json=watch).is_success
    answer = client.delete("/users/ann", headers=ADMIN)
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["status"]) == ("erasure", "queued")
    assert answer.headers["location"] == f"/jobs/{job['job_id']}"
    assert world.job_store.asked[job["job_id"]] == {"user_id": "ann"}
    again = client.post("/users/ann/watch-history", headers=ADMIN, json=watch)
    assert "erased" in problem(again, 409, "conflict")["detail"]
    assert client.delete("/users/nobody-knows", headers=ADMIN).status_code == 202
    problem(client.delete("/users/a%20b", headers=ADMIN), 400, "invalid_parameter")
    world.erasures.away = True
    problem(client.delete("/users/ann", headers=ADMIN), 503, "unavailable")
