"""
### Poll heavy listeners between the hourly runs, before Spotify drops their oldest plays

Spotify remembers a user's last 50 plays. Every ten minutes this polls the users who have lately
played so much that they could exceed that before the next hourly run, and loads their plays as the
hourly load does. It also polls users whose new token was on its way when a process was killed:
Spotify may send the token once more. If nobody is at risk, it costs some queries, and the other
tasks are skipped.

| task | what it does |
|---|---|
| `watch` | notices that the hourly load is paused, does not end well, or waits for a pool |
| `plan` | finds the users at risk, the most urgent first |
| `batch` | polls them; raw responses go to the spool, then to S3 and the tables |
| `publish_…` | updates the assets `songswap_plays`, `songswap_catalogue`; skipped without news |
| `summarise` | adds up the run in `songswap.runs`, and is red if any part of it failed |

**When it is red**, the log of `summarise` says what failed, as in `load_listening_history`, which
polls everybody at the next hour in any case. Clearing any task is safe at any time.
"""

from airflow.sdk import dag, task

from songswap.orchestration.assets import publish_catalogue, publish_plays
from songswap.orchestration.batches import batch, summarise
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import POLLS_TIMEOUT
from songswap.orchestration.schedules import between


# Where it returns nothing, all that follows is skipped, without a process.
@task.short_circuit
def plan() -> list[int]:
    """Find the users at risk."""
    from songswap.orchestration import hourly_load

    return hourly_load.plan_heavy_listeners()


@task
def watch() -> None:
    """Notice what keeps the hourly load from going on."""
    from songswap.orchestration import watch

    watch.of_hourly_load()


@dag(
    schedule=between(),
    dagrun_timeout=POLLS_TIMEOUT,
    tags=["songswap", "every 10 minutes"],
    **described(__doc__),
    **PIPELINE_DAG,
)
def follow_heavy_listeners() -> None:
    """Load the plays of heavy listeners before Spotify drops them."""
    # Depends on nothing, so that it looks whatever the others wait for.
    watch()
    batch.expand(number=plan()) >> [publish_plays(), publish_catalogue()] >> summarise()


follow_heavy_listeners()
