"""When a window was learned, when a feed first answered; dead grants of old are asked again."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0004_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        "ALTER TABLE songswap.budgets DROP COLUMN window_learned_at;"
        " ALTER TABLE songswap.polls DROP COLUMN first_answered_at"
    )
