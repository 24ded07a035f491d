"""Names that tell our indexes on the platform's tables from those of the web app."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0008_indexes.sql").read_text())


def downgrade() -> None:
    """Leave the indexes their names, which the code before does not use."""
