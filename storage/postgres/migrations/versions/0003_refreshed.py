"""How a model came to be live, when its lists were made, and less diversity."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Nothing but the first migration writes version 1, so it is still what nobody has chosen.
_DIVERSITY = """
    UPDATE ranking_configs SET body = body || '{{"diversity": {value}}}' WHERE version = 1
"""


def upgrade() -> None:
    op.execute("ALTER TABLE models ADD COLUMN live_reason text")
    op.execute("ALTER TABLE models ADD COLUMN refreshed_at timestamptz")
    op.execute(_DIVERSITY.format(value=0.1))


def downgrade() -> None:
    op.execute(_DIVERSITY.format(value=0.2))
    op.execute("ALTER TABLE models DROP COLUMN refreshed_at")
    op.execute("ALTER TABLE models DROP COLUMN live_reason")
