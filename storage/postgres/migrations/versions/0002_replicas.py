"""What each replica has open, and which runs have published."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE models ADD COLUMN published_at timestamptz")
    op.execute(
        """
        CREATE TABLE replicas (
            id text COLLATE "C" PRIMARY KEY,
            versions text[] NOT NULL,
            seen_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE replicas")
    op.execute("ALTER TABLE models DROP COLUMN published_at")
