"""The tasks that check the tables' rows: statements through Airflow's own operator.

The DAG file imports this to be parsed: what only a task needs is imported inside it.
"""

from functools import partial
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator


def check_tasks(*checks: str) -> list[SQLExecuteQueryOperator]:
    """Return a task for each of these checks of `songswap.warehouse.table_checks`.

    Their DAG needs the macros of `MACROS`. A task only reads, whatever the login may do. That of
    ``SongSwap_RDS_ReadOnly`` is the page's, which may not read tracks.
    """
    return [
        SQLExecuteQueryOperator(
            task_id=check,
            conn_id="SongSwap_RDS",
            sql=[
                "SET TRANSACTION READ ONLY",
                "SET LOCAL statement_timeout = '{{ timeout_s() }}s'",
                f"{{{{ statement('{check}') }}}}",
            ],
            handler=partial(_require_none, check),
            requires_result_fetch=True,
            do_xcom_push=False,
        )
        for check in checks
    ]


def _require_none(check: str, cursor: Any) -> None:
    """Raise `TablesWrong` where the statement of a check returned rows."""
    from songswap.errors import TablesWrong
    from songswap.warehouse import table_checks

    if cursor.description is None:  # of a SET
        return
    if problem := table_checks.problem(check, cursor.fetchall()):
        raise TablesWrong(problem)


def _timeout_s() -> int:
    from songswap.warehouse.table_checks import TIMEOUT_S

    return TIMEOUT_S


def _statement(check: str) -> str:
    from songswap.warehouse.table_checks import statement

    return statement(check)


MACROS = {"timeout_s": _timeout_s, "statement": _statement}
