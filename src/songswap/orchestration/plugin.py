"""What Airflow's own processes do for the pipeline: end the row of a run that is ended by hand.

Whoever marks a run as failed (or as a success) in the UI, or through the API, ends it there and
then: Airflow calls none of the DAG's callbacks, only the listeners in its api-server.

Every process of Airflow imports this, each task too: it imports next to nothing.
"""

import sys
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.sdk.plugins_manager import AirflowPlugin

from songswap.orchestration.rows import end_row

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

_BY_HAND = "manually set"
"""Stands in what Airflow says of a state that somebody set. What the scheduler ends is left to
`songswap.orchestration.alerts.Alert`: the scheduler must not wait for the warehouse."""


@hookimpl
def on_dag_run_failed(dag_run: "DagRun", msg: str) -> None:
    """End the row of a run that somebody marked as failed."""
    if _BY_HAND in (msg or ""):
        end_row(dag_run.dag_id, dag_run.run_id, "It was marked as failed by hand.")


@hookimpl
def on_dag_run_success(dag_run: "DagRun", msg: str) -> None:
    """End the row of a run that somebody marked as a success before it was one."""
    if _BY_HAND in (msg or ""):
        end_row(dag_run.dag_id, dag_run.run_id, "It was marked as a success by hand.")


class SongSwapPlugin(AirflowPlugin):
    """Found by Airflow through the entry point ``airflow.plugins``."""

    name = "songswap"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow declares it
