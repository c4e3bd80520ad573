"""Whether the dependencies answer, asked all at once and with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from api.schemas import DependencyHealth
from core.errors import Unavailable

Probe = Callable[[], Awaitable[None]]
BOUND_SECONDS = 1.0


class HealthCheck:
    """One probe a dependency; a probe raises `Unavailable` when there is no answer."""

    def __init__(
        self, probes: Mapping[str, Probe], *, bound_seconds: float = BOUND_SECONDS
    ) -> None:
        self._probes = probes
        self._bound_seconds = bound_seconds

    async def check(self) -> dict[str, DependencyHealth]:
        """What each answers, within the bound whatever they do."""
        answers = await asyncio.gather(*(self._one(probe) for probe in self._probes.values()))
        return dict(zip(self._probes, answers, strict=True))

    async def _one(self, probe: Probe) -> DependencyHealth:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._bound_seconds):
                await probe()
        except (Unavailable, TimeoutError):
            return DependencyHealth("unavailable")
        return DependencyHealth("ok", round((time.perf_counter() - began) * 1000, 2))
