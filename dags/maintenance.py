"""
### Remove old runs, snapshots and logs that nobody needs any more

Weekly and on demand. It removes records of work alone: no play, gap, grant, import, or anything
else about a user. Two tasks that do not wait for each other:

| task | removes |
|---|---|
| `clean_warehouse` | runs, their steps, and snapshots, after `SONGSWAP_KEEP_DAYS` (90) |
| `clean_logs` | Airflow's logs on the machine it runs on, after `SONGSWAP_KEEP_LOG_DAYS` (30) |

The result of each task, also in its log, is how much was removed. Runs that are still needed stay
at any age: those in progress, the last good one, and all after it. It may run beside the hourly
load, and again at any time.

| param | |
|---|---|
| `dry_run` | only count |

Tasks cannot reach Airflow's own database, nor the logs of other machines. In Compose the services
`airflow-cleanup` and `songswap-logs` see to them; on Kubernetes the chart does. Elsewhere, run
`airflow db clean` as docs/operations.md says.

**When it is red**, read the log of the red task. What was removed before is done; clear the task.

* *lacks a right*, *permission denied*: run the GRANTs that `songswap check postgres` names.
* *could not be deleted*: let the user of the worker delete in the folder of logs.
"""

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import RUN_TIMEOUT


@task(multiple_outputs=False)
def clean_warehouse() -> dict[str, int]:
    """Delete old rows in the warehouse."""
    from songswap.orchestration import maintenance as steps

    return steps.clean_warehouse(get_current_context()["params"])


@task(multiple_outputs=False)
def clean_logs() -> dict[str, int]:
    """Delete old log files."""
    from songswap.orchestration import maintenance as steps

    return steps.clean_logs(get_current_context()["params"])


@dag(
    schedule="40 3 * * 0",
    dagrun_timeout=RUN_TIMEOUT,
    tags=["songswap", "weekly"],
    params={
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Only count: the logs of both tasks have the numbers.",
        ),
    },
    **described(__doc__),
    **PIPELINE_DAG,
)
def maintenance() -> None:
    """Remove what nobody needs any more."""
    clean_warehouse()
    clean_logs()


maintenance()
