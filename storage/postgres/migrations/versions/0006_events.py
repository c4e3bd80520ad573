"""Events that could not be taken, how far videos are watched, upkeep as jobs, judged models."""

from alembic import op

revision = "0006"
down_revision = "0005"

_UP = (
    # An event as it came, that broke a rule. `key` says where on the bus it was, so that one which
    # is delivered again is kept once.
    """
    CREATE TABLE dead_letters (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key uuid NOT NULL CONSTRAINT dead_letters_key UNIQUE,
        subject text NOT NULL,
        payload bytea NOT NULL,
        reason text NOT NULL,
        attempts integer NOT NULL,
        received_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        replayed_at timestamptz
    )
    """,
    "CREATE INDEX dead_letters_created ON dead_letters (created_at)",
    # Whose lists could not be dropped: events are done with although Redis is away.
    """
    CREATE TABLE owed_drops (user_id text COLLATE "C" PRIMARY KEY, revision bigint NOT NULL)
    """,
    # By bucket of length, the shares of a video that its watches reached, in equal steps of rank.
    """
    CREATE TABLE watch_shares (
        bucket smallint PRIMARY KEY,
        shares double precision[] NOT NULL,
        watches bigint NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # Counters move with every event. A BRIN index lets their rows change where they are (HOT), for
    # which their pages want room; it still finds the pages that moved last.
    "DROP INDEX popularity_updated",
    """
    CREATE INDEX popularity_updated ON popularity USING brin (updated_at)
        WITH (pages_per_range = 4)
    """,
    "ALTER TABLE popularity SET (fillfactor = 60)",
    "ALTER TABLE users SET (fillfactor = 80)",
    "ALTER TABLE models ADD COLUMN baseline jsonb",
    "ALTER TABLE jobs DROP CONSTRAINT jobs_kind",
    """
    ALTER TABLE jobs ADD CONSTRAINT jobs_kind CHECK (kind IN (
        'batch', 'erasure', 'refresh', 'encoding', 'retention', 'sweep', 'shares', 'training'
    ))
    """,
    # Upkeep that is asked for while the same is still to be done is asked for once.
    """
    CREATE UNIQUE INDEX jobs_one_upkeep ON jobs (kind)
    WHERE status IN ('queued', 'running') AND kind NOT IN ('batch', 'erasure')
    """,
)

_DOWN = (
    "DROP INDEX jobs_one_upkeep",
    "DELETE FROM jobs WHERE kind NOT IN ('batch', 'erasure')",
    "ALTER TABLE jobs DROP CONSTRAINT jobs_kind",
    "ALTER TABLE jobs ADD CONSTRAINT jobs_kind CHECK (kind IN ('batch', 'erasure'))",
    "ALTER TABLE models DROP COLUMN baseline",
    "ALTER TABLE users RESET (fillfactor)",
    "ALTER TABLE popularity RESET (fillfactor)",
    "DROP INDEX popularity_updated",
    "CREATE INDEX popularity_updated ON popularity (updated_at)",
    "DROP TABLE watch_shares, owed_drops, dead_letters",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
