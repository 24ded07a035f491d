"""
### Rebuild the warehouse from the archive of raw responses

On demand: reads responses from S3 and loads them again as the hourly runs did. Rows that exist stay
as they are, so replaying what is loaded changes nothing, at any time, also beside the hourly load.
It restores plays, tracks, rejected items and gaps that were lost from the tables, and loads what an
older version of the code could not read. It also reads the archive of the previous system
(docs/data-model.md says what is approximate then).

`plan` cuts the users into groups; `replay`, one task for each group, three at a time (the pool
`backfill`), loads a group's responses in the order of time; `publish_…` update the assets
`songswap_plays` and `songswap_catalogue`, if there is news; `summarise` adds up. Only references to
users and hours travel between tasks.

| param | |
|---|---|
| `users` | their ids, as `12, 13`; all users in the archive, if empty |
| `from` | the first hour (UTC), as `2026-11-22T08`, or a day; the first response, if empty |
| `to` | the hour before which it ends; after the last response, if empty |
| `dry_run` | only count users and objects; the log of `summarise` has the numbers |

It needs the connection `SongSwap_S3_ReadOnly`. The archive does not hold images, popularity and
genres of artists, or audio features: the next hourly load fetches them, or `backfill_data`. To
replay into a fresh database, see `songswap replay --into` in docs/operations.md.

**When it is red**, read the log of the red task. Everything loaded before stays. Fix what is named
and clear the task, or start again: nothing is loaded twice.

* *No key may read the archive*, *did not list or give responses*: check `SongSwap_S3_ReadOnly` and
  the variable `bucket_name`.
* *is in "Users" of this warehouse*: restore that table first, because plays refer to users.
* *objects are damaged*, *responses were refused*: the logs of `replay` name each object. All others
  are loaded.
"""

from typing import Any

from airflow.sdk import Param, TriggerRule, dag, get_current_context, task

from songswap.orchestration.assets import publish_catalogue, publish_plays
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described, users_param
from songswap.orchestration.retries import LONGEST_TASK, ON_DEMAND_TIMEOUT


@task
def plan() -> list[dict[str, Any]]:
    """Cut the users into groups."""
    from songswap.orchestration import replay as steps

    return steps.plan(get_current_context()["params"])


# The counts are one XCom, not one for each name.
@task(pool="backfill", execution_timeout=LONGEST_TASK, multiple_outputs=False)
def replay(unit: dict[str, Any]) -> dict[str, int]:
    """Load the responses of a group of users."""
    from songswap.orchestration import replay as steps

    return steps.replay(unit, get_current_context()["params"])


# Also where nothing was new, and so nothing was published.
@task(multiple_outputs=False, trigger_rule=TriggerRule.NONE_FAILED)
def summarise(units: list[dict[str, int]]) -> dict[str, int]:
    """Add up what was read and loaded."""
    from songswap.orchestration import replay as steps

    return steps.summarise(units)


@dag(
    schedule=None,
    dagrun_timeout=ON_DEMAND_TIMEOUT,
    tags=["songswap", "on demand"],
    params={
        "users": users_param(
            "Users",
            "**Empty: all users in the archive.** `songswap grants --state active` shows the ids.",
        ),
        "from": Param(
            None,
            type=["null", "string"],
            examples=["2026-11-22T08", "2026-11-22"],
            title="From (UTC)",
            description_md="The first hour, as `2026-11-22T08`, or a day, as `2026-11-22`."
            " **Empty: from the first response on.**",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            examples=["2026-11-22T10", "2026-11-23"],
            title="To (UTC)",
            description_md="The hour or day before which it ends: from `2026-11-22T08` to"
            " `2026-11-22T10` are two hours. **Empty: to the last response.**",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description_md="Only count users and objects: the log of `summarise` has the numbers.",
        ),
    },
    **described(__doc__),
    **PIPELINE_DAG,
)
def replay_archive() -> None:
    """Load the raw responses in S3 into the warehouse again."""
    replayed = replay.expand(unit=plan())
    end = summarise(replayed)  # type: ignore[arg-type]  # Airflow makes it a list
    replayed >> [publish_plays(), publish_catalogue()] >> end


replay_archive()
