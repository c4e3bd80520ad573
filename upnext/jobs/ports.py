"""What jobs need of the stores."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.types import Hits, UserId


class VectorWriter(Protocol):
    """Collections of vectors, written by jobs; blocking, one writer to a collection at a time.

    Every method raises `Unavailable` when the index does not answer or lacks the collection.
    """

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        ...

    def create(self, collection: str, dim: int) -> None:
        """An empty collection of vectors (dim,), in place of one of that name."""
        ...

    def insert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """Write rows (n, d) whose ids the collection lacks; yields the rows written so far.

        Nothing is written that is not iterated.
        """
        ...

    def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """As `insert`, over the rows of the same ids."""
        ...

    def seal(self, collection: str) -> None:
        """Make every row written before searchable, fast. May be called again after writes."""
        ...

    def count(self, collection: str) -> int:
        """Rows of a sealed collection."""
        ...

    def scan(self, collection: str) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """All rows of a sealed collection in pages: ids and vectors, float32 (len(ids), d)."""
        ...

    def lacking(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that a sealed collection does not have, in their order."""
        ...

    def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """As `retrieval.ports.VectorSearch.search`, seeing all that was sealed before."""
        ...

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete rows of a sealed collection; an id that is not there is no error."""
        ...

    def drop(self, collection: str) -> None:
        """Drop a collection; none is no error."""
        ...


class LetterStore(Protocol):
    """Where dead letters are kept."""

    async def erase(self, user_id: UserId) -> int:
        """Delete those of a user, and announcements that wait; how many. Raises `Unavailable`."""
        ...


class MessageStore(Protocol):
    """A bus, as far as it keeps messages."""

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> int | None:
        """Delete messages that match: how many; None if it cannot. Raises `Unavailable`."""
        ...
