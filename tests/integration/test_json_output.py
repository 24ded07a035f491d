"""The JSON of the commands has the keys that docs/json.md says, each of them, always."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.clock import utc_now
from songswap.dev.stack.report import read_report
from songswap.pipelines import hourly_load, run_counts, snapshot
from songswap.pipelines.fetch import fetch
from songswap.warehouse import snapshots, tokens
from songswap.warehouse.connection import connect

PAGE = Path(__file__).parents[2] / "docs" / "json.md"


def documented() -> dict[str, list[str]]:
    """The keys of each command and of each address, as the page has them."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        command = re.match(r"`(?:songswap (.*) --json|GET (/songswap/.*))`", section)
        assert command
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        name = command[1] or command[2]
        found[name] = [key for row in rows for key in re.findall(r"`([^`]+)`", row)]
    return found


DOCUMENTED = documented()


def is_there(key: list[str], value: Any) -> bool:
    """Whether a value has a key, or nothing in which it could be."""
    if not key or value is None or value in ({}, []):
        return True
    name, *rest = key
    if name in ("NAME", "ID"):
        return all(is_there(rest, one) for one in value.values())
    if name == "NAME[]":
        return all(is_there(rest, item) for one in value.values() for item in one)
    if name.removesuffix("[]") not in value:
        return False
    inner = value[name.removesuffix("[]")]
    return all(is_there(rest, one) for one in (inner if name.endswith("[]") else [inner]))


def keys(value: Any, key: str = "") -> Iterator[str]:
    """All keys of a value; where there is nothing in one, it alone."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from keys(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from keys(inner, f"{key}[]")
    else:
        yield key


def is_documented(key: str, page: list[str]) -> bool:
    """Whether the page has a key, or, of one with nothing in it, what could be there."""
    return any(key == one or one.startswith((f"{key}[]", f"{key}.")) for one in page)


def fits(command: str, value: dict[str, Any], *data: str, without: tuple[str, ...] = ()) -> None:
    """Hold an answer against the page.

    Args:
        data: keys that are data, for which the page has NAME or ID.
        without: documented keys that another form of the command has.
    """
    page = DOCUMENTED[command]
    for key in page:
        assert key in without or is_there(key.split("."), value), key
    for key in set(keys(value)):
        name = re.sub(rf"^({'|'.join(data)})\b", "NAME", key) if data else key
        assert is_documented(re.sub(r"\.\d+$", ".ID", name), page), key
        assert re.fullmatch(r"[a-z0-9_.\[\]]+", key), key


def page(dsn: str) -> dict[str, Any]:
    """What the page shows, as the api-server composes it."""
    read_at = utc_now()
    with connect(dsn) as connection:
        found = snapshots.latest(connection, read_at)
        plays = [hour._asdict() for hour in snapshots.plays_by_hour(connection, read_at)]
    assert found
    return {**found.facts, "read_at": read_at, "plays_by_hour": plays}


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def songswap() -> Run:
    """Runs a command with an environment; gives its JSON."""

    def run(environment: dict[str, str], line: str, code: int = 0) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*line.split(), "--json"], env=environment)
        assert done.exit_code == code, (line, done.output, done.exception)
        (text,) = done.stdout.splitlines()
        assert text.isascii()
        data: dict[str, Any] = json.loads(text)
        return data

    return run


def test_empty_warehouse_gives_every_documented_key(warehouse_dsn: str, songswap: Run) -> None:
    about = psycopg.conninfo.conninfo_to_dict(warehouse_dsn)
    uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**about)
    environment = {"AIRFLOW_CONN_SONGSWAP_RDS": uri}
    status = songswap(environment, "status")
    fits("status", status)
    assert (status["last_run"], status["spool"], status["plays"]) == (None, None, 0)
    fits("grants", songswap(environment, "grants"))
    assert snapshot.take(warehouse_dsn, "r", utc_now) == []
    fits("/songswap/snapshot", page(warehouse_dsn))
    fits("check --fresh 90m", songswap(environment, "check --fresh 90m", code=1))
    report = read_report(warehouse_dsn, "none", "failed")
    fits("load", {"run_id": "", **report.pop("counts")})
    fits("demo", report, without=("counts",))


def test_full_warehouse_gives_only_documented_keys(
    make_platform: MakePlatform, songswap: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make_platform(users=3, real_time=True)
    environment = platform.environment()
    users = [user for (user,) in platform.rows('SELECT id FROM "Users" ORDER BY id')]
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    waiting = songswap(environment, "spool list")
    fits("spool list", waiting)
    fits("spool show", songswap(environment, f"spool show {waiting['responses'][0]['id']}"))
    retried = songswap(environment, "spool retry")
    assert retried.keys() == {"counts", *(waiting.keys() - {"broken"})}
    fits("load", {"run_id": "", **retried["counts"]})
    assert retried["counts"]["plays"] > 0
    drained = songswap(environment, "drain")
    fits("load", {"run_id": "", **drained.pop("counts")})
    fits("drain", drained, without=("counts",))
    fits("spool hosts", songswap(environment, "spool hosts"))

    platform.fault(
        path="/api/token", user="listener-0003", status=400, body={"error": "invalid_grant"}
    )
    loaded = songswap(environment, "load")
    fits("load", loaded)
    assert loaded["calls_by_outcome"]
    platform.mend()
    platform.execute(
        "INSERT INTO songswap.pauses VALUES ('app', now() + interval '1 hour', 'No', now())"
    )
    platform.execute(
        "INSERT INTO songswap.gaps VALUES (%s, '2026-11-01T10:00Z', '2026-11-01T12:30Z',"
        " '2026-11-01T13:01Z', 'run 1')",
        users[0],
    )
    narrow = [tokens.NarrowColumn("access_token", 255, 300, 2)]
    monkeypatch.setattr(tokens, "narrow_columns", lambda _: narrow)
    status = songswap(environment, "status")
    fits("status", status)
    fits("check --fresh 90m", songswap(environment, "check --fresh 90m"))
    listed = songswap(environment, "grants --state active --state expiring --state revoked")
    fits("grants", listed)
    full = ("pauses", "newest_gaps", "last_run", "spool", "narrow_columns")
    assert all([*(status[name] for name in full), listed["grants"]])
    shown = page(platform.settings.warehouse_dsn)
    fits("/songswap/snapshot", shown)
    assert all(shown[name] for name in ("run", "runs", "hosts", "plays_by_hour"))
    report = read_report(platform.settings.warehouse_dsn, loaded["run_id"], "success")
    fits("load", {"run_id": "", **report.pop("counts")})
    fits("demo", report, without=("counts",))
    platform.execute("DELETE FROM songswap.pauses")

    kinds = ("artist", "track", "features")
    for line in ("backfill --dry-run", "backfill --kind track"):
        fits("backfill", songswap(environment, line), *kinds)
    for line in ("replay --dry-run", "replay"):
        fits("replay", songswap(environment, line))
    checks = ("discord", "postgres", "s3", "spotipy")
    fits("check", songswap(environment, "check discord s3"), *checks)


def test_imports_give_only_documented_keys(
    make_platform: MakePlatform, songswap: Run, tmp_path: Path
) -> None:
    """An import of one user's export, and of many of which one is refused."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    rows = [
        {"ts": "2020-01-01T00:00:00Z", "ms_played": 60_000, "spotify_track_uri": "spotify:track:t"}
    ]
    with zipfile.ZipFile(tmp_path / f"user{user}.zip", "w") as made:
        made.writestr("Streaming_History_Audio_2020_1.json", json.dumps(rows))
        made.writestr("my_streaming_history.csv", b"")
    (tmp_path / "user99.zip").write_bytes(b"no zip")
    (tmp_path / "anna.zip").write_bytes(b"no zip")
    one = songswap(platform.environment(), f"import {tmp_path}/user{user}.zip --user {user}")
    fits("import", one, without=("users", "refused", "refused.ID"))
    assert (one["rows"], one["repeated"], len(one["left_out"]), one["skipped"]) == (1, 0, 1, [])
    line = f"export {user} --to {tmp_path}/out.zip"
    fits("export", exported := songswap(platform.environment(), line))
    assert (exported["plays"], exported["listens_left_out"]) == (1, 1)
    (tmp_path / "out.zip").unlink()
    many = songswap(platform.environment(), f"import {tmp_path}", code=1)
    fits("import", many, without=("user", "import_id"))
    assert list(many["refused"]) == ["99"]
    assert len(many["left_out"]) == 1
    assert "anna.zip names no user" in many["skipped"]


def test_erasures_give_only_documented_keys(make_platform: MakePlatform, songswap: Run) -> None:
    """An erasure that waits for a host, and one of which nothing is known of S3."""
    platform = make_platform(users=2)
    platform.load()
    fits("erase --receipts", songswap(platform.environment(), "erase 1 --receipts"))
    fits("erase --dry-run", songswap(platform.environment(), "erase 1 --dry-run"))
    receipt = songswap(platform.environment(), "erase 1 --yes", code=1)
    fits("erase", receipt)
    assert receipt["waiting"]
    receipts = songswap(platform.environment(), "erase 1 --receipts")
    fits("erase --receipts", receipts)
    assert receipts == {"receipts": [receipt]}
    platform.settings = replace(platform.settings, eraser=None)
    preview = songswap(platform.environment(), "erase 2 --dry-run")
    fits("erase --dry-run", preview)
    assert preview["archive"] == []
    assert "SongSwap_S3_Erase" in preview["archive_problem"]


def test_counts_of_a_run_are_all_named() -> None:
    """The page has each count of a run, and a count that did not come is 0."""
    page = set(DOCUMENTED["load"])
    assert set(run_counts.NAMES) == {key for key in page if "[]" not in key} - {"run_id"}
    result = run_counts.as_json({"calls token refresh_token 200": 3, "plays": 2})
    assert (result["plays"], result["tracks"]) == (2, 0)
    assert result["calls_by_outcome"] == [
        {"endpoint": "token refresh_token", "outcome": "200", "calls": 3}
    ]
