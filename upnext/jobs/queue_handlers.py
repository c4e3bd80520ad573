"""Which function does which kind of job."""

from collections.abc import Mapping
from typing import Final

from core.jobs import JobKind
from upnext.jobs.batch_job import make_lists
from upnext.jobs.erase import erase
from upnext.jobs.queued import Handler
from upnext.jobs.shares import count_shares

HANDLERS: Final[Mapping[JobKind, Handler]] = {
    "batch": make_lists,
    "erasure": erase,
    "shares": count_shares,
}
