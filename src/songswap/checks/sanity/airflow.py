"""Check that Airflow itself is set up: its pools exist, and the scheduled DAGs are not paused.

Only where its metadata database can be reached, through Airflow's own command: tasks, and the hosts
of workers, cannot. There, the task `watch` of ``follow_heavy_listeners`` notices the same.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from songswap.checks.sanity.context import CheckContext, Step
from songswap.errors import CheckFailed

METADATA = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_POOLS = ("spotify", "backfill")
_DAGS = ("load_listening_history", "follow_heavy_listeners")
_LONGEST_S = 120

_IN_MEMORY = ("", "sqlite://", "sqlite:///:memory:")
"""Databases of one process: workers of Celery have such a one, for its commands alone."""


def is_reachable(environment: Mapping[str, str]) -> bool:
    """Return whether this process has Airflow's metadata database."""
    return environment.get(METADATA, "").strip() not in _IN_MEMORY


def pools(context: CheckContext) -> str:
    """Check that the pools exist and have slots: Airflow never starts tasks of any other."""
    slots = {pool["pool"]: int(pool["slots"]) for pool in _list(context, "pools")}
    # A negative number is no limit.
    missing = [name for name in _POOLS if not slots.get(name)]
    if missing:
        commands = "; ".join(f"airflow pools set {name} 2 SongSwap" for name in missing)
        raise CheckFailed(
            f"These pools do not exist or have no slots, and their tasks wait for ever:"
            f" {', '.join(missing)}. Create them (in Airflow: Admin, Pools) or run: {commands}."
        )
    return "The pools have slots: " + ", ".join(f"{name} {slots[name]}" for name in _POOLS) + "."


def dags(context: CheckContext) -> str:
    """Check that the scheduled DAGs are there and run."""
    paused = {
        dag["dag_id"]: dag["is_paused"] == "True"
        for dag in _list(context, "dags", "--columns", "dag_id,is_paused")
    }
    if missing := [name for name in _DAGS if name not in paused]:
        raise CheckFailed(
            f"Airflow does not know {', '.join(missing)}: look at its list of import errors, at"
            " dags_folder (`songswap dags` prints it) and at the dag-processor."
        )
    if stopped := [name for name in _DAGS if paused[name]]:
        raise CheckFailed(f"Paused in Airflow: {', '.join(stopped)}. Unpause them.")
    return f"{' and '.join(_DAGS)} are not paused."


STEPS = (Step("pools", pools), Step("dags", dags))


def _list(context: CheckContext, what: str, *options: str) -> list[dict[str, Any]]:
    """Return what Airflow's command lists.

    Raises:
        CheckFailed: there is no metadata database, or the command failed.
    """
    if not is_reachable(context.environment):
        raise CheckFailed(
            "This process has no metadata database of Airflow, as tasks and workers have none. Run"
            " this where the scheduler runs: `docker compose exec airflow-scheduler songswap check"
            f" airflow`; or set {METADATA}."
        )
    command = [sys.executable, "-m", "airflow", what, "list", *options, "--output", "json"]
    try:
        done = subprocess.run(  # noqa: S603  (our own words)
            command,
            env=dict(context.environment),
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=True,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        # Not as its cause: what the command writes may quote the address of the database.
        raise CheckFailed(
            f"`airflow {what} list` failed ({type(error).__name__}): run it here to see why."
        ) from None
    return found
