"""The real worker process over real stores."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from core.settings import Settings, child_environment
from tests.polling import eventually

WORK = """
from core.logging import configure
from core.settings import load
from upnext.worker import run
configure()
run(load())
"""


class Working:
    """`upnext worker` with these settings, from its start to its end; `log` holds its lines."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", WORK],
                env=child_environment(self.settings),
                cwd=Path.cwd(),
                stdout=out,
                stderr=out,
            )
        said = self.log.read_text().count("The worker is running.")
        eventually(lambda: self.log.read_text().count("The worker is running.") > said, seconds=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> int:
        """Tell it to stop; its exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(10)

    def kill(self) -> None:
        """End it without a word."""
        assert self.process
        self.process.kill()
        self.process.wait()
