"""Events that wait for the bus: written with their cause, published in order, at least once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec
import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.errors import InvalidInput, Unavailable
from core.events import SUBJECTS, Event, TracedEvent
from core.tracing import NO_TRACE, Trace
from storage.postgres.engine import budget_of, transaction
from storage.postgres.traces import keep_trace, traces_of

_PAGE = 100
_log = structlog.get_logger(__name__)

_APPEND = text(
    "INSERT INTO outbox (message_id, type, data) VALUES (:id, :type, CAST(:data AS jsonb))"
)
_WAIT = text("SELECT pg_advisory_xact_lock(hashtext('upnext outbox relay'))")
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('upnext outbox relay'))")
WAITING = text(
    f"""
    SELECT id, message_id, type, data, created_at FROM outbox
    WHERE published_at IS NULL ORDER BY id LIMIT {_PAGE}
    """  # noqa: S608 (a constant)
)
_MARK = text("UPDATE outbox SET published_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))")
_PRUNE = text("DELETE FROM outbox WHERE published_at < :before")


class Publisher(Protocol):
    """The side of the bus that the relay needs."""

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        """Publish and wait until the bus has it; those of one key stay in their order.

        Raises:
            InvalidInput: the message is larger than the bus takes.
            Unavailable: the bus may or may not have it: publish it again with the same id.
        """
        ...


async def append(connection: AsyncConnection, event: Event) -> None:
    """Write an event in the caller's transaction: it is published when that commits."""
    await append_many(connection, [event])


async def append_many(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """As `append`, of several, in their order and sent together."""
    rows = [
        {
            "id": uuid4(),
            "type": type(event).__name__,
            "data": msgspec.json.encode(event).decode(),
        }
        for event in events
    ]
    if rows:
        await connection.execute(_APPEND, rows)
        await keep_trace(connection, [str(row["id"]) for row in rows])


async def wait_for_relay(connection: AsyncConnection) -> None:
    """Wait until no relay has events in hand; none takes any before the transaction ends."""
    await connection.execute(_WAIT)


class PostgresOutbox:
    """The relay's side of the table `outbox`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def relay(self, bus: Publisher) -> int:
        """Publish what waits, at most 100 events; how many went out.

        Sending ends after half of the transaction's time, so that what went out can be marked. One
        relay works at a time, any other gets 0. Killed between publishing and marking, the next
        one publishes the same events with the same ids. An event that is too large for the bus is
        logged and passed over: it would hold up all that come after it.

        Raises:
            Unavailable: the bus is away, or too slow for one event: what went out before is
                marked. Or the database is away: what went out is published again.
        """
        budget = budget_of(self._engine)
        async with transaction(self._engine) as connection:
            if not await connection.scalar(_LOCK):
                return 0
            rows = (await connection.execute(WAITING)).all()
            traces = await traces_of(connection, [str(row.message_id) for row in rows])
            sent: list[int] = []
            failure: Unavailable | None = None
            try:
                async with asyncio.timeout(budget and budget / 2):
                    for row in rows:
                        await _publish(bus, row, traces.get(str(row.message_id), NO_TRACE))
                        sent.append(row.id)
            except TimeoutError:
                failure = None if sent else Unavailable("bus", "the bus is too slow")
            except Unavailable as error:
                failure = error  # raised below, after what did go out is marked
            await connection.execute(_MARK, {"ids": sent})
        if failure:
            raise failure
        return len(sent)

    async def prune(self, before: datetime) -> int:
        """Forget events published before `before`; how many. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            return (await connection.execute(_PRUNE, {"before": before})).rowcount


async def _publish(bus: Publisher, row: Row[Any], trace: Trace) -> None:
    """Publish an event that tells its cause; a span for each try would be many while none helps."""
    message_id, key = str(row.message_id), row.data.get("model_id")
    try:
        await bus.publish(SUBJECTS[row.type], message_id, _envelope(row, trace), key)
    except InvalidInput as error:
        _log.error("An event stays here.", id=message_id, type=row.type, reason=str(error))


def _envelope(row: Row[Any], trace: Trace) -> bytes:
    event = TracedEvent(
        **trace,
        id=str(row.message_id),
        type=row.type,
        time=row.created_at,
        data=msgspec.Raw(msgspec.json.encode(row.data)),
    )
    return msgspec.json.encode(event)
