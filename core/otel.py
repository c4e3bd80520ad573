"""The side of `core.tracing` that is there only while spans are sent: OpenTelemetry's SDK.

Names and attributes follow its semantic conventions. The SDK reads the standard variables itself:
where to send, how much to sample, how long the queue is, what the service is called.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from threading import Thread, local
from types import TracebackType
from typing import Final, Self

import structlog
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from core.errors import SetupError
from core.metrics import SPANS_LOST
from core.tracing import Attribute, Entered, Kind, Trace, Unrecorded

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_FAILED: Final = Status(StatusCode.ERROR)
_NOWHERE: Final = Context()
_W3C: Final = TraceContextTextMapPropagator()

_log = structlog.get_logger("upnext.traces")


def sending(service: str, exporter: str) -> "Tracer":
    """A tracer whose spans go out in batches, from a queue of bounded length, by a thread.

    Args:
        service: its name, unless the environment has one.
        exporter: `otlp-http`, `otlp-grpc` or `console`.

    Raises:
        SetupError: a standard variable has a value that cannot be used.
    """
    # It tells of every batch that was not taken, with a traceback; `_Told` says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    named = OTELResourceDetector().detect().attributes
    try:
        provider = TracerProvider(
            resource=Resource.create({"service.name": service, **named}), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(_Told(_exporter(exporter))))
    except (ValueError, OSError) as error:
        raise SetupError(f"Traces cannot be sent: {error}. See the OTEL_* variables.") from error
    return Tracer(provider)


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(out=sys.stderr)
    if name == "otlp-grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter as OverGrpc,
        )

        return OverGrpc()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as OverHttp,
    )

    return OverHttp()


class Tracer:
    """`core.tracing.Tracer` over a provider of the SDK."""

    def __init__(self, provider: TracerProvider) -> None:
        if isinstance(provider.sampler, ParentBased):
            provider.sampler = _AsItsLinks(provider.sampler)
        self._provider = provider
        self._sampler = provider.sampler
        self._ids = provider.id_generator = _Drawn()
        self._start = provider.get_tracer("upnext").start_span

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Attribute]) -> "_Live | None":
        """See `core.tracing.Tracer`."""
        if not trace.get_current_span().is_recording():
            return None
        return _Live(lambda: self._start(name, kind=_KINDS[kind], attributes=attributes))

    def root(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Attribute],
        *,
        caused_by: Trace,
        links: Sequence[Trace],
    ) -> Entered:
        """See `core.tracing.Tracer`.

        Most requests are not sampled. What the sampler turns down is not begun: a span of the SDK
        that is not recorded costs as much again as a finished list.
        """
        above = _W3C.extract(caused_by, _NOWHERE) if caused_by else _NOWHERE
        if not links and self._turned_down(above, name, _KINDS[kind]):
            return _Unseen(above)
        linked = [trace.Link(_where(each)) for each in links]
        return _Live(
            lambda: self._start(name, above, kind=_KINDS[kind], attributes=attributes, links=linked)
        )

    def _turned_down(self, above: Context, name: str, kind: SpanKind) -> bool:
        caller = trace.get_current_span(above).get_span_context()
        trace_id = caller.trace_id if caller.is_valid else self._ids.draw()
        return self._sampler.should_sample(above, trace_id, name, kind).decision is Decision.DROP

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See `core.tracing.Tracer`."""
        unseen = trace.NonRecordingSpan(trace.get_current_span().get_span_context())
        token = context.attach(trace.set_span_in_context(unseen))
        try:
            yield
        finally:
            context.detach(token)

    def current(self) -> dict[str, str]:
        """See `core.tracing.Tracer`."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier

    def close(self, seconds: float) -> None:
        """See `core.tracing.Tracer`; a collector that does not answer is not waited for longer."""
        closing = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(seconds)


def _where(each: Trace) -> trace.SpanContext:
    return trace.get_current_span(_W3C.extract(each, _NOWHERE)).get_span_context()


class _Live:
    """A span from its beginning to its end, and the one under way meanwhile."""

    __slots__ = ("_begin", "_span", "_token")
    _span: trace.Span
    _token: Token[Context]

    def __init__(self, begin: Callable[[], trace.Span]) -> None:
        self._begin = begin

    def __enter__(self) -> Self:
        self._span = self._begin()
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        context.detach(self._token)
        if kind is not None and error is not None:
            self.failed(kind.__qualname__)  # never its message, which may name a user
        self._span.end()

    @property
    def recorded(self) -> bool:
        """See `core.tracing.Span`."""
        return self._span.is_recording()

    def set(self, name: str, value: Attribute) -> None:
        """See `core.tracing.Span`."""
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        """See `core.tracing.Span`."""
        self._span.update_name(name)

    def failed(self, error_type: str) -> None:
        """See `core.tracing.Span`."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(_FAILED)


class _Unseen(Unrecorded):
    """A part of a trace that is not recorded: it is only passed on."""

    __slots__ = ("_above", "_token")
    _token: Token[Context]

    def __init__(self, above: Context) -> None:
        self._above = above

    def __enter__(self) -> Self:
        self._token = context.attach(self._above)
        return self

    def __exit__(self, *_: object) -> None:
        context.detach(self._token)


class _Drawn(RandomIdGenerator):
    """Gives a root the id that was drawn for it, by which it was decided to record it."""

    def __init__(self) -> None:
        self._drawn = local()

    def draw(self) -> int:
        """The id of the next root of this thread."""
        self._drawn.id = super().generate_trace_id()
        return int(self._drawn.id)

    def generate_trace_id(self) -> int:
        """See the SDK's `IdGenerator`."""
        drawn: int | None = self._drawn.__dict__.pop("id", None)
        return super().generate_trace_id() if drawn is None else drawn


class _AsItsLinks(Sampler):
    """Records what is linked to something recorded; all else as another sampler has it.

    The spans of a batch of messages have no parent: one of a sampled trace would end at the bus.
    """

    def __init__(self, other: Sampler) -> None:
        self._other = other

    def should_sample(  # noqa: PLR0917 - the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See the SDK's `Sampler`."""
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._other.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """See the SDK's `Sampler`."""
        return f"AsItsLinks{{{self._other.get_description()}}}"


class _Told(SpanExporter):
    """Another exporter, whose failing and whose recovery are a line in the log each."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See the SDK's `SpanExporter`."""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed:
            SPANS_LOST.inc(len(spans))
        if failed is not self._failing:
            self._failing = failed
            if failed:
                _log.warning("Spans are lost: the collector does not take them.")
            else:
                _log.info("The collector takes spans again.")
        return result

    def shutdown(self) -> None:
        """See the SDK's `SpanExporter`."""
        self._exporter.shutdown()
