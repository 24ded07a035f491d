"""
### Poll heavy listeners between the hourly runs, before Spotify drops their oldest plays

Spotify remembers a user's last 50 plays. Every ten minutes this polls the users who have lately
played so much that they could exceed that before the next hourly run, and loads their plays as the
hourly load does. It also polls users whose new token was on its way when a process was killed:
Spotify may send the token once more. If nobody is at risk, it costs two queries, and the other
tasks are skipped.

| task | what it does |
|---|---|
| `plan` | finds the users at risk, the most urgent first |
| `batch` | polls them; raw responses go to the spool, then to S3 and the tables |
| `summarise` | adds up the run in `songswap.runs`, and is red if any part of it failed |

**When it is red**, the log of `summarise` says what failed, as in `load_listening_history`, which
polls everybody at the next hour in any case. Clearing any task is safe at any time.
"""

from airflow.sdk import TriggerRule, dag, task

from songswap.orchestration.batches import batch, summarise
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import RUN_TIMEOUT
from songswap.orchestration.schedules import between


@task
def plan() -> list[int]:
    """Find the users at risk."""
    from songswap.orchestration import hourly_load

    return hourly_load.plan_heavy_listeners()


@dag(
    schedule=between(),
    dagrun_timeout=RUN_TIMEOUT,
    tags=["songswap", "every 10 minutes"],
    **described(__doc__),
    **PIPELINE_DAG,
)
def follow_heavy_listeners() -> None:
    """Load the plays of heavy listeners before Spotify drops them."""
    # Skipped with the batches when nobody is at risk.
    end = summarise.override(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    batch.expand(number=plan()) >> end()


follow_heavy_listeners()
