"""What a message bus hands over, whichever bus it is."""

from datetime import datetime

import msgspec

from core.tracing import Trace


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it came.

    `position` names its place on the bus, the same at every delivery; `received_at` is when the
    bus got it, UTC; `deliveries` counts how often it was delivered, from 1; `handle` is the
    adapter's own; `trace` is that of its headers, kept only where traces are.
    """

    subject: str
    payload: bytes
    position: str
    received_at: datetime
    deliveries: int = 1
    handle: object = None
    trace: Trace = msgspec.field(default_factory=dict)
