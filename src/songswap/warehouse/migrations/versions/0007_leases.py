"""A lease tells whether a run is alive: no lock of a session, which poolers do not keep."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    statements = Path(__file__).with_name("0007_pipeline.sql").read_text()
    op.get_bind().exec_driver_sql(statements)


def downgrade() -> None:
    # The function is that of the version before again.
    before = Path(__file__).with_name("0006_pipeline.sql").read_text()
    begin = before.index("CREATE OR REPLACE FUNCTION songswap.dead_runs")
    function = before[begin : before.index("CREATE TABLE songswap.track_forms")]
    op.get_bind().exec_driver_sql(f"{function} ALTER TABLE songswap.runs DROP COLUMN alive_until")
