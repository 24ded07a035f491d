"""The task `watch`: the two scheduled DAGs notice when the other one stands still.

    Airflow's Task SDK, songswap.runs ──▶ findings ──▶ notices, told once (`standstills.due`)

It uses no pool and no setting but the connection to the warehouse, so that it works when the others
do not.
"""

from songswap.clock import utc_now
from songswap.orchestration import airflow_state
from songswap.orchestration.alerts import add_notices
from songswap.orchestration.connections import read_warehouse
from songswap.pipelines import standstills
from songswap.warehouse import freshness
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema

HOURLY_LOAD = "load_listening_history"
HEAVY_LISTENERS = "follow_heavy_listeners"


def of_hourly_load() -> None:
    """Leave a notice for the run's messages of what keeps the hourly load from going on.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing is known of it.
    """
    is_paused, pools = airflow_state.is_paused(HOURLY_LOAD), list(airflow_state.waiting())
    with connect(read_warehouse()) as connection:
        require_schema(connection)
        now = utc_now()
        facts = freshness.read(connection, now)
        findings = standstills.of_hourly_load(HOURLY_LOAD, is_paused, facts, pools, now)
        with connection.transaction():
            # Left before it is recorded: a notice that comes twice is better than none.
            add_notices(standstills.due(connection, HEAVY_LISTENERS, findings, now))


def of_heavy_listeners() -> None:
    """Leave a notice of what keeps the polls in between from beginning.

    Raises:
        WarehouseUnavailable, SchemaOutdated: what was told before is not known.
    """
    now = utc_now()
    is_paused = airflow_state.is_paused(HEAVY_LISTENERS)
    last_due = airflow_state.last_due(HEAVY_LISTENERS, now)
    findings = standstills.of_heavy_listeners(HEAVY_LISTENERS, is_paused, last_due, now)
    with connect(read_warehouse()) as connection:
        require_schema(connection)
        with connection.transaction():
            add_notices(standstills.due(connection, HOURLY_LOAD, findings, now))
