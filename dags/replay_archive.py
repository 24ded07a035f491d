"""
### Rebuild the warehouse from the archive of raw answers

On demand: reads answers from S3 and loads them again as the hourly runs did. What is in the tables
already stays as it is: a replay of what is loaded changes nothing, at any time, beside the hourly
load. It brings back plays, tracks, set-aside items and gaps that were lost from the tables, and
loads what an older version of the code could not read. It reads the archive of the system before
this one too (docs/data-model.md says what is approximate then).

`plan` cuts the users into groups; `replay`, one task for each of them, three at a time (the pool
`backfill`), loads a group's answers in the order of time; `summarise` adds up. Only references to
users and hours go from task to task.

| param | |
|---|---|
| `users` | their ids; all of whom there are answers, if empty |
| `from` | the first hour (UTC), as `2026-11-22T08`, or a day; from the first answer on, if empty |
| `to` | the hour before which it ends; to the last answer, if empty |
| `dry_run` | only count users and objects; the log of `summarise` has the numbers |

It needs the connection `SongSwap_S3_ReadOnly`. What the archive does not hold (images, popularity
and genres of artists, audio features) is asked for by the next hourly load, or by `backfill_data`.
Into a fresh database: `songswap replay --into`, see docs/operations.md.

**When it is red**, read the log of the red task. All that was loaded until then stays. Mend what it
names and clear the task, or start again: nothing is loaded twice.

* *No key may read the archive*, *did not list or give responses*: check `SongSwap_S3_ReadOnly` and
  the variable `bucket_name`.
* *is in "Users" of this warehouse*: restore that table first, for plays belong to users.
* *objects are damaged*, *answers were refused*: the logs of `replay` name each object. All others
  are loaded.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import LONGEST_TASK, retried

POOL = "backfill"


@task
def plan() -> list[dict[str, Any]]:
    """Cut the users into groups."""
    from songswap.orchestration import replay as steps

    return steps.plan(get_current_context()["params"])


# The counts are one value, not one for each of their names.
@task(pool=POOL, execution_timeout=LONGEST_TASK, multiple_outputs=False)
def replay(unit: dict[str, Any]) -> dict[str, int]:
    """Load the answers of a group of users."""
    from songswap.orchestration import replay as steps

    context = get_current_context()
    return steps.replay(context["run_id"], unit, context["params"])


@task(multiple_outputs=False)
def summarise(counts: list[dict[str, int]]) -> dict[str, int]:
    """Add up what was read and loaded."""
    from songswap.orchestration import replay as steps

    return steps.summarise(counts)


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    tags=["songswap"],
    doc_md=__doc__,
    default_args=retried(),
    params={
        "users": Param(
            [],
            type="array",
            items={"type": "integer", "minimum": 0},
            description="The ids of the users; all of the archive, if empty.",
        ),
        "from": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{4}-\d\d-\d\d(T\d\d)?$",
            description="The first hour (UTC), as 2026-11-22T08.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{4}-\d\d-\d\d(T\d\d)?$",
            description="The hour (UTC) before which it ends.",
        ),
        "dry_run": Param(False, type="boolean", description="Only count what would be read."),
    },
    **ALERTS,
)
def replay_archive() -> None:
    """The warehouse, once more, from the raw answers in S3."""
    summarise(replay.expand(unit=plan()))  # type: ignore[arg-type]  # Airflow makes it a list


replay_archive()
