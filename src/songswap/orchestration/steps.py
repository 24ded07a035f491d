"""The steps of the hourly load as Airflow's tasks run them: settings read, result logged."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowSkipException

from songswap.errors import RateLimited
from songswap.orchestration.alerts import failures, tell
from songswap.orchestration.connections import read_settings
from songswap.pipelines import enrich as enrichment
from songswap.pipelines import fetch as fetching
from songswap.pipelines import heavy_listeners, hourly_load
from songswap.settings import Settings

log = logging.getLogger(__name__)

_STEPS = {
    "batch.fetch": "fetch",
    "batch.load": "load",
    "enrich_tracks": "enrich track",
    "enrich_artists": "enrich artist",
    "enrich_features": "enrich features",
}
"""By task: the step's name in ``songswap.steps``, where it is another. The number is the index."""


def retry(run_id: str) -> None:
    """`songswap.pipelines.hourly_load.retry`."""
    with _at_work(run_id) as settings:
        _say("Retried", hourly_load.retry(settings, run_id))


def plan(run_id: str) -> list[int]:
    """`songswap.pipelines.hourly_load.plan`."""
    with _at_work(run_id) as settings:
        return hourly_load.plan(settings, run_id)


def plan_endangered(run_id: str) -> list[int]:
    """`songswap.pipelines.heavy_listeners.plan`; only a run for somebody is one."""
    return heavy_listeners.plan(read_settings(), run_id)


def fetch(run_id: str, batch: int) -> None:
    """`songswap.pipelines.fetch.fetch`."""
    with _at_work(run_id) as settings:
        _say(f"Fetched batch {batch}", fetching.fetch(settings, run_id, batch))


def load(run_id: str, batch: int) -> None:
    """`songswap.pipelines.hourly_load.load`."""
    with _at_work(run_id) as settings:
        _say(f"Loaded batch {batch}", hourly_load.load(settings, run_id, batch))


def enrich(run_id: str, kind: str) -> None:
    """`songswap.pipelines.enrich.enrich`."""
    with _at_work(run_id) as settings:
        _say(f"Enriched {kind}", enrichment.enrich(settings, run_id, kind))


def summarise(run_id: str) -> dict[str, int]:
    """`songswap.pipelines.hourly_load.summarise`.

    What is to be told of it is left for the run's message.

    Raises:
        RunFailed: a part of the run failed, or its task did.
        RunPaused: nothing is wrong but that somebody asked to wait.
    """
    known = {
        f"{_STEPS.get(task.task_id, task.task_id)} {max(task.map_index, 0)}": problem
        for task, problem in failures()
    }
    with _at_work(run_id) as settings:
        summary = hourly_load.summarise(settings, run_id, known=known)
    tell(summary.notices)
    summary.require_success()
    width = max(map(len, summary.counts))
    for name, count in summary.counts.items():
        log.info("%s  %s", name.ljust(width), f"{count:,}")
    return summary.counts


@contextmanager
def _at_work(run_id: str) -> Iterator[Settings]:
    """The settings, for a step of a run that is seen to go on.

    Raises:
        AirflowSkipException: Spotify or ReccoBeats asked for a pause. What is skipped did not fail;
            it is `summarise` that makes the run red.
    """
    settings = read_settings()
    with hourly_load.at_work(settings, run_id):
        try:
            yield settings
        except RateLimited as pause:
            log.warning("%s", pause)
            raise AirflowSkipException(str(pause)) from pause


def _say(what: str, counts: Mapping[str, int]) -> None:
    numbers = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    log.info("%s: %s.", what, numbers or "nothing to do")
