"""The tasks of the hourly load and of the polls of heavy listeners."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowSkipException

from songswap.errors import RateLimited
from songswap.orchestration import counts, metrics
from songswap.orchestration.alerts import add_notices, failed_tasks
from songswap.orchestration.connections import read_settings
from songswap.orchestration.runs import current_run_id
from songswap.pipelines import batch, heavy_listeners, hourly_load, run_counts
from songswap.pipelines import enrich as enrichment
from songswap.settings import Settings

log = logging.getLogger(__name__)

_STEPS = {
    "enrich_tracks": "enrich track",
    "enrich_artists": "enrich artist",
    "enrich_features": "enrich features",
}
"""By task id: the step's name in table ``songswap.steps``, where it differs."""


def retry() -> None:
    """`songswap.pipelines.hourly_load.retry`."""
    with _running() as (settings, run_id):
        _log_counts("Retried", hourly_load.retry(settings, run_id))


def plan() -> list[int]:
    """`songswap.pipelines.hourly_load.plan`."""
    with _running() as (settings, run_id):
        return hourly_load.plan(settings, run_id)


def plan_heavy_listeners() -> list[int]:
    """`songswap.pipelines.heavy_listeners.plan`, which records a run only if it polls somebody."""
    return heavy_listeners.plan(read_settings(), current_run_id())


def run_batch(number: int) -> None:
    """`songswap.pipelines.batch.run_batch`."""
    with _running() as (settings, run_id):
        _log_counts(f"Batch {number}", batch.run_batch(settings, run_id, number))


def enrich(kind: str) -> None:
    """`songswap.pipelines.enrich.enrich`."""
    with _running() as (settings, run_id):
        _log_counts(f"Enriched {kind}", enrichment.enrich(settings, run_id, kind))


def summarise() -> dict[str, int]:
    """`songswap.pipelines.hourly_load.summarise`; its notices are left for the run's messages.

    Raises:
        RunFailed: a part of the run failed, or its task did.
        RunPaused: nothing failed, but Spotify or ReccoBeats asked for a pause.
    """
    known = {
        f"{_STEPS.get(task.task_id, task.task_id)} {max(task.map_index, 0)}": problem
        for task, problem in failed_tasks()
    }
    with _running() as (settings, run_id):
        summary = hourly_load.summarise(settings, run_id, known=known)
    add_notices(summary.notices)
    metrics.emit(settings, run_id, summary)
    summary.require_success()
    shown = run_counts.in_short(summary.counts)
    width = max(map(len, shown))
    for name, count in shown.items():
        log.info("%s  %s", name.ljust(width), f"{count:,}")
    return summary.counts


@contextmanager
def _running() -> Iterator[tuple[Settings, str]]:
    """Give a step its settings and run id, and keep the run's row alive meanwhile.

    Raises:
        AirflowSkipException: Spotify or ReccoBeats asked for a pause. A skipped task did not fail:
            `summarise` makes the run red.
    """
    settings, run_id = read_settings(), current_run_id()
    with hourly_load.at_work(settings, run_id):
        try:
            yield settings, run_id
        except RateLimited as pause:
            log.warning("%s", pause)
            raise AirflowSkipException(str(pause)) from pause


def _log_counts(what: str, numbers: Mapping[str, int]) -> None:
    log.info("%s: %s.", what, counts.as_text(numbers))
