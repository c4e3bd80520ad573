"""The loop that takes events off a bus: fetch, commit, bring the caches up to date, acknowledge."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, Protocol

import structlog

from core.errors import Unavailable
from core.messages import Message
from core.metrics import (
    EVENT_BATCH_SECONDS,
    EVENT_NEWEST,
    EVENT_OUTCOMES,
    EVENTS,
    EVENTS_WAITING,
)
from core.tracing import root
from ingest.handling import Outcome
from ingest.ports import EventSource
from ingest.tracing import traces_of

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 2.0
LAG_SECONDS: Final = 5.0
_PROCESS: Final = {
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.consumer.group.name": "upnext",
}

log = structlog.get_logger(__name__)


class BatchHandler(Protocol):
    """What is done with a batch."""

    async def handle(self, messages: Sequence[Message]) -> Outcome:
        """All that must be done before a batch counts as done; it bears repeating.

        Raises:
            Unavailable: a dependency is away: give the batch once more.
        """
        ...


class Consumer:
    """Consumes until cancelled. A batch whose handling fails is put back, however often.

    The pauses between attempts grow to `LONGEST_PAUSE_SECONDS`; nobody loses their turn for an
    outage, and none of it is the events' fault.
    """

    def __init__(
        self,
        source: EventSource,
        handler: BatchHandler,
        most: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._handler = handler
        self._most = most
        self._sleep = sleep
        self._pause = 0.0
        self._away: str | None = None

    async def run(self) -> None:
        """Consume for ever."""
        while True:
            try:
                done = await self.step()
            except Unavailable as error:
                if self._away is None:
                    log.warning("Waiting for a dependency.", work="events", reason=str(error))
                self._away = error.dependency
            except Exception:
                log.exception("A batch of events failed.", again_in=self._next_pause())
            else:
                if done or self._away == "bus":  # that nothing came says nothing of the others
                    self._go_on()
                continue
            self._pause = self._next_pause()
            await self._sleep(self._pause)

    async def step(self) -> bool:
        """One batch, from the bus to its acknowledgement; whether one came.

        Raises:
            Unavailable: of the bus, or of what the handler needs: then the batch is put back.
        """
        messages = await self._source.fetch(self._most)
        if not messages:
            return False
        links = traces_of(messages)
        with root("process analytics", kind="consumer", links=links, attributes=_PROCESS) as span:
            span.set("messaging.batch.message_count", len(messages))
            await self._process(messages)
        return True

    async def _process(self, messages: Sequence[Message]) -> None:
        began = monotonic()
        try:
            outcome = await self._handler.handle(messages)
        except Exception:
            await self._put_back(messages)
            raise
        await self._source.acknowledge(messages)
        _measure(messages, outcome, monotonic() - began)

    def _go_on(self) -> None:
        if self._away is not None:
            log.info("The dependency is back.", work="events")
        self._away, self._pause = None, 0.0

    async def follow_lag(self) -> None:
        """Measure how many events wait, every few seconds, for ever."""
        while True:
            try:
                EVENTS_WAITING.set(await self._source.waiting())
            except Unavailable as error:  # whoever consumes says it louder
                log.debug("lag_not_measured", reason=str(error))
            except Exception:
                log.exception("The lag of events could not be measured.")
            await self._sleep(LAG_SECONDS)

    async def _put_back(self, messages: Sequence[Message]) -> None:
        try:
            await self._source.put_back(messages, self._next_pause())
        except Unavailable as error:  # the bus delivers them again by itself, some seconds later
            log.debug("events_not_put_back", reason=str(error))

    def _next_pause(self) -> float:
        return min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


def _measure(messages: Sequence[Message], outcome: Outcome, seconds: float) -> None:
    EVENT_BATCH_SECONDS.observe(seconds)
    EVENT_NEWEST.set(max(message.received_at for message in messages).timestamp())
    for kind, count in (("VideoWatched", outcome.watches), ("VideoRated", outcome.ratings)):
        if count:
            EVENTS.labels(kind).inc(count)
    for name in ("accepted", "duplicates", "erased", "dead"):
        if count := getattr(outcome, name):
            EVENT_OUTCOMES.labels(name).inc(count)
    if outcome.dead:
        log.warning(
            "Events went to the dead letters: `upnext bus dead-letters list`.", count=outcome.dead
        )
