"""The use case of jobs: asking for one, looking at it, having what it made."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, BinaryIO, Protocol

from api.auth import Principal
from core.errors import Conflict, JobNotFound, NotFound
from core.jobs import UPKEEP, Job, JobKind
from core.types import UserId

LINK_SECONDS = 300
"""How long a link to a result works: it may be followed at once."""
BLOCK_BYTES = 256 * 1024


class JobStore(Protocol):
    """Jobs as they are asked for. Every method raises `Unavailable`."""

    async def ask(self, kind: JobKind, asked_by: str, params: Mapping[str, Any]) -> Job:
        """Write a job down and queue it, both or neither."""
        ...

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        ...


class ResultStore(Protocol):
    """What jobs made. Blocking."""

    def hand_out(self, key: str, seconds: int) -> str | BinaryIO:
        """A URL that gives the file to whoever follows it within `seconds`, or the open file.

        Raises:
            NotFound: there is no such key.
            Unavailable: the store did not answer.
        """
        ...


class Jobs:
    """Jobs of a service are its own alone; those who run the service see all."""

    def __init__(self, store: JobStore, results: ResultStore) -> None:
        self._store = store
        self._results = results

    async def make_lists(
        self,
        caller: Principal,
        limit: int,
        user_ids: list[UserId] | None,
        active_within_days: int | None,
    ) -> Job:
        """Ask for the first `limit` of many users' lists.

        Args:
            caller: whose job it will be.
            limit: 1 to 100.
            user_ids: whose lists; None: everybody's.
            active_within_days: of everybody, only those who were here since.

        Raises:
            Unavailable: nothing was asked for.
        """
        params = {
            "limit": limit,
            "user_ids": None if user_ids is None else list(dict.fromkeys(user_ids)),
            "active_within_days": active_within_days,
        }
        return await self._store.ask("batch", caller.sub, params)

    async def get(self, caller: Principal, job_id: str) -> Job:
        """A job that the caller may see.

        Raises:
            JobNotFound: there is none, or it is another service's.
            Unavailable: PostgreSQL did not answer.
        """
        job = await self._store.get(job_id)
        # Upkeep is nobody's, also if a service is called as what asks for it.
        own = job.asked_by == caller.sub and job.kind not in UPKEEP
        if not own and caller.roles.isdisjoint({"trainer", "admin"}):
            raise JobNotFound(f"There is no job {job_id}.")  # as for one that is not there at all
        return job

    async def result(self, caller: Principal, job_id: str) -> str | BinaryIO:
        """What a job made: a URL to follow, or the open file.

        Raises:
            JobNotFound: as from `get`.
            NotFound: it makes nothing to fetch, or that is kept no more.
            Conflict: it is not done.
            Unavailable: a store did not answer.
        """
        job = await self.get(caller, job_id)
        if job.status != "done":
            raise Conflict(_not_done(job))
        if job.result is None:
            raise NotFound("This job has no result, or it is kept no more: ask for the job again.")
        return await asyncio.to_thread(self._results.hand_out, job.result, LINK_SECONDS)


async def blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    """The file from its beginning to its end, then closed; read in a thread."""
    try:
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block
    finally:
        file.close()


def _not_done(job: Job) -> str:
    if job.status in {"queued", "running"}:
        return f"This job is {job.status}: ask again when it is done."
    return f"This job is {job.status} and made nothing: {job.error or 'ask for it again.'}"
