"""What every bus has in common: where events come in and go out, and how long things wait."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from core.errors import InvalidInput
from core.events import INCOMING
from core.messages import Message

STREAMS: Final = {"ANALYTICS": "analytics.>", "RECS": "recs.>"}
"""Streams of NATS and the subjects they keep: what comes in, and what we publish."""

EVENTS_STREAM: Final = "ANALYTICS"
EVENTS: Final = tuple(INCOMING.values())
"""Subjects, or topics, that the service consumes."""

CONSUMER: Final = "upnext"
"""The name that all workers consume under: a durable consumer of NATS, a group of Kafka."""

KEPT_SECONDS: Final = 7 * 86_400.0
"""How long a stream or topic that we make keeps its messages."""

REPEATS_SECONDS: Final = 120.0
"""How long NATS remembers message ids, so that a repeated one is dropped."""

CLOSE_SECONDS: Final = 2.0
"""How long a connection that is given up may take to end."""

CONNECT_SECONDS: Final = 5.0
"""How long a connection to Kafka may take: several answers, of several brokers."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers of the bus, and messages, are waited for, in seconds.

    `answer`: for one answer; less than `again`, or a bus that is slow gives to another what we work
    on. `first`: for a first message, when there is none. `again`: until the messages of a consumer
    that died are delivered to another. `held`: for how long a live one keeps a batch that it works
    on; then it is taken for stuck.
    """

    answer: float
    first: float = 1.0
    again: float = 5.0
    held: float = 60.0


class Bus(Protocol):
    """What we need of a message bus. Every method raises `Unavailable` when it does not answer."""

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        """Publish and wait until the bus has it.

        After `Unavailable`, which leaves open whether it arrived, publish it again: NATS drops the
        same `message_id` within two minutes, on Kafka it may be there twice. Messages of one `key`
        (else the id) are in one partition of Kafka, so in order; NATS keeps the order of all.

        Raises:
            InvalidInput: the bus takes no message of this size.
        """
        ...

    async def setup(self) -> dict[str, list[str]]:
        """Create the streams or topics, and the consumer, where they are missing.

        What is there stays as it is. The names of what is there now, by kind (`streams`, ...).
        """
        ...

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> int | None:
        """Delete the messages of a subject whose payload matches: how many; None if it cannot."""
        ...

    async def ping(self) -> None:
        """Ask for a sign of life."""
        ...

    async def version(self) -> str:
        """What one is talking to, such as `NATS 2.15.1 with JetStream`."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Events(Protocol):
    """The consumer's side of a bus (`ingest.ports.EventSource`)."""

    async def fetch(self, most: int) -> Sequence[Message]:
        """What waits, at most `most`; `Timing.first` is given for the first; empty when none."""
        ...

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are done; the count of what waits may follow a moment later."""
        ...

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Deliver these again, to whomever, after so many seconds."""
        ...

    async def waiting(self) -> int:
        """How many messages are not acknowledged, in work or not."""
        ...

    async def close(self) -> None:
        """End the connection; what is still held is delivered again, to others."""
        ...


def too_large(payload: bytes) -> InvalidInput:
    """The error for a message that a bus refuses for its size."""
    return InvalidInput(f"{len(payload):,} bytes are more than the bus takes in one message")
