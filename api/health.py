"""Whether the dependencies answer, asked all at once and with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from api.schemas import DependencyHealth
from api.single_flight import SingleFlight

Probe = Callable[[], Awaitable[None]]
BOUND_SECONDS = 1.0
KEEP_SECONDS = 1.0

log = structlog.get_logger(__name__)


class HealthCheck:
    """One probe a dependency; whatever a probe raises means that there is no answer.

    Everyone may ask, so the answers are shared and kept for `keep_seconds`.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        bound_seconds: float = BOUND_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        self._probes = probes
        self._bound_seconds = bound_seconds
        self._keep_seconds = keep_seconds
        self._kept: dict[str, DependencyHealth] = {}
        self._kept_until = 0.0
        self._flights: SingleFlight[dict[str, DependencyHealth]] = SingleFlight()

    async def check(self) -> dict[str, DependencyHealth]:
        """What each answered just now, within the bound whatever they do."""
        if time.monotonic() < self._kept_until:
            return self._kept
        return await self._flights.do("all", self._ask)

    async def _ask(self) -> dict[str, DependencyHealth]:
        answers = await asyncio.gather(*(self._one(*probe) for probe in self._probes.items()))
        self._kept = dict(zip(self._probes, answers, strict=True))
        self._kept_until = time.monotonic() + self._keep_seconds
        return self._kept

    async def _one(self, name: str, probe: Probe) -> DependencyHealth:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._bound_seconds):
                await probe()
        except Exception as error:  # noqa: BLE001  (health tells of faults, it has none)
            log.warning("probe_failed", dependency=name, reason=str(error) or type(error).__name__)
            return DependencyHealth("unavailable")
        return DependencyHealth("ok", round((time.perf_counter() - began) * 1000, 2))
