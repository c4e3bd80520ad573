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
        self.launch(self.log)
        said = self.log.read_text().count("The worker is running.")
        eventually(lambda: self.log.read_text().count("The worker is running.") > said, seconds=30)
        return self
