"""Kafka: how many events wait.

Clients of its own: a measure that fails, or takes long, must not cost the consumer its place in the
group.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from core.access import Access
from core.errors import Unavailable
from storage.bus.contract import CONNECT_SECONDS, CONSUMER
from storage.bus.kafka_link import Registry, mapped, options_of, started, stopped


class Lag:
    """Asks where the group stands and is no member of it; an answer is waited for `seconds`."""

    def __init__(self, url: str, how: Access, seconds: float) -> None:
        self._options = partial(options_of, url, how)
        self._registry = Registry(self._options, seconds)
        self._seconds = seconds
        self._client: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()

    async def waiting(self) -> int:
        """Messages behind the group's commits, in work or not. Raises `Unavailable`."""
        async with self._asking:
            try:
                with mapped():
                    return await self._count()
            except Unavailable:
                await self.close()
                raise

    async def close(self) -> None:
        """End the connections."""
        client, self._client = self._client, None
        await self._registry.close()
        if client is not None:
            await stopped(client)

    async def _count(self) -> int:
        places = [TopicPartition(*each) for each in await self._registry.consumed()]
        if self._client is None:
            client = AIOKafkaConsumer(
                **self._options(), group_id=CONSUMER, enable_auto_commit=False
            )
            await started(client, CONNECT_SECONDS)
            self._client = client
        async with asyncio.timeout(2 * self._seconds):
            starts = await self._client.beginning_offsets(places)
            ends = await self._client.end_offsets(places)
            done = await self._committed(self._client, places)
        # Below zero: what the broker has lost since (an election of a replica that lagged).
        return sum(max(0, ends[each] - max(starts[each], done[each])) for each in places)

    @staticmethod
    async def _committed(
        client: AIOKafkaConsumer, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """All asked for at once: one after the other they would take a round trip each."""
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(client.committed(place)) for place in places]
        except* (KafkaError, OSError) as failed:
            raise failed.exceptions[0] from failed
        return {place: task.result() or 0 for place, task in zip(places, asked, strict=True)}
