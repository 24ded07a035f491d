"""Airflow's plugin: the page SongSwap, and a listener that ends the rows of runs ended by hand.

Marking a run as failed or successful, in the UI or through the API, calls none of the DAG's
callbacks, only the listeners in the api-server.

Every process of Airflow imports this, each task too: it imports next to nothing.
"""

import sys
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.sdk.plugins_manager import AirflowPlugin

from songswap.orchestration.runs import end_row
from songswap.orchestration.web.assets import address
from songswap.orchestration.web.mount import Mount

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

_BY_HAND = "manually set"
"""In Airflow's message if a user set the state. A run that the scheduler ends is left to
`songswap.orchestration.alerts.Alert`: the scheduler must not wait for the warehouse."""


@hookimpl
def on_dag_run_failed(dag_run: "DagRun", msg: str) -> None:
    """End the row of a run that somebody marked as failed."""
    if _BY_HAND in (msg or ""):
        end_row(dag_run.dag_id, dag_run.run_id, "It was marked as failed by hand.")


@hookimpl
def on_dag_run_success(dag_run: "DagRun", msg: str) -> None:
    """End the row of a run that somebody marked as successful before it ended."""
    if _BY_HAND in (msg or ""):
        end_row(dag_run.dag_id, dag_run.run_id, "It was marked as a success by hand.")


class SongSwapPlugin(AirflowPlugin):
    """Found by Airflow through the entry point ``airflow.plugins``."""

    name = "songswap"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as in Airflow's base class
    fastapi_apps = [{"name": "SongSwap", "url_prefix": "/songswap", "app": Mount()}]  # noqa: RUF012
    # `static/page.js` has a component for each name.
    react_apps = [  # noqa: RUF012
        {
            "name": "SongSwap",
            "destination": "nav",
            "url_route": "songswap",
            "bundle_url": address("page.js"),
            "icon": address("icon.svg"),
            "icon_dark_mode": address("icondark.svg"),
        },
        {
            "name": "SongSwap panel",
            "destination": "dashboard",
            "url_route": "songswap-panel",
            "bundle_url": address("page.js"),
        },
    ]
