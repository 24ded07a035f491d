"""What an erasure was decided on is looked at again when it is carried out, however much later."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.errors import ErasureOutdated
from songswap.pipelines import due, erase
from songswap.pipelines.drain import drain
from songswap.pipelines.erase import DUE, Receipt
from songswap.warehouse import erasures, user_rows
from songswap.warehouse.connection import connect

Change = Callable[[Platform], None]


def found_due(make_platform: MakePlatform, *, gone: bool = False) -> Platform:
    """A platform whose user 1 has to be erased by the server's time, as `due.refresh` found."""
    platform = make_platform(users=4, real_time=True)
    platform.load()
    if gone:
        platform.execute('DELETE FROM "Users" WHERE id = 1')
        refreshed(platform)
        ago = "UPDATE songswap.disconnects SET since = since - interval '6 days'"
        platform.execute(ago)
    else:
        revoke(platform, days_ago=6)
    assert refreshed(platform) == [1]
    return platform


def revoke(platform: Platform, days_ago: int) -> None:
    platform.execute(
        "UPDATE songswap.grants SET state = 'revoked', ask_again_at = NULL, refusals = 4,"
        " refused_at = %s WHERE user_id = 1",
        platform.clock() - timedelta(days=days_ago),
    )


def refreshed(platform: Platform) -> list[int]:
    """Who has to be erased."""
    now = platform.clock()
    return [user.user_id for user in due.refresh(platform.settings, now).due_now(now)]


def authorize(platform: Platform) -> None:
    """Have user 1 authorize the app again: no load has seen it yet."""
    platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'of a sign-in' WHERE id = 1")


def rows_of(platform: Platform) -> dict[str, int]:
    """How many rows user 1 has."""
    with connect(platform.settings.warehouse_dsn) as connection:
        return user_rows.count(connection, 1)


def request(platform: Platform, **options: object) -> int:
    return erase.request(platform.settings, 1, clock=platform.clock, **options)  # type: ignore[arg-type]


def erased(platform: Platform, **options: object) -> Receipt:
    """Erase user 1 everywhere."""
    erasure_id = request(platform, **options)
    drain(platform.settings, "drain", platform.clock)
    receipt = erase.proceed(platform.settings, erasure_id, clock=platform.clock)
    assert receipt.is_complete
    return receipt


def restored(platform: Platform) -> None:
    platform.execute(
        'INSERT INTO "Users" (id, username, email, spotify_id)'
        " VALUES (1, 'back', 'back@example.com', 'of a backup')"
    )


def refused_later(platform: Platform) -> None:
    """As after an authorization that was revoked too: that has a day of its own."""
    revoke(platform, days_ago=1)


@pytest.mark.parametrize(
    ("gone", "change"), [(False, authorize), (False, refused_later), (True, restored)]
)
def test_user_who_is_not_due_any_more_stays(
    make_platform: MakePlatform, gone: bool, change: Change
) -> None:
    """Also where the list, and the task that erases, are of before."""
    platform = found_due(make_platform, gone=gone)
    change(platform)
    before = rows_of(platform), platform.objects()
    with pytest.raises(ErasureOutdated, match="User 1 does not have to be erased any more"):
        request(platform, reason=DUE)
    assert platform.rows("SELECT FROM songswap.erasures") == []
    assert (rows_of(platform), platform.objects()) == before


@pytest.mark.parametrize("gone", [False, True])
def test_user_who_is_due_still_is_erased(make_platform: MakePlatform, gone: bool) -> None:
    """A task that is run again goes on with it."""
    platform = found_due(make_platform, gone=gone)
    first = request(platform, reason=DUE)
    assert request(platform, reason=DUE) == first
    assert erased(platform, reason=DUE).erasure.erasure_id == first
    assert not any(rows_of(platform).values())


def test_erasure_that_is_in_force_is_not_widened(make_platform: MakePlatform) -> None:
    """Somebody was faster than the task, and has kept the account, where the user signed in."""
    platform = found_due(make_platform)
    receipt = erased(platform, keeps_account=True)
    authorize(platform)
    assert request(platform, reason=DUE) == receipt.erasure.erasure_id
    assert erase.receipts(platform.settings, 1) == [receipt]


@pytest.mark.parametrize("is_seen", [False, True])
def test_old_approval_erases_nothing_new(make_platform: MakePlatform, is_seen: bool) -> None:
    """Of who came back after the erasure that was approved, whether or not a load has seen it."""
    platform = make_platform(users=2, real_time=True)
    platform.load()
    approved_at = platform.clock()
    receipt = erased(platform, keeps_account=True, approved_at=approved_at)
    assert request(platform, keeps_account=True, approved_at=approved_at)
    authorize(platform)
    if is_seen:
        with connect(platform.settings.warehouse_dsn) as connection:
            erasures.record_renewed(connection, platform.clock())
    before = rows_of(platform), erase.receipts(platform.settings, 1)
    with pytest.raises(ErasureOutdated, match="User 1 has authorized the app again since"):
        request(platform, approved_at=approved_at)
    assert (rows_of(platform), erase.receipts(platform.settings, 1)) == before
    is_another = request(platform) != receipt.erasure.erasure_id
    assert is_another is is_seen, "a new approval"


def test_authorization_after_the_approval_is_not_erased(make_platform: MakePlatform) -> None:
    """The grant that was approved to be erased is another one."""
    platform = make_platform(users=2, real_time=True)
    platform.load()
    before = platform.clock() - timedelta(days=1)
    with pytest.raises(ErasureOutdated, match="needs a new approval"):
        request(platform, approved_at=before)
    assert platform.rows("SELECT FROM songswap.erasures") == []
