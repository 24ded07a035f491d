"""Who has to be erased, and until when: from real refusals of Spotify, and from a real archive."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import obstore
import pytest
from factories import MakePlatform, Platform

from songswap.alerts.notices import LOOK
from songswap.dev.stack.sign_up import sign_up
from songswap.errors import RunFailed
from songswap.pipelines import due, due_notices
from songswap.pipelines.due import Due, Refreshed
from songswap.warehouse import notices
from songswap.warehouse.connection import connect

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)
FIVE_DAYS = timedelta(days=5)


def revoke(platform: Platform, *listeners: str) -> None:
    """Have users remove the app at Spotify."""
    for listener in listeners:
        platform.spotify.post(f"/admin/listeners/{listener}/revoke", {})


def refuse_for_good(platform: Platform, *listeners: str) -> None:
    """Have users remove the app, and load until their grants are not tried again.

    The first refusal comes after an hour, when their access tokens have ended.
    """
    revoke(platform, *listeners)
    for hours in (1, 1, 25, 49):
        platform.advance(hours=hours)
        platform.load()


def refresh(platform: Platform) -> Refreshed:
    """The list as it is now."""
    return due.refresh(platform.settings, platform.clock())


def listed(platform: Platform) -> list[tuple[int, str, datetime]]:
    """Who is on the list, why, and since when."""
    return [(user.user_id, user.reason, user.since) for user in refresh(platform).users]


def delete_users(platform: Platform, *listeners: str) -> list[int]:
    """Delete users as the web app does; give their ids."""
    ids = sorted(platform.user_id(listener) for listener in listeners)
    platform.execute('DELETE FROM "Users" WHERE id = ANY (%s)', ids)
    return ids


def erase(platform: Platform, user_id: int, *, is_renewed: bool = False) -> None:
    """Record an erasure that has ended."""
    platform.execute(
        "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at,"
        " renewed_at) VALUES (%s, %s, 'request', false, %s, %s)",
        *(user_id, AT, AT, AT if is_renewed else None),
    )


def say(platform: Platform, found: Refreshed, *, by_itself: bool = False) -> list[str]:
    """What engineers are told of it now."""
    with connect(platform.settings.warehouse_dsn) as connection, connection.transaction():
        said = due_notices.due(connection, found, by_itself=by_itself, now=platform.clock())
    assert {notice.kind for notice in said} <= {LOOK}
    return [notice.sentence for notice in said]


def to_erase(platform: Platform, found: Refreshed) -> list[int]:
    """Whom a run would erase by itself now."""
    with connect(platform.settings.warehouse_dsn) as connection:
        told = due_notices.told_before(connection, platform.clock())
    return [user.user_id for user in found.to_erase(platform.clock(), told)]


def test_grant_that_is_refused_for_good_is_due(make_platform: MakePlatform) -> None:
    """It is listed after the last try, and counts from the first refusal, not from the last."""
    platform = make_platform(users=4)
    platform.load()
    revoke(platform, "listener-0002")
    platform.advance(hours=1)
    first = platform.clock()
    for hours in (1, 25, 49):
        platform.load()
        assert listed(platform) == [], "it is tried again"
        platform.advance(hours=hours)
    platform.load()
    user = platform.user_id("listener-0002")
    assert listed(platform) == [(user, "revoked", first)]
    (found,) = refresh(platform).users
    assert found.due_at == first + FIVE_DAYS
    assert (found.day, found.days_left(platform.clock())) == (date(2026, 11, 27), 2)

    # No later run, nor another setting, moves the beginning.
    platform.advance(days=10)
    platform.load()
    platform.settings = replace(platform.settings, erase_after=timedelta(days=30))
    (found,) = refresh(platform).users
    assert (found.since, found.due_at) == (first, first + timedelta(days=30))


def test_last_try_comes_before_the_due_day(make_platform: MakePlatform) -> None:
    """With the default days, a user is listed while there is a day left, and can be announced."""
    platform = make_platform(users=4)
    revoke(platform, "listener-0001")
    for hours in (1, 2, 26, 50):  # as late as hourly loads can be
        platform.advance(hours=hours)
        platform.load()
    (found,) = refresh(platform).users
    assert found.days_left(platform.clock()) >= 1


def test_incident_at_spotify_starts_no_clock(make_platform: MakePlatform) -> None:
    """Whoever is refused with all others is good again, and was never due."""
    platform = make_platform(users=12)
    platform.load()
    platform.fault(path="/api/token", status=400, body='{"error": "invalid_grant"}')
    for _ in range(3):
        platform.advance(hours=2)
        with pytest.raises(RunFailed, match="looks like an incident"):
            platform.load()
        assert listed(platform) == []
    platform.mend()
    platform.load()
    assert platform.rows("SELECT count(*) FROM songswap.grants WHERE refused_at IS NOT NULL") == [
        (0,)
    ]


def test_refusal_that_does_not_stand_is_forgotten(make_platform: MakePlatform) -> None:
    """A user whom Spotify refused falsely begins anew with a later refusal."""
    platform = make_platform(users=4)
    user = platform.user_id("listener-0002")
    platform.load()
    platform.fault(path="/api/token", status=400, body='{"error": "invalid_grant"}', times=1)
    platform.advance(hours=2)
    platform.load()
    refused = "SELECT user_id FROM songswap.grants WHERE refused_at IS NOT NULL"
    assert len(platform.rows(refused)) == 1
    platform.advance(hours=1)
    platform.load()
    assert platform.rows(refused) == []

    platform.advance(days=2)
    began = platform.clock() + timedelta(hours=1)
    refuse_for_good(platform, "listener-0002")
    assert listed(platform) == [(user, "revoked", began)]


def test_grant_that_ended_by_its_age_is_not_due(make_platform: MakePlatform) -> None:
    """Six months are Spotify's rule: the user has withdrawn nothing."""
    platform = make_platform(users=12)
    platform.load()
    platform.advance(days=182)
    assert platform.load()["refused"] == 12
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("revoked",)]
    assert listed(platform) == []


@pytest.mark.parametrize("state", ["lost", "forbidden"])
def test_lost_and_forbidden_grants_are_not_due(make_platform: MakePlatform, state: str) -> None:
    """A token that was lost on our side, and a 403, are nothing that a user did."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0002")
    assert len(listed(platform)) == 1
    platform.execute("UPDATE songswap.grants SET state = %s WHERE state = 'revoked'", state)
    assert listed(platform) == []


def test_lost_grant_that_ends_by_its_age_is_not_due(make_platform: MakePlatform) -> None:
    """It becomes `revoked` in the tables then, after several refusals."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0002")
    platform.execute("UPDATE songswap.grants SET unanswered_at = %s", platform.clock())
    assert listed(platform) == []


def test_user_who_authorizes_again_is_off_the_list(make_platform: MakePlatform) -> None:
    """At once: other tokens in "SpotifyTokens" suffice, before any load has noticed them."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0002")
    assert len(listed(platform)) == 1
    user = platform.user_id("listener-0002")
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', user)
    assert len(listed(platform)) == 1, "a user without tokens has not authorized"
    listeners = platform.spotify.get("/admin/listeners")
    sign_up(platform.settings.warehouse_dsn, platform.spotify.url, listeners, lambda _: None)
    assert listed(platform) == []
    platform.load()
    assert listed(platform) == []
    assert platform.rows("SELECT max(refused_at) FROM songswap.grants") == [(None,)]


def test_erased_user_is_off_the_list(make_platform: MakePlatform) -> None:
    """From the request of the erasure on, whatever its reason was."""
    platform = make_platform(users=6)
    platform.load()
    refuse_for_good(platform, "listener-0002")
    (gone,) = delete_users(platform, "listener-0003")
    assert {user for user, _, _ in listed(platform)} == {platform.user_id("listener-0002"), gone}
    for user, _, _ in listed(platform):
        erase(platform, user)
    assert listed(platform) == []


def test_user_who_is_gone_is_due(make_platform: MakePlatform) -> None:
    """From when it was first seen; off the list when the user, or nothing in S3, is there again."""
    platform = make_platform(users=4)
    platform.load()
    assert listed(platform) == []
    row = platform.rows('SELECT * FROM "Users" WHERE spotify_id = %s', "listener-0002")[0]
    (gone,) = delete_users(platform, "listener-0002")
    platform.advance(days=1)
    seen = platform.clock()
    assert listed(platform) == [(gone, "gone", seen)]
    platform.advance(days=1)
    assert listed(platform) == [(gone, "gone", seen)]

    platform.execute('INSERT INTO "Users" VALUES (%s, %s, %s, %s)', *row)
    assert listed(platform) == []
    delete_users(platform, "listener-0002")
    assert listed(platform) == [(gone, "gone", platform.clock())]
    of_user = [key for key in platform.objects() if f"/user{gone}/" in key]
    assert of_user
    obstore.delete(platform.bucket, of_user)
    assert listed(platform) == []


def test_user_who_came_back_and_is_gone_again_is_due(make_platform: MakePlatform) -> None:
    """An erasure covers a user until the user authorizes again."""
    platform = make_platform(users=4)
    platform.load()
    (gone,) = delete_users(platform, "listener-0002")
    erase(platform, gone, is_renewed=True)
    assert [user for user, _, _ in listed(platform)] == [gone]
    erase(platform, gone)
    assert listed(platform) == []


def test_revoked_user_who_is_gone_keeps_the_first_day(make_platform: MakePlatform) -> None:
    """Deleting the account does not give more time."""
    platform = make_platform(users=4)
    platform.load()
    began = platform.clock() + timedelta(hours=1)
    refuse_for_good(platform, "listener-0002")
    assert len(listed(platform)) == 1
    (gone,) = delete_users(platform, "listener-0002")
    platform.advance(days=1)
    assert listed(platform) == [(gone, "gone", began)]


def test_user_of_the_tests_is_nobody(make_platform: MakePlatform) -> None:
    """Test DAGs archive for user 0, who is not in "Users" between them; ids may be too large."""
    platform = make_platform(users=2)
    for user in (0, 2_500_000_000):
        key = f"history/spotify/user{user}/user{user}_spotify_2026-11-22_18.json"
        obstore.put(platform.bucket, key, b"{}")
    assert listed(platform) == []


def test_without_a_key_that_lists_who_is_gone_stays_as_it_was(make_platform: MakePlatform) -> None:
    """The archive is the memory of who was there: unread, it says neither yes nor no."""
    platform = make_platform(users=4)
    platform.load()
    (gone,) = delete_users(platform, "listener-0002")
    assert refresh(platform).archived == 4
    seen = platform.clock()
    settings = platform.settings
    platform.settings = replace(settings, library=None, eraser=None)
    platform.advance(days=6)
    delete_users(platform, "listener-0003")
    found = refresh(platform)
    assert found.archived is None
    assert [(user.user_id, user.since) for user in found.users] == [(gone, seen)]
    assert found.due_now(platform.clock()) == [], "nobody knows how many others are gone"
    platform.settings = replace(settings, library=None)
    obstore.put(platform.bucket, "history/export/user9/user9_account_0123456789abcdef.json", b"{}")
    assert refresh(platform).archived == 5, "the key that erases lists too"
    assert len(refresh(platform).due_now(platform.clock())) == 1


def test_emptied_table_of_users_erases_nobody(make_platform: MakePlatform) -> None:
    """More than 3 users, and more than one in a hundred, gone at once are held back and told."""
    platform = make_platform(users=12)
    platform.load()
    refuse_for_good(platform, "listener-0012")
    delete_users(platform, "listener-0001", "listener-0002", "listener-0003")
    refresh(platform)
    platform.advance(days=6)
    three = refresh(platform)
    assert len(three.due_now(platform.clock())) == 4

    delete_users(platform, "listener-0004")
    four = refresh(platform)
    assert list(four.held_back) == ["gone"]
    revoked = [user.user_id for user in four.due_now(platform.clock())]
    assert revoked == [platform.user_id("listener-0012")]
    (soon, sentence) = say(platform, four, by_itself=True)
    assert soon.startswith(f"User {revoked[0]} disconnected")
    assert sentence.startswith('4 of the 12 users in the archive are gone from "Users" at once.')
    assert say(platform, four, by_itself=True) == [], "once a day"
    platform.advance(days=1)
    assert len(say(platform, refresh(platform), by_itself=True)) == 1

    platform.execute('DELETE FROM "Users"')
    all_ = refresh(platform)
    assert (len(all_.held_back["gone"]), all_.due_now(platform.clock())) == (12, [])


def test_more_than_a_run_erases_is_told(make_platform: MakePlatform) -> None:
    """Once a day, with how many wait; the same of more revoked grants than one in ten."""
    platform = make_platform(users=1)
    now = platform.clock()
    users = [Due(n, "revoked", now - FIVE_DAYS, now) for n in range(1, 1_101)]
    many = Refreshed(users, 20_000)
    sentence = say(platform, many, by_itself=True)[-1]
    assert sentence.startswith("1,100 users have to be erased by now. A run of `erase_due_users`")
    assert say(platform, many, by_itself=True) == []
    (sentence,) = say(platform, Refreshed(users, 2_000), by_itself=True)
    assert sentence.startswith("Spotify has refused the grants of 1,100 users for good.")


def test_each_user_is_told_once_at_each_stage(make_platform: MakePlatform) -> None:
    """A day before, and on the day if nothing erases; anew after the user was off the list."""
    platform = make_platform(users=6)
    refuse_for_good(platform, "listener-0001", "listener-0002")
    users = [platform.user_id(f"listener-000{n}") for n in (1, 2)]
    assert say(platform, refresh(platform)) == [], "two days before"
    platform.advance(days=1)
    (sentence,) = say(platform, refresh(platform))
    assert sentence.startswith(
        f"Users {users[0]} and {users[1]} disconnected, and have to be erased by 2026-11-27:"
    )
    assert say(platform, refresh(platform)) == []
    platform.advance(days=1)
    (sentence,) = say(platform, refresh(platform))
    assert sentence.startswith(f"Users {users[0]} and {users[1]} have to be erased today")
    assert say(platform, refresh(platform)) == []
    platform.advance(days=1)
    assert say(platform, refresh(platform)) == []
    with connect(platform.settings.warehouse_dsn) as connection:
        assert len(notices.find_all(connection, "has to be erased ")) == 4
        platform.execute("DELETE FROM songswap.disconnects")
        platform.execute("UPDATE songswap.grants SET state = 'active'")
        say(platform, refresh(platform))
        assert notices.find_all(connection, "has to be erased ") == {}


def test_rows_that_are_back_are_told(make_platform: MakePlatform) -> None:
    """Those of an erased user, from a backup with an older token: nothing is polled."""
    platform = make_platform(users=3)
    platform.load()
    user = platform.user_id("listener-0001")
    erase(platform, user)
    platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'older' WHERE id = %s", user)
    platform.advance(hours=1)
    assert platform.load()["polled"] == 2
    assert platform.rows("SELECT renewed_at FROM songswap.erasures") == [(None,)]
    (sentence,) = say(platform, refresh(platform))
    assert sentence.startswith(f'User {user} has rows in "Users" again after all was erased')
    assert say(platform, refresh(platform)) == []
    delete_users(platform, "listener-0001")
    assert say(platform, refresh(platform)) == []
    with connect(platform.settings.warehouse_dsn) as connection:
        assert notices.find_all(connection, "rows of an erased user") == {}


def test_who_is_erased_by_itself_is_told_a_day_before(make_platform: MakePlatform) -> None:
    """And not on the day: then it is done."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0001")
    user = platform.user_id("listener-0001")
    platform.advance(days=1)
    (sentence,) = say(platform, refresh(platform), by_itself=True)
    assert sentence.startswith(f"User {user} disconnected, and has to be erased by 2026-11-27:")
    platform.advance(days=1)
    found = refresh(platform)
    assert say(platform, found, by_itself=True) == []
    assert to_erase(platform, found) == [user]


def test_nobody_is_erased_by_itself_without_a_day_to_say_no(make_platform: MakePlatform) -> None:
    """Who is due when the list is first made is told of, and erased the day after."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0001")
    user = platform.user_id("listener-0001")
    platform.advance(days=3)
    found = refresh(platform)
    assert to_erase(platform, found) == []
    (sentence,) = say(platform, found, by_itself=True)
    assert "`erase_due_users` erases them tomorrow" in sentence
    assert to_erase(platform, found) == [], "told today"
    platform.advance(days=1)
    assert to_erase(platform, found) == [user]
    assert say(platform, found, by_itself=True) == []


def test_message_of_the_day_counts_where_it_is_erased_by_itself_later(
    make_platform: MakePlatform,
) -> None:
    """As the setting was switched on since."""
    platform = make_platform(users=4)
    refuse_for_good(platform, "listener-0001")
    platform.advance(days=3)
    found = refresh(platform)
    assert len(say(platform, found)) == 1
    platform.advance(days=1)
    assert to_erase(platform, found) == [platform.user_id("listener-0001")]
