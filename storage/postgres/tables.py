"""The tables, as the migrations leave them: a test compares the two.

Ids are compared byte by byte (`COLLATE "C"`): cheaper, and the same order everywhere.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import UserDefinedType

RUNNING = "status IN ('queued', 'training', 'evaluating', 'publishing')"

UPKEEP_RUNNING = "status IN ('queued', 'running') AND kind NOT IN ('batch', 'erasure')"


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id, which never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in DDL."""
        return "xid8"


def _id() -> Text:
    return Text(collation="C")


def _time() -> DateTime:
    return DateTime(timezone=True)


metadata = MetaData()

videos = Table(
    "videos",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("genres", ARRAY(Text), nullable=False),
    Column("duration_seconds", Double),
    Column("language", Text),
    Column("creator_id", _id()),
    Column("published_at", _time()),
    Column("available", Boolean, nullable=False),
    Column("available_from", _time()),
    Column("available_until", _time()),
    Column("regions", ARRAY(Text), nullable=False),
    Column("maturity", Integer, nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
    Column("updated_at", _time(), nullable=False, server_default=text("now()")),
)

users = Table(
    "users",
    metadata,
    Column("user_id", _id(), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("last_event_at", _time(), nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
)

# No foreign keys: an event may come before its video does, and its user is written with it.
interactions = Table(
    "interactions",
    metadata,
    Column("event_key", UUID, primary_key=True),
    Column("user_id", _id(), nullable=False),
    Column("video_id", _id(), nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", _time(), nullable=False),
    Column("weight", Double, nullable=False),
    Column("watched_seconds", Double),
    Column("video_seconds", Double),
    Column("rating", Double),
    Column("recommendation_id", Text),
    CheckConstraint("kind IN ('watch', 'rating')", name="interactions_kind"),
    CheckConstraint("weight BETWEEN 0 AND 1", name="interactions_weight"),
)
Index(
    "interactions_user_time",
    interactions.c.user_id,
    interactions.c.occurred_at.desc(),
    postgresql_include=["video_id", "weight"],
)
Index("interactions_time", interactions.c.occurred_at, postgresql_using="brin")
Index(
    "interactions_recommended",
    interactions.c.occurred_at,
    postgresql_include=["recommendation_id", "video_id"],
    postgresql_where=text("recommendation_id IS NOT NULL"),
)

# A few rows a video, so that everybody watching one video is not everybody waiting for one row.
popularity = Table(
    "popularity",
    metadata,
    Column("video_id", _id(), primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("watches", BigInteger, nullable=False),
    Column("log2_slow", Double, nullable=False),
    Column("log2_fast", Double, nullable=False),
    Column("updated_at", _time(), nullable=False, server_default=text("now()")),
    CheckConstraint("shard BETWEEN 0 AND 3", name="popularity_shard"),
)
Index(
    "popularity_updated",
    popularity.c.updated_at,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 4},
)

models = Table(
    "models",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("model_type", Text, nullable=False),
    Column("version", _id(), nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("attempt", UUID, nullable=False),
    Column("heartbeat_at", _time(), nullable=False),
    Column("progress", JSONB(none_as_null=True)),
    Column("created_at", _time(), nullable=False),
    Column("started_at", _time()),
    Column("finished_at", _time()),
    Column("published_at", _time()),
    Column("promoted_at", _time()),
    Column("retired_at", _time()),
    Column("condemned_at", _time()),
    Column("swept_at", _time()),
    Column("data", JSONB, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("baseline", JSONB(none_as_null=True)),
    Column("artifact_uri", Text),
    Column("error", Text),
    Column("previous_id", _id(), ForeignKey("models.id")),
    Column("live_reason", Text),  # how it came to be live the last time
    Column("refreshed_at", _time()),  # when all lists had been made anew since, null before
    Column("queue_id", BigInteger),  # its place in the queue, null when a command runs it
)
Index(
    "models_one_live",
    models.c.status,
    unique=True,
    postgresql_where=text("status = 'live'"),
)
Index(
    "models_one_run_a_type",
    models.c.model_type,
    unique=True,
    postgresql_where=text(RUNNING),
)
Index("models_created", models.c.created_at)

# A row a serving process, renewed every few seconds; losing them costs nothing.
replicas = Table(
    "replicas",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("versions", ARRAY(Text), nullable=False),
    Column("seen_at", _time(), nullable=False, server_default=text("now()")),
)

ranking_configs = Table(
    "ranking_configs",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", JSONB, nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
)

# What each process has served in a minute. A source is a letter; '' stands for whole lists.
impressions = Table(
    "impressions",
    metadata,
    Column("minute", _time(), primary_key=True),
    Column("writer", _id(), primary_key=True),
    Column("model_version", _id(), primary_key=True),
    Column("config_version", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("lists", BigInteger, nullable=False),
    Column("videos", BigInteger, nullable=False),
)

served_lists = Table(
    "served_lists",
    metadata,
    Column("recommendation_id", _id(), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("model_version", _id(), nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("videos", ARRAY(Integer), nullable=False),
    Column("sources", Text, nullable=False),
    Column("served_at", _time(), nullable=False, server_default=text("now()")),
)
Index("served_lists_served", served_lists.c.served_at)

changes = Table(
    "changes",
    metadata,
    Column("transaction", Xid8, primary_key=True, server_default=text("pg_current_xact_id()")),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("keys", ARRAY(Text), nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("message_id", UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
    Column("published_at", _time()),
)
Index("outbox_waiting", outbox.c.id, postgresql_where=text("published_at IS NULL"))

jobs = Table(
    "jobs",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("asked_by", _id(), nullable=False),
    Column("params", JSONB, nullable=False),
    Column("progress", JSONB(none_as_null=True)),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("attempt", UUID),
    Column("begun", Integer, nullable=False, server_default=text("0")),
    Column("created_at", _time(), nullable=False),
    Column("started_at", _time()),
    Column("finished_at", _time()),
    Column("result", Text),  # its key in the artifact store, while it is kept
    Column("error", Text),
    CheckConstraint(
        "kind IN ('batch', 'erasure', 'refresh', 'encoding', 'retention', 'sweep', 'shares', "
        "'training')",
        name="jobs_kind",
    ),
    CheckConstraint(
        "status IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="jobs_status"
    ),
)
Index("jobs_finished", jobs.c.finished_at)
Index(
    "jobs_one_upkeep",
    jobs.c.kind,
    unique=True,
    postgresql_where=text(UPKEEP_RUNNING),
)

erased_users = Table(
    "erased_users",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("erased_at", _time(), nullable=False),
)

erased_salt = Table("erased_salt", metadata, Column("salt", Text, nullable=False))

# Events that broke a rule, as they came; `key` is where on the bus each was.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", UUID, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("received_at", _time(), nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
    Column("replayed_at", _time()),
    UniqueConstraint("key", name="dead_letters_key"),
)
Index("dead_letters_created", dead_letters.c.created_at)

# Users whose lists could not be dropped when their history changed, for Redis was away.
owed_drops = Table(
    "owed_drops",
    metadata,
    Column("user_id", _id(), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# How far videos are watched, by bucket of length: shares in equal steps of rank.
watch_shares = Table(
    "watch_shares",
    metadata,
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("shares", ARRAY(Double), nullable=False),
    Column("watches", BigInteger, nullable=False),
    Column("updated_at", _time(), nullable=False, server_default=text("now()")),
)

# The trace that jobs, runs and events of the outbox were asked for in, by their ids.
traces = Table(
    "traces",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("trace", JSONB, nullable=False),
    Column("created_at", _time(), nullable=False, server_default=text("now()")),
)
