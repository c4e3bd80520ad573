"""One log line when a dependency goes, one when it is back."""

from collections import defaultdict

import structlog

from core.errors import Unavailable

_log = structlog.get_logger(__name__)


class Outages:
    """Remembers which pieces of work fail, and for want of what."""

    def __init__(self) -> None:
        self._failing: dict[str, set[str]] = defaultdict(set)  # what is away -> pieces of work

    def failed(self, work: str, error: Exception) -> None:
        """A piece of work failed; what it was to renew stays as it is."""
        away = error.dependency if isinstance(error, Unavailable) else f"internal: {work}"
        self._back(work, but=away)
        if not self._failing[away]:
            fault = None if isinstance(error, Unavailable) else error
            _log.warning(
                "Renewal stopped; serving what is known and trying again.",
                dependency=away,
                work=work,
                reason=str(error),
                exc_info=fault,
            )
        self._failing[away].add(work)

    def succeeded(self, work: str) -> None:
        """A piece of work was done."""
        self._back(work, but=None)

    def _back(self, work: str, but: str | None) -> None:
        for away in [name for name, works in self._failing.items() if work in works]:
            if away == but:
                continue
            self._failing[away].discard(work)
            if not self._failing[away]:
                del self._failing[away]
                _log.info("Renewal goes on.", dependency=away, work=work)
