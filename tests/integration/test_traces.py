"""Traces of the real API and the real worker, as a collector gets them."""

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from core.settings import Settings
from tests.catalogues import fitted_of, video
from tests.collector import Collector, Got, Trace, collecting
from tests.eventful import Sent, event, make_streams, publish
from tests.polling import eventually
from tests.served import Served, over_stores, put_live, write_videos
from tests.serving import GENRES, NAMES, vectors_by_genre
from tests.working import Working

pytestmark = pytest.mark.integration
USER = f"seen-{secrets.token_hex(4)}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting(monkeypatch) as collector:
        yield collector


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    return over_stores(tmp_path, **store_urls)


@pytest.fixture
def client(settings: Settings, tmp_path: Path, collector: Collector) -> Iterator[httpx.Client]:
    assert collector.address
    asyncio.run(make_streams(settings.bus_url or ""))
    write_videos(settings, [video(name, GENRES[row % 3]) for row, name in enumerate(NAMES)])
    put_live(settings, fitted_of(NAMES, vectors_by_genre()), "r1")
    served, working = Served(settings), Working(settings, tmp_path / "worker.log")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        list(pool.map(stack.enter_context, (served, working)))
        yield stack.enter_context(served.client())


def carrying(sent: Sent, trace: Trace) -> Sent:
    """The event with CloudEvents' extension for distributed tracing."""
    body = msgspec.json.decode(sent.payload) | trace.headers
    return msgspec.structs.replace(sent, payload=msgspec.json.encode(body))


def one(spans: list[Got], name: str) -> Got:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, (name, [span.name for span in spans])
    return found[0]


def test_a_trace_goes_on_through_stores_bus_and_queue(
    client: httpx.Client, collector: Collector, settings: Settings
) -> None:
    watched, asked, told, erased = (Trace() for _ in range(4))
    watch = f"/users/{USER}/watch-history"
    client.post(watch, json={"content_id": NAMES[0]}).raise_for_status()
    client.post(watch, json={"content_id": NAMES[1]}, headers=watched.headers).raise_for_status()
    answer = client.get(f"/recs/{USER}", headers=asked.headers)
    assert answer.json()["metadata"]["degraded"] == []
    sent = carrying(event(USER, NAMES[5]), told)
    asyncio.run(publish(settings.bus_url or "", [sent]))
    assert "postgresql" in _of_a_request(collector, watched, "POST /users/{user_id}/watch-history")
    assert {"redis", "milvus"} <= _of_a_request(collector, asked, "GET /recs/{user_id}")
    steps = {span.name for span in collector.of(asked.id)}
    assert {"state", "encode", "nearest", "similar", "popular", "merge", "rank"} <= steps

    eventually(lambda: any(told.id in span.links for span in collector.spans), seconds=30)
    batch = next(span for span in collector.spans if told.id in span.links)
    assert (batch.service, batch.kind) == ("upnext-worker", "CONSUMER")
    assert batch.trace != told.id
    within = {span.name: span.attributes for span in collector.of(batch.trace)}
    assert within["transaction"]["db.system.name"] == "postgresql"
    assert within["ack"]["messaging.system"] == "nats"

    client.delete(f"/users/{USER}", headers=erased.headers).raise_for_status()
    ends = {"DELETE /users/{user_id}", "job erasure"}  # of either process, after all within them
    eventually(lambda: ends <= {span.name for span in collector.of(erased.id)}, seconds=30)
    spans = collector.of(erased.id)
    assert one(spans, "job erasure").parent in {span.id for span in spans}
    assert {span.service for span in spans} == {"upnext-api", "upnext-worker"}

    traces = {trace.id for trace in (watched, asked, erased)} | {batch.trace}
    assert {span.trace for span in collector.spans} == traces, "nobody asked for others"
    assert all(USER not in repr(span) for span in collector.spans), "users are not told of"


def _of_a_request(collector: Collector, trace: Trace, name: str) -> set[str]:
    """The systems that a request in that trace has called."""
    eventually(lambda: name in {span.name for span in collector.of(trace.id)})
    spans = collector.of(trace.id)
    server = one(spans, name)
    assert (server.service, server.kind, server.parent) == ("upnext-api", "SERVER", trace.span)
    ids = {span.id for span in spans}
    assert all(span is server or span.parent in ids for span in spans)
    calls = [span.attributes for span in spans if span.kind == "CLIENT"]
    return {call["db.system.name"] for call in calls}
