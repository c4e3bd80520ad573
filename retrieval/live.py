"""What is in force in this process: the open versions, the live one, the ranking configuration.

A request takes each once and keeps it to its end; a swap is one assignment.
"""

from collections.abc import Collection

from core.types import RankingConfig
from embeddings.version import Version

LiveHandle = Version


class LiveModel:
    """The versions that are open, and which of them answers.

    `current` answers: the live version, or while that cannot be opened the one that was live
    before; None before the first. `missing` is the dependency for want of which the live version
    is not open, None when it is. `earlier` are the open versions that do not answer.
    """

    def __init__(self, current: LiveHandle | None = None) -> None:
        self.current = current
        self.missing: str | None = None
        self.earlier: tuple[LiveHandle, ...] = ()
        self._open = {} if current is None else {current.version: current}

    def open_versions(self) -> list[LiveHandle]:
        """What can be searched in this process, the live version first."""
        return sorted(self._open.values(), key=lambda version: version is not self.current)

    def get(self, version: str) -> LiveHandle | None:
        """The open version of that name."""
        return self._open.get(version)

    def add(self, handle: LiveHandle) -> None:
        """A version is open now, or open with other content: then it takes its own place."""
        self._open = {**self._open, handle.version: handle}
        if self.current is not None and self.current.version == handle.version:
            self.current = handle
        self._sort()

    def keep(self, versions: Collection[str]) -> bool:
        """Let go of all but these and the one that answers; whether there were others."""
        answering = self.current.version if self.current else None
        kept = {
            name: handle
            for name, handle in self._open.items()
            if name in versions or name == answering
        }
        fewer = len(kept) < len(self._open)
        self._open = kept
        self._sort()
        return fewer

    def swap(self, handle: LiveHandle | None) -> None:
        """Make this version live; the one before stays open until `keep` lets it go."""
        if handle is not None:
            self._open = {**self._open, handle.version: handle}
        self.current = handle
        self.missing = None
        self._sort()

    def _sort(self) -> None:
        """Kept, and not made for each request."""
        self.earlier = tuple(one for one in self._open.values() if one is not self.current)


class LiveConfig:
    """`current` is the ranking configuration in force; the defaults until one is read."""

    def __init__(self, current: RankingConfig | None = None) -> None:
        self.current = current or RankingConfig()
