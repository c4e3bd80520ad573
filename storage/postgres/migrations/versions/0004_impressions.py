"""What was served, and how to find the watches that followed."""

from alembic import op

revision = "0004"
down_revision = "0003"

_UP = (
    # 32 bits tell the videos of one list apart: of a hundred, two are alike once in a million.
    """
    CREATE FUNCTION short_hash(value text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CAST(CAST('x' || substr(md5(value), 1, 8) AS bit(32)) AS integer) $$
    """,
    # No column may be null in a key: before a model is live its version is ''.
    # A source is a letter, '' stands for whole lists.
    """
    CREATE TABLE impressions (
        minute timestamptz NOT NULL,
        writer text COLLATE "C" NOT NULL,
        model_version text COLLATE "C" NOT NULL,
        config_version integer NOT NULL,
        source text NOT NULL,
        lists bigint NOT NULL,
        videos bigint NOT NULL,
        PRIMARY KEY (minute, writer, model_version, config_version, source)
    )
    """,
    # Videos as short hashes, with one letter each for where it came from.
    """
    CREATE TABLE served_lists (
        recommendation_id text COLLATE "C" NOT NULL,
        part integer NOT NULL,
        model_version text COLLATE "C" NOT NULL,
        config_version integer NOT NULL,
        videos integer[] NOT NULL,
        sources text NOT NULL,
        served_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (recommendation_id, part)
    )
    """,
    "CREATE INDEX served_lists_served ON served_lists (served_at)",
    """
    CREATE INDEX interactions_recommended ON interactions (occurred_at)
        INCLUDE (recommendation_id, video_id) WHERE recommendation_id IS NOT NULL
    """,
)

_DOWN = (
    "DROP INDEX interactions_recommended",
    "DROP TABLE served_lists, impressions",
    "DROP FUNCTION short_hash(text)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
