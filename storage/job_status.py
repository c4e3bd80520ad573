"""Which status of a job may follow which, and how often one may be begun."""

from typing import Final

from core.errors import Conflict
from core.jobs import JobStatus

ENDED: Final[frozenset[JobStatus]] = frozenset({"done", "failed", "cancelled"})

MOST_BEGUN: Final = 3
"""A job whose worker ended so often is not begun again: it would end the next one too."""

ENDS_ITS_WORKER: Final = (
    f"Its worker ended {MOST_BEGUN} times before it had ended itself. If memory ran out, give the "
    "machine more; then ask for it again."
)


class GivenUp(Conflict):
    """An attempt at a job that may write no more: another has taken over, or the job has ended.

    `done`: it is this attempt itself that ended the job, and well.
    """

    def __init__(self, message: str, *, done: bool = False) -> None:
        super().__init__(message)
        self.done = done


def check_attempt(job_id: str, status: JobStatus, *, same_attempt: bool) -> None:
    """Refuse the write of an attempt that was given up. Raises `GivenUp`."""
    if status != "running" or not same_attempt:
        raise GivenUp(
            f"This attempt at job {job_id} was given up; the job is {status}: stop it.",
            done=same_attempt and status == "done",
        )
