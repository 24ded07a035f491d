"""
### Ask in between for those who play more than Spotify remembers

Spotify remembers 50 plays of a user. Every ten minutes: whoever played at such a pace lately that
more could come together before the next look is asked for now, and loaded, as the hourly load does
it. So is whose new token was on its way when a process was killed: Spotify may give it once more.
When nobody is endangered this costs two queries, and the other tasks are skipped.

| task | what it does |
|---|---|
| `plan` | finds who is endangered, the most endangered first |
| `batch.fetch` | asks for them; raw answers go to the spool, then to S3 |
| `batch.load` | transforms and loads them in one transaction |
| `summarise` | adds up the run in `songswap.runs`, and is red if any part of it failed |

**When it is red**, the log of `summarise` says what failed, as in `load_listening_history`, which
asks for everybody at the next hour whatever happens here. Clearing any task is safe at any time.
"""

from datetime import UTC, datetime

from airflow.sdk import TriggerRule, dag, get_current_context, task, task_group

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import RUN_TIMEOUT, retried
from songswap.orchestration.rows import FOLLOWED


def run_id() -> str:
    """The id under which this run is noted; the hourly load may have one of the same name."""
    return f"{FOLLOWED}{get_current_context()['dag_run'].run_id}"


@task
def plan() -> list[int]:
    """Find who is endangered."""
    from songswap.orchestration import steps

    return steps.plan_endangered(run_id())


@task(pool="spotify")
def fetch(number: int) -> None:
    """Ask Spotify for them."""
    from songswap.orchestration import steps

    steps.fetch(run_id(), number)


@task(trigger_rule=TriggerRule.ALL_DONE)
def load(number: int) -> None:
    """Load what was fetched."""
    from songswap.orchestration import steps

    steps.load(run_id(), number)


@task_group
def batch(number: int) -> None:
    """Those who are endangered: loaded also when only some of them were fetched."""
    fetch(number) >> load(number)


@task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
def summarise() -> dict[str, int]:
    """Add up the run, and fail if any part of it did."""
    from songswap.orchestration import steps

    return steps.summarise(run_id())


@dag(
    schedule="6-56/10 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=RUN_TIMEOUT,
    tags=["songswap"],
    doc_md=__doc__,
    default_args=retried(),
    **ALERTS,
)
def follow_heavy_listeners() -> None:
    """The plays of heavy listeners, before Spotify forgets them."""
    batch.expand(number=plan()) >> summarise()


follow_heavy_listeners()
