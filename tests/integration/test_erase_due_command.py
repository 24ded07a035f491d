"""``songswap erase --due`` as an operator uses it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factories import MakePlatform, Platform


def songswap(
    platform: Platform, folder: Path, *arguments: str, **others: str
) -> subprocess.CompletedProcess[str]:
    """Run ``songswap erase``; it has to succeed unless it was called wrongly."""
    result = {"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "120"}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "songswap.cli.main", "erase", *arguments],
        cwd=folder,
        env=result | platform.environment() | others,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_due_users_are_shown_with_their_day(make_platform: MakePlatform, tmp_path: Path) -> None:
    """In a table and as JSON, by id alone; the list is brought up to date by that."""
    platform = make_platform(users=4, real_time=True)
    platform.load()
    empty = songswap(platform, tmp_path, "--due")
    assert (empty.returncode, empty.stdout.strip()) == (0, "Nobody has to be erased.")

    since = datetime.now(UTC) - timedelta(days=7)
    user, gone = (platform.user_id(f"listener-000{n}") for n in (2, 3))
    platform.execute(
        "UPDATE songswap.grants SET state = 'revoked', ask_again_at = NULL, refusals = 4,"
        " refused_at = %s WHERE user_id = %s",
        *(since, user),
    )
    platform.execute('DELETE FROM "Users" WHERE id = %s', gone)
    table = songswap(platform, tmp_path, "--due")
    assert table.returncode == 0, table.stderr
    lines = [line.split() for line in table.stdout.splitlines()]
    due_at = since + timedelta(days=5)
    over = (datetime.now(UTC).date() - due_at.date()).days
    row = (user, "revoked", *f"{since:%Y-%m-%d %H:%M}".split(), due_at.date(), over, "over")
    shown = [[word for word in line if word not in "│┃"] for line in lines]
    assert list(map(str, row)) in shown
    assert "listener" not in table.stdout

    found = json.loads(songswap(platform, tmp_path, "--due", "--json").stdout)
    assert (found["archived"], found["is_held_back"]) == (4, False)
    first, second = found["users"]
    assert first == {
        "user_id": user,
        "reason": "revoked",
        "since": since.isoformat(),
        "due_at": due_at.isoformat(),
        "day": str(due_at.date()),
        "days_left": -over,
    }
    assert (second["user_id"], second["reason"]) == (gone, "gone")
    assert second["days_left"] in (4, 5), "midnight may pass"


def test_list_says_what_it_does_not_know(make_platform: MakePlatform, tmp_path: Path) -> None:
    """Without a key that lists; and when too many are gone at once."""
    platform = make_platform(users=5, real_time=True)
    platform.load()
    platform.execute('DELETE FROM "Users"')
    keys = ("AIRFLOW_CONN_SONGSWAP_S3_READONLY", "AIRFLOW_CONN_SONGSWAP_S3_ERASE")
    unlisted = songswap(platform, tmp_path, "--due", **dict.fromkeys(keys, ""))
    assert "Nobody has to be erased." in unlisted.stdout
    assert "No key may list the archive" in unlisted.stdout
    held = " ".join(songswap(platform, tmp_path, "--due").stdout.split())
    assert '5 of the 5 users in the archive are gone from "Users" at once' in held


def test_user_is_asked_for(make_platform: MakePlatform, tmp_path: Path) -> None:
    """Without ``--due``, nothing is erased unless somebody says who."""
    called = songswap(make_platform(users=1), tmp_path)
    assert called.returncode == 2
    assert "Say which user" in called.stderr
