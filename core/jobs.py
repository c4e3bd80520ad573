"""Jobs: work that is asked for over HTTP or by a schedule, and done by a worker."""

from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

JobKind = Literal[
    "batch", "erasure", "refresh", "encoding", "retention", "sweep", "shares", "training"
]
UpkeepKind = Literal["refresh", "encoding", "retention", "sweep", "shares", "training"]
"""What a service does for itself, by a schedule: one job of a kind at a time."""

UPKEEP: Final[tuple[UpkeepKind, ...]] = get_args(UpkeepKind)

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class JobProgress(msgspec.Struct, frozen=True):
    """How far a job is: 0..1, and a sentence for a person."""

    fraction: float
    message: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as those who asked for it see it.

    `counts` says what it did: numbers by name, and texts where a number would not do. `result` is
    the key of what it made in the artifact store, while that is kept.
    """

    id: str
    kind: JobKind
    status: JobStatus
    asked_by: str
    created_at: datetime
    progress: JobProgress | None = None
    counts: dict[str, Any] = msgspec.field(default_factory=dict)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None
    error: str | None = None
