"""A lease tells whether a run is alive: no lock of a session, which poolers do not keep."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0007_pipeline.sql").read_text())
    # Databases that had the version before keep its function, which columns of others can confuse.
    op.get_bind().exec_driver_sql(_before("grant_states"))


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        f"{_before('dead_runs')} ALTER TABLE songswap.runs DROP COLUMN alive_until"
    )


def _before(function: str) -> str:
    """The statement that makes a function as the version before has it."""
    sql = Path(__file__).with_name("0006_pipeline.sql").read_text()
    begin = sql.index(f"CREATE OR REPLACE FUNCTION songswap.{function}")
    return sql[begin : sql.index("$$;", begin) + len("$$;")]
