"""Starting and ending the processes that train and encode."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

from core.settings import Settings, child_environment
from core.tracing import inject

STOP_SECONDS = 2.0
LINE_BYTES = 1_000_000
OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that spin while they wait take the cores from the service, and from each other: beside
    # a busy one ALS took ten times as long.
    "OMP_WAIT_POLICY": "passive",
}


async def start_child(settings: Settings, module: str, argument: str) -> Process:
    """`python -m module argument` with these settings, its stdout a pipe.

    Raises:
        OSError: it could not be started.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        argument,
        stdin=DEVNULL,
        stdout=PIPE,
        env={**child_environment(settings), **OFFLINE, **_trace()},
        limit=LINE_BYTES,
        start_new_session=True,  # Ctrl-C reaches this process, which then ends the child in order
    )


def _trace() -> dict[str, str]:
    """The trace under way, as `core.settings.caused_by` reads it."""
    return {name.upper(): value for name, value in inject().items()}


def output_of(process: Process) -> asyncio.StreamReader:
    """The pipe of a child that `start_child` has started."""
    if process.stdout is None:
        raise RuntimeError("the child was started without a pipe")
    return process.stdout


async def stop_child(process: Process) -> None:
    """End a child if it has not: asked first, so that it drops what it had half made."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
