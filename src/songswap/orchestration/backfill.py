"""The tasks of the backfill; a pause becomes a later try that blocks no worker."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from songswap.errors import Deferred, RateLimited
from songswap.orchestration import counts
from songswap.orchestration.connections import read_settings
from songswap.orchestration.runs import current_run_id
from songswap.pipelines import backfill
from songswap.warehouse.missing import Backlog

log = logging.getLogger(__name__)


def find(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """`songswap.pipelines.backfill.find`, as an XCom.

    Raises:
        AirflowSkipException: the kind was not chosen.
    """
    if kind not in params["kinds"]:
        raise AirflowSkipException(f"The param kinds does not have {kind}.")
    found = backfill.find(read_settings(), kind, params["at_most"])
    log.info(
        "%d missing (%s), of which %d are requested; %d wait, %d are unknown to Spotify.",
        found.missing,
        kind,
        found.chosen,
        found.waiting,
        found.unknown,
    )
    return {**found._asdict(), "at": found.at.isoformat()}


def fill(kind: str, found: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """`songswap.pipelines.backfill.fill`; it continues after a pause.

    Raises:
        AirflowSkipException: it is a dry run.
        AirflowRescheduleException: an hourly load is running, or Spotify asked for a long pause.
    """
    if params["dry_run"]:
        raise AirflowSkipException("A dry run only counts.")
    run_id = current_run_id()
    try:
        filled = backfill.fill(read_settings(), kind, _parsed(found), _log_progress, run_id=run_id)
    except (Deferred, RateLimited) as pause:
        log.info("%s This task continues at %s UTC.", pause, f"{pause.until:%Y-%m-%d %H:%M:%S}")
        later = AirflowRescheduleException(pause.until)  # type: ignore[no-untyped-call]  # Airflow's
        raise later from pause
    log.info("Filled: %s.", counts.as_text(filled))


def verify(kind: str, found: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.backfill.verify`."""
    left = backfill.verify(read_settings(), kind, _parsed(found))
    return {"missing": left.missing, "waiting": left.waiting, "unknown": left.unknown}


def _parsed(found: Mapping[str, Any]) -> Backlog:
    return Backlog(**{**found, "at": datetime.fromisoformat(found["at"])})


def _log_progress(kind: str, requested: int, chosen: int) -> None:
    log.info("Requested %d ids (%s) in this try; %d were chosen.", requested, kind, chosen)
