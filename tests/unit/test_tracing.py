"""What spans there are, whose they are, and what they never say."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
)
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from api.auth import TokenVerifier
from api.http import application
from core import tracing
from core.clock import utc_now
from core.errors import InvalidInput, SetupError, Unavailable
from core.messages import Message
from core.settings import traces_are_wanted
from core.tracing import extract
from ingest.tracing import MOST_LINKS, traces_of
from storage.breaker import Breaker
from tests.asking import SECRET, bearer
from tests.polling import eventually
from tests.serving import NAMES, World
from tests.spans import CALLER, UNSAMPLED, Spans, context_of, recorded

pytestmark = pytest.mark.unit
ANN = bearer("ann", "user")
ENDPOINT, EXPORTER = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"
PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
NOWHERE = "http://127.0.0.1:1"

Client = TestClient[Litestar]


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recorded() as spans:
        yield spans


def test_a_request_is_a_span_of_its_callers_trace(
    spans: Spans, world: World, client: Client
) -> None:
    asyncio.run(world.watched("ann", *NAMES[:6]))
    client.get("/recs/ann?limit=3", headers={**ANN, "traceparent": CALLER})
    server = spans.one("GET /recs/{user_id}")
    assert server.kind is SpanKind.SERVER
    assert server.parent is not None
    assert server.parent.is_remote
    assert CALLER[3:52] == f"{context_of(server).trace_id:032x}-{server.parent.span_id:016x}"
    assert dict(server.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/recs/{user_id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    below = spans.below(server)
    assert {"state", "nearest", "similar", "trending", "popular", "new"} <= {*below}
    assert below[-2:] == ["merge", "rank"]
    assert all("ann" not in str(span.attributes) for span in spans.all())


def test_a_finished_answer_is_a_span_too(spans: Spans) -> None:
    world = World(local_bytes=1_000_000)
    asyncio.run(world.watched("ann", *NAMES[:6]))
    with TestClient(application(world.compose, TokenVerifier(SECRET))) as client:
        for _ in range(3):
            client.get("/recs/ann?limit=3", headers=ANN)
    [first, *others] = [span for span in spans.all() if span.kind is SpanKind.SERVER]
    assert "rank" in spans.below(first)
    for span in others:
        assert span.name == "GET /recs/{user_id}"
        assert spans.below(span) == []


@pytest.mark.parametrize("path", ["/nowhere/ann", "/videos/ann/similar"])
def test_the_path_and_a_strange_method_are_not_told(
    spans: Spans, client: Client, path: str
) -> None:
    client.request("BREW", path, headers=ANN)
    [server] = spans.all()
    assert server.name.startswith("_OTHER")
    assert "ann" not in f"{server.name} {server.attributes}"
    assert "BREW" not in f"{server.name} {server.attributes}"


def test_what_fails_here_is_an_error_and_a_wrong_request_is_none(
    spans: Spans, world: World, client: Client
) -> None:
    client.get("/recs/ann?limit=none", headers=ANN)
    world.history.away = True
    client.post("/users/ann/watch-history", json={"content_id": NAMES[0]}, headers=ANN)
    wrong, failed = [span for span in spans.all() if span.kind is SpanKind.SERVER]
    assert wrong.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "503"


def test_the_callers_decision_is_kept_to(world: World, client: Client) -> None:
    for sampler in (ALWAYS_ON, ALWAYS_OFF):
        with recorded(ParentBased(sampler)) as spans:
            client.get("/recs/ann", headers={**ANN, "traceparent": UNSAMPLED})
            assert spans.all() == []
            client.get("/recs/bob", headers={**bearer("bob", "user"), "traceparent": CALLER})
            assert "rank" in spans.names()
    del world


def test_a_share_of_all_is_decided_by_the_trace_and_once() -> None:
    with recorded(ParentBasedTraceIdRatio(0.5)) as spans:
        for _ in range(400):
            with tracing.root("request", kind="server"):
                pass
    assert 140 <= len(spans.all()) <= 260
    assert all(context_of(span).trace_id & 2**64 - 1 < 2**63 for span in spans.all())


def test_without_a_trace_there_are_no_spans(spans: Spans) -> None:
    with tracing.span("alone"), tracing.stage("rank"), tracing.calling("redis", "GET"):
        assert tracing.inject() == {}
    assert spans.all() == []


def test_what_is_done_aside_is_not_seen_but_sent_along(spans: Spans) -> None:
    with tracing.root("job", kind="consumer"):
        here = tracing.inject()["traceparent"]
        with tracing.aside(), tracing.span("beat"):
            assert tracing.inject()["traceparent"][:52] == here[:52]
    assert spans.names() == ["job"]


def test_an_error_is_told_by_its_kind_and_never_in_its_words(spans: Spans) -> None:
    with pytest.raises(InvalidInput), tracing.root("job", kind="consumer"):
        raise InvalidInput("ann has watched too much")
    job = spans.one("job")
    assert job.status.status_code is StatusCode.ERROR
    assert job.attributes == {"error.type": "InvalidInput"}
    assert job.events == ()


def test_what_is_linked_to_something_recorded_is_recorded() -> None:
    with recorded(ParentBased(ALWAYS_OFF)) as spans:
        for links in ([], [extract({"traceparent": UNSAMPLED})]):
            with tracing.root("unseen", kind="consumer", links=links):
                pass
        seen = extract({"traceparent": CALLER, "tracestate": "a=b"})
        with tracing.root("seen", kind="consumer", links=[seen]):
            pass
    [batch] = spans.all()
    assert batch.name == "seen"
    assert batch.parent is None
    [link] = batch.links
    assert f"{link.context.trace_id:032x}" == CALLER[3:35] != f"{context_of(batch).trace_id:032x}"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": 7},
        {"traceparent": ""},
        {"traceparent": "ff" + CALLER[2:]},
        {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
        {"traceparent": CALLER.upper()},
        {"traceparent": CALLER + "\n"},
        {"traceparent": [CALLER]},
    ],
)
def test_what_is_not_well_formed_is_no_trace(headers: dict[str, Any]) -> None:
    assert extract(headers) == {}


def test_a_strange_state_does_not_cost_the_trace() -> None:
    for state in (7, "", "x" * 513, "é=1"):
        assert extract({"traceparent": CALLER, "tracestate": state}) == {"traceparent": CALLER}


def message(payload: bytes, **headers: str) -> Message:
    return Message(
        subject="s", payload=payload, position="1", received_at=utc_now(), trace=extract(headers)
    )


def test_messages_carry_their_trace_in_the_event_or_beside_it(spans: Spans) -> None:
    assert spans.all() == []
    other = CALLER.replace("b7ad", "c7ad")
    own = f'{{"traceparent": "{other}"}}'.encode()
    assert [*traces_of([message(own, traceparent=CALLER)])] == [{"traceparent": other}]
    for payload in (b"{", b"[]", b'{"traceparent": {"a": 1}}', b"\xff", b"[" * 10_000):
        assert [*traces_of([message(payload, traceparent=CALLER)])] == [{"traceparent": CALLER}]
        assert [*traces_of([message(payload)])] == []
    many = [message(b"{}", traceparent=f"00-{1:032x}-{n:016x}-00") for n in range(1, 300)]
    found = traces_of([*many, *many, message(own)])
    assert found[0] == {"traceparent": other}, "one that somebody will see goes first"
    assert len(found) == MOST_LINKS


async def test_calls_are_measured_with_and_without_traces() -> None:
    async def answers() -> None:
        """Is there."""

    def seen(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"dependency": "postgres"}) or 0.0

    names = "upnext_dependency_seconds_count", "upnext_dependency_errors_total"
    breaker = Breaker("postgres", answers, failures=2, pause_seconds=60)
    calls, errors = map(seen, names)
    with breaker.calling("reading"):
        pass
    with pytest.raises(InvalidInput), breaker.calling("reading"):
        raise InvalidInput("no fault of its own")
    with pytest.raises(Unavailable), breaker.calling("reading"):
        raise Unavailable("redis")
    assert (seen(names[0]) - calls, seen(names[1]) - errors) == (3, 0)
    for _ in range(2):
        with pytest.raises(Unavailable), breaker.calling("reading"):
            raise Unavailable("postgres")
    assert (seen(names[0]) - calls, seen(names[1]) - errors) == (5, 2)
    with pytest.raises(Unavailable), breaker.calling("reading"):
        raise AssertionError("it is open")
    assert (seen(names[0]) - calls, seen(names[1]) - errors) == (5, 3), "which takes no time"
    await breaker.close()


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of traces yet."""
    for name in (ENDPOINT, PROTOCOL, EXPORTER, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, None),
        ({ENDPOINT: " "}, None),
        ({ENDPOINT: NOWHERE}, "otlp-http"),
        ({ENDPOINT: NOWHERE, PROTOCOL: "grpc"}, "otlp-grpc"),
        ({ENDPOINT: NOWHERE, "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({ENDPOINT: NOWHERE, EXPORTER: "none"}, None),
        ({EXPORTER: "otlp"}, "otlp-http"),
        ({EXPORTER: "console"}, "console"),
    ],
)
def test_the_standard_variables_say_where_spans_go(
    variables: pytest.MonkeyPatch, given: dict[str, str], wanted: str | None
) -> None:
    for name, value in given.items():
        variables.setenv(name, value)
    assert traces_are_wanted() == wanted


@pytest.mark.parametrize(
    "given",
    [
        {EXPORTER: "zipkin"},
        {EXPORTER: "otlp", PROTOCOL: "http/json"},
        {EXPORTER: "console", "OTEL_BSP_MAX_QUEUE_SIZE": "0"},
    ],
)
def test_what_cannot_be_used_is_refused(
    variables: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        variables.setenv(name, value)
    with pytest.raises(SetupError, match="OTEL_"):
        tracing.configure("upnext-test")
    assert not tracing.is_on()


def test_nobody_waits_for_a_collector_that_hangs(variables: pytest.MonkeyPatch) -> None:
    before = _lost()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        variables.setenv(ENDPOINT, f"http://127.0.0.1:{hanging.getsockname()[1]}")
        variables.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        variables.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")  # for 2,000 of them, 200 s
        began = time.monotonic()
        with capture_logs() as lines, tracing.traced("upnext-test"):
            for _ in range(2_000):
                with tracing.root("request", kind="server"):
                    pass
            eventually(lambda: _lost() - before > 1_024, seconds=30)
    assert time.monotonic() - began < 60
    assert [line["log_level"] for line in lines] == ["warning"]
    assert logging.getLogger("opentelemetry").level == logging.CRITICAL


def _lost() -> float:
    return REGISTRY.get_sample_value("upnext_spans_lost_total") or 0.0


def test_off_nothing_that_makes_or_sends_spans_is_loaded() -> None:
    code = (
        "import sys, api.app, upnext.worker; from core import tracing; tracing.configure('x');"
        "print(sorted({'core.otel', 'opentelemetry.sdk.trace', 'opentelemetry.exporter'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
