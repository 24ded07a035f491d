"""What exports from Spotify tell: imports, streams, and the names of their tracks."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0005_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        "DROP TABLE songswap.export_tracks, songswap.streams, songswap.imports"
    )
