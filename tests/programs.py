"""A program of ours in a process of its own, from its start to its end."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from core.settings import Settings, child_environment
from storage.embedded.privilege import child_setup


class Program:
    """`code`, run with these settings; `log` takes what it says, else it is said here."""

    code: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, log: Path | None = None) -> None:
        """Start it; nobody waits until it is ready. It ends with these tests, if they are killed.

        But for what other threads start: the kernel would end it with its thread.
        """
        lasting = threading.current_thread() is threading.main_thread()
        out = None if log is None else log.open("ab")
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", self.code],
                env=child_environment(self.settings),
                cwd=Path.cwd(),
                stdout=out,
                stderr=out,
                preexec_fn=child_setup(signal.SIGKILL) if lasting else None,  # noqa: PLW1509
            )
        finally:
            if out is not None:
                out.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """Tell it to stop; its exit code."""
        assert self.process
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()  # one that did not stop

    def kill(self) -> None:
        """End it without a word."""
        assert self.process
        self.process.kill()
        self.process.wait()
