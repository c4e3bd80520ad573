"""The work of a training process, up to publishing, and the memory of each of its stages.

`python -m bench.training_child REQUEST`, for `bench.memory_of_training`. Linux only.
"""

import os
import sys
import time
from pathlib import Path

import msgspec

from core.settings import load
from upnext.jobs.messages import Report, Request
from upnext.jobs.run import run

PEAK, RESET = "VmHWM:", "5"
KILOBYTE = 1024
LAST_STAGE = "publishing"


class StageFigures(msgspec.Struct, frozen=True):
    """Seconds of a stage, and the most bytes that were resident in it."""

    stage: str
    seconds: float
    peak: int


class Enough(Exception):
    """All that is measured is done."""


class Stages:
    """Hears of a run's progress."""

    def __init__(self) -> None:
        self.figures: list[StageFigures] = []
        self._stage = "importing"
        self._began = time.monotonic()
        self._close()

    def hear(self, report: Report) -> None:
        """Begin what the report says. Raises `Enough` before the index is written."""
        stage = report.progress.stage
        if stage != self._stage:
            self._close()
            self._stage = stage
        if stage == LAST_STAGE:
            raise Enough

    def _close(self) -> None:
        now = time.monotonic()
        self.figures.append(StageFigures(self._stage, now - self._began, peak()))
        self._began = now
        Path("/proc/self/clear_refs").write_text(RESET)


def peak() -> int:
    """The most bytes that were resident since the process began, or since it was last reset."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(PEAK)
    ]
    return int(line.split()[1]) * KILOBYTE


def main() -> None:
    """Run the request of the command line."""
    request = msgspec.convert(
        msgspec.json.decode(sys.argv[1]) | {"parent": os.getppid()}, type=Request
    )
    stages = Stages()
    try:
        run(load(), request, stages.hear)
    except Enough:
        sys.stdout.write(msgspec.json.encode(stages.figures).decode())
    else:
        sys.exit("The run ended before it had a version: the made-up data taught it nothing.")


if __name__ == "__main__":
    main()
