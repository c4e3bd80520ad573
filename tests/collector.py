"""A collector of traces: takes OTLP over HTTP on a port of its own and keeps what it gets."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Got:
    """A span, by ids in hexadecimal; `service` sent it, `links` are traces that it is linked to."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    links: tuple[str, ...]


class Trace:
    """A caller's trace, sampled."""

    def __init__(self) -> None:
        self.id, self.span = secrets.token_hex(16), secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.span}-01"}


@dataclass
class Collector:
    """Where it is, and what has come so far."""

    address: str = ""
    spans: list[Got] = field(default_factory=list)

    def of(self, trace: str) -> list[Got]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]

    def take(self, body: bytes) -> None:
        """Read a request."""
        request = ExportTraceServiceRequest.FromString(body)
        for part in request.resource_spans:
            service = _said(part.resource.attributes)["service.name"]
            for scope in part.scope_spans:
                self.spans += [_got(service, span) for span in scope.spans]


def _got(service: str, span: Span) -> Got:
    return Got(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_said(span.attributes),
        links=tuple(link.trace_id.hex() for link in span.links),
    )


def _said(pairs: Iterator[KeyValue]) -> dict[str, str]:
    """Attributes, each as text."""
    return {
        pair.key: str(getattr(pair.value, pair.value.WhichOneof("value") or "string_value"))
        for pair in pairs
    }


@contextmanager
def collecting(environment: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector for the time of the block, of traces that callers ask for.

    Processes that are started within send there.
    """
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.address = f"http://127.0.0.1:{server.server_port}"
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
