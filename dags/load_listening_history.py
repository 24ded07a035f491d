"""
### Load every user's listening history

Each hour, for **all** users: fetch their recent plays from Spotify, archive the raw responses in
S3, load them into the platform's PostgreSQL, then fetch the missing data of the tracks and artists.

| task | what it does |
|---|---|
| `watch` | notices that `follow_heavy_listeners` is paused, or that none of its runs begins |
| `retry` | archives and loads what earlier runs had to leave in the spool of its host |
| `plan` | cuts the users into batches |
| `batch` | polls each user of a batch; responses go to the spool, then to S3 and the tables |
| `enrich_…` | fetches tracks, artists and audio features that are missing or outdated |
| `publish_…` | updates the assets `songswap_plays`, `songswap_catalogue`; skipped without news |
| `summarise` | adds up the run in `songswap.runs`, and is red if any part of it failed |

**When it is red**, read the log of `summarise`: it names each part that failed, and why. Spotify's
responses are not lost: they wait in the spool (`SONGSWAP_SPOOL`) of the host that fetched them
until S3 and the warehouse take them, and its next drain archives and loads them by itself. So fix
what is named and wait for the next hour, or clear the run to do it at once. Clearing any task is
safe at any time: nothing is loaded twice.

* *the warehouse refused or was lost*: check PostgreSQL and the connection `SongSwap_RDS`.
* *S3 … did not take a response*: check the variable `bucket_name` and `SongSwap_S3_PutOnly`.
* *paused*, *Spotify allows no more requests of this app until …*: nothing to do. Tasks that call
  Spotify are skipped; the run is red because nobody was polled, but its message is yellow and comes
  once.
* *silent*: something waits on a host that has not reported for 30 minutes. Start the host, or its
  service `songswap drain`; if its disk is gone, `songswap spool forget HOST`.
* *it took too long*: a run of more than 55 minutes is ended, so that the next hour's can begin.
* *the app's own credentials*: set `SPOTIFY_CLIENT_ID` and `SPOTIFY_CLIENT_SECRET`, or the
  connection `SongSwap_Spotify`.
* *the grants of … users at once*: look at Spotify's status page; nobody has to authorize again yet.
* *schema is at version …*: run `songswap migrate`.

The next run has to follow before a heavy listener has played 50 tracks, or plays are lost for good.
Such a gap is counted as `gaps` and recorded in `songswap.gaps`.
"""

from airflow.sdk import TriggerRule, dag, task

from songswap.orchestration.assets import publish_catalogue, publish_plays
from songswap.orchestration.batches import batch, summarise
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import RUN_TIMEOUT
from songswap.orchestration.schedules import hourly


@task
def retry() -> None:
    """Archive and load what waits in the spool."""
    from songswap.orchestration import hourly_load

    hourly_load.retry()


@task(trigger_rule=TriggerRule.ALL_DONE)
def plan() -> list[int]:
    """Cut the users into batches."""
    from songswap.orchestration import hourly_load

    return hourly_load.plan()


@task(pool="spotify", trigger_rule=TriggerRule.ALL_DONE)
def enrich(kind: str) -> None:
    """Fetch what is missing or outdated of a kind."""
    from songswap.orchestration import hourly_load

    hourly_load.enrich(kind)


@task
def watch() -> None:
    """Notice what keeps the polls in between from beginning."""
    from songswap.orchestration import watch

    watch.of_heavy_listeners()


@dag(
    schedule=hourly(),
    # A run that hangs does not block the next hour's.
    dagrun_timeout=RUN_TIMEOUT,
    tags=["songswap", "hourly"],
    **described(__doc__),
    **PIPELINE_DAG,
)
def load_listening_history() -> None:
    """Load every user's recent plays from Spotify into the platform's tables."""
    watch()
    numbers = plan()
    retry() >> numbers
    kinds = {"tracks": "track", "artists": "artist", "features": "features"}
    enrichments = [enrich.override(task_id=f"enrich_{name}")(kind) for name, kind in kinds.items()]
    batches, plays, catalogue = batch.expand(number=numbers), publish_plays(), publish_catalogue()
    batches >> enrichments >> catalogue
    batches >> plays
    [*enrichments, plays, catalogue] >> summarise()


load_listening_history()
