"""Metrics of a run, through Airflow's own metrics: OpenTelemetry or StatsD, off by default.

Airflow starts its metrics in the process of each task, and sends what is left when the task ends.
"""

import logging
from collections.abc import Iterable, Iterator

import psycopg

from songswap.clock import utc_now
from songswap.errors import Interrupted, SongSwapError
from songswap.orchestration.runs import current_dag_id
from songswap.pipelines import metrics
from songswap.pipelines.hourly_load import Summary
from songswap.pipelines.metric_names import Metric
from songswap.settings import Settings
from songswap.warehouse import snapshots, totals
from songswap.warehouse.connection import connect

log = logging.getLogger(__name__)

_SWITCHES = ("otel_on", "statsd_on", "statsd_datadog_enabled")


def emit(settings: Settings, run_id: str, summary: Summary) -> None:
    """Emit the metrics of a run that was summarised; do nothing where Airflow's metrics are off.

    A failure is logged, and fails no run: the next one emits the same totals.

    Raises:
        Interrupted: somebody stops the process.
    """
    if not _is_on():
        return
    try:
        with connect(settings.warehouse_dsn) as connection:
            found = list(_read(connection, run_id, summary))
        _send(found)
    except Interrupted:
        raise
    except SongSwapError as error:
        log.warning("The metrics of this run are not sent: %s", error)
    except Exception as error:  # noqa: BLE001 - whatever a client of metrics raises
        # Its text may have an address with a password.
        log.warning("The metrics of this run are not sent: %s.", type(error).__name__)


def _is_on() -> bool:
    from airflow.sdk.configuration import conf

    return any(conf.getboolean("metrics", switch, fallback=False) for switch in _SWITCHES)


def _read(connection: psycopg.Connection, run_id: str, summary: Summary) -> Iterator[Metric]:
    now = utc_now()
    steps = totals.seconds_of_steps(connection, run_id)
    run = metrics.Run(current_dag_id(), summary.state, now, summary.counts, steps)
    yield from metrics.of_run(run)
    yield from metrics.of_totals(totals.read(connection))
    snapshot = snapshots.latest(connection, now)
    # A poll of heavy listeners takes none: the hour's has been emitted.
    if snapshot is not None and snapshot.run_id == run_id:
        yield from metrics.of_snapshot(snapshot.facts, snapshot.taken_at)


def _send(found: Iterable[Metric]) -> None:
    from airflow.sdk.observability import stats

    for name, value, tags in found:
        # A type that OpenTelemetry cannot encode, such as bool, would lose all the others too.
        stats.gauge(name, float(value), tags=tags)
