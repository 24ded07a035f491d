"""
### Fill in missing data of tracks and artists

On demand: finds the tracks and artists that lack rows, requests them from Spotify, loads the
responses and counts again. Three branches that do not wait for each other:

| tasks | fill in | ids a request |
|---|---|---|
| `…_artists` | images, popularity, followers, genres | 50 |
| `…_tracks` | images, popularity, previews | 50 |
| `…_features` | audio features | 100 |

`find_…` counts, `fill_…` requests and loads, `verify_…` counts what is left; `publish_catalogue`
updates the asset `songswap_catalogue`. An id that Spotify has answered is complete, whatever the
response: ids that Spotify does not know, or without a preview, image or genre, are not requested
again. An id without a response waits some hours.

| param | |
|---|---|
| `kinds` | the branches to run |
| `at_most` | the most ids that each of them requests; all, if empty |
| `dry_run` | only count; the log of `find_…` has the numbers |

The hourly load comes first: while it runs, and when Spotify asks for a long pause, `fill_…` is *up
for reschedule* and continues by itself. There is nothing to do then.

**When it is red**, read the log of the red task. Everything loaded before stays. Fix what is named
and clear the task: it continues with the same ids. Clearing `find_…` chooses others.

* *the warehouse refused or was lost*: check PostgreSQL and the connection `SongSwap_RDS`.
* *the app's own credentials*: set `SPOTIFY_CLIENT_ID` and `SPOTIFY_CLIENT_SECRET`, or the
  connection `SongSwap_Spotify`.
* *rows were not in … after their own load*, *still lack rows after their backfill*: a trigger or
  rule on the named table removes rows.
"""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.assets import publish_catalogue
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import LONGEST_TASK, ON_DEMAND_TIMEOUT

KINDS = {"artists": "artist", "tracks": "track", "features": "features"}


@task
def find(kind: str) -> dict[str, Any]:
    """Count what is missing, and choose what to request."""
    from songswap.orchestration import backfill

    return backfill.find(kind, get_current_context()["params"])


# A fill may take hours, and stops by itself when the next hourly load begins.
@task(pool="backfill", execution_timeout=LONGEST_TASK)
def fill(kind: str, found: dict[str, Any]) -> None:
    """Request it from Spotify, and load the responses."""
    from songswap.orchestration import backfill

    backfill.fill(kind, found, get_current_context()["params"])


@task
def verify(kind: str, found: dict[str, Any]) -> dict[str, int]:
    """Count again."""
    from songswap.orchestration import backfill

    return backfill.verify(kind, found)


@dag(
    schedule=None,
    dagrun_timeout=ON_DEMAND_TIMEOUT,
    tags=["songswap", "on demand"],
    params={
        "kinds": Param(
            list(KINDS.values()),
            type="array",
            items={"type": "string", "enum": list(KINDS.values())},
            examples=list(KINDS.values()),
            values_display={
                "artist": "artists: images, popularity, followers, genres",
                "track": "tracks: images, popularity, previews",
                "features": "audio features of tracks",
            },
            title="What to fill in",
            description="One branch of tasks each; those that are not chosen are skipped.",
        ),
        "at_most": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="At most",
            description_md="The most ids of each kind that are requested from Spotify. **Empty: all"
            " that are missing**, which may take hours and waits for each hourly load.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description_md="Only count what is missing: the logs of `find_…` have the numbers.",
        ),
    },
    **described(__doc__),
    **PIPELINE_DAG,
)
def backfill_data() -> None:
    """Fill in missing data of tracks and artists from Spotify."""
    catalogue = publish_catalogue()
    for name, kind in KINDS.items():
        found = find.override(task_id=f"find_{name}")(kind)
        filled = fill.override(task_id=f"fill_{name}")(kind, found)  # type: ignore[arg-type]  # XCom
        left = verify.override(task_id=f"verify_{name}")(kind, found)  # type: ignore[arg-type]
        filled >> [left, catalogue]


backfill_data()
