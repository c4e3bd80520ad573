"""Which status of a job may follow which, and how often one may be begun."""

from typing import Final

from core.errors import Conflict
from core.jobs import UPKEEP, JobKind, JobStatus

ENDED: Final[frozenset[JobStatus]] = frozenset({"done", "failed", "cancelled"})

CANCELLED: Final = "It was cancelled."

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


def check_cancellable(job_id: str, kind: JobKind, status: JobStatus) -> None:
    """Refuse to stop what does not run, or must be done. Raises `Conflict`."""
    if status in ENDED:
        raise Conflict(f"Job {job_id} has ended ({status}): nothing is to be stopped.")
    if kind == "erasure":
        raise Conflict(f"Job {job_id} is an erasure: it was promised, and is not stopped half-way.")


def check_retriable(job_id: str, kind: JobKind, status: JobStatus) -> None:
    """Refuse to try again what need not be, or what nobody remembers. Raises `Conflict`."""
    if status not in {"failed", "cancelled"}:
        raise Conflict(
            f"Job {job_id} is {status}: only one that failed or was cancelled is retried."
        )
    if kind in UPKEEP:
        raise Conflict(f"Job {job_id} is one of many: `upnext jobs run {kind}` asks for another.")
    if kind == "erasure":
        raise Conflict(
            f"Whom job {job_id} was to erase is not kept: ask for the erasure again, with DELETE "
            "/users/ID. The user is kept out meanwhile."
        )
