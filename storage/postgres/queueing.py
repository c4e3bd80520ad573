"""Putting work into the queue, in the transaction of what asks for it.

The queue is procrastinate's; `storage.queue` is the side that takes work out of it.
"""

from typing import Final, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA: Final = "queue"

QueueName = Literal["jobs", "training"]
QUEUES: Final[tuple[QueueName, ...]] = ("jobs", "training")
"""`training` is for what needs torch, and so a machine that has it and the memory for it."""

# The library's functions name their tables without a schema.
_IN_REACH = text(
    f"SELECT set_config('search_path', current_setting('search_path') || ', {SCHEMA}', true)"
)
_DEFER = text(
    """
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :task, 0, :lock, NULL, CAST(:args AS jsonb), NULL)
    ]::procrastinate_job_to_defer_v1[]))
    """
)


async def defer(
    connection: AsyncConnection, task: str, lock: str, id_: str, queue: QueueName = "jobs"
) -> int:
    """Queue `task` for the thing of that id; a worker hears of it when the caller commits.

    Args:
        connection: of the transaction.
        task: what is to be done.
        lock: of all work with one lock, one is done at a time.
        id_: handed to the task.
        queue: whose workers do it.

    Returns:
        Its number in the queue.
    """
    await connection.execute(_IN_REACH)
    args = msgspec.json.encode({"id": id_}).decode()
    given = {"queue": queue, "task": task, "lock": lock, "args": args}
    return int((await connection.execute(_DEFER, given)).scalar_one())
