"""The privacy export has Spotify's shape and every play once, and the truth says what rows are."""

import io
import zipfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from songswap.dev.simulator.clock import iso, parse_iso
from songswap.dev.simulator.export import ExportKind, PrivacyExport, Truth, make_export
from songswap.dev.simulator.listener import DAY, Listener
from songswap.dev.simulator.world import SimulatedWorld

BORN = parse_iso("2016-11-20T05:00:00Z")
AT = parse_iso("2024-02-20T17:00:00Z")
LONG: tuple[ExportKind, ...] = ("extended", "endsong")
SHORT: tuple[ExportKind, ...] = ("account", "account-older")
NEW_FIELDS = [
    "ts", "platform", "ms_played", "conn_country", "ip_addr", "master_metadata_track_name",
    "master_metadata_album_artist_name", "master_metadata_album_album_name", "spotify_track_uri",
    "episode_name", "episode_show_name", "spotify_episode_uri", "audiobook_title",
    "audiobook_uri", "audiobook_chapter_uri", "audiobook_chapter_title", "reason_start",
    "reason_end", "shuffle", "skipped", "offline", "offline_timestamp", "incognito_mode",
]  # fmt: skip

WORLD = SimulatedWorld(5, 12, BORN)
BY_ID = WORLD.listeners


def someone() -> Listener:
    """Return a listener with some thousands of plays."""
    found = BY_ID["listener-0003"]
    assert isinstance(found, Listener)
    return found


MADE: dict[str, PrivacyExport] = {
    kind: make_export(someone(), AT, kind, 4_000) for kind in (*LONG, *SHORT)
}


def rows(made: PrivacyExport) -> list[tuple[Truth, dict[str, Any]]]:
    """Return each row of the export with its truth."""
    files = {truth.file for truth in made.truth}
    decoded = {name: msgspec.json.decode(made.files[name]) for name in files}
    assert len(made.truth) == sum(map(len, decoded.values()))
    return [(truth, decoded[truth.file][truth.index]) for truth in made.truth]


def ended(row: dict[str, Any]) -> int:
    """Return when a row ended, in ms."""
    return parse_iso(row["ts"])


@pytest.mark.parametrize("kind", LONG)
def test_every_play_of_the_ledger_has_a_row(kind: ExportKind) -> None:
    """Each listed play has one row, still reachable or not; a second one is marked a duplicate."""
    plays = {iso(p.played_at): p for p in someone().plays(AT) if p.listed_at <= AT}
    found = [(truth, row) for truth, row in rows(MADE[kind]) if truth.category == "play"]
    assert {truth.played_at for truth, _ in found} == plays.keys()
    assert len(plays) > 10_000
    for truth, row in found:
        play = plays[str(truth.played_at)]
        assert truth.track_id == WORLD.track_id(someone(), play)
        assert row["spotify_track_uri"] == f"spotify:track:{truth.track_id}"
        assert row["ms_played"] == play.listened_ms
        assert abs(ended(row) - play.ended_at) <= 4_000 or row["offline"]
        assert not row["incognito_mode"]


@pytest.mark.parametrize("kind", LONG)
def test_rows_are_in_spotifys_shape(kind: ExportKind) -> None:
    """The fields, their order and types; `ts` in whole seconds; a row names one kind of thing."""
    fields = list(NEW_FIELDS)
    if kind == "endsong":
        fields = [f for f in fields if not f.startswith("audiobook")]
        fields[4] = "ip_addr_decrypted"
        fields[5:5] = ["user_agent_decrypted"]
        fields[1:1] = ["username"]
    for _, row in rows(MADE[kind]):
        assert list(row) == fields
        assert row["ts"] == f"{datetime.fromtimestamp(ended(row) // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        named = ("spotify_track_uri", "spotify_episode_uri", "audiobook_chapter_uri")
        assert sum(row.get(name) is not None for name in named) <= 1
        assert row["ms_played"] >= 0
        assert isinstance(row["shuffle"], bool)
        assert row["skipped"] in (True, False, None)
        assert isinstance(row["offline"], bool)
    if kind == "endsong":
        assert {row["username"] for _, row in rows(MADE[kind])} == {"listener-0003"}


def test_names_are_those_of_the_catalogue() -> None:
    """A row has the Web API's names of the track, the album's artist and the album."""
    catalogue = WORLD.catalogue
    found = [(truth, row) for truth, row in rows(MADE["extended"]) if truth.track_id][:500]
    for truth, row in found:
        index = catalogue.track_index(str(truth.track_id))
        assert index is not None
        track = catalogue.track(index)
        assert row["master_metadata_track_name"] == track["name"]
        assert row["master_metadata_album_artist_name"] == track["album"]["artists"][0]["name"]
        assert row["master_metadata_album_album_name"] == track["album"]["name"]


def test_rows_that_the_api_never_returns_are_marked() -> None:
    """Skips, private sessions, silence, episodes, chapters and videos have no `played_at`."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for truth, row in rows(MADE["extended"]):
        assert (truth.played_at is not None) == (truth.category in ("play", "duplicate"))
        assert ("_Video_" in truth.file) == (truth.category == "video")
        found[truth.category].append(row)
    assert set(found) == {
        "play", "duplicate", "skip", "silent", "unnamed", "private", "episode", "chapter", "video",
    }  # fmt: skip
    assert all(0 < row["ms_played"] < 30_000 for row in found["skip"])
    assert {row["ms_played"] for row in found["silent"]} == {0}
    assert all(row["incognito_mode"] for row in found["private"])
    assert any(row["ms_played"] > 60_000 for row in found["private"])
    assert all(row["spotify_episode_uri"] for row in found["episode"])
    assert all(row["audiobook_chapter_uri"] for row in found["chapter"])
    assert not any(row["spotify_track_uri"] for row in found["unnamed"])


def test_incidentals_vary_by_era() -> None:
    """`offline_timestamp` is 0, ms, s or null, `skipped` null or not, platforms old and new."""
    forms: defaultdict[str, set[str]] = defaultdict(set)
    skipped: defaultdict[str, set[bool | None]] = defaultdict(set)
    for _, row in rows(MADE["extended"]):
        year, stamp = row["ts"][:4], row["offline_timestamp"]
        skipped[year].add(row["skipped"])
        if row["offline"]:
            continue
        if stamp:
            forms[year].add("ms" if stamp > 10**11 else "s")
            began = stamp if stamp > 10**11 else stamp * 1000
            assert -5_000 <= ended(row) - row["ms_played"] - began <= 3_600_000  # pauses
        else:
            forms[year].add("null" if stamp is None else "0")
    assert forms["2017"] == {"0", "null"}
    assert forms["2020"] == {"ms", "0", "null"}
    assert forms["2023"] == {"s", "0", "null"}
    assert skipped["2017"] == {True, None}
    assert skipped["2023"] == {True, False, None}


def test_late_plays_are_marked_offline() -> None:
    """`offline` is true for plays that a phone uploaded later, and for no others."""
    late = {
        iso(p.played_at)
        for p in someone().plays(AT)
        if p.listed_at - p.ended_at > 60_000 and p.listed_at <= AT
    }
    found = {truth.played_at for truth, row in rows(MADE["extended"]) if row["offline"]}
    assert found == late
    assert len(late) > 10


def test_ts_of_some_offline_plays_is_their_upload() -> None:
    """It is the same for all plays of an upload, and `offline_timestamp` is the start; if that is
    null, 0 or the end, `ts` is the end."""
    offline = BY_ID["listener-0007"]
    assert isinstance(offline, Listener)
    plays = {iso(p.played_at): p for p in offline.plays(AT)}
    uploads: defaultdict[str, list[Any]] = defaultdict(list)
    unknown = 0
    for truth, row in rows(make_export(offline, AT, "extended")):
        if row["offline"] and truth.category == "play":
            play, stamp = plays[str(truth.played_at)], row["offline_timestamp"]
            began = stamp and (stamp if stamp > 10**11 else 1000 * stamp)
            if not began or 0 <= play.ended_at - began < 1_000:
                assert abs(ended(row) - play.ended_at) <= 4_000
                unknown += 1
            else:
                assert 0 <= play.started_at - began < 1_000
                if abs(ended(row) - play.ended_at) > 60_000:
                    assert abs(ended(row) - play.listed_at) <= 4_000
                    uploads[iso(play.listed_at)].append(row)
    assert unknown > 5
    assert max(map(len, uploads.values())) > 3


def test_some_plays_have_a_second_row() -> None:
    """It is 1 ms longer, or some seconds beside the first."""
    found: defaultdict[str | None, list[Any]] = defaultdict(list)
    for truth, row in rows(MADE["extended"]):
        if truth.played_at and not row["offline"]:
            found[truth.played_at].append((truth.category, row))
    pairs = [sorted(both, key=lambda pair: pair[0]) for both in found.values() if len(both) == 2]
    differences = set()
    for (first, duplicate), (second, play) in pairs:
        if first == "duplicate":
            assert second == "play"
            assert duplicate["spotify_track_uri"] == play["spotify_track_uri"]
            longer = duplicate["ms_played"] - play["ms_played"]
            differences.add((ended(duplicate) - ended(play), longer))
    assert differences == {(0, 1), (3_000, 0), (1_000, 0), (-5_000, -5_000)}


def test_songs_share_a_second_and_are_repeated() -> None:
    """Different songs have the same `ts`, and a song is played twice in a row."""
    by_second: defaultdict[str, set[Any]] = defaultdict(set)
    songs = [row for truth, row in rows(MADE["extended"]) if truth.category in ("play", "silent")]
    for row in songs:
        by_second[row["ts"]].add(row["spotify_track_uri"])
    assert sum(len(uris) > 1 for uris in by_second.values()) > 10
    plays = [truth.track_id for truth in MADE["extended"].truth if truth.category == "play"]
    assert sum(a == b for a, b in pairwise(plays)) > 100


@pytest.mark.parametrize("kind", [*LONG, *SHORT])
def test_some_rows_are_in_two_files(kind: ExportKind) -> None:
    """The last rows of a file are the first of the next, field for field, with the same truth."""
    made = make_export(someone(), AT, kind, 500)
    files: defaultdict[str, list[tuple[Truth, dict[str, Any]]]] = defaultdict(list)
    for truth, row in rows(made):
        files[truth.file].append((truth, row))
    songs = [part for name, part in files.items() if "podcast" not in name and "Video" not in name]
    assert len(songs) > 2
    assert {len(part) for part in songs[:-1]} == {500}
    for before, after in pairwise(songs):
        repeated = next(
            n for n in range(40, 0, -1) if [r for _, r in before[-n:]] == [r for _, r in after[:n]]
        )
        for old, new in zip(before[-repeated:], after[:repeated], strict=True):
            assert (old[0].played_at, old[0].category) == (new[0].played_at, new[0].category)
    once = Counter(truth.played_at for truth in made.truth if truth.category == "play")
    assert set(once.values()) == {1, 2}


@pytest.mark.parametrize("kind", SHORT)
def test_account_data_is_a_year_to_the_minute(kind: ExportKind) -> None:
    """Rows of the last 365 days have four fields and no ids."""
    plays = {
        iso(p.played_at): p
        for p in someone().plays(AT)
        if p.listed_at <= AT and p.ended_at >= AT - 365 * DAY
    }
    made = rows(MADE[kind])
    assert {truth.played_at for truth, _ in made if truth.played_at} == plays.keys()
    for truth, row in made:
        if "podcast" in truth.file:
            assert list(row) == ["endTime", "podcastName", "episodeName", "msPlayed"]
            assert truth.category == "episode"
            continue
        assert list(row) == ["endTime", "artistName", "trackName", "msPlayed"]
        assert len(row["endTime"]) == len("2024-02-20 17:00")
        if truth.category == "play":
            play = plays[str(truth.played_at)]
            minute = parse_iso(row["endTime"])
            ends = (play.ended_at, play.listed_at)
            assert any(-4_000 <= end - minute < 64_000 for end in ends)
            name, artist, _ = WORLD.catalogue.names(play.track)
            assert (row["trackName"], row["artistName"]) == (name, artist)
            assert row["msPlayed"] == play.listened_ms


def test_files_are_named_as_spotify_names_them() -> None:
    """Each kind has its own names and folders."""
    assert [name for name in MADE["extended"].files if "Audio" not in name] == [
        "Spotify Extended Streaming History/ReadMeFirst_ExtendedStreamingHistory.pdf",
        "Spotify Extended Streaming History/Streaming_History_Video_2016-2024.json",
    ]
    audio = [name for name in MADE["extended"].files if "Audio" in name]
    assert audio[0].startswith(
        "Spotify Extended Streaming History/Streaming_History_Audio_2016-2017_0"
    )
    assert [name for name in MADE["endsong"].files if "ReadMe" not in name][:2] == [
        "MyData/endsong_0.json",
        "MyData/endsong_1.json",
    ]
    assert set(MADE["account"].files) >= {
        f"Spotify Account Data/{name}.json"
        for name in (
            "StreamingHistory_music_0", "StreamingHistory_podcast_0", "Userdata", "Playlist1",
        )
    }  # fmt: skip
    assert set(MADE["account-older"].files) >= {
        f"MyData/{name}.json" for name in ("StreamingHistory0", "Userdata", "Playlist1")
    }
    user = msgspec.json.decode(MADE["account"].files["Spotify Account Data/Userdata.json"])
    assert user["username"] == "listener-0003"


@pytest.mark.parametrize("kind", [*LONG, *SHORT])
def test_same_seed_gives_the_same_zip(kind: ExportKind) -> None:
    """An equal world gives equal bytes, one of another seed different ones."""
    again, other = (SimulatedWorld(seed, 12, BORN).listeners["listener-0003"] for seed in (5, 6))
    assert isinstance(again, Listener)
    assert isinstance(other, Listener)
    zipped = MADE[kind].zipped()
    repeated = make_export(again, AT, kind, 4_000)
    assert repeated.zipped() == zipped
    assert repeated.truth_lines() == MADE[kind].truth_lines()
    assert make_export(other, AT, kind, 4_000).zipped() != zipped
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MADE[kind].files


def test_later_export_repeats_the_rows_of_an_earlier_one() -> None:
    """Every earlier row is repeated; only plays that were uploaded late come between."""
    earlier = make_export(someone(), AT - 40 * DAY, "extended")
    before = Counter(msgspec.json.encode(row) for _, row in rows(earlier))
    after = Counter(msgspec.json.encode(row) for _, row in rows(MADE["extended"]))
    assert before.keys() <= after.keys()


def test_listener_without_plays_has_an_export_without_rows() -> None:
    """The zip has no row, and neither has the truth."""
    newborn = Listener(5, 3, AT, WORLD.catalogue)
    for kind in (*LONG, *SHORT):
        made = make_export(newborn, AT, kind)
        assert made.truth == []
        assert made.zipped()
