"""What is counted and measured, as Prometheus reads it.

With a folder named by PROMETHEUS_MULTIPROC_DIR before this module is imported, every process
writes to mapped files of its own there, and `exposition` adds up the files of all of them: a
process that is killed takes nothing with it. Without one, a process counts for itself.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

REQUEST_SECONDS = Histogram(
    "upnext_request_seconds",
    "Time until an answer begins, by the route's template; its count is that of the requests.",
    ["route", "status"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
LISTS = Counter(
    "upnext_lists", "Users' own lists: local, redis, stale (either, past its soft age) or miss.",
    ["outcome"],
)  # fmt: skip
DEGRADED = Counter(
    "upnext_degraded_answers", "Lists that were made without something, by what.", ["reason"]
)
OVERLOADED = Counter("upnext_overloaded_answers", "Lists that there was no room to compute.")
LIMITED = Counter("upnext_limited_answers", "Answers of 429, by role.", ["role"])
LIMIT_WAITS = Counter(
    "upnext_limit_waits", "Answers that waited for the shared count of their caller."
)
BREAKER_OPEN = Gauge(
    "upnext_breaker_open", "1 while a process does not ask this dependency.", ["dependency"],
    multiprocess_mode="livesum",
)  # fmt: skip
BREAKER_OPENINGS = Counter(
    "upnext_breaker_openings", "How often a process stopped asking this dependency.", ["dependency"]
)
NOTICES = Counter(
    "upnext_notices", "How often a worker's memory of lists was emptied: gap, silence.", ["outcome"]
)
LOCAL_BYTES = Gauge(
    "upnext_local_lists_bytes", "Memory of finished answers in the workers.",
    multiprocess_mode="livesum",
)  # fmt: skip
LOG_LINES_DROPPED = Counter("upnext_log_lines_dropped", "Lines that came faster than written.")
EVENTS = Counter("upnext_events", "Events that a worker has read and is done with.", ["type"])
EVENT_OUTCOMES = Counter(
    "upnext_event_outcomes", "Messages: accepted, duplicates, erased (users'), dead.", ["outcome"]
)
EVENT_BATCH_SECONDS = Histogram(
    "upnext_event_batch_seconds", "Time for a batch of events, until it is acknowledged.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)  # fmt: skip
EVENTS_WAITING = Gauge(
    "upnext_events_waiting", "Events on the bus that are not acknowledged yet.",
    multiprocess_mode="livemax",
)  # fmt: skip
EVENT_NEWEST = Gauge(
    "upnext_event_newest_timestamp_seconds", "When the bus got the newest event that is done with.",
    multiprocess_mode="livemax",
)  # fmt: skip
JOBS = Counter(
    "upnext_jobs", "Attempts at jobs: done, failed, waiting (a dependency is away), given_up.",
    ["kind", "outcome"],
)  # fmt: skip
JOB_SECONDS = Histogram(
    "upnext_job_seconds", "Time of an attempt at a job, however it ended.", ["kind"],
    buckets=(0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0),
)  # fmt: skip
JOBS_QUEUED = Gauge(
    "upnext_jobs_queued", "Jobs and trainings that wait for a worker, in all.", ["kind"],
    multiprocess_mode="livemax",
)  # fmt: skip
JOBS_OLDEST = Gauge(
    "upnext_jobs_oldest_seconds", "How long the oldest of them has waited.", ["kind"],
    multiprocess_mode="livemax",
)  # fmt: skip
JOB_LAST_SUCCESS = Gauge(
    "upnext_job_last_success_timestamp_seconds", "When a job of the kind last ended well.",
    ["kind"], multiprocess_mode="livemax",
)  # fmt: skip

_LIVE_FILE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")


def exposition(folder: Path | None = None) -> bytes:
    """All metrics in Prometheus' text format; reads files: call it in a thread.

    Args:
        folder: where processes write theirs; None: the one this process writes to, if any.
    """
    registry = CollectorRegistry()
    try:
        collector = MultiProcessCollector(registry, folder and str(folder))  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder
        return generate_latest(REGISTRY)
    _bury_the_dead(Path(collector._path))  # noqa: SLF001 - it has no other name
    return generate_latest(registry)


def _bury_the_dead(folder: Path) -> None:
    """Forget what processes that are gone said of themselves; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        found = _LIVE_FILE.fullmatch(file.name)
        if found and not _lives(int(found[1])):
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
