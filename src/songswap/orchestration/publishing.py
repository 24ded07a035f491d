"""The tasks that report news of an asset: an event of Airflow, which starts the DAGs that wait.

Airflow stores an event together with the success of its task: a try that fails or is killed leaves
none. So what a run has published is known by its events alone, and a task that is cleared publishes
what has come since.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from airflow.sdk import Asset, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from songswap.orchestration import counts
from songswap.orchestration.assets import CATALOGUE, PLAYS
from songswap.orchestration.connections import read_warehouse
from songswap.orchestration.runs import current_run_id
from songswap.warehouse import news
from songswap.warehouse.connection import connect
from songswap.warehouse.news import News

log = logging.getLogger(__name__)

_SOURCES: dict[str, Callable[[psycopg.Connection, str], News]] = {
    "load_listening_history": news.of_load,
    "follow_heavy_listeners": news.of_load,
    "import_streaming_history": news.of_imports,
    "replay_archive": news.of_parts,
    "backfill_data": news.of_parts,
}
"""By DAG: where its loads count what they bring."""


def publish_plays() -> None:
    """Publish the new plays of this run.

    Raises:
        AirflowSkipException: there are none that are not published.
    """
    found = _found()
    _publish(PLAYS, _of(found, news.PLAYS), users=found.users)


def publish_catalogue() -> None:
    """Publish what this run brought of tracks and artists.

    Raises:
        AirflowSkipException: there is nothing that is not published.
    """
    _publish(CATALOGUE, _of(_found(), news.CATALOGUE))


def _found() -> News:
    source = _SOURCES[get_current_context()["dag"].dag_id]
    with connect(read_warehouse()) as connection:
        return source(connection, current_run_id())


def _of(found: News, names: Iterable[str]) -> dict[str, int]:
    return {name: count for name, count in found._asdict().items() if name in names}


def _publish(asset: Asset, found: dict[str, int], **more: int) -> None:
    new = news.beyond(found, _published(asset))
    if not new:
        raise AirflowSkipException(f"Nothing new of {asset.name}: no event.")
    extra: dict[str, Any] = {**dict.fromkeys(found, 0), **new, **more, "run_id": current_run_id()}
    get_current_context()["outlet_events"][asset].extra = extra
    log.info("Published %s: %s.", asset.name, counts.as_text(new))


def _published(asset: Asset) -> Counter[str]:
    """Return the counts of the events that this run has left already, added up."""
    context = get_current_context()
    run: Any = context["dag_run"]
    events = context["inlet_events"][asset].after(run.run_after.isoformat())
    published: Counter[str] = Counter()
    for event in events:
        if (event.source_dag_id, event.source_run_id) == (run.dag_id, run.run_id):
            extra = event.extra or {}
            published.update(
                {name: count for name, count in extra.items() if isinstance(count, int)}
            )
    return published
