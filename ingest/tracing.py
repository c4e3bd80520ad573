"""The traces that messages come from."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from core.messages import Message
from core.tracing import Trace, extract, is_on

MOST_LINKS: Final = 128  # what OpenTelemetry keeps of a span's by default


class _Carried(msgspec.Struct):
    """CloudEvents' extension for distributed tracing; whatever it holds, an event is taken."""

    traceparent: Any = None
    tracestate: Any = None


_decoder: Final = msgspec.json.Decoder(_Carried)


def traces_of(messages: Iterable[Message]) -> Sequence[Trace]:
    """Where these messages were sent, each once and sampled ones first, at most `MOST_LINKS`."""
    if not is_on():
        return ()
    found = {trace["traceparent"]: trace for trace in map(_trace_of, messages) if trace}
    return sorted(found.values(), key=_is_sampled, reverse=True)[:MOST_LINKS]


def _trace_of(message: Message) -> Trace:
    """The event's own attributes go before the headers of its last way."""
    try:
        own = _decoder.decode(message.payload)
    except (ValueError, RecursionError):  # it is no event
        return message.trace
    return extract({"traceparent": own.traceparent, "tracestate": own.tracestate}) or message.trace


def _is_sampled(trace: Trace) -> int:
    return int(trace["traceparent"][53:55], 16) & 1
