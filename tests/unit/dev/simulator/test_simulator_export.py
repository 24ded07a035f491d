"""The privacy export has Spotify's shape and tells of every play once, and the truth says which."""

import io
import zipfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from songswap.dev.simulator.clock import iso, parse_iso
from songswap.dev.simulator.export import Export, Kind, Truth, export
from songswap.dev.simulator.listener import DAY, Listener
from songswap.dev.simulator.world import World

BORN = parse_iso("2016-11-20T05:00:00Z")
AT = parse_iso("2024-02-20T17:00:00Z")
LONG = ("extended", "endsong")
SHORT = ("account", "account-older")
NEW_FIELDS = [
    "ts",
    "platform",
    "ms_played",
    "conn_country",
    "ip_addr",
    "master_metadata_track_name",
    "master_metadata_album_artist_name",
    "master_metadata_album_album_name",
    "spotify_track_uri",
    "episode_name",
    "episode_show_name",
    "spotify_episode_uri",
    "audiobook_title",
    "audiobook_uri",
    "audiobook_chapter_uri",
    "audiobook_chapter_title",
    "reason_start",
    "reason_end",
    "shuffle",
    "skipped",
    "offline",
    "offline_timestamp",
    "incognito_mode",
]

WORLD = World(5, 12, BORN)
BY_ID = WORLD.listeners


def someone() -> Listener:
    """A listener of some thousands of plays."""
    found = BY_ID["listener-0003"]
    assert isinstance(found, Listener)
    return found


MADE: dict[str, Export] = {kind: export(someone(), AT, kind, 4_000) for kind in (*LONG, *SHORT)}


def rows(made: Export) -> list[tuple[Truth, dict[str, Any]]]:
    """Each row of the export beside its truth."""
    files = {each.file for each in made.truth}
    decoded = {name: msgspec.json.decode(made.files[name]) for name in files}
    assert len(made.truth) == sum(map(len, decoded.values()))
    return [(each, decoded[each.file][each.index]) for each in made.truth]


def ended(row: dict[str, Any]) -> int:
    """When a row ended, in ms."""
    return parse_iso(row["ts"])


@pytest.mark.parametrize("kind", LONG)
def test_every_play_of_the_ledger_is_there(kind: Kind) -> None:
    """Each play that Spotify knows of has its row, forgotten by the API or not, and none two but
    those that are marked as doubles."""
    plays = {iso(p.played_at): p for p in someone().plays(AT) if p.listed_at <= AT}
    told = [(each, row) for each, row in rows(MADE[kind]) if each.what == "play"]
    assert {each.played_at for each, _ in told} == plays.keys()
    assert len(plays) > 10_000
    for each, row in told:
        play = plays[str(each.played_at)]
        assert each.track_id == WORLD.track_id(someone(), play)
        assert row["spotify_track_uri"] == f"spotify:track:{each.track_id}"
        assert row["ms_played"] == play.listened_ms
        assert abs(ended(row) - play.ended_at) <= 4_000 or row["offline"]
        assert not row["incognito_mode"]


@pytest.mark.parametrize("kind", LONG)
def test_rows_are_in_spotifys_shape(kind: Kind) -> None:
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


def test_names_are_the_catalogues() -> None:
    """A row names its track, the artist of the album and the album as the Web API does."""
    catalogue = WORLD.catalogue
    told = [(each, row) for each, row in rows(MADE["extended"]) if each.track_id][:500]
    for each, row in told:
        index = catalogue.track_index(str(each.track_id))
        assert index is not None
        track = catalogue.track(index)
        assert row["master_metadata_track_name"] == track["name"]
        assert row["master_metadata_album_artist_name"] == track["album"]["artists"][0]["name"]
        assert row["master_metadata_album_album_name"] == track["album"]["name"]


def test_what_the_api_never_tells_is_marked() -> None:
    """Skips, private sessions, silence, episodes, chapters and videos: none has a `played_at`."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each, row in rows(MADE["extended"]):
        assert (each.played_at is not None) == (each.what in ("play", "double"))
        assert ("_Video_" in each.file) == (each.what == "video")
        found[each.what].append(row)
    assert set(found) == {
        "play", "double", "skip", "nothing", "unnamed", "private", "episode", "chapter", "video",
    }  # fmt: skip
    assert all(0 < row["ms_played"] < 30_000 for row in found["skip"])
    assert {row["ms_played"] for row in found["nothing"]} == {0}
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


def test_offline_rows_are_those_told_late() -> None:
    """A play that an offline phone told of later says that it was offline."""
    late = {
        iso(p.played_at)
        for p in someone().plays(AT)
        if p.listed_at - p.ended_at > 60_000 and p.listed_at <= AT
    }
    told = {each.played_at for each, row in rows(MADE["extended"]) if row["offline"]}
    assert told == late
    assert len(late) > 10


def test_phones_that_tell_when_they_were_online_again() -> None:
    """Their `ts` is the upload, the same for all that they held, and `offline_timestamp` the start;
    where that is null, 0 or the end, `ts` is the end."""
    offline = BY_ID["listener-0007"]
    assert isinstance(offline, Listener)
    plays = {iso(p.played_at): p for p in offline.plays(AT)}
    uploads: defaultdict[str, list[Any]] = defaultdict(list)
    unknown = 0
    for each, row in rows(export(offline, AT, "extended")):
        if row["offline"] and each.what == "play":
            play, stamp = plays[str(each.played_at)], row["offline_timestamp"]
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


def test_doubles() -> None:
    """Now and then a play has a second row, of another length or some seconds later."""
    told: defaultdict[str | None, list[Any]] = defaultdict(list)
    for each, row in rows(MADE["extended"]):
        if each.played_at and not row["offline"]:
            told[each.played_at].append((each.what, row))
    pairs = [sorted(of, key=lambda one: one[0]) for of in told.values() if len(of) == 2]
    apart = set()
    for (double, again), (what, row) in pairs:
        if double == "double":
            assert what == "play"
            assert again["spotify_track_uri"] == row["spotify_track_uri"]
            apart.add((ended(again) - ended(row), again["ms_played"] - row["ms_played"]))
    assert apart == {(0, 1), (3_000, 0), (1_000, 0), (-5_000, -5_000)}


def test_songs_share_a_second_and_sound_again() -> None:
    """Different songs have the same `ts`, and the same song is heard twice in a row."""
    by_second: defaultdict[str, set[Any]] = defaultdict(set)
    songs = [row for each, row in rows(MADE["extended"]) if each.what in ("play", "nothing")]
    for row in songs:
        by_second[row["ts"]].add(row["spotify_track_uri"])
    assert sum(len(uris) > 1 for uris in by_second.values()) > 10
    plays = [each.track_id for each in MADE["extended"].truth if each.what == "play"]
    assert sum(a == b for a, b in pairwise(plays)) > 100


@pytest.mark.parametrize("kind", [*LONG, *SHORT])
def test_some_rows_stand_in_two_files(kind: Kind) -> None:
    """The last rows of a file are the first of the next, byte for byte, with the same truth."""
    made = export(someone(), AT, kind, 500)
    files: defaultdict[str, list[tuple[Truth, dict[str, Any]]]] = defaultdict(list)
    for each, row in rows(made):
        files[each.file].append((each, row))
    songs = [part for name, part in files.items() if "podcast" not in name and "Video" not in name]
    assert len(songs) > 2
    assert {len(part) for part in songs[:-1]} == {500}
    for before, after in pairwise(songs):
        repeated = next(
            n for n in range(40, 0, -1) if [r for _, r in before[-n:]] == [r for _, r in after[:n]]
        )
        for old, new in zip(before[-repeated:], after[:repeated], strict=True):
            assert (old[0].played_at, old[0].what) == (new[0].played_at, new[0].what)
    once = Counter(each.played_at for each in made.truth if each.what == "play")
    assert set(once.values()) == {1, 2}


@pytest.mark.parametrize("kind", SHORT)
def test_account_data_is_a_year_to_the_minute(kind: Kind) -> None:
    """Four fields without ids, of the last 365 days."""
    plays = {
        iso(p.played_at): p
        for p in someone().plays(AT)
        if p.listed_at <= AT and p.ended_at >= AT - 365 * DAY
    }
    made = rows(MADE[kind])
    assert {each.played_at for each, _ in made if each.played_at} == plays.keys()
    for each, row in made:
        if "podcast" in each.file:
            assert list(row) == ["endTime", "podcastName", "episodeName", "msPlayed"]
            assert each.what == "episode"
            continue
        assert list(row) == ["endTime", "artistName", "trackName", "msPlayed"]
        assert len(row["endTime"]) == len("2024-02-20 17:00")
        if each.what == "play":
            play = plays[str(each.played_at)]
            minute = parse_iso(row["endTime"])
            ends = (play.ended_at, play.listed_at)
            assert any(-4_000 <= end - minute < 64_000 for end in ends)
            name, artist, _ = WORLD.catalogue.names(play.track)
            assert (row["trackName"], row["artistName"]) == (name, artist)
            assert row["msPlayed"] == play.listened_ms


def test_files_are_named_as_spotify_names_them() -> None:
    """Names and folders of each kind."""
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
def test_same_seed_gives_the_same_zip(kind: Kind) -> None:
    """Another world of the same seed sends the same bytes, of another seed different ones."""
    again, other = (World(seed, 12, BORN).listeners["listener-0003"] for seed in (5, 6))
    assert isinstance(again, Listener)
    assert isinstance(other, Listener)
    zipped = MADE[kind].zipped()
    repeated = export(again, AT, kind, 4_000)
    assert repeated.zipped() == zipped
    assert repeated.truth_lines() == MADE[kind].truth_lines()
    assert export(other, AT, kind, 4_000).zipped() != zipped
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MADE[kind].files


def test_later_export_repeats_the_rows_of_an_earlier_one() -> None:
    """What was sent once is sent again, row for row; only what phones told late comes between."""
    earlier = export(someone(), AT - 40 * DAY, "extended")
    before = Counter(msgspec.json.encode(row) for _, row in rows(earlier))
    after = Counter(msgspec.json.encode(row) for _, row in rows(MADE["extended"]))
    assert before.keys() <= after.keys()


def test_listener_who_has_heard_nothing_is_sent_no_rows() -> None:
    """A life that begins now gives a zip without a row, and says so in the truth."""
    newborn = Listener(5, 3, AT, WORLD.catalogue)
    for kind in (*LONG, *SHORT):
        made = export(newborn, AT, kind)
        assert made.truth == []
        assert made.zipped()
