"""What a training process is asked, and what it says on its stdout: one JSON object a line."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core.types import Baseline, DataSpan, ModelStatus, ModelType, Progress


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One run; `parent` is the process whose end ends this one, `attempt` the run's token."""

    model_id: str
    attempt: UUID
    model_type: ModelType
    version: str
    parent: int
    start: datetime | None = None
    end: datetime | None = None


class Report(msgspec.Struct, frozen=True, tag="report"):
    """The run is at this step, this far."""

    status: ModelStatus
    progress: Progress


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """The run has ended well; its version is stored and published.

    `params` are the hyper-parameters, some of which follow from the data · `verdict` is the gate's
    sentence · `baseline` is None when there was nothing to judge by.
    """

    data: DataSpan
    params: dict[str, Any]
    metrics: dict[str, float]
    baseline: Baseline | None
    verdict: str
    artifact_uri: str


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """The run has ended at the gate: nothing was stored, `verdict` says why and what to do."""

    data: DataSpan
    params: dict[str, Any]
    metrics: dict[str, float]
    baseline: Baseline | None
    verdict: str


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """The run has ended; the sentence says why and what to do."""

    error: str


Message = Report | Outcome | Rejected | Failure
