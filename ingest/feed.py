"""What every reader hands to the importer: rows and rejects in order, and how far it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.types import Interaction, Video
from ingest.report import Reject

Item = TypeVar("Item", Video, Interaction)


@dataclass(frozen=True)
class Feed(Generic[Item]):
    """Rows of one file, read as they are asked for.

    `items` yields good rows and rejects in the order of the file; `fraction` says how much of the
    file was read, 0..1.
    """

    file: str
    items: Iterable[Item | Reject]
    fraction: Callable[[], float]


class Meter:
    """How much of a known amount is done."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0

    def fraction(self) -> float:
        """0..1; an empty file is done from the start."""
        return min(self.done / self.total, 1.0) if self.total else 1.0
