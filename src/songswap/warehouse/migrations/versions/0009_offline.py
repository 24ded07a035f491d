"""When an offline phone reported a stream, beside when it was heard."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0009_pipeline.sql").read_text())


def downgrade() -> None:
    op.execute("ALTER TABLE songswap.streams DROP COLUMN reported_at")
