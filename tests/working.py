"""The real worker process over real stores."""

from pathlib import Path
from typing import Self

import psutil

from core.settings import Settings
from tests.polling import eventually
from tests.processes import below, running
from tests.programs import Program

WORK = """
from core.logging import configure
from core.settings import load
from upnext.worker import run
configure()
run(load())
"""


class Working(Program):
    """`upnext worker` with these settings, from its start to its end; `log` holds its lines."""

    code = WORK

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__(settings)
        self.log = log

    def __enter__(self) -> Self:
        said = self._runs()
        self.launch(self.log)
        eventually(lambda: self._runs() > said, seconds=60)
        return self

    def _runs(self) -> int:
        """How often one has said that it runs."""
        return self.log.read_text().count("The worker is running.") if self.log.exists() else 0

    def children(self, module: str) -> list[psutil.Process]:
        """Those of its processes that run a module."""
        assert self.process
        return running(module, below(self.process))

    def caught(self, module: str, *, seconds: float) -> psutil.Process:
        """A child in the middle of its work, where it stays; so long it is waited for."""
        assert self.process
        own = psutil.Process(self.process.pid).nice()
        eventually(lambda: self.children(module), seconds=seconds, every=0.01)
        [child] = self.children(module)
        # Stopped before it asks to end with its parent, it would outlive it; this it does after.
        eventually(lambda: child.nice() > own, seconds=20, every=0.01)
        child.suspend()
        return child
