"""``songswap backfill`` and ``songswap status`` as somebody in a terminal uses them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import MakePlatform, Platform

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform with some plays loaded; time passes in it, as it does for the commands."""
    made = make_platform(users=3, real_time=True)
    made.load()
    return made


@pytest.fixture
def songswap(platform: Platform, tmp_path: Path) -> Run:
    """Runs ``songswap`` with the platform's settings; ``only`` names those that are given."""

    def run(*arguments: str, only: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        settings = {name: platform.environment()[name] for name in only} or platform.environment()
        return subprocess.run(  # noqa: S603  (our own command)
            [sys.executable, "-m", "songswap.cli.main", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "120"} | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def forget(platform: Platform) -> None:
    """Delete what is known of artists and of features."""
    platform.execute(
        'TRUNCATE "ArtistPopularity", "ArtistFollowers", "TrackFeatures", songswap.enrichment_queue'
    )
    platform.spotify.delete("/admin/calls")


def count(platform: Platform, table: str) -> int:
    """How many rows a table has."""
    return int(platform.rows(f'SELECT count(*) FROM "{table}"')[0][0])  # noqa: S608 - our own names


def test_backfill_stops_at_its_limit(platform: Platform, songswap: Run) -> None:
    """It counts before, and says what it did; a second one fills the rest."""
    forget(platform)
    tracks, artists = count(platform, "Tracks"), count(platform, "Artists")
    dry = songswap("backfill", "--dry-run", "--json", "--at-most", "7")
    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout)["artist"]["found"] == {
        "missing": artists,
        "waiting": 0,
        "unknown": 0,
        "chosen": 7,
    }
    shown = songswap("backfill", "--dry-run", "--kind", "features")
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("│")]
    assert line.replace("│", "").split() == ["features", str(tracks), "0", "0", str(tracks)]
    assert platform.calls() == {}
    assert count(platform, "ArtistPopularity") == count(platform, "TrackFeatures") == 0

    some = songswap("backfill", "--kind", "features", "--at-most", "10", "--json")
    assert some.returncode == 0, some.stderr
    data = json.loads(some.stdout)
    assert data.keys() == {"features"}
    assert (data["features"]["requested"], data["features"]["problem"]) == (10, None)
    assert "Z features: done (10 requested)" in some.stderr

    # A branch that fails neither stops the others nor loses what it has.
    platform.fault(path="/v1/artists", status=401)
    failed = songswap("backfill", "--json")
    assert failed.returncode == 1
    data = json.loads(failed.stdout)
    assert "refused the access token" in data["artist"]["problem"]
    assert data["features"]["requested"] == tracks - 10
    assert data["features"]["problem"] is None
    assert "Traceback" not in failed.stderr

    platform.mend()
    whole = songswap("backfill")
    assert whole.returncode == 0, whole.stderr
    lines = [line.replace("│", "").split() for line in whole.stdout.splitlines()]
    # One for the app's own token.
    calls = str(-(-artists // 50) + 1)
    assert ["artist", *[str(artists)] * 3, "0", "0", calls, "done"] in lines
    assert count(platform, "ArtistFollowers") == artists


def test_hourly_load_is_waited_for(platform: Platform, tmp_path: Path) -> None:
    """A backfill says that it waits for an hourly load, and goes on when that has ended."""
    forget(platform)
    platform.execute("UPDATE songswap.runs SET state = 'running'")
    with subprocess.Popen(
        [sys.executable, "-m", "songswap.cli.main", "backfill", "--kind", "artist", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", os.defpath)} | platform.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            assert command.stderr
            waits = next(line for line in command.stderr if "waits" in line)
            assert "An hourly load is going on" in waits
            assert platform.calls() == {}
            platform.execute("UPDATE songswap.runs SET state = 'success'")
            out, err = command.communicate(timeout=60)
        finally:
            command.kill()
    assert command.returncode == 0, err
    assert json.loads(out)["artist"]["received"] == count(platform, "Artists")


def test_status_needs_only_the_warehouse(platform: Platform, songswap: Run) -> None:
    """The figures are those of the tables."""
    platform.execute('DELETE FROM "TrackPopularity"')
    tracks, artists = count(platform, "Tracks"), count(platform, "Artists")
    data = json.loads(songswap("status", "--json").stdout)
    assert data["users"] == data["users_with_tokens"] == 3
    assert data["plays"] == count(platform, "History")
    newest = platform.rows('SELECT to_json(max(played_at)) FROM "History"')[0][0]
    assert data["newest_play"][:19] == newest[:19]
    assert (data["last_run"]["run_id"], data["last_run"]["state"]) == ("run 1", "success")
    images = platform.rows('SELECT count(DISTINCT id) FROM "TrackImages"')[0][0]
    assert data["tracks"] == {
        "total": tracks,
        "having": {
            "images": images,
            "popularity": 0,
            "features": count(platform, "TrackFeatures"),
            "preview": count(platform, "TrackPreviews"),
        },
    }
    assert data["artists"] == {
        "total": artists,
        "having": {
            "images": platform.rows('SELECT count(DISTINCT id) FROM "ArtistImages"')[0][0],
            "popularity": artists,
            "followers": artists,
            "genres": platform.rows('SELECT count(DISTINCT id) FROM "ArtistGenres"')[0][0],
        },
    }
    missed = platform.rows("SELECT count(*) FROM songswap.enrichment_queue WHERE misses = 1")[0][0]
    assert data["missing"] == {
        "track": {"missing": tracks, "waiting": 0, "unknown": 0},
        "artist": {"missing": 0, "waiting": 0, "unknown": 0},
        "features": {"missing": 0, "waiting": missed, "unknown": 0},
    }
    states = ("active", "expiring", "expired", "revoked", "forbidden", "lost")
    assert data["grants"] == dict.fromkeys(states, 0) | {"active": 3}
    gaps = platform.rows("SELECT count(*) FROM songswap.gaps WHERE closed_at IS NULL")
    rejected_items = platform.rows("SELECT count(*) FROM songswap.rejected_items")
    assert [(data["gaps"],), (data["rejected_items"],)] == gaps + rejected_items
    assert set(data["spool"].values()) == {0}
    assert data["narrow_columns"] == data["pauses"] == []

    shown = songswap("status", "--all", only=("AIRFLOW_CONN_SONGSWAP_RDS",))
    assert shown.returncode == 0, shown.stderr
    assert f"{images / tracks:.1%}" in shown.stdout
    assert "waiting for s3" not in shown.stdout

    # A pause comes first, and only while it holds.
    assert data["pauses"] == []
    pause = "INSERT INTO songswap.pauses VALUES (%s, now() + %s * interval '1 hour', 'No.', now())"
    platform.execute(pause, platform.settings.spotify.client_id, 2)
    platform.execute(pause, "reccobeats", -1)
    (paused,) = json.loads(songswap("status", "--json").stdout)["pauses"]
    assert paused["app"] == platform.settings.spotify.client_id
    assert songswap("status").stdout.startswith(
        f"Paused by Spotify until {paused['until'][:19].replace('T', ' ')} UTC"
    )
    platform.execute("DELETE FROM songswap.pauses")

    # A gap is shown with its bounds; a feed that tells nothing is none, and counted.
    users = [user for (user,) in platform.rows('SELECT id FROM "Users" ORDER BY id')]
    platform.execute("UPDATE songswap.polls SET answered_at = now(), newest_played_at = now()")
    platform.execute(
        "UPDATE songswap.polls SET newest_played_at = NULL WHERE user_id = %s", users[0]
    )
    platform.execute(
        "UPDATE songswap.polls SET newest_played_at = now() - interval '2 days' WHERE user_id = %s",
        users[1],
    )
    platform.execute("DELETE FROM songswap.gaps")
    platform.execute(
        "INSERT INTO songswap.gaps VALUES (%s, '2026-11-01T10:00Z', '2026-11-01T12:30Z',"
        " '2026-11-01T13:01Z', 'run 1')",
        users[2],
    )
    data = json.loads(songswap("status", "--json").stdout)
    assert data["feeds"] == {"empty": 1, "quiet": 1}
    [gap] = data["newest_gaps"]
    assert (gap["user_id"], gap["after"][:16]) == (users[2], "2026-11-01T10:00")
    output = songswap("status", "--all").stdout
    assert "2026-11-01 10:00" in output
    assert "2026-11-01 12:30" in output

    # Where there is nothing to count there is no share, and no failure.
    platform.execute('TRUNCATE "Users", "Tracks", "Artists", songswap.runs CASCADE')
    nothing = songswap("status", "--all", only=("AIRFLOW_CONN_SONGSWAP_RDS",))
    assert nothing.returncode == 0, nothing.stderr
    assert "%" not in nothing.stdout
    assert nothing.stdout.count("–") == 12
