"""Training over HTTP by a real worker: to the end, stopped, and after its worker was killed."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import utc_now
from core.settings import Settings
from core.types import Model
from storage.milvus_writer import MilvusWriter
from storage.model_status import STALE_SECONDS
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from tests.collector import Collector, Trace, collecting
from tests.polling import eventually
from tests.ports import free_port
from tests.processes import alive
from tests.served import Served
from tests.working import Working
from upnext.jobs.train import CHILD

pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]

ENDED_SECONDS = 15.0
"""From a cancellation, five seconds of an idle machine."""


@pytest.fixture
def serving(settings: Settings, redis_url: str, nats_url: str, milvus_uri: str) -> Settings:
    """Everything that a service and its worker need; an index without collections."""
    with closing(MilvusWriter(milvus_uri)) as writer:
        for name in writer.collections():
            writer.drop(name)
    more = {
        "port": free_port(),
        "workers": 1,
        "redis_url": redis_url,
        "bus_url": nats_url,
        "jwt_secret": "a secret of this test only, long enough for an HMAC",
    }
    return Settings.model_validate({**settings.model_dump(), **more})


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting(monkeypatch) as collector:
        yield collector


@pytest.fixture
def client(
    serving: Settings,
    filled: None,  # noqa: ARG001 (comes first)
    collector: Collector,  # noqa: ARG001 (comes first)
) -> Iterator[httpx.Client]:
    with Served(serving) as server, server.client() as client:
        yield client


def asked(client: httpx.Client, trace: Trace | None = None, **body: Any) -> str:
    headers = None if trace is None else trace.headers
    answer = client.post("/recs/train", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    path: str = answer.headers["location"]
    return path


def reached(client: httpx.Client, path: str, *statuses: str) -> dict[str, Any]:
    eventually(lambda: client.get(path).json()["status"] in statuses, seconds=180, every=0.1)
    model: dict[str, Any] = client.get(path).json()
    return model


def test_models_are_trained_cancelled_and_survive_their_worker(
    client: httpx.Client, serving: Settings, collector: Collector, tmp_path: Path
) -> None:
    trace, dates = Trace(), {"startDate": "2026-01-01", "endDate": "2026-01-03"}
    waiting = asked(client, trace, modelType="content", **dates)
    assert client.post("/recs/train", json={"modelType": "content"}).status_code == 409
    assert asyncio.run(_stale_later(serving)) == []  # it waits for a worker, however long
    with Working(serving, tmp_path / "first.log") as worker:
        eventually(lambda: worker.children(CHILD), seconds=60)
        [child] = worker.children(CHILD)
        reached(client, waiting, "training", "evaluating", "publishing")
        worker.kill()
        eventually(lambda: not alive([child]), seconds=30)

    with Working(serving, tmp_path / "second.log") as worker:
        first = reached(client, waiting, "ready", "live", "failed")
        assert (first["status"], first["error"]) in {("ready", None), ("live", None)}
        assert first["data"]["interactions"] == 36  # three days of twelve users
        assert "owner" not in first["params"]
        assert reached(client, waiting, "live")["live"]  # the first of all
        _is_one_trace(collector, trace)

        empty = asked(client, modelType="content", startDate="2027-01-01", endDate="2027-02-01")
        failed = reached(client, empty, "failed")
        assert failed["error"] == (
            "There are no interactions from 2027-01-01 on and before 2027-02-02: "
            "choose other dates, or none to learn from everything."
        )
        scarce = reached(client, asked(client, modelType="als"), "failed")
        assert "has 72 watches of 12 users, it needs 100 of 10 users" in scarce["error"]

        second = asked(client, modelType="content")
        child = worker.caught(CHILD, seconds=60)
        cancelled = client.post(f"{second}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        eventually(lambda: not alive([child]), seconds=ENDED_SECONDS)
        assert client.post(f"{second}/cancel").status_code == 409
        assert client.get(second).json()["status"] == "cancelled"
        assert client.get(waiting).json()["live"]
    assert "Traceback" not in (tmp_path / "second.log").read_text()


def _is_one_trace(collector: Collector, trace: Trace) -> None:
    """From the request by the worker to the process that trained, with its stages."""

    def of(service: str) -> dict[str, str]:
        spans = [span for span in collector.of(trace.id) if span.service == f"upnext-{service}"]
        return {span.name: span.id for span in spans}

    eventually(lambda: "job training" in of("worker"), seconds=20)
    assert "POST /recs/train" in of("api")
    stages = {"reading", "encoding", "judging", "fitting", "refitting", "storing", "publishing"}
    assert {"training", *stages} <= of("training").keys()
    parents = {span.name: span.parent for span in collector.of(trace.id)}
    assert parents["training"] == of("worker")["job training"]
    assert parents["fitting"] == of("training")["judging"]
    assert len(collector.of(trace.id)) < 200, "heartbeats are left out"


async def _stale_later(settings: Settings) -> list[Model]:
    """What would be given up as silent two minutes from now."""
    later = utc_now() + timedelta(seconds=2 * STALE_SECONDS)
    async with pool(settings) as engine:
        return await PostgresModels(engine, lambda: later).fail_stale()
