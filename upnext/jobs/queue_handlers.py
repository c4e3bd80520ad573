"""Which function does which kind of job."""

from collections.abc import Mapping
from typing import Final

from core.jobs import JobKind
from upnext.jobs.batch_job import make_lists
from upnext.jobs.encoding import encode
from upnext.jobs.erase import erase
from upnext.jobs.queued import Handler
from upnext.jobs.retention import forget
from upnext.jobs.shares import count_shares
from upnext.jobs.upkeep import refresh_lists, sweep_versions, train_if_new

HANDLERS: Final[Mapping[JobKind, Handler]] = {
    "batch": make_lists,
    "erasure": erase,
    "refresh": refresh_lists,
    "encoding": encode,
    "retention": forget,
    "sweep": sweep_versions,
    "shares": count_shares,
    "training": train_if_new,
}
