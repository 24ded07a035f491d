"""The platform's tables where they are missing, and the pipeline's own schema."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FOLDER = Path(__file__).parent


def upgrade() -> None:
    for name in ("0001_platform.sql", "0001_pipeline.sql"):
        op.get_bind().exec_driver_sql((_FOLDER / name).read_text())


def downgrade() -> None:
    # The platform's tables hold the users' history: no downgrade of ours may drop them.
    op.get_bind().exec_driver_sql(
        "DROP TABLE songswap.steps, songswap.runs, songswap.polls, songswap.grants, songswap.gaps,"
        " songswap.set_aside, songswap.notes, songswap.metadata"
    )
