"""The steps of the hourly load as Airflow's tasks run them: settings read, result logged."""

import logging
from collections.abc import Mapping

from songswap import enrich as enrichment
from songswap import fetch as fetching
from songswap import follow, ingest
from songswap.alerts.warning import warnings
from songswap.errors import RunFailed
from songswap.orchestration.alerts import warn
from songswap.orchestration.connections import read_settings

log = logging.getLogger(__name__)


def retry(run_id: str) -> None:
    """`songswap.ingest.retry`."""
    _say("Retried", ingest.retry(read_settings(), run_id))


def plan(run_id: str) -> list[int]:
    """`songswap.ingest.plan`."""
    return ingest.plan(read_settings(), run_id)


def plan_endangered(run_id: str) -> list[int]:
    """`songswap.follow.plan`."""
    return follow.plan(read_settings(), run_id)


def fetch(run_id: str, batch: int) -> None:
    """`songswap.fetch.fetch`."""
    _say(f"Fetched batch {batch}", fetching.fetch(read_settings(), run_id, batch))


def load(run_id: str, batch: int) -> None:
    """`songswap.ingest.load`."""
    _say(f"Loaded batch {batch}", ingest.load(read_settings(), run_id, batch))


def enrich(run_id: str, kind: str) -> None:
    """`songswap.enrich.enrich`."""
    _say(f"Enriched {kind}", enrichment.enrich(read_settings(), run_id, kind))


def summarise(run_id: str) -> dict[str, int]:
    """`songswap.ingest.summarise`; what is to be told of it is left for the run's message.

    Raises:
        RunFailed: a part of the run failed.
    """
    counts, problem = ingest.summarise(read_settings(), run_id)
    warn(warnings(counts))
    if problem:
        raise RunFailed(problem)
    width = max(map(len, counts))
    for name, count in counts.items():
        log.info("%s  %s", name.ljust(width), f"{count:,}")
    return counts


def _say(what: str, counts: Mapping[str, int]) -> None:
    numbers = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    log.info("%s: %s.", what, numbers or "nothing to do")
