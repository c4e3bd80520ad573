"""The first start: demo data, a first model, and each thing a new user would try."""

import json
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterator

import httpx
import pytest

from core.types import Interaction
from ingest.demo import read_demo
from tests.e2e.lists import check_lists, ids, list_of, mean_overlap
from tests.e2e.service import Service
from tests.polling import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(demo: Service) -> Iterator[httpx.Client]:
    with demo.client() as client:
        yield client


def watched_in_demo() -> dict[str, set[str]]:
    watched = defaultdict(set)
    _, events = read_demo()
    for event in events.items:
        assert isinstance(event, Interaction)
        watched[str(event.user_id)].add(str(event.video_id))
    return dict(watched)


def test_the_printed_command_works_as_pasted(demo: Service) -> None:
    done = subprocess.run(  # noqa: S603 - the command that the start printed
        shlex.split(demo.printed_curl()), capture_output=True, text=True, check=True, timeout=10
    )
    assert json.loads(done.stdout)["recommendations"]


def test_every_user_gets_a_list_of_their_own(client: httpx.Client) -> None:
    lists = check_lists(client, watched_in_demo())
    assert mean_overlap(lists) < 0.25


def test_a_stranger_gets_a_cold_start_list(client: httpx.Client) -> None:
    body = list_of(client, "nobody-has-seen-me")
    assert body["metadata"]["cold_start"]
    assert len(ids(body)) == 10
    missing = client.get("/users/nobody-has-seen-me/recommendations")
    assert (missing.status_code, missing.json()["code"]) == (404, "user_not_found")


@pytest.mark.parametrize("kind", ["trending", "popular", "new"])
def test_other_types_of_lists(client: httpx.Client, kind: str) -> None:
    body = list_of(client, "stranger", type=kind)
    assert body["metadata"]["type"] == kind
    assert len(ids(body)) == 10


def test_health_names_every_dependency(client: httpx.Client) -> None:
    health = httpx.get(f"{client.base_url}/health").json()
    assert health["status"] == "ok", health
    assert set(health["dependencies"]) == {"postgres", "redis", "milvus", "bus", "artifacts"}
    assert httpx.get(f"{client.base_url}/health/ready").status_code == 200


def test_promote_and_roll_back_are_followed_without_a_failed_request(
    demo: Service, client: httpx.Client
) -> None:
    first = list_of(client, "stranger")["metadata"]["model_version"]
    second = demo.json("train", "content")
    assert second["status"] == "ready"
    assert list_of(client, "stranger")["metadata"]["model_version"] == first

    live = client.post(f"/recs/models/{second['id']}/promote").json()
    assert (live["id"], live["status"], live["live"]) == (second["id"], "live", True)
    eventually(
        lambda: list_of(client, "stranger")["metadata"]["model_version"] == second["version"]
    )
    again = client.post(f"/recs/models/{second['id']}/promote")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")

    assert client.post("/recs/models/rollback").json()["version"] == first
    eventually(lambda: list_of(client, "stranger")["metadata"]["model_version"] == first)
    assert client.post("/recs/models/rollback").status_code == 409


def test_the_terminal_shows_lists_through_the_running_service(demo: Service) -> None:
    assert demo.json("recommend", "stranger")["recommendations"]
    video = ids(demo.json("recommend", "stranger"))[0]
    assert demo.json("similar", video)["recommendations"]


def test_the_doctor_finds_nothing(demo: Service) -> None:
    assert demo.run("doctor").returncode == 0
