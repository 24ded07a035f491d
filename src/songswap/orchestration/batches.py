"""The tasks that the hourly load shares with the polls of heavy listeners.

The DAG files import this to be parsed: what only a task needs is imported inside it.
"""

from airflow.sdk import TriggerRule, task


@task(pool="spotify")
def batch(number: int) -> None:
    """Drain this host's spool, then fetch and load a batch of users."""
    from songswap.orchestration import hourly_load

    hourly_load.run_batch(number)


@task(trigger_rule=TriggerRule.ALL_DONE)
def summarise() -> dict[str, int]:
    """Add up the run; fail if any part of it failed."""
    from songswap.orchestration import hourly_load

    return hourly_load.summarise()
