"""Jobs in memory: the twin of `storage.postgres.jobs` for those who ask and look."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from core.clock import Clock, utc_now
from core.errors import JobNotFound
from core.jobs import Job, JobKind


class MemoryJobs:
    """Jobs by id; never unavailable. `asked` holds what each was asked to do."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._rows: dict[str, Job] = {}
        self.asked: dict[str, dict[str, Any]] = {}

    async def ask(self, kind: JobKind, asked_by: str, params: Mapping[str, Any]) -> Job:
        """Write a job down."""
        job = Job(
            id=str(uuid4()),
            kind=kind,
            status="queued",
            asked_by=asked_by,
            created_at=self._clock(),
        )
        self._rows[job.id], self.asked[job.id] = job, dict(params)
        return job

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        if job_id not in self._rows:
            raise JobNotFound(f"There is no job {job_id}.")
        return self._rows[job_id]

    def change(self, job_id: str, **values: Any) -> None:  # noqa: ANN401 - the fields of a Job
        """Let a job be otherwise, as a worker would have it."""
        self._rows[job_id] = replace(self._rows[job_id], **values)
