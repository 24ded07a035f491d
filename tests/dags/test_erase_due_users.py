"""The daily DAG around erasing, through ``dag.test()``, with real PostgreSQL and S3."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
from factories import MakePlatform, Platform

DAG = "erase_due_users"
GREEN = dict.fromkeys(("go_on", "find_due", "announce", "look_after"), "success")
SPOOL = "6f1c2f0e-0000-4000-8000-000000000007"


def loaded(make_platform: MakePlatform, users: int = 4) -> Platform:
    """A platform in real time with plays, and no other host than the tables and S3."""
    platform = make_platform(users=users, real_time=True)
    platform.load()
    platform.execute("DELETE FROM songswap.spools")
    return platform


def revoke(platform: Platform, user: int, since: datetime) -> None:
    """Let a user's grant be one that Spotify refused for good."""
    platform.execute(
        "UPDATE songswap.grants SET state = 'revoked', ask_again_at = NULL, refusals = 4,"
        " refused_at = %s WHERE user_id = %s",
        *(since, user),
    )


def told(platform: Platform, user: int) -> None:
    """Let engineers have been told of a user yesterday."""
    platform.execute(
        "INSERT INTO songswap.notices (subject, sent_at) VALUES (%s, now() - interval '1 day')"
        " ON CONFLICT (subject) DO UPDATE SET sent_at = EXCLUDED.sent_at",
        f"has to be erased soon: user {user}",
    )


def plays(platform: Platform) -> dict[int, int]:
    """How many plays each user has."""
    return dict(platform.rows('SELECT user_id, count(*)::int FROM "History" GROUP BY 1'))


def descriptions(platform: Platform) -> list[str]:
    """What Discord was sent."""
    return [message["embeds"][0]["description"] for message in platform.messages()]


def test_due_users_are_told_of_and_erased_if_set(airflow: Any, make_platform: MakePlatform) -> None:
    """Off by default: then a message says so, once. With the setting the day is enough."""
    platform = loaded(make_platform)
    today, tomorrow, later = (platform.user_id(f"listener-000{n}") for n in (1, 2, 3))
    for user, days in ((today, 5), (tomorrow, 4), (later, 3)):
        revoke(platform, user, platform.clock() - timedelta(days=days))
    before = plays(platform)
    run = airflow.run(DAG, platform)
    assert run["state"] == "success", run["log"]
    assert run["tasks"] == {**GREEN, "erase": "skipped"}
    assert plays(platform) == before
    (text,) = descriptions(platform)
    assert f"User {tomorrow} disconnected, and has to be erased by" in text
    assert f"User {today} has to be erased today" in text
    assert f"User {later}" not in text
    assert "listener" not in text
    assert platform.messages()[0]["embeds"][0]["title"].endswith("look at this")

    airflow.run(DAG, platform)
    assert len(descriptions(platform)) == 1, "once for each user"

    told(platform, today)
    run = airflow.run(DAG, platform, SONGSWAP_ERASE_DUE="1")
    assert run["tasks"] == {**GREEN, "erase[0]": "success"}
    assert plays(platform) == {user: n for user, n in before.items() if user != today}
    assert platform.rows("SELECT user_id, reason, ended_at IS NOT NULL FROM songswap.erasures") == [
        (today, "due", True)
    ]
    assert not [key for key in platform.objects() if f"/user{today}/" in key]
    left = "SELECT user_id FROM songswap.disconnects ORDER BY 1"
    assert platform.rows(left) == [(tomorrow,), (later,)]


def test_user_who_is_not_due_any_more_is_skipped(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """As when the task that erases runs long after the list was made; the log says why."""
    platform = loaded(make_platform)
    user = platform.user_id("listener-0001")
    revoke(platform, user, platform.clock() - timedelta(days=1))
    before = plays(platform)
    list_ = "to_erase = found.to_erase(now, due_notices.told_before(connection, now))"
    late = broken_copy(("orchestration/due_erasure.py", list_, "to_erase = found.users"))
    run = airflow.run(DAG, platform, sources=late, SONGSWAP_ERASE_DUE="1")
    assert run["tasks"] == {**GREEN, "erase[0]": "skipped"}
    assert f"User {user} does not have to be erased any more" in run["log"]
    assert plays(platform) == before
    assert platform.rows("SELECT FROM songswap.erasures") == []


def test_emptied_table_of_users_erases_nothing(airflow: Any, make_platform: MakePlatform) -> None:
    """Also with the setting, and on the day: a message asks for a human."""
    platform = loaded(make_platform, users=5)
    objects = platform.objects()
    platform.execute('DELETE FROM "Users"')
    airflow.run(DAG, platform, SONGSWAP_ERASE_DUE="1", SONGSWAP_ERASE_DAYS="1")
    platform.execute("UPDATE songswap.disconnects SET since = since - interval '2 days'")
    run = airflow.run(DAG, platform, SONGSWAP_ERASE_DUE="1", SONGSWAP_ERASE_DAYS="1")
    assert run["tasks"] == {**GREEN, "erase": "skipped"}
    assert platform.objects() == objects
    (text,) = descriptions(platform)
    assert text.startswith('5 of the 5 users in the archive are gone from "Users" at once.')


def test_open_erasures_go_on(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """One of today may wait for a host; one that was there the day before makes the run red."""
    platform = loaded(make_platform)
    spool = "INSERT INTO songswap.spools (spool_id, host, seen_at) VALUES (%s, 'away', now())"
    platform.execute(spool, SPOOL)
    user = platform.user_id("listener-0001")
    revoke(platform, user, platform.clock() - timedelta(days=6))
    told(platform, user)
    run = airflow.run(DAG, platform, SONGSWAP_ERASE_DUE="1")
    assert run["tasks"] == {**GREEN, "erase[0]": "success"}
    assert user not in plays(platform)

    again = airflow.run(DAG, platform)
    assert again["state"] == "success", again["log"]
    platform.execute("UPDATE songswap.erasures SET requested_at = now() - interval '21 hours'")
    red = airflow.run(DAG, platform)
    assert red["tasks"] == {**GREEN, "go_on": "failed", "erase": "skipped"}
    assert f"The erasure of user {user}, requested" in descriptions(platform)[-1]
    assert "Host away" in descriptions(platform)[-1]

    platform.execute(
        "UPDATE songswap.erasure_places SET confirmed_at = now() WHERE place = %s", SPOOL
    )
    green = airflow.run(DAG, platform)
    assert green["state"] == "success", green["log"]
    assert platform.rows("SELECT count(ended_at) FROM songswap.erasures") == [(1,)]


def test_what_comes_back_into_s3_is_removed(airflow: Any, make_platform: MakePlatform) -> None:
    """For a week after the end, with a message, and counted in the receipt."""
    platform = loaded(make_platform)
    user = platform.user_id("listener-0001")
    revoke(platform, user, platform.clock() - timedelta(days=6))
    told(platform, user)
    airflow.run(DAG, platform, SONGSWAP_ERASE_DUE="1")
    removed = "SELECT removed ->> 'objects' FROM songswap.erasure_places WHERE place = 's3'"
    ((before,),) = platform.rows(removed)
    sent = len(platform.messages())
    key = f"history/export/user{user}/user{user}_extended_0123456789abcdef.json"
    obstore.put(platform.bucket, key, b"{}")
    run = airflow.run(DAG, platform)
    assert run["state"] == "success", run["log"]
    assert key not in platform.objects()
    assert platform.rows(removed) == [(str(int(before) + 1),)]
    assert platform.rows("SELECT count(ended_at) FROM songswap.erasures") == [(1,)]
    assert f"1 object of user {user} was in S3 again" in descriptions(platform)[sent]

    # Not a week later, nor of a user who is one again.
    ended = "UPDATE songswap.erasures SET requested_at = now() - interval '9 days', ended_at = %s"
    platform.execute(ended, platform.clock() - timedelta(days=8))
    obstore.put(platform.bucket, key, b"{}")
    airflow.run(DAG, platform)
    assert key in platform.objects()
    platform.execute("UPDATE songswap.erasures SET ended_at = now(), renewed_at = now()")
    airflow.run(DAG, platform)
    assert key in platform.objects()


def test_without_a_key_nothing_is_green(airflow: Any, make_platform: MakePlatform) -> None:
    """What was erased cannot be looked after, and what is open cannot end."""
    platform = loaded(make_platform)
    platform.execute(
        "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at)"
        " VALUES (99, now(), 'request', false, now())"
    )
    run = airflow.run(DAG, platform, AIRFLOW_CONN_SONGSWAP_S3_ERASE="")
    assert run["tasks"] == {**GREEN, "look_after": "failed", "erase": "skipped"}
    assert "No key may list and delete in the archive" in descriptions(platform)[-1]
