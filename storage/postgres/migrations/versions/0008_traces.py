"""Where jobs, runs and events that wait were asked for: the trace that they go on with."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE traces (
            id text COLLATE "C" PRIMARY KEY,
            trace jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE traces")
