"""SIGKILL before any step of a load, an import or an enrichment costs nothing: the next gives the
same tables."""

from itertools import count

import killed_work
import psycopg
import pytest
from all_tables import AllTables, difference
from contradictions import NEW, OLD
from killed_processes import killing
from warehouse_work import load

from songswap.warehouse.connection import connect

KNOWN = load({1: {minute + 20: track for minute, track in (OLD | NEW).items()}})
"""What an enrichment needs before it: tracks."""


@pytest.mark.parametrize("name", killed_work.WORKS)
def test_killed_before_any_step(warehouse_dsn: str, name: str) -> None:
    """Also between the tracks and the plays. All that has to be enriched of what a killed work
    leaves is in the queue: nobody might load these plays again."""
    work = killed_work.WORKS[name]
    with (
        psycopg.connect(warehouse_dsn, autocommit=True) as observer,
        connect(warehouse_dsn) as connection,
        killing(killed_work.__file__, warehouse_dsn, name) as kill_before,
    ):
        observer.execute('INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, 2) n')
        if "enrichment" in name:
            KNOWN(connection)
        tables = AllTables(observer)
        tables.keep()
        work(connection)
        undisturbed = tables.read()
        for step in count(1):
            tables.restore()
            code = kill_before(step)
            if code == 0:
                break
            assert code == -9
            assert not_queued(observer) == [], f"before step {step}"
            work(connection)
            assert not difference(tables.read(), undisturbed), f"before step {step}"
        assert step > 5


def not_queued(connection: psycopg.Connection) -> list[str]:
    """The artists and incomplete tracks that nobody would look up."""
    rows = connection.execute(
        """SELECT id FROM (
             SELECT 'artist' AS kind, id FROM "Artists"
             UNION ALL SELECT 'track', id FROM "Tracks" WHERE duration_ms = 0 OR name = ''
           ) lacking
           WHERE NOT EXISTS (
             SELECT FROM songswap.enrichment_queue q
             WHERE (q.kind, q.id) = (lacking.kind, lacking.id)
           )"""
    )
    return [id_ for (id_,) in rows]
