"""Remove what nobody needs any more: old rows of the pipeline's own, old log files of Airflow."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from songswap.clock import utc_now
from songswap.errors import RunFailed
from songswap.settings.retention import Retention
from songswap.storage import log_files
from songswap.warehouse import maintenance
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema


def clean_warehouse(
    dsn: str,
    retention: Retention,
    *,
    dry_run: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, int]:
    """Delete old rows in the warehouse, beside loads and other cleanings.

    Returns:
        The deleted rows by table: runs, steps, requests, snapshots. In a dry run those that would
        be deleted.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing was deleted, or not all.
    """
    with connect(dsn) as connection:
        require_schema(connection)
        limits = maintenance.age_limits(connection, clock(), retention.rows)
        if dry_run:
            return maintenance.count_old(connection, limits)
        return maintenance.delete_old(connection, limits)


def clean_logs(folder: Path, retention: Retention, *, dry_run: bool = False) -> dict[str, int]:
    """Delete old log files of Airflow on this machine.

    Returns:
        Counts: log_files, log_bytes, log_folders (0 in a dry run).

    Raises:
        RunFailed: some could not be deleted; all others are.
    """
    before = (utc_now() - retention.logs).timestamp()
    deleted = log_files.delete_old(folder, before, dry_run=dry_run)
    if deleted.failed:
        raise RunFailed(
            f"{deleted.failed:,} old log files or folders below {folder} could not be deleted"
            f" ({deleted.problem}); {deleted.files:,} were. Let the user that this runs as delete"
            " there."
        )
    return {
        "log_files": deleted.files,
        "log_bytes": deleted.bytes,
        "log_folders": deleted.folders,
    }
