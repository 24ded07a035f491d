"""``History`` partitioned by a hash of its users, as it would be kept for millions of them."""

from collections.abc import Callable

import psycopg
from all_tables import AllTables, Rows, difference
from partitions import PARTS, partition
from spotify_json import track
from warehouse_work import delete_user, import_export, in_turn, load, move_raw, record_polls

from songswap.warehouse import indexes, migrate
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit

USERS = 5
HEARD = {minute: track(minute % 7) for minute in range(1, 200, 4)}
EACH_WAY = in_turn(
    load({user: dict(list(HEARD.items())[user : user + 9]) for user in range(1, USERS + 1)}),
    import_export(2, HEARD),
    import_export(3, HEARD),
    # A play that the import has brought already, and one whose time has another track.
    load({2: {9: track(2), 13: track(6)}, 4: {1: track(1), 2: None}}),
    load({1: HEARD}, {1: {3: track(9)}}, run="later"),
    record_polls(*range(1, USERS + 1)),
    move_raw(4),
    delete_user(5),
)


def rows_after(dsn: str) -> Rows:
    """The rows that all that writes plays leaves in a warehouse, but for those of partitions."""
    with psycopg.connect(dsn, autocommit=True) as observer:
        observer.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s::integer) n', [USERS]
        )
        with connect(dsn) as connection:
            require_fit(connection)
            EACH_WAY(connection)
        rows = AllTables(observer).read()
    return {name: rows[name] for name in rows if not name[-1].isdigit()}


def test_the_same_rows(make_warehouse: Callable[[], str]) -> None:
    """The pipeline takes the partitioned table for the platform's, lacks no index of it, and all
    that loads or deletes plays leaves the same rows in it as in the table that it creates."""
    plain, parted = make_warehouse(), make_warehouse()
    partition(parted)
    migrate.migrate(parted)
    expected, found = rows_after(plain), rows_after(parted)
    assert difference(found, expected) == ""
    assert expected["public.History"].total() > 2 * len(HEARD)
    assert indexes.build(parted, lambda _: None) == []
    with connect(parted) as connection:
        filled = 'SELECT count(DISTINCT tableoid) FROM "History"'
        assert connection.execute(filled.encode()).fetchone() == (PARTS,)
