"""The use case of training: asking for a model, and stopping its run."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from core.errors import InvalidInput
from core.types import Model, ModelType
from ingest.checks import EARLIEST_EVENT, YEARS, start_of


class RunRegistry(Protocol):
    """Runs as they are asked for. Every method raises `Unavailable`."""

    async def queue(self, model_type: ModelType, params: Mapping[str, Any]) -> Model:
        """A new `queued` run. Raises `Conflict`: one of that type is queued or running."""
        ...

    async def cancel(self, model_id: str) -> Model:
        """End a run. Raises `ModelNotFound`, or `Conflict` when it has ended."""
        ...


class Training:
    """Starts and stops runs; a worker does them."""

    def __init__(self, runs: RunRegistry) -> None:
        self._runs = runs

    async def start(self, model_type: ModelType, first: date | None, last: date | None) -> Model:
        """Ask for a model of the interactions from the first day to the end of the last, UTC.

        Raises:
            InvalidInput: no day lies between the dates.
            Conflict: a run of that type is queued or running.
            Unavailable: nothing was asked for.
        """
        start, end = _day(first, "startDate"), _day(last, "endDate")
        if start and end and end < start:
            raise InvalidInput("endDate is before startDate.", field="endDate")
        after = None if end is None else end + timedelta(days=1)
        return await self._runs.queue(model_type, {"start": start, "end": after})

    async def cancel(self, model_id: str) -> Model:
        """Stop a run that is queued or running.

        Raises:
            ModelNotFound: no such model.
            Conflict: its run has ended.
            Unavailable: nothing changed.
        """
        return await self._runs.cancel(model_id)


def _day(day: date | None, field: str) -> datetime | None:
    """The day's beginning. Raises `InvalidInput`: nothing can have happened then."""
    if day is None:
        return None
    if day.year not in YEARS or start_of(day) < EARLIEST_EVENT:
        raise InvalidInput(f"{field}: the year {day.year} is out of range.", field=field)
    return start_of(day)
