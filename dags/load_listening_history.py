"""
### Load every user's listening history

Each hour, for **all** users: ask Spotify for their recent plays, archive the raw answers in S3,
load them into the platform's PostgreSQL, then ask for what is unknown of the tracks and artists.

| task | what it does |
|---|---|
| `retry` | brings what earlier runs had to keep in the spool to S3 and into the warehouse |
| `plan` | cuts the users into batches |
| `batch.fetch` | asks for each user of a batch; raw answers go to the spool, then to S3 |
| `batch.load` | transforms and loads the batch in one transaction |
| `enrich_…` | tracks, artists and audio features that are unknown or stale |
| `summarise` | adds up the run in `songswap.runs`, and is red if any part of it failed |

**When it is red**, read the log of `summarise`: it names each part that failed, and why. What
Spotify answered is not lost: it waits in the spool (`SONGSWAP_SPOOL`) until S3 and the warehouse
take it, and the next run sees to that by itself. So mend what is named and let the next hour come,
or clear the run to do it now. Clearing any task is safe at any time: nothing is loaded twice.

* *the warehouse refused or was lost*: check PostgreSQL and the connection `SongSwap_RDS`.
* *S3 did not take a response*: check the bucket (variable `bucket_name`) and `SongSwap_S3_PutOnly`.
* *paused*, *Spotify allows no more requests until …*: nothing to do. What would have asked is
  skipped, and the run is red because nobody was asked, but the message is yellow and comes once.
* *it took too long*: a run of more than 55 minutes is ended, so that the next hour's can begin.
* *the app's own credentials*: set `SPOTIFY_CLIENT_ID` and `SPOTIFY_CLIENT_SECRET`, or the
  connection `SongSwap_Spotify`.
* *the grants of … users at once*: look at Spotify's status page; nobody has to authorize again yet.
* *schema is at version …*: run `songswap migrate`.

A run must follow within the time in which a heavy listener plays 50 tracks, or plays are lost for
good. Such a gap is counted as `gaps` and recorded in `songswap.gaps`.
"""

from datetime import UTC, datetime

from airflow.sdk import TriggerRule, dag, get_current_context, task, task_group

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import RUN_TIMEOUT, retried

POOL = "spotify"


def run_id() -> str:
    """The id under which this run is noted everywhere."""
    return str(get_current_context()["dag_run"].run_id)


@task
def retry() -> None:
    """Bring what waits in the spool where it belongs."""
    from songswap.orchestration import steps

    steps.retry(run_id())


@task(trigger_rule=TriggerRule.ALL_DONE)
def plan() -> list[int]:
    """Cut the users into batches."""
    from songswap.orchestration import steps

    return steps.plan(run_id())


@task(pool=POOL)
def fetch(number: int) -> None:
    """Ask Spotify for each user of a batch."""
    from songswap.orchestration import steps

    steps.fetch(run_id(), number)


@task(trigger_rule=TriggerRule.ALL_DONE)
def load(number: int) -> None:
    """Load what was fetched of a batch."""
    from songswap.orchestration import steps

    steps.load(run_id(), number)


@task_group
def batch(number: int) -> None:
    """A batch of users: it is loaded as soon as it is fetched, also in part."""
    fetch(number) >> load(number)


@task(pool=POOL, trigger_rule=TriggerRule.ALL_DONE)
def enrich(kind: str) -> None:
    """Ask for what is unknown or stale of a kind."""
    from songswap.orchestration import steps

    steps.enrich(run_id(), kind)


@task(trigger_rule=TriggerRule.ALL_DONE)
def summarise() -> dict[str, int]:
    """Add up the run, and fail if any part of it did."""
    from songswap.orchestration import steps

    return steps.summarise(run_id())


@dag(
    schedule="1 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    # A run that hangs does not keep the next hour from its own.
    dagrun_timeout=RUN_TIMEOUT,
    tags=["songswap"],
    doc_md=__doc__,
    default_args=retried(),
    **ALERTS,
)
def load_listening_history() -> None:
    """Every user's recent plays, from Spotify to the platform's tables."""
    numbers = plan()
    retry() >> numbers
    kinds = {"tracks": "track", "artists": "artist", "features": "features"}
    enrichments = [enrich.override(task_id=f"enrich_{name}")(kind) for name, kind in kinds.items()]
    batch.expand(number=numbers) >> enrichments >> summarise()


load_listening_history()
