"""An erasure that is killed at any step, made twice at once, or meets a load: nothing is left, and
the receipt adds up."""

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import count, cycle, product
from uuid import UUID

import killed_erasure
import obstore
import psycopg
import pytest
from all_tables import AllTables, Rows, difference
from killed_erasure import AT, OTHER, USER, erase_now, fill, removed, settings_of
from killed_processes import killing
from obstore.store import S3Store
from spotify_json import track
from stepping import Stepper, Work
from warehouse_work import import_export, in_turn, load

from songswap.dev.stack.object_store import ObjectStore
from songswap.pipelines import erase
from songswap.settings import Archive, Settings
from songswap.warehouse import erasures, tokens, user_rows
from songswap.warehouse.connection import connect, connect_async
from songswap.warehouse.locks import lock_to_erase, lock_users

OBJECTS = {
    f"history/{kind}/user{user}/user{user}_{number}.json": b"{}" * number
    for kind in ("spotify", "export")
    for user in (OTHER, USER)
    for number in (1, 2)
}
FIRST, SECOND = 0, 1
SPOOL = UUID(int=1)

SERIAL = {"songswap.erasures": {"erasure_id"}, "songswap.erasure_places": {"erasure_id"}}
"""Numbers that go on where one was taken back."""


@pytest.fixture
def settings(warehouse_dsn: str, objects: ObjectStore, bucket: str) -> Settings:
    """Those of a warehouse with users who have plays, streams and objects."""
    fill(warehouse_dsn)
    secret = objects.access.secrets["eraser"]
    eraser = Archive(bucket, objects.url, "us-east-1", "eraser", secret)
    return replace(settings_of(warehouse_dsn), eraser=eraser)


@pytest.fixture
def store(objects: ObjectStore, bucket: str, settings: Settings) -> S3Store:
    """The bucket, to put and list; it has objects of both users."""
    opened = S3Store(
        bucket,
        endpoint=objects.url,
        region="us-east-1",
        access_key_id="admin",
        secret_access_key=objects.access.secrets["admin"],
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    put(opened)
    return opened


def put(store: S3Store) -> None:
    for key, body in OBJECTS.items():
        obstore.put(store, key, body)


def keys(store: S3Store) -> set[str]:
    return {found["path"] for part in obstore.list(store) for found in part}


def test_killed_before_any_step_in_the_warehouse(warehouse_dsn: str) -> None:
    """Whoever starts it again gets the same tables, and the same receipt."""
    fill(warehouse_dsn)
    assert kill_everywhere(settings_of(warehouse_dsn), lambda: None) > 50


def test_killed_before_any_step_from_s3_on(settings: Settings, store: S3Store) -> None:
    """What the killed one removed is counted, although S3 has no transactions."""
    others = {key for key in OBJECTS if f"user{OTHER}/" in key}

    def put_again() -> None:
        assert keys(store) in (others, OBJECTS.keys())
        put(store)

    assert kill_everywhere(settings, put_again) > 20
    (receipt,) = erase.receipts(settings, USER)
    assert receipt.is_complete
    assert removed(receipt, "s3")["objects"] == len(OBJECTS) - len(others)


def kill_everywhere(settings: Settings, restore: Callable[[], None]) -> int:
    """Erase once undisturbed, then killed before each step and started again; return the steps.

    All has to be as it was undisturbed. ``restore`` is called before each.
    """
    with (
        psycopg.connect(settings.warehouse_dsn, autocommit=True) as observer,
        killing(killed_erasure.__file__, pickle.dumps(settings).hex()) as kill_before,
    ):
        tables = AllTables(observer, SERIAL)
        tables.keep()
        erase_now(settings)
        undisturbed = tables.read()
        for step in count(1):
            tables.restore()
            restore()
            code = kill_before(step)
            if code:
                assert code == -9
                erase_now(settings)
            assert difference(tables.read(), undisturbed) == "", f"before step {step}"
            if code == 0:
                return step
    raise AssertionError


def test_two_erasures_at_once_count_once(warehouse_dsn: str) -> None:
    """Whatever the order of their steps, of one user in two processes."""
    fill(warehouse_dsn)
    settings = settings_of(warehouse_dsn)
    erasure_id = erase.request(settings, USER, clock=lambda: AT)
    with (
        psycopg.connect(warehouse_dsn, autocommit=True) as observer,
        connect(warehouse_dsn) as connection,
    ):
        found = user_rows.count(connection, USER)
        erasure = erasures.find(connection, erasure_id)
        assert erasure
        tables = AllTables(observer)
        tables.keep()

        def work(session: psycopg.Connection) -> None:
            user_rows.delete(session, erasure, lambda _: None)

        stepper = Stepper(warehouse_dsn)
        for before in (*range(0, 24, 2), None):
            tables.restore()
            turns = cycle((FIRST, SECOND)) if before is None else [FIRST] * before + [SECOND] * 99
            stepper.run((work, work), (turn for turn, _ in zip(turns, range(200), strict=False)))
            (warehouse, _) = erasures.places(connection, erasure_id)
            naming = {"songswap.runs": 1, "songswap.steps": 5, "songswap.snapshots": 3}
            assert warehouse.removed == {name: n for name, n in found.items() if n} | naming
        stepper.close()


def test_second_process_leaves_it_to_the_first(settings: Settings, store: S3Store) -> None:
    """It says so, and the first one goes on."""
    erasure_id = erase.request(settings, USER, clock=lambda: AT)
    seconds = []

    def on_progress(*_: object) -> None:
        seconds.append(erase.proceed(settings, erasure_id))

    assert erase.proceed(settings, erasure_id, on_progress, lambda: AT).is_complete
    assert {second.is_complete for second in seconds} == {False}
    assert all("Another process" in second.waiting[0] for second in seconds)


HEARD = {minute: track(minute) for minute in range(1, 9)}


def erase_in_steps(connection: psycopg.Connection, *, keeps_account: bool = False) -> None:
    """The request, and the erasure in the warehouse, in one session."""
    with connection.transaction():
        lock_users(connection, [USER])
        erasure_id = erasures.request(
            connection, USER, AT, keeps_account=keeps_account, reason="request"
        )
    erasure = erasures.find(connection, erasure_id)
    assert erasure
    user_rows.delete(connection, erasure, lambda _: None)


@pytest.mark.parametrize("keeps_account", [False, True])
@pytest.mark.parametrize("work", [load({USER: HEARD, OTHER: HEARD}), import_export(USER, HEARD)])
def test_load_that_is_at_work_when_the_erasure_begins(
    warehouse_dsn: str, work: Work, keeps_account: bool
) -> None:
    """What it stores of the user is erased and counted, or is never stored; others' plays are."""
    fill(warehouse_dsn)
    works = work, partial(erase_in_steps, keeps_account=keeps_account)
    stepper = Stepper(warehouse_dsn)
    with psycopg.connect(warehouse_dsn, autocommit=True) as observer:
        tables = AllTables(observer, SERIAL)
        tables.keep()
        serial = stepper.run(works, [])
        expected = without_erasures(tables.read())
        steps = [step for step in serial.steps if step.startswith("first: ")]
        counts = set()
        for stops in product((FIRST, SECOND), range(len(steps) + 1)):
            tables.restore()
            stepper.run(works, [stops[0]] * stops[1] + [1 - stops[0]] * 200)
            found = tables.read()
            assert difference(without_erasures(found), expected) == "", stops
            (place,) = (row for row in found["songswap.erasure_places"] if "warehouse" in row)
            counts.add(int(place.partition('History"": ')[2].partition(",")[0]))
    stepper.close()
    assert counts == {30, 38}


def store_tokens(connection: psycopg.Connection) -> None:
    """The statements of `tokens.store`, which is asynchronous, for the user's new tokens."""
    old = {"user_id": [USER], "old_digest": [sha256(b"refresh").digest()]}
    new = {"access_token": [b"new access"], "refresh_token": [b"new refresh"]}
    with connection.transaction():
        params = {**old, **new, "expires_at": [AT], "now": AT}
        connection.execute(tokens._SQL["store"], params)
        connection.execute(tokens._SQL["end_exchanged"], old)
        connection.execute(tokens._SQL["record_refreshed"], {"users": [USER], "now": AT})
    with connection.transaction():
        fits = {"users": [USER], "access": True, "refresh": True}
        mirrored = [user_id for (user_id,) in connection.execute(tokens._SQL["mirror"], fits)]
        done = {"users": mirrored, "problem": None}
        connection.execute(tokens._SQL["record_mirrored"], done)


def test_tokens_that_are_stored_meanwhile_never_cross_with_an_erasure(warehouse_dsn: str) -> None:
    """Both take their locks in one order: neither is rolled back."""
    fill(warehouse_dsn)
    works = store_tokens, partial(erase_in_steps, keeps_account=True)
    stepper = Stepper(warehouse_dsn)
    with psycopg.connect(warehouse_dsn, autocommit=True) as observer:
        tables = AllTables(observer, SERIAL)
        tables.keep()
        steps = stepper.run(works, []).steps
        stored, erased = (
            [step for step in steps if step.startswith(side)] for side in ("first: ", "second: ")
        )
        for before, until in product(range(2, len(stored)), range(1, len(erased) + 1)):
            tables.restore()
            turns = [FIRST] * before + [SECOND] * until + [FIRST] * 20 + [SECOND] * 200
            done = stepper.run(works, turns)
            assert not done.errors, (before, until, done.steps)
    stepper.close()


def without_erasures(rows: Rows) -> Rows:
    return {name: rows[name] for name in rows.keys() - SERIAL.keys()}


@pytest.mark.parametrize("cut_off", [False, True])
async def test_claim_of_tokens_while_a_user_is_deleted(warehouse_dsn: str, cut_off: bool) -> None:
    """The user is gone, and the others of the batch are polled."""
    fill(warehouse_dsn)
    with psycopg.connect(warehouse_dsn) as eraser:
        eraser.execute("DELETE FROM songswap.cut_off_exchanges")
        if not cut_off:
            eraser.execute("DELETE FROM songswap.token_exchanges")
        eraser.execute("UPDATE songswap.token_exchanges SET spool_id = %s", [SPOOL])
        eraser.commit()
        lock_to_erase(eraser, USER)
        async with await connect_async(warehouse_dsn) as batch:
            known = {USER: "access", OTHER: "access"}
            at = timedelta(minutes=1), AT
            claiming = asyncio.ensure_future(tokens.claim(batch, known, 7, SPOOL, *at))
            with psycopg.connect(warehouse_dsn, autocommit=True) as observer:
                waits = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
                while observer.execute(waits, [batch.info.backend_pid]).fetchone() != (True,):
                    assert not claiming.done()
                    await asyncio.sleep(0.01)
            eraser.execute('DELETE FROM "Users" WHERE id = %s', [USER])
            eraser.commit()
            claim = await claiming
    assert (set(claim.mine), claim.gone) == ({OTHER}, {USER})


def test_loads_go_on_beside_a_large_erasure(warehouse_dsn: str) -> None:
    """Of the user's batch, and others: none waits for a lock but in the last, short transaction."""
    fill(warehouse_dsn, plays=20_000)
    settings = settings_of(warehouse_dsn)
    erasure_id = erase.request(settings, USER, clock=lambda: AT)
    with connect(warehouse_dsn) as connection:
        erasure = erasures.find(connection, erasure_id)
    assert erasure
    number = 40
    loads = [load({USER: {n: track(n)}, OTHER: {n: track(n)}}) for n in range(number)]
    stepper = Stepper(warehouse_dsn)
    done = stepper.run(
        (lambda session: user_rows.delete(session, erasure, lambda _: None), in_turn(*loads)),
        (turn for _ in range(400) for turn in (FIRST, SECOND, SECOND)),
    )
    stepper.close()
    assert not done.errors
    assert sum("WITH locked" in step and step.startswith("first: ") for step in done.steps) == 1
    is_last, loaded = False, 0
    for step in done.steps:
        if step.startswith("first: "):
            is_last = (is_last or "WITH locked" in step) and step != "first: COMMIT"
        assert is_last or step != "second: waits for the first", done.steps
        loaded += step == "second: COMMIT" and not is_last
    assert loaded > 20
    with connect(warehouse_dsn) as connection:
        assert user_rows.count(connection, OTHER)["History"] == 20_000 + number
        assert not any(user_rows.count(connection, USER).values())
