"""
### Fill what the tables lack of tracks and artists

On demand: finds the tracks and artists that lack rows, asks Spotify for them, loads the answers and
counts again. Three branches that do not wait for each other:

| tasks | fill | ids a call |
|---|---|---|
| `…_artists` | images, popularity, followers, genres | 50 |
| `…_tracks` | images, popularity, previews | 50 |
| `…_features` | audio features | 100 |

`find_…` counts, `fill_…` asks and loads, `verify_…` counts what is left. An id that Spotify has
answered is complete, whatever it said: what it does not know, or has no preview, image or genre of,
is not asked for again. An id that it gave no answer for waits some hours.

| param | |
|---|---|
| `kinds` | which branches run |
| `at_most` | how many ids each of them asks for; all, if empty |
| `dry_run` | only count; the log of `find_…` has the numbers |

`fill_…` goes behind the hourly load: while one is going on, and when Spotify asks for a long pause,
it is *up for reschedule* and comes back by itself. Nothing is to be done then.

**When it is red**, read the log of the red task. All that was loaded until then stays. Mend what it
names and clear the task: it goes on where it was, with the same ids. Clearing `find_…` chooses
others.

* *the warehouse refused or was lost*: check PostgreSQL and the connection `SongSwap_RDS`.
* *the app's own credentials*: set `SPOTIFY_CLIENT_ID` and `SPOTIFY_CLIENT_SECRET`, or the
  connection `SongSwap_Spotify`.
* *rows were not there after their own load*, *still lack rows after their backfill*: a trigger or
  rule on the named table takes rows away.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import LONGEST_TASK, retried

POOL = "backfill"
KINDS = {"artists": "artist", "tracks": "track", "features": "features"}


@task
def find(kind: str) -> dict[str, Any]:
    """Count what is missing, and choose what to ask for."""
    from songswap.orchestration import backfill

    return backfill.find(kind, get_current_context()["params"])


# A fill may take hours, and ends by itself when the next hourly load begins.
@task(pool=POOL, execution_timeout=LONGEST_TASK)
def fill(kind: str, found: dict[str, Any]) -> None:
    """Ask Spotify for it, and load what it tells."""
    from songswap.orchestration import backfill

    backfill.fill(kind, found, get_current_context()["params"])


@task
def verify(kind: str, found: dict[str, Any]) -> dict[str, int]:
    """Count again."""
    from songswap.orchestration import backfill

    return backfill.verify(kind, found)


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    tags=["songswap"],
    doc_md=__doc__,
    default_args=retried(),
    params={
        "kinds": Param(
            list(KINDS.values()),
            type="array",
            items={"type": "string", "enum": list(KINDS.values())},
            examples=list(KINDS.values()),
            description="What is to be filled.",
        ),
        "at_most": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="How many ids of each kind are asked for at most; all, if empty.",
        ),
        "dry_run": Param(False, type="boolean", description="Only count what is missing."),
    },
    **ALERTS,
)
def backfill_data() -> None:
    """What the tables lack of tracks and artists, from Spotify."""
    for name, kind in KINDS.items():
        found = find.override(task_id=f"find_{name}")(kind)
        filled = fill.override(task_id=f"fill_{name}")(kind, found)
        filled >> verify.override(task_id=f"verify_{name}")(kind, found)


backfill_data()
