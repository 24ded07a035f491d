"""Erasing users: all of them, nothing of others, and receipts that add up."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from all_tables import AllTables, Rows, difference
from killed_erasure import NAMING, OTHER, USER, erase_now, fill, removed, settings_of
from partitions import partition

from songswap.errors import EraseRefused, WarehouseRefused
from songswap.pipelines import erase
from songswap.settings import Settings
from songswap.warehouse.connection import connect

ERASURES = {"songswap.erasures", "songswap.erasure_places"}

PROBLEMS = (
    ("runs", "problem", "text"),
    ("steps", "problem", "text"),
    ("snapshots", "facts", "jsonb"),
)
"""Sentences that name users."""


@pytest.fixture
def settings(warehouse_dsn: str) -> Settings:
    """Those of a warehouse with two users; nobody may list or delete in S3."""
    fill(warehouse_dsn)
    return settings_of(warehouse_dsn)


def rows_of(dsn: str) -> Rows:
    """All rows, but those of erasures."""
    with psycopg.connect(dsn, autocommit=True) as observer:
        rows = AllTables(observer).read()
    return {name: rows[name] for name in rows.keys() - ERASURES}


def execute(settings: Settings, statement: str, *parameters: object) -> None:
    with psycopg.connect(settings.warehouse_dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def test_all_of_a_user_is_removed_and_nothing_of_others(make_warehouse: Callable[[], str]) -> None:
    """Of the user there is not even the id; what is left is as if only the other one had been."""
    both, one = make_warehouse(), make_warehouse()
    fill(both, (OTHER, USER))
    fill(one, (OTHER,))
    before = rows_of(both)
    receipt = erase_now(settings_of(both))
    after = rows_of(both)
    for table, column, kind in PROBLEMS:
        text = f"regexp_replace({column}::text, '([Uu]ser) 12\\M', '\\1 (erased)')::{kind}"
        execute(settings_of(one), f"UPDATE songswap.{table} SET {column} = {text}")  # noqa: S608
    assert difference(after, rows_of(one)) == ""
    expected = {
        name.removeprefix("public."): before[name].total() - after[name].total() for name in after
    }
    found = removed(receipt)
    assert {name: number for name, number in expected.items() if number} == {
        name: number for name, number in found.items() if name not in NAMING
    }
    assert {name: found[name] for name in NAMING} == {
        "songswap.runs": 1,
        "songswap.steps": 5,
        "songswap.snapshots": 3,
    }


def test_partitioned_history(make_warehouse: Callable[[], str]) -> None:
    plain, parted = make_warehouse(), make_warehouse()
    partition(parted)
    results = []
    for dsn in (plain, parted):
        fill(dsn)
        results.append(removed(erase_now(settings_of(dsn))))
    assert results[0] == results[1]
    assert results[0]["History"] == 30


def test_preview_counts_what_is_removed(settings: Settings) -> None:
    """And changes nothing."""
    before = rows_of(settings.warehouse_dsn)
    preview = erase.look(settings, USER)
    assert rows_of(settings.warehouse_dsn) == before
    found = removed(erase_now(settings))
    assert preview.rows == {name: found[name] for name in found.keys() - NAMING}


def test_account_that_is_kept(settings: Settings) -> None:
    """It can go later, without what was removed before being counted again."""
    first = removed(erase_now(settings, keeps_account=True))
    assert not first.keys() & {"Users", "SpotifyTokens"}
    preview = erase.look(settings, USER)
    assert preview.rows == {"Users": 1, "SpotifyTokens": 1}
    assert erase.look(settings, USER, keeps_account=True).is_done is True
    assert removed(erase_now(settings)) == first | preview.rows


def test_erased_user_keeps_the_receipt(settings: Settings) -> None:
    """A second erasure is the same one."""
    first, second = erase_now(settings), erase_now(settings)
    assert first == second
    assert erase.receipts(settings, USER) == [first]
    assert erase.look(settings, USER).is_done


@pytest.mark.parametrize("user", [0, 4711])
def test_users_who_cannot_be_erased(settings: Settings, user: int) -> None:
    """That of the test DAGs, and one of whom there is nothing."""
    with pytest.raises(EraseRefused, match="Nothing was done"):
        erase.look(settings, user)
    with pytest.raises(EraseRefused, match="Nothing was done"):
        erase.request(settings, user)
    assert erase.open_ids(settings) == []


def test_without_a_key_for_s3(settings: Settings) -> None:
    """The warehouse is erased, the erasure stays open, and says which connection is missing."""
    receipt = erase_now(settings)
    assert not receipt.is_complete
    assert receipt.waiting == [erase.NO_KEY]
    assert erase.open_ids(settings) == [receipt.erasure.erasure_id]


def test_lacking_rights_are_named_before_the_request(
    settings: Settings, make_role: Callable[[str], str]
) -> None:
    """With the statements that grant them; the account's are not needed where it stays."""
    limited = replace(settings, warehouse_dsn=make_role(settings.warehouse_dsn))
    execute(settings, "REVOKE DELETE ON songswap.gaps FROM eraser")
    with pytest.raises(WarehouseRefused, match=r"GRANT DELETE ON songswap\.gaps TO eraser"):
        erase.request(limited, USER)
    assert erase.open_ids(limited) == []
    execute(settings, "GRANT DELETE ON songswap.gaps TO eraser")
    execute(settings, 'REVOKE DELETE ON "Users" FROM eraser')
    with pytest.raises(WarehouseRefused, match=r'GRANT DELETE ON public\."Users" TO eraser'):
        erase.request(limited, USER)
    receipt = erase_now(limited, keeps_account=True)
    assert receipt.waiting == [erase.NO_KEY]


@pytest.fixture
def make_role(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes a login `eraser` with the rights that are asked for in a warehouse, and no more."""

    def make(dsn: str) -> str:
        from songswap.warehouse import rights

        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("CREATE ROLE eraser LOGIN PASSWORD 'eraser'")
            request.addfinalizer(lambda: drop(dsn))
            granted = psycopg.conninfo.make_conninfo(dsn, user="eraser", password="eraser")
            with connect(granted) as connection:
                for needed in (rights.NEEDED, rights.NEEDED_TO_ERASE):
                    for grant in rights.missing_grants(connection, needed):
                        owner.execute(grant.encode())
        return granted

    def drop(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("DROP OWNED BY eraser; DROP ROLE eraser")

    return make


@pytest.mark.parametrize(
    "action", ["RESTRICT", "NO ACTION", "NO ACTION DEFERRABLE INITIALLY DEFERRED"]
)
def test_table_of_the_web_app_that_keeps_the_user(settings: Settings, action: str) -> None:
    """It is named; all else goes, and the rest when it lets go."""
    execute(
        settings,
        f'CREATE TABLE playlists (owner integer REFERENCES "Users" ON DELETE {action})',
    )
    execute(settings, "INSERT INTO playlists VALUES (%s)", USER)
    receipt = erase_now(settings)
    assert receipt.waiting[0].startswith("Table public.playlists refers to user 12")
    assert set(erase.look(settings, USER).rows) == {"Users", "SpotifyTokens"}
    assert removed(receipt)["History"] == 30
    execute(settings, "DELETE FROM playlists")
    receipt = erase_now(settings)
    assert removed(receipt)["Users"] == 1
    assert receipt.waiting == [erase.NO_KEY]


def test_account_that_cannot_go_is_kept_after_all(settings: Settings) -> None:
    """With the sign-in: the other way out that is named."""
    execute(settings, 'CREATE TABLE playlists (owner integer REFERENCES "Users")')
    execute(settings, "INSERT INTO playlists VALUES (%s)", USER)
    first = erase_now(settings)
    assert "or erase with --keep-account" in first.waiting[0]
    receipt = erase_now(settings, keeps_account=True)
    assert receipt.erasure.keeps_account
    assert receipt.waiting == [erase.NO_KEY], "the warehouse is done"
    assert erase.look(settings, USER).rows == {"Users": 1, "SpotifyTokens": 1}


def test_account_that_is_gone_is_not_kept(settings: Settings) -> None:
    """The receipt says what has happened."""
    erase_now(settings)
    assert not erase_now(settings, keeps_account=True).erasure.keeps_account


def test_trigger_that_keeps_rows(settings: Settings) -> None:
    """Is no success, however often it is tried, and the numbers stay true."""
    execute(
        settings,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER keep BEFORE DELETE ON songswap.gaps FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    for receipt in (erase_now(settings), erase_now(settings)):
        assert "1 of songswap.gaps" in receipt.waiting[0]
        assert "songswap.gaps" not in removed(receipt)
    execute(settings, "DROP TRIGGER keep ON songswap.gaps")
    assert removed(erase_now(settings))["songswap.gaps"] == 1
