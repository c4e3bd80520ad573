"""Counted answers in memory (`api.ports.Ledger`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from core.quota import Report, Settled, Window


@dataclass(slots=True)
class Counts:
    """What the ledgers of several processes share; `clock` gives seconds."""

    clock: Callable[[], float] = monotonic
    windows: dict[str, Window] = field(default_factory=dict)
    recalls: list[str] = field(default_factory=list)


class MemoryLedger:
    """`Ledger` of one borrower over shared counts; never unavailable."""

    def __init__(self, borrower: str, counts: Counts | None = None) -> None:
        self._borrower = borrower
        self._counts = counts or Counts()
        self._read = len(self._counts.recalls)

    async def settle(self, reports: Sequence[Report]) -> list[Settled]:
        """Settle each, in order."""
        now_ms = int(self._counts.clock() * 1000)
        windows = self._counts.windows
        return [
            windows.setdefault(report.key, Window()).settle(self._borrower, report, now_ms)
            for report in reports
        ]

    async def recall(self, key: str) -> None:
        """Ask all borrowers to settle what they hold of this."""
        self._counts.recalls.append(key)

    async def recalled(self) -> list[str]:
        """What has been asked for since the last call."""
        news = self._counts.recalls[self._read :]
        self._read += len(news)
        return news
