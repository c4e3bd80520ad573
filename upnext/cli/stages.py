"""The stages of a long job, each shown as one piece of work."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from core.types import Progress
from upnext.cli.console import Meter, progress


class Stages:
    """Takes a job's progress and shows the bar, or the lines, of the stage it is in."""

    def __init__(self, titles: dict[str, str]) -> None:
        self._titles = titles
        self._stage: str | None = None
        self._open = ExitStack()
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        return self

    def show(self, at: Progress) -> None:
        """Show where the job is; stages without a title are not shown."""
        if at.stage not in self._titles:
            return
        if at.stage != self._stage:
            self._open.close()
            self._stage = at.stage
            self._meter = self._open.enter_context(progress(self._titles[at.stage]))
        if self._meter is not None:
            self._meter.update(at.fraction, at.message)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)
