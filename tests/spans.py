"""Spans kept in this process's memory, to be looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanContext

from core import tracing
from core.otel import Tracer

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-1] + "0"


@dataclass
class Spans:
    """What has ended so far."""

    kept: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def all(self) -> list[ReadableSpan]:
        """Every span, in the order of their ends."""
        return list(self.kept.get_finished_spans())

    def names(self) -> list[str]:
        """Their names."""
        return [span.name for span in self.all()]

    def one(self, name: str) -> ReadableSpan:
        """The only span of that name."""
        [found] = [span for span in self.all() if span.name == name]
        return found

    def below(self, parent: ReadableSpan) -> list[str]:
        """Names of the spans directly below one."""
        above = context_of(parent).span_id
        return [span.name for span in self.all() if span.parent and span.parent.span_id == above]


def context_of(span: ReadableSpan) -> SpanContext:
    """Where a span stands."""
    where: SpanContext | None = span.context
    assert where is not None
    return where


def header_of(span: ReadableSpan) -> str:
    """Where a sampled span stands, as it travels."""
    where = context_of(span)
    return f"00-{where.trace_id:032x}-{where.span_id:016x}-01"


@contextmanager
def recorded(sampler: Sampler | None = None) -> Iterator[Spans]:
    """Spans are made for the time of the block, and kept."""
    spans = Spans()
    provider = TracerProvider(sampler=sampler or ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans.kept))
    before = tracing.use(Tracer(provider))
    try:
        yield spans
    finally:
        tracing.use(before)
