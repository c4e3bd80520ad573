"""More diversity where nobody has chosen otherwise: by the formula of now it costs less."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Nothing but migrations writes version 1.
_DIVERSITY = """
    UPDATE ranking_configs SET body = body || '{{"diversity": {value}}}' WHERE version = 1
"""


def upgrade() -> None:
    op.execute(_DIVERSITY.format(value=0.375))


def downgrade() -> None:
    op.execute(_DIVERSITY.format(value=0.1))
