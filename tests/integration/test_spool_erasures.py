"""Every host's spool lets go of an erased user, whenever it is seen again, and then confirms it."""

import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from crashing import killed, loading
from erasing import (
    USER,
    archived,
    end,
    environment,
    fetched,
    holds,
    host,
    id_of,
    marks,
    place,
    removed,
    request,
    standing,
    users_in,
    without_s3,
)
from factories import MakePlatform

from songswap.errors import SpoolError, WarehouseUnavailable
from songswap.models import RotatedToken
from songswap.pipelines import hourly_load, spool_erasures
from songswap.pipelines.batch import run_batch
from songswap.pipelines.drain import drain
from songswap.storage.spool import Spool
from songswap.warehouse import grants
from songswap.warehouse import spool_erasures as places

BROKEN = "spool.sqlite3.broken-20261122T080000.000000Z"
CREDENTIALS = "songswap.warehouse.grants:load_credentials"
ROTATED = ("--rotate-refresh-tokens", "1")


def test_late_spool_of_a_host_that_was_away(make_platform: MakePlatform) -> None:
    """The others confirm without it; its first drain deletes the user, then stores the others."""
    platform = make_platform(*ROTATED, users=3)
    one, other = host(platform, "one"), host(platform, "other")
    for each in (one, other):
        drain(each, "before", platform.clock)
    platform.advance(hours=2)
    fetched(platform, one)
    found = marks(one)
    assert holds(one, found) == found
    request(platform)
    drain(other, "soon", platform.clock)
    assert place(platform, other) == (removed(), True, None)
    assert place(platform, one) == ({}, False, None)
    drain(one, "late", platform.clock)
    assert place(platform, one) == (removed(responses=1, rotations=1), True, None)
    assert not holds(one, found)
    assert users_in(one) == {1, 3}, "the tokens of the others are remembered"
    assert archived(platform) == {"1", "3"}
    assert platform.rows('SELECT DISTINCT user_id FROM "History" ORDER BY 1') == [(1,), (3,)]


@pytest.mark.parametrize(
    "boundary",
    [
        "before songswap.storage.spool:Spool.erase",
        "after songswap.storage.spool:Spool.erase",
        "after songswap.storage.spool:Spool.rewrite",
        "after songswap.warehouse.spool_erasures:record",
    ],
)
def test_kill_at_any_boundary_costs_no_count(make_platform: MakePlatform, boundary: str) -> None:
    """The next drain confirms, with what was deleted before and after."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    drain(one, "before", platform.clock)
    platform.advance(hours=2)
    fetched(platform, one)
    found = marks(one)
    request(platform)
    when, target = boundary.split()
    killed(platform, when, target, "1", **environment(one))
    drain(one, "after", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)
    assert not holds(one, found)
    assert users_in(one) == set()
    drain(one, "again", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)


def test_host_waits_for_who_had_the_user_at_the_request(make_platform: MakePlatform) -> None:
    """A batch that had loaded the user's token goes on with it; one that comes later has nothing.

    Both are frozen around the query that loads tokens, when the erasure is requested.
    """
    platform = make_platform(users=3)
    one = host(platform, "one")
    here = environment(one)
    with (
        loading(platform, "freeze", "after", CREDENTIALS, "1", **here) as had,
        loading(platform, "freeze", "before", CREDENTIALS, "1", **here) as had_not,
    ):
        standing(had)
        standing(had_not)
        request(platform)
        with Spool(one.spool) as spool:
            at_work = {work.holder for work in spool.at_work()}
        assert len(at_work) == 2
        drain(one, "first", platform.clock)
        (seen,) = platform.rows("SELECT at_work FROM songswap.erasure_places")
        assert set(seen[0]) == at_work
        assert place(platform, one) == (removed(), False, None)

        had_not.send_signal(signal.SIGCONT)
        had_not.communicate(timeout=120)
        assert archived(platform) == {"1", "3"}
        drain(one, "second", platform.clock)
        assert not place(platform, one)[1], "the first batch may still have a response"

        had.send_signal(signal.SIGCONT)
        had.communicate(timeout=120)
    assert archived(platform) == {"1", "2", "3"}, "S3 is swept once more for this"
    assert not platform.rows('SELECT FROM "History" WHERE user_id = %s', USER)
    drain(one, "third", platform.clock)
    assert place(platform, one)[1:] == (True, None)
    assert not holds(one, {b"user2/"})


def test_host_waits_for_a_drain_that_has_read_a_response(make_platform: MakePlatform) -> None:
    """It puts the response into S3 after another process has erased the user."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    fetched(platform, one)
    archiving = ("freeze", "before", "songswap.storage.archive:Archive.put_all", "1")
    with loading(platform, *archiving, **environment(one)) as process:
        standing(process)
        request(platform)
        drain(one, "first", platform.clock)
        assert place(platform, one) == (removed(responses=1), False, None)
    drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)


def test_what_is_spooled_after_the_first_sight_is_counted_too(make_platform: MakePlatform) -> None:
    """By a process that was at work then: its rows are deleted before the host confirms."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    fetched(platform, one)
    with Spool(one.spool) as spool:
        own = next(entry.id for entry in spool.entries() if entry.user_id == USER)
        response = spool.find(own)
        with spool.working("another run", 0):
            request(platform)
            drain(one, "first", platform.clock)
            spool.add("another run", 0, [response])
        drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(responses=2), True, None)


def test_process_that_ends_while_rows_are_deleted_is_waited_for(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has spooled just then is not archived, and this drain does not confirm yet."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    fetched(platform, one)
    erase = Spool.erase
    with Spool(one.spool) as spool, ExitStack() as other:
        response = next(each for each in spool.not_loaded(0, 9) if each.user_id == USER)
        other.enter_context(spool.working("another run", 0))

        def ends(*arguments: Any) -> Any:
            result = erase(*arguments)
            spool.add("another run", 0, [response])
            other.close()
            return result

        request(platform)
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "erase", ends)
            drain(one, "first", platform.clock)
    assert place(platform, one) == (removed(responses=1), False, None)
    assert archived(platform) == {"1"}
    drain(one, "second", platform.clock)
    assert place(platform, one)[1:] == (True, None)
    assert users_in(one) == set()


def test_broken_file_keeps_a_host_from_confirming(
    make_platform: MakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """What it holds cannot be taken out: it is named until somebody deletes it."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    fetched(platform, one)
    (one.spool / "spool.sqlite3").rename(one.spool / BROKEN)
    request(platform)
    drain(one, "first", platform.clock)
    counts, confirmed, problem = place(platform, one)
    assert (counts, confirmed) == (removed(responses=1), False)
    assert problem is not None
    assert BROKEN in problem
    assert "Delete them" in problem
    assert problem in caplog.text
    assert users_in(one) == set(), "what was recovered of the user is deleted"
    assert archived(platform) == {"1", "3"}
    (one.spool / BROKEN).unlink()
    drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)


def test_large_spool_confirms_when_less_waits(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write its file anew would hold up others on the host; the rows are deleted at once."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    fetched(platform, one)
    request(platform)
    with monkeypatch.context() as patch:
        patch.setattr(spool_erasures, "_LARGEST", 8192)
        drain(one, "first", platform.clock)
    counts, confirmed, problem = place(platform, one)
    assert (counts, confirmed) == (removed(responses=1), False)
    assert problem is not None
    assert "rewritten once less" in problem
    drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)


def test_disk_that_is_restored_archives_nothing_of_an_erased_user(
    make_platform: MakePlatform,
) -> None:
    """Although it has confirmed: the erasure has ended, and nobody sweeps S3 again."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    fetched(platform, one)
    disk, backup = one.spool, one.spool.with_name("backup")
    shutil.copytree(disk, backup)
    id_ = request(platform)
    drain(without_s3(one), "before", platform.clock)
    end(platform, id_)
    assert place(platform, one) == (removed(responses=1), True, None)
    shutil.rmtree(disk)
    backup.rename(disk)
    drain(one, "restored", platform.clock)
    assert archived(platform) == {"1", "3"}
    assert users_in(one) == set()


def test_rotated_tokens_alone_do_not_make_a_spool_too_large(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They never get less where there are many users: the erasure would not end."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    later = platform.clock() + timedelta(hours=1)
    with Spool(one.spool, remembers=one.keep_tokens) as spool:
        for number in range(100):
            old, new = f"{number} {'x' * 180}", f"{number + 1} {'x' * 180}"
            rotated = RotatedToken(1, old, "a" * 220, new, later)
            spool.drop_tokens([rotated], platform.clock())
        responses, size = spool.size_of_responses(), spool.size()
    assert size > responses + 2**14
    request(platform)
    platform.execute(
        "INSERT INTO songswap.erasure_places (erasure_id, place, host)"
        " SELECT erasure_id, %s, 'one' FROM songswap.erasures",
        str(id_of(one)),
    )
    monkeypatch.setattr(spool_erasures, "_LARGEST", responses + 2**14)
    with monkeypatch.context() as patch:
        patch.setattr(spool_erasures, "_LARGEST_IN_ALL", 8192)
        drain(one, "first", platform.clock)
    assert not place(platform, one)[1]
    drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(), True, None)


def test_user_who_has_authorized_again_loses_only_what_was_before(
    make_platform: MakePlatform,
) -> None:
    """On a spool that is new to an erasure which has ended."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    platform.advance(hours=2)
    fetched(platform, one, "old")
    id_ = request(platform)
    renewed_at = platform.clock() + timedelta(minutes=30)
    platform.advance(hours=1)
    end(platform, id_, renewed_at)
    platform.execute("DELETE FROM songswap.spools")
    platform.execute("DELETE FROM songswap.erasure_places")
    with Spool(one.spool) as spool:
        (own,) = [entry for entry in spool.entries() if entry.user_id == USER]
        later = spool.find(own.id)._replace(observed_at=platform.clock())
        spool.add("new", 0, [later])
    drain(one, "back", platform.clock)
    assert place(platform, one) == (removed(responses=1), True, None)
    assert platform.rows('SELECT count(*) > 0 FROM "History" WHERE user_id = %s', USER) == [(True,)]


def test_new_spool_applies_hundreds_at_once(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a query, a transaction and a statement; then nothing is done any more."""
    platform = make_platform(users=2)
    platform.execute(
        "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at)"
        " SELECT n, now(), 'request', false, now() FROM generate_series(100, 600) n"
    )
    one = host(platform, "one")
    calls: list[str] = []

    def counted(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def called(*arguments: Any) -> Any:
            calls.append(name)
            return function(*arguments)

        monkeypatch.setattr(owner, name, called)

    counted(Spool, "erase")
    counted(places, "unconfirmed")
    counted(places, "record")
    drain(one, "first", platform.clock)
    assert calls == ["unconfirmed", "erase", "record"]
    confirmed = "SELECT count(*) FROM songswap.erasure_places WHERE confirmed_at IS NOT NULL"
    assert platform.rows(confirmed) == [(501,)]
    drain(one, "second", platform.clock)
    assert calls[3:] == ["unconfirmed"]


@pytest.mark.parametrize("error", [SpoolError, WarehouseUnavailable])
def test_failure_stores_nothing_from_the_spool_and_polls_on(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """No response of an erased user leaves for S3, and the batch is saved to the disk."""
    platform = make_platform(users=3)
    one = host(platform, "one")
    fetched(platform, one)
    request(platform)
    platform.advance(hours=2)
    hourly_load.plan(one, "next", platform.clock)

    def fails(*_: object) -> None:
        raise error("It is away.")

    monkeypatch.setattr(spool_erasures, "fulfil", fails)
    run_batch(without_s3(one), "next", 0, platform.clock)
    with pytest.raises(error, match="away"):
        drain(one, "drain", platform.clock)
    assert platform.objects() == []
    with Spool(one.spool) as spool:
        runs = [(entry.run_id, entry.user_id) for entry in spool.entries()]
    assert sorted(runs) == [("next", 1), ("next", 3), ("run", 1), ("run", 2), ("run", 3)]


def test_spool_is_known_before_tokens_are_loaded(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its drain failed: an erasure that is requested then waits for this host."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    load_credentials: Callable[..., Any] = grants.load_credentials
    known: list[tuple[Any, ...]] = []

    def loaded(*arguments: Any) -> Any:
        known.extend(platform.rows("SELECT host FROM songswap.spools"))
        return load_credentials(*arguments)

    monkeypatch.setattr(grants, "load_credentials", loaded)
    fetched(platform, one)
    assert known == [("one",)]
