"""The training process: `python -m upnext.jobs.child REQUEST`. Its stdout is for messages alone.

It gives way to everything else on the machine and ends when its parent does.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

import msgspec
import psutil
import structlog

from core import logging as logs
from core.errors import UpnextError
from core.settings import Settings, caused_by, load
from core.tracing import extract, root, traced
from storage.embedded.privilege import die_with_parent
from upnext import disk
from upnext.jobs.messages import Failure, Request
from upnext.jobs.watched_child import be_ended_first

NICEST = 19
log = structlog.get_logger(__name__)


def main() -> int:
    """Run the request of the command line. Returns the exit code."""
    request = msgspec.json.decode(sys.argv[1], type=Request)
    settings = begin(request.parent)
    say = speaker()
    try:
        with going_on("training"):
            # Here, so that the lines above are done within milliseconds of the start.
            from upnext.jobs.run import run  # noqa: PLC0415

            say(run(settings, request, say))
    except UpnextError as error:
        say(Failure(str(error)))
    except Exception as error:  # noqa: BLE001  (whatever it is, it must be told)
        say(Failure(unforeseen(error, "training", model=request.model_id)))
    else:
        return 0
    return 1


def begin(parent: int, niceness: int = NICEST) -> Settings:
    """What a child does first: it will end with its parent, gives way, and logs to stderr."""
    die_with_parent(signal.SIGKILL, parent)
    signal.signal(signal.SIGTERM, stop)
    give_way(niceness)
    be_ended_first()
    settings = load()
    logs.take_over(settings, sys.stderr)
    return settings


@contextmanager
def going_on(work: str) -> Iterator[None]:
    """A span of this process's work, in the trace of who started it.

    Raises:
        SetupError: what the environment says of traces cannot be used.
    """
    with traced("upnext-training"), root(work, kind="internal", caused_by=extract(caused_by())):
        yield


def unforeseen(error: Exception, work: str, **facts: str) -> str:
    """What a person is told of a failure that is no error of ours; the log has the rest."""
    if disk.is_full(error):
        return disk.FULL
    log.error("unforeseen_failure", work=work, exc_info=error, **facts)
    return f"{work.capitalize()} failed for a reason it does not know: {error!r}. See the log."


def give_way(niceness: int = NICEST) -> None:
    """Take only the processor and disk time that nobody else wants, or little of what they do.

    With autogroup scheduling a nice value counts inside a session only, so the session's group
    is lowered too; kernels without it have no such file.
    """
    os.nice(niceness)
    if hasattr(psutil, "IOPRIO_CLASS_IDLE"):  # Linux
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    with suppress(FileNotFoundError, PermissionError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def give_way_altogether() -> None:
    """As `give_way`, for a process that has threads already; on Linux only."""
    with suppress(FileNotFoundError):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, int(thread.name), NICEST)


def speaker() -> Callable[[msgspec.Struct], None]:
    """Takes stdout away for messages; what libraries print goes to stderr."""
    out: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(message: msgspec.Struct) -> None:
        out.write(msgspec.json.encode(message) + b"\n")
        out.flush()

    return say


def stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  (a signal handler)
    """End through every `finally`, so that a half-made version is dropped."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
