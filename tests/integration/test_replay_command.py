"""``songswap replay`` as an operator uses it, on the archive of a small platform."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.postgres import Postgres

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform whose users were asked for in three hours."""
    made = make_platform(users=4)
    for _ in range(3):
        made.load()
        made.advance(hours=2)
    assert made.history().total() > 50
    return made


@pytest.fixture
def songswap(platform: Platform, tmp_path: Path) -> Run:
    """Runs ``songswap replay`` with the platform's settings and others; None leaves one out."""

    def run(*arguments: str, **others: str | None) -> subprocess.CompletedProcess[str]:
        result = {"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "120"}
        settings = result | platform.environment() | others
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "songswap.cli.main", "replay", "--processes", "1", *arguments],
            cwd=tmp_path,
            env={name: text for name, text in settings.items() if text is not None},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def empty(postgres: Postgres, platform: Platform) -> Any:
    """Another database without any table, and the DSN of it."""
    name = psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)["dbname"]
    fresh = f"{name}_fresh"
    postgres.create_database(fresh)
    yield postgres.dsn(fresh)
    postgres.drop_database(fresh)


def rows(dsn: str, query: str) -> list[Any]:
    """What a query gives in a database."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def listed(out: str) -> dict[str, str]:
    """The lines of a table, by their first column."""
    lines = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│")]
    return {line[0].strip(): line[1].strip() for line in lines}


def test_dry_run_counts_by_user_and_changes_nothing(platform: Platform, songswap: Run) -> None:
    platform.execute('DELETE FROM "History"')
    done = songswap("--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    keys = platform.objects()
    size = sum(one["size"] for part in obstore.list(platform.bucket) for one in part)
    counted = {name: count for name, count in json.loads(done.stdout).items() if count}
    assert counted == {"users": 4, "objects": len(keys), "bytes": size}
    assert platform.history().total() == 0
    first = str(platform.rows('SELECT min(id) FROM "Users"')[0][0])
    of_one = [key for key in keys if f"/user{first}/" in key]
    shown = listed(songswap("--dry-run", "--user", first).stdout)
    assert (shown["Users"], shown["Objects read"]) == ("1", str(len(of_one)))
    within = songswap("--dry-run", "--from", "2026-11-22T19", "--to", "2026-11-23", "--json")
    data = json.loads(within.stdout)["objects"]
    assert 0 < data == len([key for key in keys if key[-7:-5] in ("20", "22")]) < len(keys)


def test_lost_plays_come_back(platform: Platform, songswap: Run) -> None:
    """What somebody deleted is there again; progress and a table say so."""
    before = platform.history()
    first = platform.rows('SELECT min(id) FROM "Users"')[0][0]
    platform.execute('DELETE FROM "History" WHERE user_id = %s', first)
    lost = (before - platform.history()).total()
    assert lost > 0
    done = songswap()
    assert done.returncode == 0, done.stderr
    assert platform.history() == before
    shown = listed(done.stdout)
    assert (shown["Plays, new"], shown["damaged"]) == (str(lost), "0")
    assert shown["Objects read"] == shown["Responses loaded"] == str(len(platform.objects()))
    assert f"{lost} new plays" in done.stderr


def test_fresh_database_needs_users(platform: Platform, songswap: Run, empty: str) -> None:
    """Without users nothing can be loaded, and it says how to have them; tokens stay behind."""
    none = songswap("--into", "FRESH", FRESH=empty)
    assert none.returncode == 1
    assert "--copy-users" in none.stderr
    assert "Traceback" not in none.stderr
    assert rows(empty, 'SELECT count(*) FROM "Tracks"') == [(0,)]

    platform.execute("INSERT INTO \"Users\" VALUES (999, 'nobody', 'nobody@example.org', 'nobody')")
    done = songswap("--into", empty, "--copy-users", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["users_copied"], counts["gone_users"]) == (4, 0)
    assert (
        counts["plays"] == platform.history().total() == len(rows(empty, 'SELECT FROM "History"'))
    )
    users = 'SELECT * FROM "Users" WHERE id < 999 ORDER BY id'
    assert rows(empty, users) == platform.rows(users)
    assert rows(empty, 'SELECT count(*) FROM "Users"') == [(4,)], "only those that are needed"
    assert rows(empty, 'SELECT count(*) FROM "SpotifyTokens"') == [(0,)]
    with psycopg.connect(empty) as connection:
        made = connection.execute(
            "INSERT INTO \"Users\" (username, email, spotify_id) VALUES ('a', 'b', 'c')"
            " RETURNING id"
        ).fetchone()
    assert made == (5,), "who signs up next gets an id that nobody has"
    assert songswap("--copy-users").returncode == 2


def test_users_who_are_gone(platform: Platform, songswap: Run) -> None:
    """Plays of a user who was deleted are counted and not loaded; the others are."""
    gone = platform.rows(
        'SELECT user_id, count(*) FROM "History" GROUP BY 1 ORDER BY 2 DESC LIMIT 1'
    )[0]
    platform.execute('DELETE FROM "Users" WHERE id = %s', gone[0])
    platform.execute('DELETE FROM "History"')
    done = songswap("--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["users"], counts["gone_users"]) == (4, 1)
    assert counts["gone"] >= gone[1]
    assert counts["plays"] == platform.history().total() > 0


def test_damaged_object_is_named_and_the_rest_loaded(platform: Platform, songswap: Run) -> None:
    """As is a refused response; the exit code is 1."""
    before = platform.history()
    first, second, *_ = platform.rows('SELECT user_id FROM "History" GROUP BY 1 ORDER BY 1')
    platform.execute('DELETE FROM "History"')
    torn = next(key for key in platform.objects() if f"/user{first[0]}/" in key)
    given = obstore.get(platform.bucket, torn)
    attributes, packed = given.attributes, bytes(given.bytes())
    obstore.put(platform.bucket, torn, packed[:-20], attributes=attributes)
    obstore.put(platform.bucket, torn.replace(".json", "_0123456789abcdef.json"), b"no time")
    obstore.put(platform.bucket, torn.replace(".json", ".txt"), b"foreign")
    platform.execute(
        f"ALTER TABLE songswap.polls ADD CONSTRAINT refuse CHECK (user_id <> {second[0]}) NOT VALID"
    )
    done = songswap("--json")
    assert done.returncode == 1
    counts = json.loads(done.stdout)
    refused = len([key for key in platform.objects() if f"/user{second[0]}/" in key])
    assert (counts["damaged"], counts["refused"], counts["foreign"]) == (2, refused, 1)
    assert torn in done.stderr.replace("\n", "").replace(" ", "")
    assert "SQLSTATE 23514" in " ".join(done.stderr.split())
    third = 'SELECT count(*) FROM "History" WHERE user_id NOT IN (%s, %s)'
    others = platform.rows(third, first[0], second[0])[0][0]
    users = {user for (user,) in platform.rows('SELECT spotify_id FROM "Users" WHERE id > 2')}
    assert others == sum(count for (user, _, _), count in before.items() if user in users) > 0

    obstore.put(platform.bucket, torn, packed, attributes=attributes)
    platform.execute("ALTER TABLE songswap.polls DROP CONSTRAINT refuse")
    assert songswap().returncode == 1, "an object without its time is left"
    assert platform.history() == before


def test_missing_key_right_or_service_is_named(platform: Platform, songswap: Run) -> None:
    unset = songswap(AIRFLOW_CONN_SONGSWAP_S3_READONLY=None)
    pipeline = platform.environment()["AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"]
    denied = songswap(AIRFLOW_CONN_SONGSWAP_S3_READONLY=pipeline)
    lost = songswap("--into", "postgresql://nobody:x@127.0.0.1:9/fresh")
    for done, says in (
        (unset, "AIRFLOW_CONN_SONGSWAP_S3_READONLY"),
        (denied, "did not list or give"),
        (lost, "refused or was lost"),
        (songswap("--from", "2026-11-23", "--to", "2026-11-22"), "end before they begin"),
    ):
        assert done.returncode == 1, done.stderr
        assert says in " ".join(done.stderr.split()), done.stderr
        assert "Traceback" not in done.stderr
