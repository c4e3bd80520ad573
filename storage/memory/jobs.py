"""Jobs in memory: the twin of `storage.postgres.jobs` for those who ask and look."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from core.clock import Clock, utc_now
from core.errors import JobNotFound
from core.jobs import Job, JobKind
from core.types import UserId
from storage.memory.history import MemoryHistory


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


class MemoryErasures:
    """Keeps users out of a history; the jobs are those of `jobs`."""

    def __init__(self, jobs: MemoryJobs, history: MemoryHistory) -> None:
        self._jobs = jobs
        self._history = history

    async def ask(self, user_id: UserId, asked_by: str) -> Job:
        """Keep a user out from now on."""
        self._history.erase(user_id)
        return await self._jobs.ask("erasure", asked_by, {"user_id": user_id})
