"""The first tables."""

from alembic import op

revision = "0001"
down_revision = None

_UP = (
    """
    CREATE TABLE videos (
        id text COLLATE "C" PRIMARY KEY,
        title text NOT NULL,
        description text NOT NULL,
        genres text[] NOT NULL,
        duration_seconds double precision,
        language text,
        creator_id text COLLATE "C",
        published_at timestamptz,
        available boolean NOT NULL,
        available_from timestamptz,
        available_until timestamptz,
        regions text[] NOT NULL,
        maturity integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE users (
        user_id text COLLATE "C" PRIMARY KEY,
        revision bigint NOT NULL,
        last_event_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE interactions (
        event_key uuid PRIMARY KEY,
        user_id text COLLATE "C" NOT NULL,
        video_id text COLLATE "C" NOT NULL,
        kind text NOT NULL CONSTRAINT interactions_kind CHECK (kind IN ('watch', 'rating')),
        occurred_at timestamptz NOT NULL,
        weight double precision NOT NULL
            CONSTRAINT interactions_weight CHECK (weight BETWEEN 0 AND 1),
        watched_seconds double precision,
        video_seconds double precision,
        rating double precision,
        recommendation_id text
    )
    """,
    """
    CREATE INDEX interactions_user_time
        ON interactions (user_id, occurred_at DESC) INCLUDE (video_id, weight)
    """,
    "CREATE INDEX interactions_time ON interactions USING brin (occurred_at)",
    """
    CREATE TABLE popularity (
        video_id text COLLATE "C" NOT NULL,
        shard smallint NOT NULL CONSTRAINT popularity_shard CHECK (shard BETWEEN 0 AND 3),
        watches bigint NOT NULL,
        log2_slow double precision NOT NULL,
        log2_fast double precision NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (video_id, shard)
    )
    """,
    "CREATE INDEX popularity_updated ON popularity (updated_at)",
    # log2(2^a + 2^b). Below 2^-60 the smaller one is lost in rounding anyway, and power() would
    # refuse what it cannot represent.
    """
    CREATE FUNCTION log2_add(a double precision, b double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN least(a, b) = '-Infinity' THEN greatest(a, b)
            ELSE greatest(a, b)
                + ln(1 + power(2, greatest(least(a, b) - greatest(a, b), -60))) / ln(2)
        END
    $$
    """,
    """
    CREATE AGGREGATE log2_sum(double precision) (
        SFUNC = log2_add, STYPE = double precision, INITCOND = '-Infinity', PARALLEL = SAFE
    )
    """,
    """
    CREATE TABLE models (
        id text COLLATE "C" PRIMARY KEY,
        model_type text NOT NULL,
        version text COLLATE "C" NOT NULL UNIQUE,
        status text NOT NULL,
        attempt uuid NOT NULL,
        heartbeat_at timestamptz NOT NULL,
        progress jsonb,
        created_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz,
        promoted_at timestamptz,
        retired_at timestamptz,
        condemned_at timestamptz,
        swept_at timestamptz,
        data jsonb NOT NULL,
        params jsonb NOT NULL,
        metrics jsonb NOT NULL,
        artifact_uri text,
        error text,
        previous_id text COLLATE "C" REFERENCES models (id)
    )
    """,
    "CREATE UNIQUE INDEX models_one_live ON models (status) WHERE status = 'live'",
    """
    CREATE UNIQUE INDEX models_one_run_a_type ON models (model_type)
        WHERE status IN ('queued', 'training', 'evaluating', 'publishing')
    """,
    "CREATE INDEX models_created ON models (created_at)",
    """
    CREATE TABLE ranking_configs (
        version integer PRIMARY KEY,
        body jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    INSERT INTO ranking_configs (version, body) VALUES (1, '{
        "preset": "model", "weights": null, "diversity": 0.2, "creator_cap": 3,
        "candidates": 300, "soft_age_seconds": 600, "hard_age_seconds": 3600
    }')
    """,
    # The leading column is the transaction: readers walk the table in an order in which nothing
    # can turn up behind them.
    """
    CREATE TABLE changes (
        transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
        id bigint GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL,
        keys text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (transaction, id)
    )
    """,
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id uuid NOT NULL,
        type text NOT NULL,
        data jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz
    )
    """,
    "CREATE INDEX outbox_waiting ON outbox (id) WHERE published_at IS NULL",
)

_DOWN = (
    "DROP TABLE outbox, changes, ranking_configs, models, popularity, interactions, users, videos",
    "DROP AGGREGATE log2_sum(double precision)",
    "DROP FUNCTION log2_add(double precision, double precision)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
