"""The job of many users' lists: made as `upnext batch` makes them, kept in the artifact store."""

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.clock import utc_now
from core.types import UserId
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
from storage.postgres.read_replica import reads_of
from storage.postgres.rewriting import rewriting
from storage.postgres.users import PostgresUsers
from upnext.jobs.batch import Summary, batch
from upnext.jobs.keys import result_key
from upnext.jobs.queued import Work

PAGE = 5_000  # lines


class Asked(msgspec.Struct, frozen=True):
    """What a batch job was asked: these users, or everybody, or those who were here lately."""

    limit: int
    user_ids: list[UserId] | None = None
    active_within_days: int | None = None


class _Owner(msgspec.Struct, frozen=True):
    """Whose a line is."""

    user_id: str


async def make_lists(work: Work) -> None:
    """Make the lists, keep them, end the job. Raises as `upnext.jobs.batch.batch`."""
    asked = msgspec.convert(work.begun.params, Asked)
    work.result = result_key(work.begun.job.id)
    erasures = PostgresErasures(work.engine, utc_now)
    with TemporaryDirectory(prefix="upnext-batch-") as folder:
        made = Path(folder) / "lists.ndjson"
        summary = await batch(
            work.settings,
            made,
            limit=asked.limit,
            users=await _users(work, asked),
            processes=max(1, (os.cpu_count() or 1) // 2),  # others use this machine too
            on_progress=lambda done, of: _tell(work, done, of),
        )
        await _keep(work, erasures, made, summary)


async def _users(work: Work, asked: Asked) -> Sequence[UserId] | None:
    if asked.user_ids is not None:
        return asked.user_ids
    if asked.active_within_days is None:
        return None
    since = utc_now() - timedelta(days=asked.active_within_days)
    async with reads_of(work.settings, work.engine) as reads:
        return await PostgresUsers(reads).seen_since(since)


def _tell(work: Work, done: int, of: int) -> None:
    work.tell(done / max(of, 1), f"{done:,} of {of:,} users", users=done)


async def _keep(work: Work, erasures: PostgresErasures, made: Path, summary: Summary) -> None:
    """Store the file without those who were erased, and end the job while nobody is."""
    store = artifact_store(work.settings)
    key = result_key(work.begun.job.id)
    counts = {
        "users": summary.users,
        "lists": summary.lists,
        "failed": len(summary.failed),
        "videos": summary.videos,
    }
    known = 0
    while True:
        erased = await erasures.count()
        if erased != known:
            counts["lists"] -= await _drop_erased(erasures, made)
            known = erased
        work.tell(1.0, "storing the lists")
        async with pool(work.settings, patient=True) as engine, rewriting(engine):
            await asyncio.to_thread(store.put, key, made)
        async with erasures.none_since(known) as connection:
            if connection is not None:
                await work.jobs.finish(work.begun, counts, key, connection=connection)
                return


async def _drop_erased(erasures: PostgresErasures, made: Path) -> int:
    """Leave the lines of erased users out of a file; how many these were."""
    left = made.with_suffix(".left")
    dropped = 0
    with made.open("rb") as lines, left.open("wb") as out:
        while page := list(islice(lines, PAGE)):
            owners = [msgspec.json.decode(line, type=_Owner).user_id for line in page]
            gone = await erasures.erased(owners)
            dropped += sum(owner in gone for owner in owners)
            out.writelines(
                line for line, owner in zip(page, owners, strict=True) if owner not in gone
            )
    left.replace(made)
    return dropped
