"""The bodies about jobs, field for field."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from api.schemas import TextId
from core.jobs import Job, JobKind, JobProgress, JobStatus

MOST_USERS = 100_000
LONGEST_DAYS = 3650


class BatchJobBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose lists: `user_ids`, or `all`, who may be narrowed to those active lately."""

    user_ids: (
        Annotated[list[TextId | int], msgspec.Meta(min_length=1, max_length=MOST_USERS)] | None
    ) = None
    all: bool | None = None
    active_within_days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DAYS)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class JobBody(msgspec.Struct, frozen=True, kw_only=True):
    """A job. `counts` is what it did, for an erasure the receipt; `error` why it failed."""

    job_id: str
    kind: JobKind
    status: JobStatus
    progress: JobProgress
    counts: dict[str, Any]
    created_at: datetime
    finished_at: datetime | None
    error: str | None


_AT_FIRST = {"queued": "waiting for a worker", "running": "begun"}


def job_body(job: Job) -> JobBody:
    """A job as the contract shows it."""
    return JobBody(
        job_id=job.id,
        kind=job.kind,
        status=job.status,
        progress=job.progress or JobProgress(0.0, _AT_FIRST.get(job.status, job.status)),
        counts=job.counts,
        created_at=job.created_at,
        finished_at=job.finished_at,
        error=job.error,
    )


BATCH_JOB_EXAMPLE: dict[str, Any] = {"all": True, "active_within_days": 30, "limit": 10}
JOB_EXAMPLE: dict[str, Any] = {
    "job_id": "5d0c9a3e-6a1b-4b43-9d0a-0f6a3f1f0c55",
    "kind": "batch",
    "status": "running",
    "progress": {"fraction": 0.4, "message": "268 of 671 users"},
    "counts": {"users": 268},
    "created_at": "2026-01-01T00:00:00Z",
    "finished_at": None,
    "error": None,
}
ERASURE_EXAMPLE: dict[str, Any] = {
    **JOB_EXAMPLE,
    "kind": "erasure",
    "status": "queued",
    "progress": {"fraction": 0.0, "message": "waiting for a worker"},
    "counts": {},
}
LINE_EXAMPLE = (
    '{"user_id":"7","model_version":"content_20260101_000000_9f3a","recommendations":'
    '[{"content_id":"42","title":"The Long Way Down","genre":"drama","genres":["drama","crime"],'
    '"popularity_score":0.79,"score":0.522,"source":"nearest"}]}\n'
)
