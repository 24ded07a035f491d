"""The DAG that erases users, through ``dag.test()``: with a human's answer as Airflow takes it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

DAG = "erase_users"
LOOKS = "_LOOKS_EVERY = timedelta(minutes=5)"
PATIENCE = "_PATIENCE = timedelta(days=2)"
FILE = "orchestration/erasure.py"
SPOOL = "6f1c2f0e-0000-4000-8000-000000000007"


@contextmanager
def answering(airflow: Any, answer: str) -> Iterator[dict[str, Any]]:
    """Answer the approval of the run in the block; what it asked for is there after that."""
    asked: dict[str, Any] = {}
    with ThreadPoolExecutor(1) as thread:
        human = thread.submit(airflow.call, "approve", DAG, answer, beside=True)
        try:
            yield asked
            asked |= json.loads(human.result(timeout=30).strip().splitlines()[-1])
        except BaseException:
            airflow.beside.stop()
            raise


def loaded(make_platform: MakePlatform, users: int = 4) -> Platform:
    """A platform with plays of all users, and no other host than the tables and S3."""
    platform = make_platform(users=users)
    platform.load()
    platform.execute("DELETE FROM songswap.spools")
    return platform


def remains(platform: Platform, user: int) -> tuple[int, int, int]:
    """A user's rows in "Users", plays, and objects in S3."""
    rows = platform.rows(
        'SELECT (SELECT count(*) FROM "Users" WHERE id = %s),'
        ' (SELECT count(*) FROM "History" WHERE user_id = %s)',
        *(user, user),
    )
    return (*rows[0], sum(f"/user{user}/" in key for key in platform.objects()))


def xcoms(airflow: Any, run: dict[str, Any]) -> dict[str, Any]:
    """The XComs of a run, by the task; those of mapped ones in a list."""
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        rows = connection.execute(
            "SELECT task_id, array_agg(value ORDER BY map_index) FROM xcom WHERE dag_id = %s"
            " AND run_id = %s AND key = 'return_value' GROUP BY 1",
            [DAG, run["run_id"]],
        )
        return dict(rows.fetchall())


def test_approved_users_are_erased(airflow: Any, make_platform: MakePlatform) -> None:
    """Of each all that there is, and of the others nothing; names are nowhere."""
    platform = loaded(make_platform)
    first, second, third = (platform.user_id(f"listener-000{n}") for n in (1, 2, 3))
    others = remains(platform, third)
    plays = remains(platform, first)[1]
    with answering(airflow, "Approve") as asked:
        run = airflow.run(DAG, platform, conf={"users": f"{first}, {second}"})
    assert run["state"] == "success", run["log"]
    tasks = ("preview", "approve", "erase[0]", "erase[1]", "wait[0]", "wait[1]")
    assert run["tasks"] == dict.fromkeys(tasks, "success")
    assert remains(platform, first) == remains(platform, second) == (0, 0, 0)
    assert remains(platform, third) == others
    assert min(others) > 0

    assert asked["subject"] == "Erase these users for good?"
    assert asked["options"] == ["Approve", "Reject"]
    assert f"* User {first}: " in asked["body"]
    assert f"(plays {plays}), objects in S3 1 (" in asked["body"]
    assert 'Their accounts (`"Users"` and the sign-in) go too.' in asked["body"]
    assert "listener" not in asked["body"]
    erased = xcoms(airflow, run)["erase"]
    assert [set(each) for each in erased] == [{"user", "erasure", "asked_at"}] * 2
    ended = platform.rows(
        "SELECT erasure_id, user_id FROM songswap.erasures WHERE ended_at IS NOT NULL"
        " AND reason = 'request' AND NOT keeps_account ORDER BY 1"
    )
    assert sorted((each["erasure"], each["user"]) for each in erased) == ended


def test_rejected_erasure_does_nothing(airflow: Any, make_platform: MakePlatform) -> None:
    """What follows is skipped; the account would have stayed."""
    platform = loaded(make_platform)
    user = platform.user_id("listener-0001")
    before = remains(platform, user)
    with answering(airflow, "Reject") as asked:
        run = airflow.run(DAG, platform, conf={"users": [user], "keep_account": True})
    assert run["tasks"].pop("preview") == run["tasks"].pop("approve") == "success"
    assert set(run["tasks"].values()) == {"skipped"}
    assert "the sign-in) stay." in asked["body"]
    assert remains(platform, user) == before
    assert platform.rows("SELECT FROM songswap.erasures") == []


def test_old_approval_is_refused(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """Of a user who has authorized since the counts that were approved."""
    platform = loaded(make_platform, users=1)
    user = platform.user_id("listener-0001")
    before = remains(platform, user)
    now = '"previewed_at": utc_now().isoformat()'
    old = broken_copy((FILE, now, '"previewed_at": "2026-01-01T00:00:00+00:00"'))
    with answering(airflow, "Approve"):
        run = airflow.run(DAG, platform, conf={"users": [user]}, sources=old)
    assert run["tasks"]["erase[0]"] == "failed"
    assert remains(platform, user) == before
    (message,) = platform.messages()
    description = message["embeds"][0]["description"]
    assert f"User {user} has authorized the app again since 2026-01-01 00:00 UTC" in description


def test_erasure_that_nobody_approves_is_red(airflow: Any, make_platform: MakePlatform) -> None:
    """In a sentence, after the time; nothing was done, and nobody is asked again."""
    platform = loaded(make_platform, users=1)
    user = platform.user_id("listener-0001")
    before = remains(platform, user)
    with answering(airflow, "times_out"):
        run = airflow.run(DAG, platform, conf={"users": [user]})
    assert run["tasks"] == {
        "preview": "success",
        "approve": "failed",
        "erase": "upstream_failed",
        "wait": "upstream_failed",
    }
    assert remains(platform, user) == before
    (message,) = platform.messages()
    description = message["embeds"][0]["description"]
    assert "Nobody approved it within 3 days, and nothing was done." in description


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({}, "No user was named: write the ids into the param users"),
        ({"users": "anna"}, "'anna' is not the id of a user"),
        ({"users": [1, 77]}, "There is no user 77"),
        ({"users": "0"}, "User 0 belongs to the test DAGs"),
    ],
)
def test_wrong_users_are_named_before_anybody_is_asked(
    airflow: Any, make_platform: MakePlatform, conf: dict[str, Any], sentence: str
) -> None:
    """The message is the sentence; nothing was done."""
    platform = loaded(make_platform, users=1)
    run = airflow.run(DAG, platform, conf=conf)
    assert run["tasks"].pop("preview") == "failed"
    assert set(run["tasks"].values()) == {"upstream_failed"}
    (message,) = platform.messages()
    assert sentence in message["embeds"][0]["description"]
    assert "Traceback" not in run["log"]
    assert platform.rows("SELECT FROM songswap.erasures") == []


def test_host_that_is_away_is_waited_for(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """Without holding a worker; when it stays away, the run is red and names it."""
    platform = loaded(make_platform)
    platform.execute(
        "INSERT INTO songswap.spools (spool_id, host, seen_at) VALUES (%s, 'away', now())", SPOOL
    )
    user = platform.user_id("listener-0001")
    short = broken_copy(
        (FILE, LOOKS, "_LOOKS_EVERY = timedelta(milliseconds=100)"),
        (FILE, PATIENCE, "_PATIENCE = timedelta(seconds=3)"),
    )
    with answering(airflow, "Approve"):
        run = airflow.run(DAG, platform, conf={"users": [user]}, sources=short)
    assert run["state"] == "failed"
    assert run["tasks"] == {
        "preview": "success",
        "approve": "success",
        "erase[0]": "success",
        "wait[0]": "failed",
    }
    assert remains(platform, user) == (0, 0, 0), "the other places did not wait"
    (message,) = platform.messages()
    description = message["embeds"][0]["description"]
    assert f"The erasure of user {user}, requested " in description
    assert f"Host away (spool {SPOOL})" in description

    # The same run again, once the host has drained: nothing is asked for what is done.
    confirm = "UPDATE songswap.erasure_places SET confirmed_at = now() WHERE place = %s"
    platform.execute(confirm, SPOOL)
    with answering(airflow, "Approve"):
        again = airflow.run(DAG, platform, conf={"users": [user]})
    assert again["state"] == "success", again["log"]
    assert platform.rows("SELECT count(*), count(ended_at) FROM songswap.erasures") == [(1, 1)]
