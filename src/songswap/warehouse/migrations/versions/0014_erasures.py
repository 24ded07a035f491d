"""Erasures of users, and who has to be erased."""

from pathlib import Path

from alembic import op

from songswap.errors import WarehouseRefused

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_FUNCTIONS = {"current_tokens": "0007", "grant_states": "0006", "users_to_poll": "0012"}
"""The functions that it replaces, and the version that made each as it is before."""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0014_pipeline.sql").read_text())


def downgrade() -> None:
    # No request may come in between, and the older code knows of none.
    op.get_bind().exec_driver_sql("LOCK TABLE songswap.erasures")
    in_force = "SELECT count(*) FROM songswap.erasures WHERE renewed_at IS NULL"
    if users := op.get_bind().exec_driver_sql(in_force).scalar():
        raise WarehouseRefused(
            f"Erasures are in force ({users:,}), and older code knows of none: it would poll the"
            " users, and load their data again. Nothing was changed. Stay at this version."
            " If you have to go back all the same: save each receipt ('songswap erase USER"
            " --receipts --json'), delete these rows from songswap.erasures, and erase the users"
            " again once this version is back."
        )
    for function, version in _FUNCTIONS.items():
        op.get_bind().exec_driver_sql(_as_in(version, function))
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0014_back.sql").read_text())


def _as_in(version: str, function: str) -> str:
    """Return the statement that makes a function as an earlier version has it."""
    sql = Path(__file__).with_name(f"{version}_pipeline.sql").read_text()
    begin = sql.index(f"FUNCTION songswap.{function}(")
    return f"CREATE OR REPLACE {sql[begin : sql.index('$$;', begin)]}$$"
