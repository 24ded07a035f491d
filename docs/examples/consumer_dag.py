"""
### Do something as soon as new plays are in the warehouse

An example to copy into a folder of DAGs: Airflow starts it when `songswap_plays` is updated, and
not when a run of SongSwap found nothing new.

Airflow may put the events of several runs into one run of this DAG, and a run that is started by
hand has none. So the counts say how much to expect; what to read is decided by a mark of your own,
such as how far you have read.
"""

from datetime import UTC, datetime

from airflow.sdk import dag, get_current_context, task

from songswap.orchestration.assets import PLAYS


@task(inlets=[PLAYS])
def announce() -> dict[str, int]:
    """Add up the counts of the events that started this run."""
    events = get_current_context()["triggering_asset_events"]
    plays = events.get(PLAYS, [])
    for event in plays:
        print(f"Run {event.extra['run_id']} brought {event.extra['plays']} plays.")
    return {"plays": sum(event.extra["plays"] for event in plays), "runs": len(plays)}


@dag(schedule=[PLAYS], start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, tags=["example"])
def after_new_plays() -> None:
    """Wait for new plays."""
    announce()


after_new_plays()
