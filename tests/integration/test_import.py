"""Exports of users, imported into a real warehouse and archived in a real S3."""

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from zlib_ng import zlib_ng

from songswap.importing import import_export

Make = Callable[..., Any]
ROWS = ("loaded", "merged", "again", "short", "private", "unidentified")
LEFT = ("podcast", "audiobook", "video", "set_aside")


def imported(here: Any, user: int, *paths: Path, trust: bool = False) -> dict[str, int]:
    """What an import counts, held to add up."""
    here.runs += 1
    told: list[tuple[str, int, int]] = []
    counts = import_export(
        here.settings,
        user,
        paths,
        f"import {here.runs}",
        lambda *step: told.append(step),
        here.clock,
        trust,
    )
    assert counts["rows"] == sum(counts.get(name, 0) for name in (*ROWS, *LEFT))
    assert told[-1][0] == "load"
    noted = here.rows(
        "SELECT counts FROM songswap.imports WHERE import_id = %s", f"import {here.runs}"
    )
    assert noted == [(counts,)]
    return counts


def row(ended_at: str, ms_played: int, track: str | None, **more: Any) -> dict[str, Any]:
    """A row of the extended history."""
    return {
        "ts": ended_at[:19] + "Z",
        "ms_played": ms_played,
        "spotify_track_uri": track and f"spotify:track:{track}",
        "master_metadata_track_name": f"Song {track}",
        "master_metadata_album_artist_name": f"Artist {track}",
        "master_metadata_album_album_name": "Album",
        "ip_addr": "192.0.2.7",
        "platform": "android",
        "conn_country": "DE",
        "reason_start": "clickrow",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": None,
        "offline": False,
        "offline_timestamp": 1700000000,
        "incognito_mode": False,
        **more,
    }


def package(path: Path, **files: Any) -> Path:
    """A zip with JSON files of these names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in files.items():
            into.writestr(f"Spotify Extended Streaming History/{name}.json", json.dumps(content))
        into.writestr("Spotify Extended Streaming History/ReadMeFirst.pdf", b"%PDF")
    return path


def told(here: Any, user: int) -> list[tuple[str, str]]:
    """The plays of a user in the warehouse: time and track."""
    rows = here.rows(
        'SELECT played_at, track_id FROM "History" WHERE user_id = %s ORDER BY 1', user
    )
    return [(at.isoformat(timespec="milliseconds"), track) for at, track in rows]


def of_ledger(here: Any, listener: str) -> list[dict[str, Any]]:
    return sorted(
        (one for one in here.spotify.ledger() if one["user"] == listener),
        key=lambda one: one["played_at"],
    )


def test_what_the_api_never_told(platform: Make, tmp_path: Path) -> None:
    """New plays are loaded with what the export knows of their tracks; the rest is kept beside."""
    here = platform(users=1)
    user = here.user_id("listener-0001")
    rows = [
        row("2020-01-02T03:04:05", 200_000, "t1"),
        row("2020-01-02T03:04:05", 200_000, "t2"),
        row("2020-01-02T03:10:00", 200_000, "t1", reason_end="endplay"),
        row("2020-01-02T03:10:20", 20_000, "t3"),
        row("2020-01-02T03:20:00", 90_000, "t4", incognito_mode=True),
        row("2020-01-02T03:30:00", 90_000, None),
        row("2020-01-02T03:40:00", 90_000, None, spotify_track_uri="spotify:local:a:b:c:9"),
        row(
            "2020-01-02T04:00:00",
            90_000,
            None,
            master_metadata_track_name=None,
            spotify_episode_uri="spotify:episode:e",
            episode_name="E",
        ),
        row(
            "2020-01-02T05:00:00",
            90_000,
            None,
            master_metadata_track_name=None,
            audiobook_uri="spotify:show:b",
            audiobook_title="B",
        ),
        row("2020-01-02T06:00:00", -1, "t5"),
        row("soon", 90_000, "t5"),
        row("2020-01-02T07:00:00", 90_000, "t5", spotify_track_uri="spotify:album:x"),
        "row",
        row("2020-01-02T08:00:00", 90_000, "t6", shuffle="perhaps"),
    ]
    counts = imported(
        here,
        user,
        package(
            tmp_path / "my_spotify_data.zip",
            **{
                "Streaming_History_Audio_2020_1": rows,
                "Streaming_History_Video_2020": [row("2020-01-02T09:00:00", 90_000, "v")],
            },
        ),
    )
    assert {name: number for name, number in counts.items() if number} == {
        "rows": 15,
        "loaded": 4,
        "short": 1,
        "private": 1,
        "unidentified": 2,
        "podcast": 1,
        "audiobook": 1,
        "video": 1,
        "set_aside": 4,
        "tracks": 3,
    }
    assert told(here, user) == [
        ("2020-01-02T03:04:05.000", "t1"),
        ("2020-01-02T03:04:05.001", "t2"),
        ("2020-01-02T03:10:00.000", "t1"),
        ("2020-01-02T08:00:00.000", "t6"),
    ]
    assert here.rows('SELECT * FROM "Tracks" ORDER BY id') == [
        ("t1", "Song t1", 200_000),
        ("t2", "Song t2", 200_000),
        ("t6", "Song t6", 90_000),
    ]
    assert here.rows("SELECT id, name, artist FROM songswap.export_tracks WHERE id = 't3'") == [
        ("t3", "Song t3", "Artist t3")
    ]
    assert here.rows("SELECT outcome, count(*) FROM songswap.streams GROUP BY 1 ORDER BY 1") == [
        ("loaded", 4),
        ("private", 1),
        ("short", 1),
        ("unidentified", 2),
    ]
    reasons = here.rows("SELECT reason FROM songswap.set_aside ORDER BY 1")
    assert [reason for (reason,) in reasons] == [
        "ms_played: out of range",
        "row: wrong type",
        "spotify_track_uri: not a track's",
        "ts: not a time",
    ]
    # The rows are archived, and nothing of the person with them.
    (raw_key,) = [one for one in here.objects() if "/export/" in one]
    assert raw_key.startswith(f"history/export/user{user}/user{user}_extended_")
    archived = zlib_ng.decompress(bytes(here.bucket.get(raw_key).bytes()), 31)
    assert len(json.loads(archived)) == 14
    assert b"192.0.2.7" not in archived
    wanted = here.rows("SELECT kind, id FROM songswap.metadata WHERE wanted_since IS NOT NULL")
    assert {one for one in wanted if one[0] == "track"} == {("track", f"t{n}") for n in (1, 2, 6)}


def exported(plays: Iterable[dict[str, Any]], listened: int = 60_000) -> list[dict[str, Any]]:
    """The rows of an export of plays whose end the API tells."""
    return [row(one["played_at"], listened, one["track_id"]) for one in plays]


@pytest.mark.parametrize("first", ["api", "export"])
def test_told_by_both(platform: Make, tmp_path: Path, first: str) -> None:
    """A play that the API and the export tell is one play, at the API's time, whoever is first."""
    here = platform(users=2)
    listener = "listener-0001"
    user = here.user_id(listener)
    ledger = of_ledger(here, listener)
    zipped = package(
        tmp_path / "export.zip", **{"Streaming_History_Audio_2026_1": exported(ledger, 30_000)}
    )
    if first == "api":
        here.load()
        counts = imported(here, user, zipped)
    else:
        imported(here, user, zipped)
        assert not here.load().get("gaps")
    reachable = [
        one for one in ledger if (listener, one["played_at"], one["track_id"]) in here.reachable()
    ]
    lost = [one for one in ledger if one not in reachable]
    expected = [(one["played_at"][:-1], one["track_id"]) for one in reachable]
    expected += [(one["played_at"][:19] + ".000", one["track_id"]) for one in lost]
    assert len(told(here, user)) == len(ledger)
    assert told(here, user) == sorted(expected)
    outcomes = dict(here.rows("SELECT outcome, count(*) FROM songswap.streams GROUP BY 1"))
    assert outcomes.get("merged", 0) == len(reachable)
    assert outcomes.get("loaded", 0) == len(lost)
    if first == "api":
        assert counts["merged"] == len(reachable)

    before = told(here, user), here.rows("SELECT * FROM songswap.streams ORDER BY 1, 2, 3, 4")
    again = imported(here, user, zipped)
    assert again["again"] == again["rows"]
    here.load()
    assert (
        told(here, user),
        here.rows("SELECT * FROM songswap.streams ORDER BY 1, 2, 3, 4"),
    ) == before
