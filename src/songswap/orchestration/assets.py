"""The assets that other DAGs wait for, and the tasks that report what a run brought of them.

The DAG files import this to be parsed: what only a task needs is imported inside it. A scheme that
begins with ``x-`` is nobody's but ours: Airflow asks no provider about it, which takes seconds.
"""

from airflow.sdk import Asset, TriggerRule, task

PLAYS = Asset("songswap_plays", "x-songswap://warehouse/plays", group="songswap")
"""The plays in ``History``."""

CATALOGUE = Asset("songswap_catalogue", "x-songswap://warehouse/catalogue", group="songswap")
"""Tracks and artists, with all that is known of them."""


# Also after a failure: what came before it is in the tables. A task sees an asset's events only if
# the asset is one of its inlets, and has to know which news it has published.
@task(trigger_rule=TriggerRule.ALL_DONE, inlets=[PLAYS], outlets=[PLAYS])
def publish_plays() -> None:
    """Tell the DAGs that wait for new plays; skipped if there are none."""
    from songswap.orchestration import publishing

    publishing.publish_plays()


@task(trigger_rule=TriggerRule.ALL_DONE, inlets=[PLAYS, CATALOGUE], outlets=[CATALOGUE])
def publish_catalogue() -> None:
    """Tell the DAGs that wait for news of tracks and artists; skipped if there are none."""
    from songswap.orchestration import publishing

    publishing.publish_catalogue()
