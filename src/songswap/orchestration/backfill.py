"""The tasks of the backfill: params read, pauses turned into a later try that blocks no worker."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from songswap.errors import Deferred, RateLimited
from songswap.orchestration.connections import read_settings
from songswap.pipelines import backfill
from songswap.warehouse.missing import Backlog

log = logging.getLogger(__name__)


def find(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """`songswap.pipelines.backfill.find`, in the form in which the next tasks get it.

    Raises:
        AirflowSkipException: the kind was not chosen.
    """
    if kind not in params["kinds"]:
        raise AirflowSkipException(f"The param kinds does not have {kind}.")
    found = backfill.find(read_settings(), kind, params["at_most"])
    log.info(
        "%d missing (%s), of which %d are asked for; %d wait, %d are unknown to Spotify.",
        found.missing,
        kind,
        found.chosen,
        found.waiting,
        found.unknown,
    )
    return {**found._asdict(), "at": found.at.isoformat()}


def fill(kind: str, told: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """`songswap.pipelines.backfill.fill`; it comes back after a pause.

    Raises:
        AirflowSkipException: it is a dry run.
        AirflowRescheduleException: an hourly load goes on, or Spotify asked for a long pause.
    """
    if params["dry_run"]:
        raise AirflowSkipException("A dry run only counts.")
    try:
        counts = backfill.fill(read_settings(), kind, _found(told), _log)
    except (Deferred, RateLimited) as pause:
        log.info("%s This task goes on at %s UTC.", pause, f"{pause.until:%Y-%m-%d %H:%M:%S}")
        later = AirflowRescheduleException(pause.until)  # type: ignore[no-untyped-call]  # Airflow's
        raise later from pause
    log.info("%s", ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "Nothing.")


def verify(kind: str, told: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.backfill.verify`."""
    left = backfill.verify(read_settings(), kind, _found(told))
    return {"missing": left.missing, "waiting": left.waiting, "unknown": left.unknown}


def _found(told: Mapping[str, Any]) -> Backlog:
    return Backlog(**{**told, "at": datetime.fromisoformat(told["at"])})


def _log(kind: str, asked: int, chosen: int) -> None:
    log.info("Asked for %d ids (%s) in this try; %d were chosen.", asked, kind, chosen)
