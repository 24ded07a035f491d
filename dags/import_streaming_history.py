"""
### Import users' whole streaming histories

On demand: reads the exports that Spotify sends users on request, from a folder that all workers see
or from S3, and loads the plays that the API no longer returns. A play that the API returned too is
counted once. Importing the same export again changes nothing, at any time, also beside the hourly
load.

`find` looks up whose exports wait; `load`, one task for each group of users, three at a time (the
pool `backfill`), imports them; `publish_…` update the assets `songswap_plays` and
`songswap_catalogue`, if there is news; `summarise` adds up. Only references to users travel between
tasks.

| param | |
|---|---|
| `source` | a folder, or `s3://BUCKET/PREFIX`, which `SongSwap_S3_ReadOnly` may list and get |

In it, a user's export is a folder `user12/` (zips, files, or both) or a zip `user12.zip`, by the
user's id in the warehouse. The log of `summarise` names zips and folders that name no user, and
files that may be a history and were left out. docs/import.md says how users get their export, and
how each row is treated; `songswap.imports` has the numbers.

**When it is red**, read the log of `summarise`: it names each export that was refused, and why. All
others are imported. Fix what is named and start again: nothing is loaded twice.

* *is not a whole zip*, *is not whole JSON*, *no streaming history in*: have it downloaded again.
* *the export of another user*: move it to that user. If it is this user's nevertheless:
  `songswap import SOURCE --user ID --trust`.
* *was deleted meanwhile*, *cannot be read*: an object in S3; put it there again.
* *There is no user*: the web app has not signed this user up.
* a red `load`: the warehouse or S3 was down; clear the task.
"""

from typing import Any

from airflow.sdk import Param, TriggerRule, dag, get_current_context, task

from songswap.orchestration.assets import publish_catalogue, publish_plays
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import LONGEST_TASK, ON_DEMAND_TIMEOUT


@task
def find() -> list[dict[str, Any]]:
    """Find whose exports wait."""
    from songswap.orchestration import import_export

    return import_export.find(get_current_context()["params"])


# One export takes seconds, but a group may have many. The result is one XCom.
@task(pool="backfill", execution_timeout=LONGEST_TASK, multiple_outputs=False)
def load(group: dict[str, Any]) -> dict[str, Any]:
    """Import the exports of a group of users."""
    from songswap.orchestration import import_export

    return import_export.load(group)


# Also where nothing was new, and so nothing was published.
@task(multiple_outputs=False, trigger_rule=TriggerRule.NONE_FAILED)
def summarise(groups: list[dict[str, Any]]) -> dict[str, int]:
    """Add up the results, and fail if an export was refused."""
    from songswap.orchestration import import_export

    return import_export.summarise(groups)


@dag(
    schedule=None,
    dagrun_timeout=ON_DEMAND_TIMEOUT,
    tags=["songswap", "on demand"],
    params={
        "source": Param(
            "",
            type="string",
            minLength=1,
            examples=["/var/lib/exports", "s3://songswap/exports"],
            title="Where the exports are",
            description_md="A folder that **all workers** see, or `s3://BUCKET/PREFIX`. In it, each"
            " user's export is a folder `user12` or a zip `user12.zip`, by the user's id in the"
            " warehouse.",
        ),
    },
    **described(__doc__),
    **PIPELINE_DAG,
)
def import_streaming_history() -> None:
    """Load users' exports into the platform's tables."""
    loaded = load.expand(group=find())
    end = summarise(loaded)  # type: ignore[arg-type]  # Airflow makes it a list
    loaded >> [publish_plays(), publish_catalogue()] >> end


import_streaming_history()
