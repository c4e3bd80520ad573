"""What the importers need of the stores."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.types import AddCounts, Interaction, UpsertCounts, UserId, Video


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
