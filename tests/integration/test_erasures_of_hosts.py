"""Erasures that wait for a host which is silent, or gone."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from erasing import (
    USER,
    end,
    fetched,
    host,
    place,
    removed,
    request,
    silence,
    users_in,
)
from factories import MakePlatform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.errors import RunFailed
from songswap.pipelines import erase, hourly_load, run_problems
from songswap.pipelines.drain import drain
from songswap.storage.spool import Spool
from songswap.warehouse import spools
from songswap.warehouse.connection import connect


def test_forgotten_host_that_comes_back(make_platform: MakePlatform) -> None:
    """Forgetting says what it means, and closes its place; its first drain erases all the same."""
    platform = make_platform(users=3)
    one, other = host(platform, "one"), host(platform, "other")
    drain(one, "before", platform.clock)
    platform.advance(hours=2)
    fetched(platform, one)
    id_ = request(platform)
    silence(platform, one, days=8)
    with connect(other.warehouse_dsn) as connection:
        spools.forget_gone(connection)
    run = CliRunner().invoke
    env = platform.environment() | {"COLUMNS": "200"}
    assert (
        "1 with something waiting, 1 silent, 1 to be erased" in run(app, ["status"], env=env).output
    )
    forgotten = run(app, ["spool", "forget", "one", "--yes"], env=env)
    assert "The erasure of 1 user is not confirmed there" in forgotten.output
    assert place(platform, one) == ({"forgotten": 1}, True, None)
    end(platform, id_)
    drain(one, "back", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)
    assert users_in(one) == set()
    assert not platform.rows('SELECT FROM "History" WHERE user_id = %s', USER)


def test_silent_host_that_holds_an_erasure_back(make_platform: MakePlatform) -> None:
    """Runs are red after a day; until then it is listed alone."""
    platform = make_platform(users=2)
    one, other = host(platform, "one"), host(platform, "other")
    drain(one, "before", platform.clock)
    id_ = request(platform, user_id=1)
    requested = "UPDATE songswap.erasures SET requested_at = %s WHERE erasure_id = %s"
    platform.execute(requested, platform.clock() - timedelta(hours=23), id_)
    silence(platform, one)
    hourly_load.load_once(other, "first", lambda *_: None, platform.clock)
    ((facts,),) = platform.rows("SELECT facts FROM songswap.snapshots")
    assert {each["host"]: each["erasures"] for each in facts["hosts"]} == {"one": 1, "other": 0}
    platform.execute(requested, platform.clock() - timedelta(hours=25), id_)
    with pytest.raises(RunFailed, match=r"erasure of 1 user has been waiting for host one since"):
        hourly_load.load_once(other, "second", lambda *_: None, platform.clock)


@pytest.mark.parametrize("is_at_work", [False, True])
def test_new_host_opens_no_erasure_that_has_ended(
    make_platform: MakePlatform, is_at_work: bool
) -> None:
    """It confirms each at once, without a sweep of S3: it never had anything of these users."""
    platform = make_platform(users=2)
    end(platform, request(platform))
    one = host(platform, "one")
    with Spool(one.spool) as spool, ExitStack() as other:
        if is_at_work:
            other.enter_context(spool.working("another run", 0))
        drain(one, "first", platform.clock)
    assert place(platform, one) == (removed(), True, None)
    assert erase.open_ids(platform.settings) == []
    (receipt,) = erase.receipts(platform.settings, USER)
    assert receipt.is_complete


def test_late_host_has_a_day_from_its_first_report(make_platform: MakePlatform) -> None:
    """Although the erasure was requested long ago, and has ended."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    id_ = request(platform)
    end(platform, id_)
    platform.execute("UPDATE songswap.erasures SET requested_at = now() - interval '90 days'")
    with connect(one.warehouse_dsn) as connection, Spool(one.spool) as spool:
        spools.introduce(connection, spool.id, one.host)
        with spool.working("another run", 0):
            drain(one, "first", platform.clock)
        (waiting,) = spools.find(connection)
    assert place(platform, one)[1] is False, "what is at work there may have something"
    assert erase.open_ids(platform.settings) == [id_]
    ((now,),) = platform.rows("SELECT now()")
    assert list(run_problems.of_erasures([waiting], now)) == []
    assert len(list(run_problems.of_erasures([waiting], now + timedelta(hours=25)))) == 1
