"""One budget of requests for all who ask with an app; refused grants are asked for again."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0003_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        "DROP TABLE songswap.requests, songswap.budgets;"
        " ALTER TABLE songswap.grants DROP COLUMN refusals"
    )
