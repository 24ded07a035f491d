"""The tasks of the weekly housekeeping."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk.configuration import conf

from songswap.orchestration import counts
from songswap.orchestration.connections import read_warehouse
from songswap.pipelines import maintenance
from songswap.settings.retention import retention

log = logging.getLogger(__name__)


def clean_warehouse(params: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.maintenance.clean_warehouse`."""
    kept, dry_run = retention(os.environ), params["dry_run"]
    deleted = maintenance.clean_warehouse(read_warehouse(), kept, dry_run=dry_run)
    _log(f"rows older than {kept.rows.days} days", deleted, dry_run)
    return deleted


def clean_logs(params: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.maintenance.clean_logs`, on the machine that this task runs on."""
    kept, dry_run = retention(os.environ), params["dry_run"]
    folder = Path(conf.get("logging", "base_log_folder"))
    deleted = maintenance.clean_logs(folder, kept, dry_run=dry_run)
    _log(f"logs older than {kept.logs.days} days in {folder}", deleted, dry_run)
    return deleted


def _log(what: str, deleted: Mapping[str, int], dry_run: bool) -> None:
    verb = "Would be deleted" if dry_run else "Deleted"
    log.info("%s, %s: %s.", verb, what, counts.as_text(deleted))
