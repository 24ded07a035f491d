"""
### Import users' whole streaming histories

On demand: takes the exports that Spotify sends users on request, from a folder that all workers see
or from S3, and loads what the API can no longer tell. A play that the API told too is counted once.
The same export again changes nothing, at any time, beside the hourly load.

`find` looks whose exports wait; `load`, one task for each group of users, three at a time (the pool
`backfill`), imports them; `summarise` adds up. Only references to users go from task to task.

| param | |
|---|---|
| `source` | a folder, or `s3://BUCKET/PREFIX`, which `SongSwap_S3_ReadOnly` may list and get |

In it, what is a user's is in a folder `user12/` (zips, files, or both) or is a zip `user12.zip`,
by the user's id in the warehouse. The log of `summarise` names zips and folders that name no user,
and files that may be a history and were left out. docs/import.md says how users get their export,
and what becomes of each row; `songswap.imports` has the numbers.

**When it is red**, read the log of `summarise`: it names each export that was refused, and why. All
others are in. Mend what it names and start again: nothing is loaded twice.

* *is not a whole zip*, *is not whole JSON*, *no streaming history in*: have it downloaded again.
* *the export of another user*: put it where it belongs. Where it is the user's all the same:
  `songswap import SOURCE --user ID --trust`.
* *was deleted meanwhile*, *cannot be read*: an object in S3; put it there again.
* *There is no user*: the web app has not signed this user up.
* a red `load`: the warehouse or S3 were away; clear it.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import LONGEST_TASK, retried

POOL = "backfill"


@task
def find() -> list[dict[str, Any]]:
    """Look whose exports wait."""
    from songswap.orchestration import importing

    return importing.find(get_current_context()["params"])


# A life is imported in seconds; a group may be of many. The counts are one value.
@task(pool=POOL, execution_timeout=LONGEST_TASK, multiple_outputs=False)
def load(group: dict[str, Any]) -> dict[str, Any]:
    """Import the exports of a group of users."""
    from songswap.orchestration import importing

    return importing.load(get_current_context()["run_id"], group)


@task(multiple_outputs=False)
def summarise(told: list[dict[str, Any]]) -> dict[str, int]:
    """Add up what became of all rows, and fail if an export was refused."""
    from songswap.orchestration import importing

    return importing.summarise(told)


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    tags=["songswap"],
    doc_md=__doc__,
    default_args=retried(),
    params={
        "source": Param(
            "",
            type="string",
            minLength=1,
            examples=["/var/lib/exports", "s3://songswap/exports"],
            description="A folder that all workers see, or s3://BUCKET/PREFIX.",
        ),
    },
    **ALERTS,
)
def import_streaming_history() -> None:
    """Users' exports, from where they wait to the platform's tables."""
    summarise(load.expand(group=find()))  # type: ignore[arg-type]  # Airflow makes it a list


import_streaming_history()
