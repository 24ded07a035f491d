"""The tasks that the hourly load shares with the polls of heavy listeners.

The DAG files import this to be parsed: what only a task needs is imported inside it.
"""

from airflow.sdk import TriggerRule, task, task_group


@task(pool="spotify")
def fetch(number: int) -> None:
    """Fetch the recent plays of a batch's users from Spotify."""
    from songswap.orchestration import hourly_load

    hourly_load.fetch(number)


@task(trigger_rule=TriggerRule.ALL_DONE)
def load(number: int) -> None:
    """Load what was fetched for a batch."""
    from songswap.orchestration import hourly_load

    hourly_load.load(number)


@task_group
def batch(number: int) -> None:
    """Fetch and load a batch of users; a batch that was fetched in part is loaded too."""
    fetch(number) >> load(number)


@task(trigger_rule=TriggerRule.ALL_DONE)
def summarise() -> dict[str, int]:
    """Add up the run; fail if any part of it failed."""
    from songswap.orchestration import hourly_load

    return hourly_load.summarise()
