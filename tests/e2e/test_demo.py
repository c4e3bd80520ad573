"""The first start: demo data, a first model, and each thing a new user would try."""

import json
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from core.types import Interaction
from ingest.demo import read_demo
from tests.e2e.lists import check_lists, check_moves, ids, list_of, mean_overlap, moves
from tests.e2e.load import Load
from tests.e2e.service import Service
from tests.measured import Labels, by_name, undocumented
from tests.polling import eventually
from upnext.client import calls, problems

# The time of the first test includes the first start.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def client(demo: Service) -> Iterator[httpx.Client]:
    with demo.client() as client:
        yield client


@pytest.fixture(scope="module")
def watched() -> dict[str, set[str]]:
    """Who has watched what in the demo data."""
    watched = defaultdict(set)
    _, events = read_demo()
    for event in events.items:
        assert isinstance(event, Interaction)
        watched[str(event.user_id)].add(str(event.video_id))
    return dict(watched)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_printed_command_works_as_pasted(demo: Service) -> None:
    done = subprocess.run(  # noqa: S603 - the command that the start printed
        shlex.split(demo.printed_curl()), capture_output=True, text=True, check=True, timeout=10
    )
    assert json.loads(done.stdout)["recommendations"]


def test_every_user_gets_a_list_of_their_own(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    lists = check_lists(client, watched)
    assert mean_overlap(lists) < 0.25


def test_a_watch_takes_the_video_off_and_moves_the_list_toward_it(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    fewest = sorted(watched, key=lambda user: (len(watched[user]), user))
    check_moves(moves(client, fewest[:100]))


def test_similar_videos_are_of_the_same_theme(
    client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    themes = sorted({theme(video_id) for videos in watched.values() for video_id in videos})
    assert len(themes) == 20
    for name in themes:
        found = ids(client.get(f"/videos/{name}-017/similar").json())
        assert len(set(found)) == 10
        assert f"{name}-017" not in found
        assert sum(theme(video_id) == name for video_id in found) >= 8, (name, found)


def theme(video_id: str) -> str:
    """`pottery` of `pottery-017`."""
    return video_id.rpartition("-")[0]


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


def test_an_app_and_its_operator_use_the_typed_client(demo: Service) -> None:
    with demo.typed("user-007", "user") as app, demo.typed() as ops:
        first = app.send(calls.recommendations("user-007", limit=3)).recommendations[0]
        receipt = app.send(calls.watch("user-007", first.content_id, idempotency_key="tour"))
        assert not receipt.duplicate
        pages = list(app.pages(calls.recommendations("user-007", limit=30)))
        walked = [item.content_id for page in pages for item in page.recommendations]
        assert len(walked) == len(set(walked)) == 100
        assert first.content_id not in walked
        narrowed = app.send(calls.recommendations("user-007", genres=[str(first.genre)]))
        assert all(first.genre in item.genres for item in narrowed.recommendations)
        ranked = app.send(calls.rank("user-007", [*walked[:3], "no-such-video"]))
        assert {item.content_id for item in ranked.recommendations} == set(walked[:3])
        assert ranked.metadata.unknown == ("no-such-video",)
        with pytest.raises(problems.Forbidden):
            app.send(calls.models())

        job = ops.send(calls.batch_job(["user-001", "user-007"], limit=5))
        assert ops.wait(job.job_id, seconds=120).status == "done"
        lines = {line.user_id: line.recommendations for line in ops.result(job.job_id)}
        assert {user: len(found) for user, found in lines.items()} == {
            "user-001": 5,
            "user-007": 5,
        }


def test_health_names_every_dependency(client: httpx.Client) -> None:
    def health() -> dict[str, Any]:
        found: dict[str, Any] = client.get("/health").json()
        return found

    eventually(lambda: health()["status"] == "ok", seconds=30)
    assert set(health()["dependencies"]) == {"postgres", "redis", "milvus", "bus", "artifacts"}
    assert client.get("/health/ready").status_code == 200


def test_promote_and_roll_back_are_followed_without_a_failed_request(
    demo: Service, client: httpx.Client, watched: dict[str, set[str]]
) -> None:
    first = list_of(client, "stranger")["metadata"]["model_version"]
    second = demo.json("train", "content")
    assert second["status"] == "ready"
    assert list_of(client, "stranger")["metadata"]["model_version"] == first

    with Load(client, sorted(watched)) as load:
        eventually(lambda: load.last(20) == {first})
        live = client.post(f"/recs/models/{second['id']}/promote").json()
        assert (live["id"], live["status"], live["live"]) == (second["id"], "live", True)
        eventually(lambda: load.last(40) == {second["version"]}, seconds=30)
        again = client.post(f"/recs/models/{second['id']}/promote")
        assert (again.status_code, again.json()["code"]) == (409, "conflict")

        assert client.post("/recs/models/rollback").json()["version"] == first
        eventually(lambda: load.last(40) == {first}, seconds=30)
        assert client.post("/recs/models/rollback").status_code == 409
    assert set(load.answers) == {first, second["version"]}


def test_what_is_measured_is_true_and_documented(demo: Service, client: httpx.Client) -> None:
    models = client.get("/recs/models").json()["models"]
    [live] = [model for model in models if model["status"] == "live"]
    done = [model for model in models if model["status"] in {"live", "ready", "retired"}]
    ended = "upnext_training_last_success_timestamp_seconds"
    content = (("model_type", "content"),)

    def page() -> dict[str, dict[Labels, float]]:
        text = httpx.get(f"{demo.address}/metrics", timeout=30).text
        assert undocumented(text) == []
        return by_name(text)

    def read() -> bool:
        """The page is of now: what the last test trained and made live in between was counted."""
        found = page()
        versions = {dict(labels)["version"] for labels in found["upnext_live_model_info"]}
        return versions == {live["version"]} and found[ended][content] == max(map(seconds, done))

    eventually(read, seconds=30, every=0.5)
    found = page()
    assert found["upnext_catalogue_videos"] == {(): 2000.0}
    assert found["upnext_live_model_timestamp_seconds"] == {(): seconds(live)}
    assert found["upnext_trainings_total"][(*content, ("outcome", "done"))] >= 1
    assert found["upnext_stage_seconds_count"][(("stage", "rank"),)] > 0


def seconds(model: dict[str, Any]) -> float:
    """When a training ended, as Prometheus has it."""
    return datetime.fromisoformat(model["finished_at"]).timestamp()


def test_the_terminal_shows_lists_through_the_running_service(demo: Service) -> None:
    assert demo.json("recommend", "stranger")["recommendations"]
    video = ids(demo.json("recommend", "stranger"))[0]
    assert demo.json("similar", video)["recommendations"]


def test_the_doctor_finds_nothing(demo: Service) -> None:
    assert demo.run("doctor").returncode == 0
