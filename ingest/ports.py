"""What the importers and the consumer need of the stores and the bus."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.dead_letters import Refused
from core.messages import Message
from core.types import AddCounts, Interaction, UpsertCounts, UserId, Video
from core.watch_shares import WatchShares


class VideoStore(Protocol):
    """The catalogue's truth."""

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        """Write videos in one transaction; the last of equal ids wins; replicas hear of it.

        Raises:
            Unavailable: nothing was written.
        """
        ...


class InteractionStore(Protocol):
    """The history's truth."""

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        """Write interactions, counters and users in one transaction, each key at most once ever.

        Raises:
            Unavailable: nothing was written.
        """
        ...


class StateCache(Protocol):
    """What is derived from a user's history and must not outlive a change of it."""

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists; from now on, refuse what is older than `revisions`.

        Raises:
            Unavailable: some may still be there.
        """
        ...


class WatchSharesReader(Protocol):
    """How far videos are watched, as it was counted last."""

    async def read(self) -> list[WatchShares]:
        """Of every bucket that has enough watches, the shortest first. Raises `Unavailable`."""
        ...


class EventSource(Protocol):
    """The consumer's side of a bus; every method raises `Unavailable` while the bus is away.

    Messages come in batches and belong to whoever fetched them until they are acknowledged or put
    back. Those of a consumer that died are delivered again, to any, within seconds.
    """

    async def fetch(self, most: int) -> Sequence[Message]:
        """What waits, at most `most`; about a second is given for the first; empty when none."""
        ...

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are done: they are not delivered again."""
        ...

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Deliver these again, to whomever, after so many seconds."""
        ...

    async def waiting(self) -> int:
        """How many messages are not acknowledged yet."""
        ...

    async def close(self) -> None:
        """Give up the connection; what was fetched and not acknowledged is delivered again."""
        ...


class DeadLetters(Protocol):
    """Where events are kept that could not be taken."""

    async def keep(self, refused: Sequence[Refused]) -> int:
        """Keep each once, by its place on the bus, and announce it, in one transaction.

        Returns:
            How many were left out, because they name users who were erased.

        Raises:
            Unavailable: nothing was kept.
        """
        ...


class Drops(Protocol):
    """What was made of a user's older history."""

    async def drop(self, revisions: Mapping[UserId, int]) -> bool:
        """Drop these users' states and lists; whether now, or surely later as the cache is away.

        Raises:
            Unavailable: neither, for PostgreSQL is away too.
        """
        ...


class OwedDrops(Protocol):
    """Drops that wait for the cache, where they outlive the process; all raise `Unavailable`."""

    async def owe(self, revisions: Mapping[UserId, int]) -> None:
        """Note users, each with the newest revision; not those who were erased."""
        ...

    async def owed(self, most: int) -> dict[UserId, int]:
        """Some of what is owed, at most so many."""
        ...

    async def settle(self, revisions: Mapping[UserId, int]) -> None:
        """These were dropped; whoever has a newer revision is still owed."""
        ...
