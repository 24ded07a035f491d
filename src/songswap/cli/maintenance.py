"""``songswap maintenance``: delete old rows of the pipeline's own, or old logs of Airflow."""

import os
from pathlib import Path
from typing import Annotated

import typer

from songswap.terminal.console import JsonOption, Rows, out, print_json

_TITLES = {
    "runs": "Runs",
    "steps": "Steps of runs",
    "requests": "Counts of requests",
    "snapshots": "Snapshots",
    "log_files": "Log files",
    "log_bytes": "  their bytes",
    "log_folders": "  folders that held them",
}


def maintenance(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
    logs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Delete old logs of Airflow below this folder, and nothing in the warehouse.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Delete runs, their steps, and snapshots that are older than SONGSWAP_KEEP_DAYS (90).

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Runs that are needed stay at any age, and so does what is about
    a user, a play or an export. It may run at any time, beside loads. The DAG maintenance does the
    same every week.
    """
    from songswap import settings
    from songswap.pipelines.maintenance import clean_logs, clean_warehouse
    from songswap.settings.retention import retention

    kept = retention(os.environ)
    if logs is not None:
        if not logs.is_dir():
            raise typer.BadParameter(f"There is no folder {logs}.")
        counts = clean_logs(logs, kept, dry_run=dry_run)
    else:
        counts = clean_warehouse(settings.warehouse_dsn(os.environ), kept, dry_run=dry_run)
    if as_json:
        print_json(counts)
        return
    table = Rows("Would be deleted" if dry_run else "Deleted", "", right_from=1)
    for name, count in counts.items():
        table.add_row(_TITLES[name], f"{count:,}")
    out.print(table)
