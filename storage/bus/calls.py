"""What is measured of calls of a bus, and their spans; the same for all that we speak.

Waiting for messages is not measured: how long that takes is the senders' business.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from core.errors import Unavailable
from core.metrics import DEPENDENCY_ERRORS
from core.tracing import NO_TRACE, Trace, calling, extract, is_on

System = Literal["nats", "kafka"]

_BUS: Final = "bus"


def publishing(system: System, subject: str, message_id: str) -> calling:
    """A message is published, until the bus has it."""
    return calling(
        _BUS,
        f"send {subject}",
        **{
            "messaging.system": system,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": subject,
            "messaging.message.id": message_id,
        },
    )


def settling(system: System, count: int) -> calling:
    """Messages are acknowledged, until the bus has read it."""
    return calling(
        _BUS,
        "ack",
        **{
            "messaging.system": system,
            "messaging.operation.name": "ack",
            "messaging.operation.type": "settle",
            "messaging.batch.message_count": count,
        },
    )


@contextmanager
def receiving() -> Iterator[None]:
    """Messages are asked for: only that the bus does not answer is told."""
    try:
        yield
    except Unavailable:
        DEPENDENCY_ERRORS.labels(_BUS).inc()
        raise


def carried(headers: Mapping[str, str] | Sequence[tuple[str, bytes]] | None) -> Trace:
    """The trace that a message's headers carry, as NATS or Kafka has them, if anybody looks."""
    if not headers or not is_on():
        return NO_TRACE
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return extract(
        {
            name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in pairs
        }
    )
