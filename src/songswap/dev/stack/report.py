"""The demo's final table: the contents of the warehouse and the figures of a run."""

from typing import Any

from psycopg.rows import dict_row
from rich import box
from rich.table import Table

from songswap.pipelines import run_counts
from songswap.warehouse.connection import connect

_TOTALS = """
SELECT
  (SELECT count(*) FROM "Users") AS users,
  (SELECT count(*) FROM "History") AS plays,
  (SELECT count(*) FROM "Tracks") AS tracks,
  (SELECT count(*) FROM "Artists") AS artists,
  (SELECT count(*) FROM "TrackFeatures") AS features,
  (SELECT count(*) FROM songswap.rejected_items) AS rejected_items,
  (SELECT count(*) FROM songswap.gaps) AS gaps
"""
_RUN = """
SELECT counts, problem, extract(epoch FROM ended_at - started_at)::float AS seconds
FROM songswap.runs WHERE run_id = %s
"""
_TITLES = {
    "users": "Users",
    "plays": "Plays",
    "tracks": "Tracks",
    "artists": "Artists",
    "features": "Tracks with features",
    "rejected_items": "Rejected items",
    "gaps": "Gaps",
    "api_calls": "API calls of this run",
    "seconds": "Seconds of this run",
}


def read_report(dsn: str, run_id: str, state: str) -> dict[str, Any]:
    """Read the totals of the warehouse, and the calls, seconds and counts of a run.

    Args:
        dsn: the warehouse.
        run_id: Airflow's id of the run.
        state: the state in which Airflow saw it end.
    """
    with connect(dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
        totals = cursor.execute(_TOTALS).fetchone() or {}
        run = cursor.execute(_RUN, [run_id]).fetchone() or {}
    counts = run.get("counts") or {}
    return {
        "run": run_id,
        "state": state,
        **totals,
        "api_calls": counts.get("calls", 0),
        "seconds": round(run.get("seconds") or 0, 1),
        "counts": run_counts.as_json(counts),
        "problem": run.get("problem"),
    }


def as_table(report: dict[str, Any], *, in_terminal: bool = True) -> Table:
    """The report as a table, without a frame in a log."""
    frame = box.HEAVY_HEAD if in_terminal else None
    table = Table(title="In the warehouse", show_header=False, box=frame)
    table.add_column()
    table.add_column(justify="right")
    for name, title in _TITLES.items():
        table.add_row(title, f"{report[name]:,}")
    return table
