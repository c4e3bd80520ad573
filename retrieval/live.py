"""What is in force in this process: the live version and the ranking configuration.

A request takes each once and keeps it to its end; a swap is one assignment.
"""

from core.types import RankingConfig
from embeddings.version import Version

LiveHandle = Version


class LiveModel:
    """`current` is the live version, None before the first; `previous` the one before it."""

    def __init__(self, current: LiveHandle | None = None) -> None:
        self.current = current
        self.previous: LiveHandle | None = None

    def open_versions(self) -> list[LiveHandle]:
        """What can be searched in this process, the live version first."""
        return [version for version in (self.current, self.previous) if version is not None]

    def swap(self, handle: LiveHandle | None) -> None:
        """Make this version live; the one before stays open, so that going back is quick."""
        if self.current is not None and handle is not self.current:
            self.previous = self.current
        self.current = handle


class LiveConfig:
    """`current` is the ranking configuration in force; the defaults until one is read."""

    def __init__(self, current: RankingConfig | None = None) -> None:
        self.current = current or RankingConfig()
