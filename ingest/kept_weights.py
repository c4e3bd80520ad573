"""The weights of watches as they were counted last, at hand without waiting."""

import asyncio

import structlog

from core.errors import Unavailable
from ingest.ports import WatchSharesReader
from ingest.weights import PLAIN, WatchWeights

RENEW_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class KeptWeights:
    """What a process weighs watches by: the plain share until `renew` or `run` has read more.

    `asked` is set once `run` has asked for the first time, whatever the answer was.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._weights = PLAIN
        self._away = False

    def current(self) -> WatchWeights:
        """The weights that were read last."""
        return self._weights

    async def renew(self, store: WatchSharesReader) -> None:
        """Read what was counted. Raises `Unavailable`; what was read before stays."""
        self._weights = WatchWeights.of(await store.read())

    async def run(self, store: WatchSharesReader, seconds: float = RENEW_SECONDS) -> None:
        """Renew at once and every so many seconds, until cancelled, whatever is away."""
        while True:
            try:
                await self.renew(store)
            except Unavailable as error:
                if not self._away:
                    _log.warning("watch_weights_wait", reason=str(error))
                self._away = True
            except Exception:  # noqa: BLE001  (the old ones will do)
                _log.exception("watch_weights_not_renewed")
            else:
                if self._away:
                    _log.info("watch_weights_renewed_late")
                self._away = False
            self.asked.set()
            await asyncio.sleep(seconds)
