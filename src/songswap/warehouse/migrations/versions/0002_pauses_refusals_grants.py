"""What Spotify says of the app itself, where features come from, and when users authorized."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0002_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        "DROP FUNCTION songswap.grant_states;"
        " DROP TABLE songswap.pauses, songswap.refusals;"
        " ALTER TABLE songswap.metadata DROP COLUMN source;"
        " ALTER TABLE songswap.polls DROP COLUMN pace;"
        " ALTER TABLE songswap.steps DROP COLUMN users;"
        " ALTER TABLE songswap.grants DROP COLUMN authorized_at, DROP COLUMN warned_days"
    )
