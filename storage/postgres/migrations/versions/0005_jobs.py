"""Jobs with their queue, and who was erased."""

from importlib.resources import files
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"

# The queue's tables and functions have a schema to themselves. They are made by the migrations that
# the library ships, up to this one: unlike its schema as a whole these never change, so that every
# release of it makes the same. Later ones are for later migrations of ours.
_LAST_OF_THE_QUEUE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
_IN_THE_QUEUES_SCHEMA = "SET LOCAL search_path TO queue"
_BACK = "SET LOCAL search_path TO DEFAULT"

_UP = (
    """
    CREATE TABLE jobs (
        id text COLLATE "C" PRIMARY KEY,
        kind text NOT NULL CONSTRAINT jobs_kind CHECK (kind IN ('batch', 'erasure')),
        status text NOT NULL CONSTRAINT jobs_status
            CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        asked_by text COLLATE "C" NOT NULL,
        params jsonb NOT NULL,
        progress jsonb,
        counts jsonb NOT NULL DEFAULT '{}',
        attempt uuid,
        begun integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz,
        result text,
        error text
    )
    """,
    "CREATE INDEX jobs_finished ON jobs (finished_at)",
    "ALTER TABLE models ADD COLUMN queue_id bigint",
    # What is kept of an erased user must not say who it was: a hash with a salt of this database's
    # own, which cannot be looked up in a table of hashes made elsewhere.
    "CREATE TABLE erased_users (id_hash bytea PRIMARY KEY, erased_at timestamptz NOT NULL)",
    "CREATE TABLE erased_salt (salt text NOT NULL)",
    """
    INSERT INTO erased_salt (salt)
    VALUES (gen_random_uuid()::text || gen_random_uuid()::text)
    """,
    """
    CREATE FUNCTION erased_hash(user_id text) RETURNS bytea
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    AS $$ SELECT sha256(convert_to(salt || user_id, 'UTF8')) FROM erased_salt $$
    """,
)

_DOWN = (
    "DROP FUNCTION erased_hash(text)",
    "DROP TABLE erased_salt, erased_users, jobs",
    "ALTER TABLE models DROP COLUMN queue_id",
    "DROP SCHEMA queue CASCADE",
)


def upgrade() -> None:
    op.execute("CREATE SCHEMA queue")
    op.execute(_IN_THE_QUEUES_SCHEMA)
    for script in _queue():
        _run(script)
    op.execute(_BACK)
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)


def _queue() -> list[str]:
    folder = files("procrastinate.sql.migrations")
    scripts = sorted(
        (one for one in folder.iterdir() if one.name.endswith(".sql")), key=lambda one: one.name
    )
    return [one.read_text("utf-8") for one in scripts if one.name <= _LAST_OF_THE_QUEUE]


def _run(script: str) -> None:
    """Many statements at once, which the driver takes only as they are."""
    adapted: Any = op.get_bind().connection.dbapi_connection
    adapted.run_async(lambda connection: connection.execute(script))
