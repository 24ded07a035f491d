"""Exports of users, imported into a real warehouse and archived in a real S3."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform
from zlib_ng import zlib_ng

from songswap.dev.stack.loopback import call
from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import ArchiveError, ExportRefused
from songswap.pipelines.import_export import import_export
from songswap.supervision.process import wait_until
from songswap.warehouse.locks import lock_users

ROWS = ("loaded", "merged", "duplicates", "repeated", "short", "private", "unidentified")
LEFT = ("podcast", "audiobook", "video", "rejected_items")


def imported(platform: Platform, user: int, *paths: Path, trust: bool = False) -> Counter[str]:
    """What an import counts, held to add up."""
    platform.runs += 1
    result: list[tuple[str, int, int]] = []
    counts = import_export(
        platform.settings,
        user,
        paths,
        f"import {platform.runs}",
        lambda *step: result.append(step),
        platform.clock,
        trust,
    )
    assert counts["rows"] == sum(counts.get(name, 0) for name in (*ROWS, *LEFT))
    assert result[-1][0] == "load"
    noted = platform.rows(
        "SELECT counts FROM songswap.imports WHERE import_id = %s", f"import {platform.runs}"
    )
    assert noted == [(counts,)]
    return Counter(counts)


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


def told(platform: Platform, user: int) -> list[tuple[str, str]]:
    """The plays of a user in the warehouse: time and track."""
    rows = platform.rows(
        'SELECT played_at, track_id FROM "History" WHERE user_id = %s ORDER BY 1', user
    )
    return [(at.isoformat(timespec="milliseconds"), track) for at, track in rows]


def of_ledger(platform: Platform, listener: str) -> list[dict[str, Any]]:
    return sorted(
        (play for play in platform.spotify.ledger() if play["user"] == listener),
        key=lambda one: one["played_at"],
    )


def test_plays_that_the_api_lacks_are_loaded(make_platform: MakePlatform, tmp_path: Path) -> None:
    """With what the export knows of their tracks; the rest is stored in `songswap.streams`."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
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
        platform,
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
        "rejected_items": 4,
        "tracks": 3,
    }
    assert told(platform, user) == [
        ("2020-01-02T03:04:05.000", "t1"),
        ("2020-01-02T03:04:05.001", "t2"),
        ("2020-01-02T03:10:00.000", "t1"),
        ("2020-01-02T08:00:00.000", "t6"),
    ]
    assert platform.rows('SELECT * FROM "Tracks" ORDER BY id') == [
        ("t1", "Song t1", 200_000),
        ("t2", "Song t2", 200_000),
        ("t6", "Song t6", 90_000),
    ]
    assert platform.rows("SELECT id, name, artist FROM songswap.export_tracks WHERE id = 't3'") == [
        ("t3", "Song t3", "Artist t3")
    ]
    assert platform.rows(
        "SELECT outcome, count(*) FROM songswap.streams GROUP BY 1 ORDER BY 1"
    ) == [
        ("loaded", 4),
        ("private", 1),
        ("short", 1),
        ("unidentified", 2),
    ]
    reasons = platform.rows("SELECT reason FROM songswap.rejected_items ORDER BY 1")
    assert [reason for (reason,) in reasons] == [
        "ms_played: out of range",
        "row: wrong type",
        "spotify_track_uri: not a track's",
        "ts: not a time",
    ]
    # The rows are archived, and nothing of the person with them.
    (raw_key,) = [one for one in platform.objects() if "/export/" in one]
    assert raw_key.startswith(f"history/export/user{user}/user{user}_extended_")
    archived = zlib_ng.decompress(bytes(platform.bucket.get(raw_key).bytes()), 31)
    assert len(json.loads(archived)) == 14
    assert b"192.0.2.7" not in archived
    wanted = platform.rows(
        "SELECT kind, id FROM songswap.enrichment_queue WHERE queued_at IS NOT NULL"
    )
    assert {one for one in wanted if one[0] == "track"} == {("track", f"t{n}") for n in (1, 2, 6)}


def exported(plays: Iterable[dict[str, Any]], listened: int = 60_000) -> list[dict[str, Any]]:
    """The rows of an export of plays whose end the API tells."""
    return [row(play["played_at"], listened, play["track_id"]) for play in plays]


@pytest.mark.parametrize("first", ["api", "export"])
def test_play_of_export_and_api_is_one_play(
    make_platform: MakePlatform, tmp_path: Path, first: str
) -> None:
    """At the API's time, whichever comes first."""
    platform = make_platform(users=2)
    listener = "listener-0001"
    user = platform.user_id(listener)
    ledger = of_ledger(platform, listener)
    zipped = package(
        tmp_path / "export.zip", **{"Streaming_History_Audio_2026_1": exported(ledger, 30_000)}
    )
    if first == "api":
        platform.load()
        counts = imported(platform, user, zipped)
    else:
        imported(platform, user, zipped)
        assert not platform.load().get("gaps")
    reachable = [
        play
        for play in ledger
        if (listener, play["played_at"], play["track_id"]) in platform.reachable()
    ]
    lost = [play for play in ledger if play not in reachable]
    expected = [(one["played_at"][:-1], one["track_id"]) for one in reachable]
    expected += [(one["played_at"][:19] + ".000", one["track_id"]) for one in lost]
    assert len(told(platform, user)) == len(ledger)
    assert told(platform, user) == sorted(expected)
    outcomes = dict(platform.rows("SELECT outcome, count(*) FROM songswap.streams GROUP BY 1"))
    assert outcomes.get("merged", 0) == len(reachable)
    assert outcomes.get("loaded", 0) == len(lost)
    if first == "api":
        assert counts["merged"] == len(reachable)

    before = (
        told(platform, user),
        platform.rows("SELECT * FROM songswap.streams ORDER BY 1, 2, 3, 4"),
    )
    again = imported(platform, user, zipped)
    assert again["duplicates"] == again["rows"]
    platform.load()
    assert (
        told(platform, user),
        platform.rows("SELECT * FROM songswap.streams ORDER BY 1, 2, 3, 4"),
    ) == before


def nothing_stored(platform: Platform) -> bool:
    """Whether no import left anything."""
    tables = ("songswap.streams", "songswap.imports", '"History"', "songswap.rejected_items")
    return platform.objects() == [] and not any(
        platform.rows(f"SELECT FROM {table} LIMIT 1") for table in tables
    )


GOOD = [row("2020-01-02T03:04:05", 200_000, "t1")]
AUDIO = "Streaming_History_Audio_2020_1"


def bomb(path: Path) -> Path:
    """A small zip with a file that would become large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as into:
        into.writestr(f"{AUDIO}.json", b"[" + b" " * 50_000_000 + b"]")
    return path


def leads_out(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as into:
        into.writestr(f"../../{AUDIO}.json", json.dumps(GOOD))
    return path


def crowd(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as into:
        for number in range(10_001):
            into.writestr(f"{number}", b"")
    return path


def cut(path: Path) -> Path:
    whole = package(path, **{AUDIO: GOOD}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def corrupt(path: Path) -> Path:
    """A zip of which a byte in the middle of a file is another."""
    whole = bytearray(package(path, **{AUDIO: GOOD * 50}).read_bytes())
    whole[150] ^= 255
    path.write_bytes(whole)
    return path


def encrypted(path: Path) -> Path:
    whole = bytearray(package(path, **{AUDIO: GOOD}).read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + at] |= 1
    path.write_bytes(whole)
    return path


def text(name: str, content: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        file = path.with_name(name)
        file.write_text(content)
        return file

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bomb, "would become 48 MB"),
        (leads_out, "leads out of it"),
        (crowd, "has 10,002 files|has 10,001 files"),
        (cut, "not a whole zip"),
        (corrupt, "cannot be read"),
        (encrypted, "is encrypted"),
        (lambda path: package(path, **{"Playlist1": []}), "There is no streaming history in"),
        (lambda path: path.with_name("nowhere.zip"), "does not exist"),
        (text("notes.json", "[]"), "There is no streaming history in"),
        (text(f"{AUDIO}.json", '[{"ts": "2020-'), "is not whole JSON"),
        (text(f"{AUDIO}.json", '{"ts": 1}'), "is not a list of streams"),
        (text(f"{AUDIO}.json", "[" * 100_000), "is not whole JSON"),
        (
            lambda path: package(path, endsong_0=[{**GOOD[0], "username": "somebody-else"}]),
            "export of another user",
        ),
        (
            lambda path: package(
                path, StreamingHistory0=[], Userdata={"username": "somebody-else"}
            ),
            "export of another user",
        ),
    ],
)
def test_refused_export_leaves_nothing_behind(
    make_platform: MakePlatform, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    """Also where a good file comes with it. It is no export, or another user's."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    good = package(tmp_path / "good.zip", **{"Streaming_History_Audio_2019_0": GOOD})
    with pytest.raises(ExportRefused, match=words) as refused:
        imported(platform, user, good, make(tmp_path / "bad.zip"))
    assert "Nothing was imported" in str(refused.value)
    assert nothing_stored(platform)


def test_no_such_user(make_platform: MakePlatform, tmp_path: Path) -> None:
    """A user who is not in the warehouse has no history there."""
    platform = make_platform(users=0)
    with pytest.raises(ExportRefused, match="no user 7"):
        imported(platform, 7, package(tmp_path / "a.zip", **{AUDIO: GOOD}))
    assert nothing_stored(platform)


def test_export_of_another_user_is_refused_by_its_plays(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    """Unless somebody vouches for it."""
    platform = make_platform(users=2)
    platform.load()
    first, second = (platform.user_id(f"listener-000{number}") for number in (1, 2))
    mine = package(tmp_path / "a.zip", **{AUDIO: exported(of_ledger(platform, "listener-0001"))})
    before = told(platform, second)
    assert len(before) >= 20
    with pytest.raises(ExportRefused, match="--trust"):
        imported(platform, second, mine)
    assert told(platform, second) == before
    assert imported(platform, second, mine, trust=True)["loaded"] > 0
    assert imported(platform, first, mine)["merged"] > 0


def test_outage_of_the_archive_loads_nothing(
    make_platform: MakePlatform, tmp_path: Path, own_objects: ObjectStore
) -> None:
    """The same import again loads everything."""
    platform = make_platform(users=1)
    platform.use(own_objects)
    own_objects.stop()
    zipped = package(tmp_path / "a.zip", **{AUDIO: GOOD})
    with pytest.raises(ArchiveError):
        imported(platform, platform.user_id("listener-0001"), zipped)
    assert platform.rows("SELECT * FROM songswap.streams") == []
    own_objects.start()
    assert imported(platform, platform.user_id("listener-0001"), zipped)["loaded"] == 1


def test_account_data_first(make_platform: MakePlatform, tmp_path: Path) -> None:
    """What the account data told by names, the extended history takes over, play by play."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    extended = [
        row("2026-01-02T03:04:05", 200_000, "t1"),
        row("2026-01-02T03:04:55", 50_000, "t2"),
        row("2026-01-02T03:08:15", 200_000, "t1"),
        row("2026-01-02T03:09:00", 10_000, "t1"),
    ]
    account = [
        {
            "endTime": f"{one['ts'][:10]} {one['ts'][11:16]}",
            "artistName": one["master_metadata_album_artist_name"],
            "trackName": one["master_metadata_track_name"],
            "msPlayed": one["ms_played"],
        }
        for one in extended
    ]
    first = package(tmp_path / "account.zip", StreamingHistory_music_0=account)
    second = package(tmp_path / "extended.zip", **{AUDIO: extended})
    # Only the song that one track goes by the names of can be told.
    platform.execute("INSERT INTO songswap.export_tracks VALUES ('t1', 'Song t1', 'Artist t1', '')")
    counts = imported(platform, user, first)
    assert (counts["loaded"], counts["unidentified"], counts["short"]) == (2, 1, 1)
    assert told(platform, user) == [
        ("2026-01-02T03:04:00.000", "t1"),
        ("2026-01-02T03:08:00.000", "t1"),
    ]
    counts = imported(platform, user, second)
    assert (counts["loaded"], counts["short"], counts["duplicates"]) == (3, 1, 0)
    expected = [
        ("2026-01-02T03:04:00.000", "t1"),
        ("2026-01-02T03:04:55.000", "t2"),
        ("2026-01-02T03:08:00.000", "t1"),
    ]
    assert told(platform, user) == expected
    streams = platform.rows("SELECT * FROM songswap.streams ORDER BY ended_at")
    assert len(streams) == 4
    for path in (first, second):
        assert imported(platform, user, path)["loaded"] == 0
    assert told(platform, user) == expected
    assert platform.rows("SELECT * FROM songswap.streams ORDER BY ended_at") == streams


def test_private_after_all(make_platform: MakePlatform, tmp_path: Path) -> None:
    """What the extended history tells to be a private session is no play any more, whichever of the
    two exports came first."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    platform.execute("INSERT INTO songswap.export_tracks VALUES ('t1', 'Song t1', 'Artist t1', '')")
    account = [
        {"endTime": f"2026-01-02 03:{minute}", "artistName": "Artist t1", "trackName": "Song t1"}
        | {"msPlayed": 200_000}
        for minute in ("04", "09")
    ]
    extended = [
        row("2026-01-02T03:04:05", 200_000, "t1", incognito_mode=True),
        row("2026-01-02T03:09:05", 200_000, "t1"),
    ]
    first = package(tmp_path / "account.zip", StreamingHistory_music_0=account)
    second = package(tmp_path / "extended.zip", **{AUDIO: extended})
    assert imported(platform, user, first)["loaded"] == 2
    counts = imported(platform, user, second)
    assert (counts["loaded"], counts["private"]) == (1, 1)
    assert [track for _, track in told(platform, user)] == ["t1"]
    assert imported(platform, user, first)["duplicates"] == 2
    assert imported(platform, user, second)["loaded"] == 0
    assert [track for _, track in told(platform, user)] == ["t1"]


def test_both_exports_at_once(make_platform: MakePlatform, tmp_path: Path) -> None:
    """Given together, the extended history's rows are taken, and the others were told before."""
    platform = make_platform(users=1)
    account = [
        {"endTime": "2020-01-02 03:04", "artistName": "Artist t1", "trackName": "Song t1"}
        | {"msPlayed": 200_000}
    ]
    both = package(tmp_path / "a.zip", **{AUDIO: GOOD, "StreamingHistory0": account})
    counts = imported(platform, platform.user_id("listener-0001"), both)
    assert (counts["loaded"], counts["repeated"]) == (1, 1)


def test_another_id_of_the_recording(make_platform: MakePlatform, tmp_path: Path) -> None:
    """Where the API tells the track under another id, it is the same play by its names."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    platform.load()
    [(at, track, name, artist)] = platform.rows(
        'SELECT h.played_at, t.id, t.name, a.name FROM "History" h'
        ' JOIN "Tracks" t ON t.id = h.track_id'
        ' JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary'
        ' JOIN "Artists" a ON a.id = l.artist_id ORDER BY 1 LIMIT 1'
    )
    names = {
        "master_metadata_track_name": name.upper(),
        "master_metadata_album_artist_name": artist,
    }
    rows = [row(at.isoformat(), 60_000, "another", **names)]
    counts = imported(platform, user, package(tmp_path / "a.zip", **{AUDIO: rows}), trust=True)
    assert counts["merged"] == 1
    assert (at.isoformat(timespec="milliseconds"), track) in told(platform, user)


def row_of(platform: Platform, play: dict[str, Any]) -> dict[str, Any]:
    """The row of a play of the simulator's ledger in its listener's extended history."""
    zipped = call(
        "GET", f"{platform.spotify.url}/admin/listeners/{play['user']}/export?kind=extended"
    )
    ended_at = datetime.fromisoformat(play["ended_at"])
    with zipfile.ZipFile(io.BytesIO(zipped)) as result:
        rows = [
            one
            for name in result.namelist()
            if "Audio" in name and name.endswith(".json")
            for one in json.loads(result.read(name))
            if one["spotify_track_uri"] == f"spotify:track:{play['track_id']}"
        ]
    return min(rows, key=lambda one: abs(datetime.fromisoformat(one["ts"]) - ended_at))


@pytest.mark.parametrize("new", [False, True], ids=["known", "new"])
@pytest.mark.parametrize("kind", ["extended", "account"])
def test_play_under_another_id_is_one_play_of_the_apis_track(
    make_platform: MakePlatform, tmp_path: Path, kind: str, new: bool
) -> None:
    """Or by names that several tracks share; also where the API's track is new."""
    platform = make_platform(users=5)
    platform.load()
    platform.advance(hours=12)
    known = {track for (track,) in platform.rows('SELECT id FROM "Tracks"')}
    earlier = platform.reachable()
    told_later = [
        play
        for play in platform.spotify.ledger()
        if (play["track_id"] not in known) is new
        and datetime.fromisoformat(play["listed_at"]) <= platform.clock()
        and (play["user"], play["played_at"], play["track_id"]) not in earlier
    ]
    play = max(told_later, key=lambda one: str(one["listed_at"]))
    heard = row_of(platform, play)
    name = heard["master_metadata_track_name"]
    artist = heard["master_metadata_album_artist_name"]
    for other in ("another", "yet another"):
        about = (other, name, artist)
        platform.execute("INSERT INTO songswap.export_tracks VALUES (%s, %s, %s, '')", *about)
    file, told_first = AUDIO, heard | {"spotify_track_uri": "spotify:track:another"}
    if kind == "account":
        file = "StreamingHistory_music_0"
        told_first = {"trackName": name, "artistName": artist, "msPlayed": heard["ms_played"]}
        told_first["endTime"] = heard["ts"][:16].replace("T", " ")
    user = platform.user_id(play["user"])
    imported(platform, user, package(tmp_path / "a.zip", **{file: [told_first]}), trust=True)
    outcomes = "SELECT outcome, track_id FROM songswap.streams"
    assert platform.rows(outcomes) == [
        ("loaded", "another") if kind == "extended" else ("unidentified", None)
    ]
    platform.load()
    assert platform.history() == platform.reachable()
    track = "another" if kind == "extended" else play["track_id"]
    assert platform.rows(outcomes) == [("merged", track)]


def test_gaps_are_filled(make_platform: MakePlatform, tmp_path: Path) -> None:
    """A gap that the export reaches over is closed; one that goes beyond it is not."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    for after, before in (("2020-01-03", "2020-01-04"), ("2020-01-08", "2020-01-12")):
        platform.execute(
            "INSERT INTO songswap.gaps VALUES (%s, %s, %s, now(), 'run')", user, after, before
        )
    rows = [row(f"2020-01-{day:02}T00:00:00", 60_000, "t1") for day in (2, 5, 10)]
    assert (
        imported(platform, user, package(tmp_path / "a.zip", **{AUDIO: rows}))["gaps_closed"] == 1
    )
    closed = platform.rows("SELECT closed_at IS NOT NULL FROM songswap.gaps ORDER BY after")
    assert closed == [(True,), (False,)]


def test_shorter_plays_count_by_a_setting(make_platform: MakePlatform, tmp_path: Path) -> None:
    """The same import again with a smaller SONGSWAP_PLAY_MS adds them."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    rows = [row("2020-01-02T03:04:05", length, f"t{length}") for length in (9_000, 20_000, 30_000)]
    zipped = package(tmp_path / "a.zip", **{AUDIO: rows})
    assert imported(platform, user, zipped)["short"] == 2
    assert imported(platform, user, zipped)["short"] == 2
    platform.settings = replace(platform.settings, play_ms=20_000)
    counts = imported(platform, user, zipped)
    assert (counts["loaded"], counts["short"], counts["duplicates"]) == (1, 1, 1)
    assert [track for _, track in told(platform, user)] == ["t30000", "t20000"]
    assert len(platform.rows("SELECT * FROM songswap.streams")) == 3


def test_streams_and_imports_go_with_their_user(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    imported(platform, user, package(tmp_path / "a.zip", **{AUDIO: GOOD}))
    platform.execute('DELETE FROM "Users" WHERE id = %s', user)
    assert platform.rows("SELECT FROM songswap.streams") == platform.rows(
        "SELECT FROM songswap.imports"
    )
    assert platform.rows("SELECT FROM songswap.imports") == []


def test_two_at_once(make_platform: MakePlatform, tmp_path: Path) -> None:
    """The same export imported twice at once, beside an hourly load, is there once, also where all
    three had looked at the tables before the first of them wrote."""
    platform = make_platform(users=2)
    listener = "listener-0001"
    user = platform.user_id(listener)
    ledger = of_ledger(platform, listener)
    zipped = package(tmp_path / "a.zip", **{AUDIO: exported(ledger, 30_000)})

    def once(number: int) -> dict[str, int]:
        about = (
            platform.settings,
            user,
            [zipped],
            f"at once {number}",
            lambda *_: None,
            platform.clock,
        )
        return import_export(*about)

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        ThreadPoolExecutor(3) as threads,
        psycopg.connect(platform.settings.warehouse_dsn) as holder,
    ):
        lock_users(holder, [user])
        loading = threads.submit(platform.load)
        imports = [threads.submit(once, number) for number in range(2)]
        assert wait_until(lambda: platform.rows(waiting) == [(3,)], 60)
        holder.commit()
        counts = [one.result() for one in imports]
        loading.result()
    assert len(told(platform, user)) == len(ledger)
    assert sum(count.get("loaded", 0) + count.get("merged", 0) for count in counts) == len(ledger)
    assert len(platform.rows("SELECT FROM songswap.streams")) == len(ledger)
