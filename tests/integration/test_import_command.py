"""``songswap import`` as somebody in a terminal uses it."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from factories import MakePlatform, Platform

NAME = "Spotify Extended Streaming History/Streaming_History_Audio_2020_1.json"
TABLES = (
    'SELECT user_id, played_at, track_id FROM "History"',
    'SELECT * FROM "Tracks"',
    "SELECT * FROM songswap.streams",
    "SELECT * FROM songswap.export_tracks",
    "SELECT kind, id FROM songswap.enrichment_queue",
)


def start(platform: Platform, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", "import", *arguments],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"} | platform.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def songswap(platform: Platform, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """What it exits with, and what it prints."""
    with start(platform, folder, *arguments) as command:
        out, err = command.communicate(timeout=60)
    return command.returncode, out, err


def package(path: Path, rows: int) -> Path:
    """An export of so many rows, a play a day, of a tenth as many tracks."""
    content = [
        {
            "ts": f"{2010 + day // 336}-{1 + day // 28 % 12:02}-{1 + day % 28:02}T00:00:00Z",
            "ms_played": 60_000,
            "spotify_track_uri": f"spotify:track:t{day % (rows // 10)}",
            "master_metadata_track_name": f"Song {day % (rows // 10)}",
            "master_metadata_album_artist_name": "Artist",
        }
        for day in range(rows)
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as into:
        into.writestr(NAME, json.dumps(content))
    return path


def test_import_accounts_for_every_row(make_platform: MakePlatform, tmp_path: Path) -> None:
    """As a table or as JSON, with its progress."""
    platform = make_platform(users=1)
    user = str(platform.user_id("listener-0001"))
    zipped = str(package(tmp_path / "my_spotify_data.zip", 100))
    code, out, err = songswap(platform, tmp_path, zipped, "--user", user)
    assert code == 0, err
    assert "new plays" in out
    assert "rows in all" in out
    assert out.count("100") == 2
    steps = ("read: done", "archive: done", "load: done")
    assert [step for step in steps if f"Z {step}" not in err] == [], err
    code, out, err = songswap(platform, tmp_path, zipped, "--user", user, "--json")
    assert code == 0, err
    counts = json.loads(out)
    assert (counts["user"], counts["rows"], counts["duplicates"]) == (int(user), 100, 100)


def test_failure_exits_with_1_and_wrong_usage_with_2(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    """The message is on standard error."""
    platform = make_platform(users=1)
    user = str(platform.user_id("listener-0001"))
    (tmp_path / "a.zip").write_bytes(b"PK no zip")
    code, out, err = songswap(platform, tmp_path, "a.zip", "--user", user)
    assert (code, out) == (1, "")
    assert "Error: a.zip is not a whole zip" in err
    assert "Traceback" not in err
    code, _, err = songswap(platform, tmp_path, "a.zip")
    assert code == 1
    assert "Whose is it? Name the user with --user" in err
    assert "'songswap grants --state active' shows the ids" in err
    code, _, err = songswap(platform, tmp_path, "a.zip", "--user", "999")
    assert code == 1
    assert "There is no user 999" in err
    assert "'songswap grants --state active' shows the ids" in err
    code, _, err = songswap(platform, tmp_path, "a.zip", "b.zip")
    assert code == 2
    assert "Whose is it? Say --user ID" in err
    code, _, err = songswap(platform, tmp_path, ".", "--trust")
    assert code == 2
    assert "--trust is for one export" in err


def inbox(platform: Platform, folder: Path, *listeners: str) -> list[int]:
    """Exports of users and of others in a folder; gives the users' ids."""
    folder.mkdir()
    users = [platform.user_id(listener) for listener in listeners]
    for user in users:
        package(folder / f"user{user}.zip", 20)
        with zipfile.ZipFile(folder / f"user{user}.zip", "a") as into:
            into.writestr("my_streaming_history.csv", "ts")
    package(folder / "[bold]anna.zip", 20)
    return users


def test_skipped_and_refused_files_are_named_once(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    platform = make_platform(users=2)
    first, second = inbox(platform, tmp_path / "inbox", "listener-0001", "listener-0002")
    (tmp_path / "inbox" / f"user{second}.zip").write_bytes(b"PK no zip")
    code, out, err = songswap(platform, tmp_path, "inbox")
    assert code == 1
    assert out.count("my_streaming_history.csv") == 1
    assert out.count("Skipped: [bold]anna.zip names no user") == 1
    assert (out + err).count("is not a whole zip") == 1
    assert out.count("rows in all") == 1
    code, out, _ = songswap(platform, tmp_path, "inbox", "--json")
    data = json.loads(out)
    assert data["skipped"] == ["[bold]anna.zip names no user"]
    [left_out] = data["left_out"]
    assert left_out["user"] == first
    assert "my_streaming_history.csv" in left_out["what"]
    assert list(data["refused"]) == [str(second)]
    assert (data["duplicates"], data["video"], data["files_left_out"]) == (20, 0, 1)


def test_user_option_imports_one_of_many(make_platform: MakePlatform, tmp_path: Path) -> None:
    """--trust applies to that export."""
    platform = make_platform(users=2)
    first, second = inbox(platform, tmp_path / "inbox", "listener-0001", "listener-0002")
    with zipfile.ZipFile(tmp_path / "inbox" / f"user{second}.zip", "a") as into:
        into.writestr("Userdata.json", json.dumps({"username": "another"}))
    code, _, err = songswap(platform, tmp_path, "inbox", "--user", str(second))
    assert code == 1
    assert f"--user {second} --trust" in err.replace("\n", " ")
    code, out, err = songswap(
        platform, tmp_path, "inbox", "--user", str(second), "--trust", "--json"
    )
    assert code == 0, err
    data = json.loads(out)
    assert (data["user"], data["loaded"], len(data["left_out"])) == (second, 20, 1)
    assert platform.rows("SELECT user_id FROM songswap.imports") == [(second,)]
    assert songswap(platform, tmp_path, "inbox", "--user", str(first))[0] == 0


def test_killed_at_any_moment(make_platform: MakePlatform, tmp_path: Path) -> None:
    """An import that is killed wherever it is, and started again, gives the same tables."""
    platform = make_platform(users=2)
    first, second = (platform.user_id(f"listener-000{number}") for number in (1, 2))
    zipped = str(package(tmp_path / "a.zip", 3_000))
    began = time.monotonic()
    assert songswap(platform, tmp_path, zipped, "--user", str(second))[0] == 0
    whole_s = time.monotonic() - began
    for part in (0.5, 0.7, 0.8, 0.9, 0.95):
        with start(platform, tmp_path, zipped, "--user", str(first)) as command:
            try:
                command.wait(part * whole_s)
            except subprocess.TimeoutExpired:
                command.kill()
        plays = platform.rows('SELECT count(*) FROM "History" WHERE user_id = %s', first)
        assert plays in ([(0,)], [(3_000,)]), "it is there in part"
    assert songswap(platform, tmp_path, zipped, "--user", str(first))[0] == 0

    def told(user: int) -> list[list[tuple[Any, ...]]]:
        found = []
        for query in TABLES:
            with_user = "user_id" in query or "streams" in query
            rows = platform.rows(
                query + (" WHERE user_id = %s" if with_user else ""), *[user][:with_user]
            )
            found.append(sorted((row[1:] if with_user else row for row in rows), key=repr))
        return found

    assert told(first) == told(second)
    exports = [one for one in platform.objects() if "/export/" in one]
    assert len(exports) == 2, "the rows of a file are archived once"
