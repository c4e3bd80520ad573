"""What is measured of a training while it runs, and of how it ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from core.metrics import TRAINING_SECONDS, TRAINING_STAGE_SECONDS, TRAININGS
from core.types import ModelStatus, ModelType, Progress

READY: Final = "ready"
GIVEN_UP: Final = "given_up"
_OUTCOMES: Final[dict[ModelStatus, str]] = {
    "ready": "done",
    "live": "done",
    "retired": "done",
    "rejected": "rejected",
    "failed": "failed",
    "cancelled": "cancelled",
}

Clock = Callable[[], float]


class MeasuredTraining:
    """Where the time of a training goes: hears of its progress, and of its end if there is one."""

    def __init__(self, model_type: ModelType, clock: Clock = time.monotonic) -> None:
        self._type = model_type
        self._clock = clock
        self._began = self._since = clock()
        self._stage: str | None = None
        self._seconds: dict[str, float] = {}
        self._outcome = GIVEN_UP

    def at(self, progress: Progress) -> None:
        """It is there now; a stage lasts until another is told of, or that it is ready."""
        if progress.stage != self._stage:
            self._leave_stage()
            self._stage = None if progress.stage == READY else progress.stage

    def ends(self, status: ModelStatus) -> None:
        """It has come to this; one that runs on, or is queued again, was given up here."""
        self._outcome = _OUTCOMES.get(status, GIVEN_UP)

    def over(self) -> None:
        """Count it."""
        self._leave_stage()
        for stage, seconds in self._seconds.items():
            TRAINING_STAGE_SECONDS.labels(self._type, stage).observe(seconds)
        TRAINING_SECONDS.labels(self._type).observe(self._clock() - self._began)
        TRAININGS.labels(self._type, self._outcome).inc()

    def _leave_stage(self) -> None:
        now = self._clock()
        if self._stage is not None:
            spent = self._seconds.get(self._stage, 0.0)
            self._seconds[self._stage] = spent + now - self._since
        self._stage, self._since = None, now


@contextmanager
def measured(model_type: ModelType) -> Iterator[MeasuredTraining]:
    """Measures the training of the block, however that is left."""
    training = MeasuredTraining(model_type)
    try:
        yield training
    finally:
        training.over()
