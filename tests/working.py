"""The real worker process over real stores."""

from pathlib import Path
from typing import Self

from core.settings import Settings
from tests.polling import eventually
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
