"""What is told of lists that were dropped."""

from collections.abc import Iterable
from typing import Protocol

from core.types import UserId


class Hearer(Protocol):
    """Whoever is told."""

    def drop(self, user_ids: Iterable[UserId]) -> None:
        """These users' lists were dropped, somewhere, just now."""
        ...

    def lose(self, why: str) -> None:
        """News may have been missed; until `follow` none arrive."""
        ...

    def follow(self) -> None:
        """From now on all news arrive."""
        ...
