"""The circuit breaker of a dependency: after a few failures in a row nobody waits for it again.

While it is open, calls fail at once, and one probe at a time asks whether the dependency answers:
no request ever pays for finding that out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from core.errors import Unavailable
from core.metrics import BREAKER_OPEN, BREAKER_OPENINGS, DEPENDENCY_ERRORS
from core.tracing import Attribute, calling

FAILURES = 3
PAUSE_SECONDS = 1.0
PROBE_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Breaker:
    """Opens after `failures` in a row; closes when a probe is answered.

    Answers in between keep it closed, and a call counts only if no other was answered while it
    waited, so a dependency that is only slow, or a pool that is only full, does not open it. The
    first probe is sent as it opens: when it was this process that was late, and not the
    dependency, it is closed again at once.
    """

    def __init__(
        self,
        dependency: str,
        probe: Callable[[], Awaitable[None]],
        *,
        failures: int = FAILURES,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Make one that is closed.

        Args:
            dependency: its name in `/health`, as in `Unavailable.dependency`.
            probe: asks the dependency itself for a sign of life; raises `Unavailable` if there is
                none. It is given up after a second.
            failures: how many in a row open it.
            pause_seconds: between two probes, and between a closing and the next first probe.
        """
        self._dependency = dependency
        self._probe = probe
        self._most = failures
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._answered = 0
        self._closed_at = float("-inf")
        self._probing: asyncio.Task[None] | None = None
        BREAKER_OPEN.labels(dependency).inc(0)  # shown from now on

    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._probing is not None

    @contextmanager
    def calling(self, name: str, /, **attributes: Attribute) -> Iterator[None]:
        """As `passing`, of one call: measured, and a span of this name in the trace under way."""
        if self.is_open():  # it takes no time, which would make the dependency look quick
            DEPENDENCY_ERRORS.labels(self._dependency).inc()
        with self.passing(), calling(self._dependency, name, **attributes):
            yield

    @contextmanager
    def passing(self) -> Iterator[None]:
        """The block raises `Unavailable` of this dependency when there was no answer.

        Any other error says nothing of the dependency. Enter it in the running event loop.

        Raises:
            Unavailable: at once, while it is open.
        """
        if self._probing is not None:
            raise Unavailable(self._dependency, f"{self._dependency} is away")
        answered = self._answered
        try:
            yield
        except Unavailable as error:
            # Others were answered meanwhile: this one only had to wait for too long.
            if error.dependency == self._dependency and answered == self._answered:
                self._failed(error)
            raise
        else:
            self._answered += 1
            self._failures = 0

    async def close(self) -> None:
        """Stop asking; for the end of what asks."""
        probing = self._probing
        if probing is None or probing.done():
            return
        probing.cancel()
        await asyncio.wait([probing])
        if probing.cancelled():
            BREAKER_OPEN.labels(self._dependency).dec()

    def _failed(self, error: Unavailable) -> None:
        self._failures += 1
        if self._failures < self._most or self._probing is not None:
            return
        _log.warning(
            "A dependency is away; nobody waits for it until it answers.",
            dependency=self._dependency,
            reason=str(error),
        )
        BREAKER_OPENINGS.labels(self._dependency).inc()
        BREAKER_OPEN.labels(self._dependency).inc()
        self._probing = asyncio.create_task(self._until_answered())

    async def _until_answered(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._closed_at + self._pause_seconds - loop.time())
        while not await self._answers():  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(self._pause_seconds)
        self._closed_at = loop.time()
        self._failures = 0
        self._probing = None
        BREAKER_OPEN.labels(self._dependency).dec()
        _log.info("A dependency answers again.", dependency=self._dependency)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe()
        except (Unavailable, TimeoutError):
            return False
        except Exception:  # noqa: BLE001 - logged; no fault of a probe may end the probing
            _log.exception("A probe failed.", dependency=self._dependency)
            return False
        return True
