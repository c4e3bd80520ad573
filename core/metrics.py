"""What is counted and measured, as Prometheus reads it, with the values that its labels can have.

`docs/metrics.md` is written from this (`make metrics-doc`): each help text is what it says there.
With a folder named by PROMETHEUS_MULTIPROC_DIR before this module is imported, every process writes
to mapped files of its own there, and `core.exposition` adds up the files of all of them: a process
that is killed takes nothing with it. Without one, a process counts for itself.
"""

from typing import Final, get_args

from core.jobs import JobKind
from core.measures import Family, Open, counter, gauge, histogram
from core.types import ModelType, Source

API: Final = ("api",)
WORKER: Final = ("worker",)
BOTH: Final = ("api", "worker")

MODEL_TYPES: Final[tuple[str, ...]] = get_args(ModelType)
JOB_KINDS: Final[tuple[str, ...]] = get_args(JobKind)
QUEUED_KINDS: Final = JOB_KINDS + tuple(f"train {one}" for one in MODEL_TYPES)
SOURCES: Final[tuple[str, ...]] = get_args(Source)
ROUTE: Final = Open(
    "a route's template such as `/recs/{user_id}`, or `none` where no route matched",
    r"none|(/([a-z.-]+|\{[a-z_]+\}))+",
)
STATUS: Final = Open("an HTTP status", "[1-5][0-9]{2}")
VERSION: Final = Open("a version's name", "[a-z]+_[0-9]{8}_[0-9]{6}_[0-9a-f]{4}")
VERSION_SHOWN: Final = Open(
    "those of the last hour, empty where none was live", f"({VERSION.pattern})?"
)
BROKEN_OFF: Final = ("postgres", "postgres_read", "redis", "milvus")
DEPENDENCIES: Final = (*BROKEN_OFF, "bus", "artifacts")

REQUEST_SECONDS = histogram(
    "upnext_request_seconds",
    "Time until an answer begins; its count is the number of requests.",
    API,
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5),
    route=ROUTE,
    status=STATUS,
)
LISTS = counter(
    "upnext_lists",
    "Users' own lists by where they came from: this process's memory, Redis, either but past its "
    "soft age (given while it is renewed), or made now.",
    API,
    outcome=("local", "redis", "stale", "miss"),
)
DEGRADED = counter(
    "upnext_degraded_answers",
    "Lists made without something, by each name in their `metadata.degraded`.",
    API,
    reason=(
        *("postgres", "redis", "milvus", "artifacts", "catalogue"),
        *(*SOURCES, "content_vector", "overload"),
    ),
)
FAILED_INFERENCES = counter(
    "upnext_failed_inferences",
    "Lists made without something that the model needs, each once however much was missing: any "
    "reason above but `redis`, `milvus` and `content_vector`, for which something stands in.",
    API,
)
OVERLOADED = counter(
    "upnext_overloaded_answers",
    "Lists that there was no room to compute: one of an earlier version or the popular one was "
    "given.",
    API,
)
LIMITED = counter(
    "upnext_limited_answers",
    "Answers of 429, by the role of the caller whose limit it was.",
    API,
    role=("user", "service", "trainer", "admin", "none"),
)
LIMIT_WAITS = counter(
    "upnext_limit_waits", "Answers that waited for the shared count of their caller.", API
)
STAGE_SECONDS = histogram(
    "upnext_stage_seconds",
    "Time of a step of making a list that is not kept: the user's state, encoding it, each source "
    "of candidates, merging them, ranking.",
    BOTH,
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    stage=("state", "encode", *SOURCES, "merge", "rank"),
)
DEPENDENCY_SECONDS = histogram(
    "upnext_dependency_seconds",
    "Time of a call to a dependency, however it ended.",
    BOTH,
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    dependency=DEPENDENCIES,
)
DEPENDENCY_ERRORS = counter(
    "upnext_dependency_errors",
    "Calls to a dependency that had no answer: refused, broken off, too late, or not tried because "
    "the breaker was open.",
    BOTH,
    dependency=DEPENDENCIES,
)
BREAKER_OPEN = gauge(
    "upnext_breaker_open",
    "How many processes do not ask this dependency now, for it did not answer them; of Redis "
    "Cluster each node counts.",
    BOTH,
    "livesum",
    dependency=BROKEN_OFF,
)
BREAKER_OPENINGS = counter(
    "upnext_breaker_openings",
    "How often a process stopped asking this dependency.",
    BOTH,
    dependency=BROKEN_OFF,
)
REPLICA_READS = counter(
    "upnext_replica_reads",
    "Reads that the read replica of PostgreSQL may do, where there is one: done by it, or by the "
    "primary since the replica had not replayed enough in time (`lagging`) or did not answer.",
    BOTH,
    outcome=("replica", "lagging", "away"),
)
NOTICES = counter(
    "upnext_notices",
    "How often a process emptied its memory of lists because it may have missed news: a notice "
    "was missing, or none came for a second.",
    API,
    outcome=("gap", "silence"),
)
LOCAL_BYTES = gauge(
    "upnext_local_lists_bytes", "Memory of finished answers in the processes.", API, "livesum"
)
LOG_LINES_DROPPED = counter(
    "upnext_log_lines_dropped",
    "Lines of the log that came faster than they could be written.",
    BOTH,
)
SPANS_LOST = counter("upnext_spans_lost", "Spans of traces that no collector took.", BOTH)
CERTIFICATE_EXPIRY = gauge(
    "upnext_certificate_expiry_timestamp_seconds",
    "When the first of the certificates expires that the API is served with: its own, or one that "
    "leads to its authority. Not shown without `UPNEXT_TLS_CERTIFICATE_FILE`.",
    API,
    "livemin",
)
CATALOGUE_VIDEOS = gauge(
    "upnext_catalogue_videos",
    "Videos of the catalogue that the API has in memory, those that may not be shown included.",
    API,
    "livemostrecent",
)
EVENTS = counter(
    "upnext_events",
    "Events that could be read and are done with.",
    WORKER,
    type=("VideoWatched", "VideoRated"),
)
EVENT_OUTCOMES = counter(
    "upnext_event_outcomes",
    "Messages that are done with: written, had been there before, left out because their user was "
    "erased, or now dead letters.",
    WORKER,
    outcome=("accepted", "duplicates", "erased", "dead"),
)
EVENT_BATCH_SECONDS = histogram(
    "upnext_event_batch_seconds",
    "Time for a batch of events, from having it to its acknowledgement; its count is that of the "
    "batches.",
    WORKER,
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
EVENT_TO_LIST_SECONDS = histogram(
    "upnext_event_to_list_seconds",
    "Time from the bus's receipt of an event until its user's lists are dropped, which is when the "
    "next list knows it. Events whose lists could not be dropped because Redis was away are not in "
    "it: what Redis has is not given to anybody meanwhile.",
    WORKER,
    (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0),
)
EVENTS_WAITING = gauge(
    "upnext_events_waiting",
    "Events on the bus that are not acknowledged yet, of all workers; asked every 5 s.",
    WORKER,
    "livemostrecent",
)
EVENT_NEWEST = gauge(
    "upnext_event_newest_timestamp_seconds",
    "When the bus got the newest event that is done with. While events flow, `time()` less this is "
    "how old what lists know is.",
    WORKER,
    "livemax",
)
DEAD_LETTERS = gauge(
    "upnext_dead_letters",
    "Dead letters that are kept and were never replayed; from the database every 10 s.",
    WORKER,
    "livemostrecent",
)
JOBS = counter(
    "upnext_jobs",
    "Attempts at jobs that this worker made: done, failed, to be tried again because a dependency "
    "is away, or given up (cancelled, taken over, or the worker was stopped).",
    WORKER,
    kind=JOB_KINDS,
    outcome=("done", "failed", "waiting", "given_up"),
)
JOB_SECONDS = histogram(
    "upnext_job_seconds",
    "Time of an attempt at a job, however it ended.",
    WORKER,
    (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0),
    kind=JOB_KINDS,
)
JOBS_QUEUED = gauge(
    "upnext_jobs_queued",
    "Jobs and trainings that wait for a worker; from the database every 10 s.",
    WORKER,
    "livemostrecent",
    kind=QUEUED_KINDS,
)
JOBS_OLDEST = gauge(
    "upnext_jobs_oldest_seconds",
    "How long the oldest of them has waited, 0 if there is none.",
    WORKER,
    "livemostrecent",
    kind=QUEUED_KINDS,
)
JOB_LAST_SUCCESS = gauge(
    "upnext_job_last_success_timestamp_seconds",
    "When a job or training of the kind last ended well, whichever worker did it.",
    WORKER,
    "livemax",
    kind=QUEUED_KINDS,
)
TRAININGS = counter(
    "upnext_trainings",
    "Trainings that this worker ended: published, rejected by the gate, failed, cancelled, or "
    "given up (the worker was stopped or another took over: that one begins it anew).",
    WORKER,
    model_type=MODEL_TYPES,
    outcome=("done", "rejected", "failed", "cancelled", "given_up"),
)
TRAINING_SECONDS = histogram(
    "upnext_training_seconds",
    "Time of a training from its beginning here to its end, however it ended.",
    WORKER,
    (5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0),
    model_type=MODEL_TYPES,
)
TRAINING_STAGE_SECONDS = histogram(
    "upnext_training_stage_seconds",
    "Time that a training spent in one of its stages, added up over the run.",
    WORKER,
    (0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0),
    model_type=MODEL_TYPES,
    stage=(
        *("reading", "encoding", "fitting", "judging", "evaluating"),
        *("refitting", "storing", "publishing"),
    ),
)
TRAINING_LAST_SUCCESS = gauge(
    "upnext_training_last_success_timestamp_seconds",
    "When a training of the type last ended with a version that passed, 0 if none did; from the "
    "database every 10 s.",
    WORKER,
    "livemostrecent",
    model_type=MODEL_TYPES,
)
TRAINING_LAST_FAILURE = gauge(
    "upnext_training_last_failure_timestamp_seconds",
    "When a training of the type last failed, 0 if none did; from the database every 10 s. One "
    "that the gate rejected has not failed.",
    WORKER,
    "livemostrecent",
    model_type=MODEL_TYPES,
)
LIVE_MODEL_TIMESTAMP = gauge(
    "upnext_live_model_timestamp_seconds",
    "When the training of the live model ended, 0 without one; `time()` less this is its age. "
    "From the database every 10 s.",
    WORKER,
    "livemostrecent",
)
LIVE_MODEL_INFO = gauge(
    "upnext_live_model_info",
    "1 for the version that is live; no series without one. From the database every 10 s.",
    WORKER,
    "livemostrecent",
    version=VERSION,
    model_type=MODEL_TYPES,
)
ANN_SELF_RECALL = gauge(
    "upnext_ann_self_recall",
    "Of the live version: the share, 0 to 1, of what exact search finds that the index finds too: "
    "the best 100 for 32 of its videos, always the same. Measured within two minutes after it went "
    "live and every ten minutes; not with `UPNEXT_INDEX=exact`.",
    WORKER,
    "livemostrecent",
)
SHOWN = gauge(
    "upnext_shown",
    "Videos shown in the last hour, by the version of the list and the source they came from; from "
    "the database every minute.",
    WORKER,
    "livemostrecent",
    model_version=VERSION_SHOWN,
    source=SOURCES,
)
WATCHED_OF_SHOWN = gauge(
    "upnext_watched_of_shown",
    "Watches in the last hour of what was shown: they named a list that had the video. Over "
    "`upnext_shown` it is the watch-through.",
    WORKER,
    "livemostrecent",
    model_version=VERSION_SHOWN,
    source=SOURCES,
)

LIVE_MODEL = Family(LIVE_MODEL_INFO)
SHOWN_NOW = Family(SHOWN)
WATCHED_NOW = Family(WATCHED_OF_SHOWN)
