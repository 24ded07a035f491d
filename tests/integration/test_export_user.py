"""`songswap export`: all that is stored of a user, at one moment, in one private file."""

import csv
import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call
from songswap.errors import HandOverFailed
from songswap.pipelines.export_user import HandedOver, default_name, export_user
from songswap.pipelines.import_export import import_export
from songswap.supervision.process import wait_until
from songswap.transform.handover.tables import ACCOUNT, TABLES

NOT_HANDED_OVER = {
    # Secrets, and digests of secrets.
    **dict.fromkeys(
        ("access_token", "refresh_token", "refresh_digest", "platform_digest"), "secret"
    ),
    # Digests of what is handed over itself.
    "fingerprint": "of a response or an item",
    # The machinery's own numbers, which say nothing of a person.
    **dict.fromkeys(
        ("holder", "spool_id", "place", "run_id", "erasure_id"), "a process, a host, a row"
    ),
    "user_id": "the same in each row: account.json has it",
}


def exported(
    platform: Platform,
    path: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    replaces: bool = False,
) -> HandedOver:
    """The first listener's zip."""
    user = platform.user_id("listener-0001")
    return export_user(platform.settings, user, path, 90, progress, replaces, platform.clock)


@pytest.fixture
def platform(make_platform: MakePlatform, tmp_path: Path) -> Platform:
    """Two users with plays of the API, the first one with an export too."""
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=2)
    platform.load()
    path = tmp_path / "spotify.zip"
    address = f"{platform.spotify.url}/admin/listeners/listener-0001/export"
    path.write_bytes(call("GET", address))
    user = platform.user_id("listener-0001")
    import_export(platform.settings, user, [path], "import", lambda *_: None, platform.clock)
    return platform


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        return {name: package.read(name) for name in package.namelist()}


def objects(files: dict[str, bytes], table: str) -> list[dict[str, Any]]:
    """The rows of a table's JSON Lines."""
    return [
        json.loads(line)
        for name, content in files.items()
        if name.startswith(f"{table}_") and name.endswith(".jsonl")
        for line in content.splitlines()
    ]


def cells(files: dict[str, bytes], table: str) -> list[dict[str, str]]:
    """The rows of a table's CSV."""
    return list(csv.DictReader(io.StringIO(files[f"{table}.csv"].decode(), newline="")))


def test_zip_has_all_plays_of_the_user_alone(platform: Platform, tmp_path: Path) -> None:
    done = exported(platform, tmp_path / "out.zip")
    files = contents(done.file)
    plays = [(row["played_at"], row["track_id"]) for row in objects(files, "plays")]
    history = [(at, track) for user, at, track in platform.history() if user == "listener-0001"]
    assert plays == sorted(history)
    assert [(row["played_at"], row["track_id"]) for row in cells(files, "plays")] == plays
    sources = [row["source"] for row in objects(files, "plays")]
    assert (
        sources.count("export")
        == platform.rows("SELECT count(*) FROM songswap.streams WHERE outcome = 'loaded'")[0][0]
    )
    assert {row["track_id"] for row in objects(files, "plays")} <= {
        row["id"] for row in objects(files, "tracks")
    }
    assert done.counts["plays"] == done.counts["listens"] == len(plays)
    assert done.size == done.file.stat().st_size


def test_files_have_the_rows_of_the_manifest(platform: Platform, tmp_path: Path) -> None:
    """Each file but the README, the account and the manifest itself."""
    files = contents(exported(platform, tmp_path / "out.zip").file)
    rows = {
        name: entry["rows"] for name, entry in json.loads(files["manifest.json"])["files"].items()
    }
    assert rows.keys() == files.keys() - {"README.md", "account.json", "manifest.json"}
    for name, content in files.items():
        if name.endswith(".jsonl"):
            assert len(content.splitlines()) == rows[name], name
        elif name.endswith(".csv"):
            assert len(cells(files, name.removesuffix(".csv"))) == rows[name], name
        elif name.startswith("spotify/"):
            assert len(json.loads(content)) == rows[name], name
    for table in TABLES:
        for row in objects(files, table.name):
            assert list(row) == [column.name for column in table.columns]
            assert f"`{table.columns[-1].name}`".encode() in files["README.md"]


def test_every_column_about_a_user_is_handed_over_or_named(platform: Platform) -> None:
    """A new column has to be decided on."""
    columns = platform.rows(
        "SELECT table_name, column_name FROM information_schema.columns c"
        " WHERE table_schema IN ('public', 'songswap') AND (table_name = 'Users' OR EXISTS ("
        "  SELECT FROM information_schema.columns u WHERE u.table_schema = c.table_schema"
        "  AND u.table_name = c.table_name AND u.column_name = 'user_id'))"
    )
    handed = {column.name for table in TABLES for column in table.columns}
    sql = Path("src/songswap/warehouse/user_data.sql").read_text()
    assert len(columns) > 80
    missing = {
        (table, column)
        for table, column in columns
        if column not in handed and column not in NOT_HANDED_OVER
        if column not in sql or table not in sql
    }
    assert missing == set()


def test_no_secret_and_nobody_else_is_in_it(platform: Platform, tmp_path: Path) -> None:
    files = contents(exported(platform, tmp_path / "out.zip").file)
    whole = b"".join(files.values())
    tokens = platform.rows('SELECT access_token, refresh_token FROM "SpotifyTokens"')
    digests = platform.rows("SELECT refresh_digest FROM songswap.grants")
    [(other, email)] = platform.rows(
        "SELECT username, email FROM \"Users\" WHERE spotify_id = 'listener-0002'"
    )
    for secret in [text for row in tokens for text in row]:
        assert secret.encode() not in whole
    for (digest,) in digests:
        assert digest.hex().encode() not in whole
    assert email.encode() not in whole
    assert other.encode() not in files["account.json"]
    account = json.loads(files["account.json"])
    assert list(account) == [column.name for column in ACCOUNT]
    assert account["user"]["spotify_id"] == "listener-0001"
    assert account["grant"]["state"] == "active"
    assert account["grant"]["authorized_at"].endswith("Z")


def test_all_files_are_of_one_moment_and_no_load_waits(platform: Platform, tmp_path: Path) -> None:
    """Plays that are loaded, and merged, while the zip is written are in none of its files."""
    before = len(objects(contents(exported(platform, tmp_path / "a.zip").file), "plays"))
    loaded: list[dict[str, int]] = []

    def load(*_: object) -> None:
        if not loaded:
            platform.advance(hours=2)
            loaded.append(platform.load())

    files = contents(exported(platform, tmp_path / "b.zip", load).file)
    assert loaded[0]["plays"] > 0
    assert len(objects(files, "plays")) == len(cells(files, "plays")) == before
    listens = [name for name in files if name.startswith("listenbrainz/")]
    assert sum(len(files[name].splitlines()) for name in listens) == before
    assert len(objects(contents(exported(platform, tmp_path / "c.zip").file), "plays")) > before


def test_file_is_private_and_never_overwritten(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "out" / "out.zip"
    path.parent.mkdir()
    exported(platform, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    first = path.read_bytes()
    with pytest.raises(HandOverFailed, match="exists already"):
        exported(platform, path)
    assert path.read_bytes() == first
    path.chmod(0o644)
    exported(platform, path, replaces=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(HandOverFailed, match="cannot be written"):
        exported(platform, tmp_path / "missing" / "out.zip")


def test_file_that_came_meanwhile_is_left(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "out" / "out.zip"
    path.parent.mkdir()

    def come(*_: object) -> None:
        path.write_text("another's")

    with pytest.raises(HandOverFailed, match="exists already"):
        exported(platform, path, come)
    assert path.read_text() == "another's"
    assert list(path.parent.iterdir()) == [path]


def erase(platform: Platform, user: int) -> None:
    platform.execute(
        "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account)"
        " VALUES (%s, now(), 'request', false)",
        user,
    )


def test_user_who_is_erased_meanwhile_is_not_handed_over(
    platform: Platform, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    user = platform.user_id("listener-0001")
    asked: list[object] = []

    def erased(*step: object) -> None:
        if not asked:
            erase(platform, user)
        asked.append(step)

    with pytest.raises(HandOverFailed, match="erased"):
        exported(platform, folder / "out.zip", erased)
    assert len(asked) > 1, "the snapshot does not see it"
    with pytest.raises(HandOverFailed, match="erased"):
        exported(platform, folder / "out.zip")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("user", "said"), [(0, "test DAGs"), (4711, "no user 4711")])
def test_user_who_is_nobody(platform: Platform, tmp_path: Path, user: int, said: str) -> None:
    with pytest.raises(HandOverFailed, match=said):
        export_user(platform.settings, user, tmp_path / "out.zip", 90, lambda *_: None)
    assert not (tmp_path / "out.zip").exists()


def songswap(
    platform: Platform, folder: Path, *arguments: str, **options: Any
) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", "export", *arguments],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"} | platform.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_command_hands_over(platform: Platform, tmp_path: Path) -> None:
    """As a table or as JSON, with its progress, and no track's name in what it says."""
    user = platform.user_id("listener-0001")
    with songswap(platform, tmp_path, str(user)) as command:
        out, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    path = tmp_path / default_name(user, datetime.now())  # noqa: DTZ005  (the command's own day)
    assert str(path) in out.replace("\n", "")
    assert "plays.csv: done" in err
    names = {row["name"] for row in objects(contents(path), "tracks")}
    assert not [name for name in names if name in out + err]
    with songswap(platform, tmp_path, str(user), "--force", "--json") as command:
        out, err = command.communicate(timeout=60)
    data = json.loads(out)
    assert (data["user"], data["file"], data["plays"]) == (user, str(path), data["listens"])
    assert data["bytes"] == path.stat().st_size
    with songswap(platform, tmp_path, str(user), "--json") as command:
        out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (1, "")
    assert "--force" in err


def fill(platform: Platform, plays: int) -> int:
    """Give the second user many plays and half as many streams; return the user's id."""
    user = platform.user_id("listener-0002")
    platform.execute(
        'INSERT INTO "Tracks" (id, name, duration_ms)'
        " SELECT 'many' || n, 'Song ' || n, 200000 FROM generate_series(0, 4999) n"
    )
    platform.execute(
        'INSERT INTO "History" (user_id, played_at, track_id)'
        " SELECT %s, timestamp '2010-01-01' + n * interval '200 s', 'many' || n %% 5000"
        " FROM generate_series(1, %s) n",
        user,
        plays,
    )
    platform.execute(
        "INSERT INTO songswap.streams (user_id, ended_at, ms_played, place, outcome, played_at,"
        " to_the_minute, track_id)"
        " SELECT user_id, played_at AT TIME ZONE 'UTC', 200000, 0, 'loaded', played_at, false,"
        " track_id FROM \"History\" WHERE user_id = %s AND played_at < timestamp '2010-01-01'"
        " + %s * interval '100 s'",
        user,
        plays,
    )
    return user


def test_killed_export_leaves_no_file(platform: Platform, tmp_path: Path) -> None:
    """The next one removes what was left under another name, which nobody else could read."""
    user = fill(platform, 60_000)
    folder = tmp_path / "out"
    folder.mkdir()
    with songswap(platform, folder, str(user), "--to", "out.zip") as command:
        wait_until(lambda: sum(path.stat().st_size for path in folder.iterdir()) > 100_000, 30)
        command.kill()
    [left] = folder.iterdir()
    assert left.name != "out.zip"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    with songswap(platform, folder, str(user), "--to", "out.zip") as command:
        assert command.wait(120) == 0
    assert [path.name for path in folder.iterdir()] == ["out.zip"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_export_leaves_nothing(
    platform: Platform, tmp_path: Path, number: signal.Signals
) -> None:
    user = fill(platform, 60_000)
    folder = tmp_path / "out"
    folder.mkdir()
    with songswap(platform, folder, str(user)) as command:
        wait_until(lambda: sum(path.stat().st_size for path in folder.iterdir()) > 100_000, 30)
        command.send_signal(number)
        _, err = command.communicate(timeout=60)
    assert (command.returncode, "Traceback" in err) == (130, False), err
    assert list(folder.iterdir()) == []


def test_part_that_was_killed_on_another_day_is_removed(platform: Platform, tmp_path: Path) -> None:
    """Of this user alone; those of a process that still writes stay, see `test_private_zip`."""
    user = platform.user_id("listener-0001")
    left = [f".user{id_}_songswap_2026-11-09.zip.abc.partial" for id_ in (user, f"{user}0")]
    for name in left:
        (tmp_path / name).write_text("personal")
    exported(platform, tmp_path / "out.zip")
    assert {path.name for path in tmp_path.iterdir()} >= {*left}, "another name, another series"
    exported(platform, tmp_path / default_name(user, platform.clock()))
    assert [(tmp_path / name).exists() for name in left] == [False, True]


def test_full_disk_is_a_sentence(platform: Platform, tmp_path: Path) -> None:
    """Here a limit of the size of files."""
    user = fill(platform, 20_000)
    folder = tmp_path / "out"
    folder.mkdir()

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    with songswap(platform, folder, str(user), preexec_fn=limited) as command:
        _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "cannot be written" in err
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []


PEAK = """
import os, sys
from pathlib import Path
import psutil
from songswap import settings
from songswap.pipelines.export_user import export_user
process, sizes = psutil.Process(), []
config = settings.from_environment(os.environ)
progress = lambda *_: sizes.append(process.memory_info().rss)
done = export_user(config, int(sys.argv[1]), Path(sys.argv[2]), 90, progress)
print(done.counts["plays"], max(sizes))
"""
"""Exports a user, and prints the most memory that it had after some thousand rows of a file."""


def test_large_history_takes_little_memory(platform: Platform, tmp_path: Path) -> None:
    """300,000 plays as objects would take some hundreds of MB."""
    many = fill(platform, 300_000)
    few = platform.user_id("listener-0001")

    def peak(user: int) -> tuple[int, int]:
        done = subprocess.run(  # noqa: S603  (our own program)
            [sys.executable, "-c", PEAK, str(user), str(tmp_path / f"{user}.zip")],
            env={"PATH": os.environ.get("PATH", os.defpath)} | platform.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        plays, size = map(int, done.stdout.split())
        return plays, size // 2**20

    plays, large = peak(many)
    assert plays >= 300_000
    assert large - peak(few)[1] < 90
    parts = [name for name in contents(tmp_path / f"{many}.zip") if name.startswith("plays_")]
    assert len(parts) == 4


def test_plays_without_names_are_counted(platform: Platform, tmp_path: Path) -> None:
    """A form that needs names leaves them out, and says so; ours has them."""
    with psycopg.connect(platform.settings.warehouse_dsn) as connection:
        connection.execute("""UPDATE "Tracks" SET name = ''""")
        connection.execute("DELETE FROM songswap.export_tracks")
    done = exported(platform, tmp_path / "out.zip")
    assert done.counts["listens_left_out"] == done.counts["plays"] > 0
    assert "listens" not in done.counts
    readme = contents(done.file)["README.md"].decode()
    assert f"{done.counts['plays']:,} plays are not in it" in readme
