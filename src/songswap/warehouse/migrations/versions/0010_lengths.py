"""Lengths and artists that only exports tell of tracks."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0010_pipeline.sql").read_text())


def downgrade() -> None:
    # Lengths stay in "Tracks": the code before takes them for Spotify's.
    op.get_bind().exec_driver_sql(
        "DROP FUNCTION songswap.primary_artists;"
        " DROP TABLE songswap.estimated_durations;"
        " ALTER TABLE songswap.export_tracks DROP COLUMN duration_ms"
    )
