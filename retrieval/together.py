"""Run several calls at once, and do without those that fail or come late."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import structlog

from core.errors import Unavailable

N = TypeVar("N", bound=str)
T = TypeVar("T")
LATE = "deadline"
BROKEN = "internal"

_log = structlog.get_logger(__name__)


async def together(
    calls: Mapping[N, Coroutine[Any, Any, T]], deadline_seconds: float
) -> tuple[dict[N, T], dict[N, str]]:
    """Answers by name, and why the others have none.

    The reason is the dependency that an `Unavailable` names, `deadline` for a call that was not
    done in time and is cancelled, `internal` for a fault of ours, which is logged.
    """
    tasks = {name: asyncio.create_task(call) for name, call in calls.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=deadline_seconds)
    finally:  # the caller's own end, too, must not leave them running
        for task in tasks.values():
            task.cancel()
    answers: dict[N, T] = {}
    missing: dict[N, str] = {}
    for name, task in tasks.items():
        if not task.done() or task.cancelled():
            missing[name] = LATE
            task.add_done_callback(_heard)
        elif (error := task.exception()) is None:
            answers[name] = task.result()
        else:
            missing[name] = _reason(name, error)
    return answers, missing


def _reason(name: str, error: BaseException) -> str:
    if isinstance(error, Unavailable):
        return error.dependency
    _log.error("A candidate source failed and is left out.", source=name, exc_info=error)
    return BROKEN


def _heard(task: asyncio.Task[Any]) -> None:
    """Look at what a cancelled call raised, or asyncio complains that nobody did."""
    if not task.cancelled():
        task.exception()
