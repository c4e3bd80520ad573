"""Doing something again and again, whatever fails meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from core.errors import Unavailable

LONGEST_PAUSE_SECONDS = 300.0

_log = structlog.get_logger(__name__)


async def repeat(
    name: str,
    step: Callable[[], Awaitable[None]],
    seconds: float,
    *,
    away_seconds: float = LONGEST_PAUSE_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do `step` every so many seconds, for ever.

    After a failure the pauses grow, up to `away_seconds` while a dependency is away and up to
    `LONGEST_PAUSE_SECONDS` after any other, until it succeeds; other steps go on. A dependency
    that is away is one log line when it goes and one when it is back; any other failure is logged
    each time.
    """
    away, pause = False, seconds
    while True:
        try:
            await step()
        except Unavailable as error:
            pause = _longer(pause, seconds, away_seconds)
            if not away:
                _log.warning("Waiting for a dependency.", work=name, reason=str(error))
            away = True
        except Exception as error:  # noqa: BLE001  (whatever it is, the rest of the work goes on)
            pause = _longer(pause, seconds, LONGEST_PAUSE_SECONDS)
            _log.error("A step failed.", work=name, again_in=pause, exc_info=error)
        else:
            if away:
                _log.info("The dependency is back.", work=name)
            away, pause = False, seconds
        await sleep(pause)


def _longer(pause: float, seconds: float, longest: float) -> float:
    return min(pause * 2, max(seconds, longest))
