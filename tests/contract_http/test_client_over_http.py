"""The typed client against the application: what it sends is understood, what comes is typed."""

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.configs import ConfigBody
from api.schemas_catalogue import VideoBody
from tests.asking import bearer
from upnext.client import Client, calls, problems

pytestmark = pytest.mark.contract


def client_of(client: TestClient[Litestar], sub: str, role: str) -> Client:
    token = bearer(sub, role)["Authorization"].removeprefix("Bearer ")
    return Client(str(client.base_url), token, transport=client._transport)


@pytest.fixture(scope="module")
def app(client: TestClient[Litestar]) -> Client:
    return client_of(client, "ann", "user")


@pytest.fixture(scope="module")
def ops(client: TestClient[Litestar]) -> Client:
    return client_of(client, "ops", "admin")


def test_an_app(app: Client) -> None:
    first = app.send(calls.recommendations("ann", limit=3)).recommendations[0]
    receipt = app.send(calls.watch("ann", first.content_id, idempotency_key="tour"))
    assert not receipt.duplicate
    pages = list(app.pages(calls.recommendations("ann", limit=30)))
    walked = [item.content_id for page in pages for item in page.recommendations]
    assert len(walked) == len(set(walked)) == 100
    assert first.content_id not in walked
    narrowed = app.send(calls.recommendations("ann", genres=["drama"], exclude=walked[:2]))
    assert {item.genre for item in narrowed.recommendations} == {"drama"}
    explained = app.send(calls.recommendations("ann", explain=True)).recommendations[0]
    assert explained.explanation
    ranked = app.send(calls.rank("ann", [*walked[:3], "nothing"]))
    assert ranked.metadata.unknown == ("nothing",)
    assert app.send(calls.similar(walked[0], for_user="ann")).content_id == walked[0]
    assert app.send(calls.rating("ann", walked[0], 4.5)).content_id == walked[0]
    with pytest.raises(problems.Forbidden):
        app.send(calls.models())


def test_an_operator(ops: Client) -> None:
    assert ops.send(calls.put_video("new-1", VideoBody(title="One"))).id == "new-1"
    assert ops.send(calls.video("new-1")).title == "One"
    ops.send(calls.take_down("new-1"))
    report = ops.send(calls.import_videos([{"id": "new-2", "title": "Two"}, "nothing"]))
    assert (report.accepted, report.rejected, report.errors[0].line) == (1, 1, 2)
    before = ops.send(calls.config())
    made = ops.send(calls.put_config(ConfigBody(preset="seed"), replaces=before.version))
    assert made.version == before.version + 1
    with pytest.raises(problems.Conflict):
        ops.send(calls.put_config(ConfigBody(preset="model"), replaces=before.version))
    assert len(ops.send(calls.configs()).versions) == made.version
    job = ops.send(calls.batch_job(["ann"]))
    assert ops.send(calls.job(job.job_id)).status == "queued"
    assert ops.send(calls.erase("bob")).kind == "erasure"
    assert ops.send(calls.train("als")).status == "queued"
    assert ops.send(calls.models(status="live")).models[0].live
    assert ops.send(calls.batch(limit=5)).limit == 5
    assert ops.send(calls.stats()).last_hour.lists >= 0
    assert ops.send(calls.health()).status == "ok"
