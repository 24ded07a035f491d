"""What the files of an export are, and what their rows become."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import ExportRefused
from songswap.models import Stream
from songswap.transform.exports.files import read
from songswap.transform.exports.kinds import Kind
from songswap.transform.exports.rows import require_plausible
from songswap.transform.exports.streams import File

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
TRACK = "4uLU6hMCjMI75M1A2tKUQC"
ROW: dict[str, Any] = {
    "ts": "2023-01-02T03:04:05Z",
    "platform": "ios",
    "ms_played": 200_000,
    "conn_country": "DE",
    "ip_addr": "192.0.2.7",
    "master_metadata_track_name": "Song",
    "master_metadata_album_artist_name": "Artist",
    "master_metadata_album_album_name": "Album",
    "spotify_track_uri": f"spotify:track:{TRACK}",
    "episode_name": None,
    "spotify_episode_uri": None,
    "reason_start": "clickrow",
    "reason_end": "trackdone",
    "shuffle": True,
    "skipped": None,
    "offline": False,
    "offline_timestamp": 1672628645.5,
    "incognito_mode": False,
}


def extended(*rows: Any) -> File:
    return read("endsong_0.json", Kind.EXTENDED, json.dumps(rows).encode(), NOW)


def account(*rows: Any) -> File:
    return read("StreamingHistory0.json", Kind.ACCOUNT, json.dumps(rows).encode(), NOW)


def test_extended_row_gives_all_that_the_api_lacks() -> None:
    file = extended(ROW)
    assert file.streams == [
        Stream(
            ended_at=datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC),
            ms_played=200_000,
            track_id=TRACK,
            track_name="Song",
            artist_name="Artist",
            album_name="Album",
            reason_start="clickrow",
            reason_end="trackdone",
            shuffle=True,
            skipped=None,
            offline=False,
            incognito=False,
            platform="ios",
            country="DE",
        )
    ]
    assert (file.rows, file.left_out, file.rejected_items) == (1, {}, [])


def test_account_rows_that_are_equal() -> None:
    """Equal rows are numbered where a track can have been played that often in a minute."""
    row = {"endTime": "2026-11-21 18:00", "artistName": "A", "trackName": "T"}
    file = account(*[row | {"msPlayed": 31_000}] * 3, *[row | {"msPlayed": 61_000}] * 2)
    assert [stream.nth for stream in file.streams] == [0, 1, 0, 0, 0]


def test_account_row_gives_names_to_the_minute() -> None:
    row = {"endTime": "2026-01-02 03:04", "artistName": "A", "trackName": "T", "msPlayed": 31_000}
    [stream] = account(row).streams
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert stream == Stream(at, 31_000, None, "T", "A", to_the_minute=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ts": None}, "ts: missing"),
        ({"ts": 5}, "ts: not a time"),
        ({"ts": ["2023"]}, "ts: wrong type"),
        ({"ts": "yesterday"}, "ts: not a time"),
        ({"ts": "01/02/2023 03:04:05"}, "ts: not a time"),
        ({"ts": "2003-01-02T03:04:05Z"}, "ts: before Spotify or in the future"),
        ({"ts": "2027-01-02T03:04:05Z"}, "ts: before Spotify or in the future"),
        ({"ms_played": None}, "ms_played: missing"),
        ({"ms_played": "long"}, "ms_played: wrong type"),
        ({"ms_played": -1}, "ms_played: out of range"),
        ({"ms_played": 2**40}, "ms_played: out of range"),
        ({"ms_played": 10**400}, "ms_played: out of range"),
        ({"spotify_track_uri": "spotify:album:x"}, "spotify_track_uri: not a track's"),
        ({"spotify_track_uri": "spotify:track:a b"}, "spotify_track_uri: not a track's"),
        ({"spotify_track_uri": ["x"]}, "spotify_track_uri: wrong type"),
    ],
)
def test_impossible_row_is_rejected_with_its_reason(change: dict[str, Any], reason: str) -> None:
    """Its neighbours are streams."""
    file = extended(ROW, {**ROW, **change}, ROW)
    assert len(file.streams) == 2
    assert [item.reason for item in file.rejected_items] == [reason]


@pytest.mark.parametrize("row", [None, 5, "row", [ROW], True])
def test_entry_that_is_no_object_costs_only_itself(row: Any) -> None:
    file = extended(ROW, row)
    assert (len(file.streams), len(file.rejected_items)) == (1, 1)


def test_broken_field_is_left_out_alone() -> None:
    """It says nothing of the play."""
    [stream] = extended({**ROW, "shuffle": "perhaps", "platform": 7}).streams
    assert (stream.shuffle, stream.platform, stream.skipped) == (None, None, None)
    assert stream.track_id == TRACK


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"spotify_episode_uri": "spotify:episode:e"}, "podcast"),
        ({"episode_show_name": "S"}, "podcast"),
        ({"audiobook_title": "B"}, "audiobook"),
        ({"audiobook_chapter_uri": "spotify:episode:c"}, "audiobook"),
        ({"spotify_track_uri": "spotify:episode:e", "master_metadata_track_name": "E"}, "podcast"),
        ({"spotify_track_uri": "spotify:chapter:c"}, "audiobook"),
    ],
)
def test_podcasts_and_audiobooks_are_counted_and_left_out(
    change: dict[str, Any], what: str
) -> None:
    nothing = {"spotify_track_uri": None, "master_metadata_track_name": None}
    file = extended({**ROW, **nothing, **change})
    assert (file.streams, file.left_out) == ([], {what: 1})


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.PODCAST, Kind.AUDIOBOOK])
def test_files_without_tracks(kind: Kind) -> None:
    """Of files that hold no tracks the rows are counted."""
    file = read("x.json", kind, json.dumps([ROW, ROW]).encode(), NOW)
    assert (file.rows, file.left_out, file.streams, file.archivable) == (2, {kind: 2}, [], b"")


@pytest.mark.parametrize("value", ["true", "false", "", 1, 0, 0.5, [], {}, "private"])
def test_unclear_privacy_is_private(value: Any) -> None:
    [stream] = extended({**ROW, "incognito_mode": value}).streams
    assert stream.incognito is True


@pytest.mark.parametrize("value", [False, None])
def test_false_and_null_are_not_private(value: bool | None) -> None:
    """Spotify's description allows null, which old rows have."""
    [stream] = extended({**ROW, "incognito_mode": value}).streams
    assert not stream.incognito


@pytest.mark.parametrize("value", ["2023-01-02 03:04:05", "2023-01-02T03:04:05", 1672628645])
def test_other_spellings_of_a_time(value: str | int) -> None:
    """A history whose times lack T and Z, or are numbers, is the same history."""
    assert extended({**ROW, "ts": value}).streams == extended(ROW).streams


@pytest.mark.parametrize("value", ["2026-01-02 03:04:59", "2026-01-02T03:04Z", 1767323040])
def test_other_spellings_in_account_data(value: str | int) -> None:
    """It stays to the minute: so it is stored."""
    row = {"endTime": value, "artistName": "A", "trackName": "T", "msPlayed": 31_000}
    [stream] = read("StreamingHistory0.json", Kind.ACCOUNT, json.dumps([row]).encode(), NOW).streams
    assert stream.ended_at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "stamp", [1672624845, 1672624845.7, 1672624845248, "1672624845", "2023-01-02T02:00:45Z"]
)
def test_offline_play_ends_when_it_ended(stamp: float | str) -> None:
    """A phone that was offline reports hours later; its play began at `offline_timestamp`."""
    row = {**ROW, "ts": "2023-01-02T09:30:00Z", "offline": True, "offline_timestamp": stamp}
    (one,) = extended({**row, "ms_played": 200_500}).streams
    assert one.ended_at == datetime(2023, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert one.reported_at == datetime(2023, 1, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stamp", "offline"),
    [
        (0, True),
        (None, True),
        (-1, True),
        ("", True),
        (1672651800, True),  # the very time of the row: what would be its end
        (1669000000, True),  # longer ago than a phone can be offline
        (16726248450, True),
        (1672624845, False),
        (1672624845, None),
    ],
)
def test_offline_timestamp_that_is_no_start(stamp: Any, offline: bool | None) -> None:
    """The row's own time is its end then."""
    row = {**ROW, "ts": "2023-01-02T09:30:00Z", "offline": offline, "offline_timestamp": stamp}
    (one,) = extended({**row, "ms_played": 200_500}).streams
    assert one.ended_at == datetime(2023, 1, 2, 9, 30, tzinfo=UTC)
    assert one.reported_at is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_file_in_any_unicode_encoding_is_read(encoding: str) -> None:
    """Another program may have saved it."""
    body = json.dumps([ROW], ensure_ascii=False).encode(encoding)
    assert read("endsong_0.json", Kind.EXTENDED, body, NOW).streams == extended(ROW).streams


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["1112223334", 1112223334])
def test_owner_is_read_from_a_file_of_its_own(name: Any, encoding: str) -> None:
    body = json.dumps({"username": name, "email": None}).encode(encoding)
    assert read("Userdata.json", Kind.OWNER, body, NOW).owners == {"1112223334"}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"username": []}', b"[" * 100_000])
def test_file_without_an_owner_names_nobody(body: bytes) -> None:
    assert read("Userdata.json", Kind.OWNER, body, NOW).owners == set()


def test_podcasts_and_music_in_one_file() -> None:
    """A podcast's row among those of music is one, and the other way round, whatever the kind."""
    music = {"endTime": "2026-01-02 03:04", "artistName": "A", "trackName": "T", "msPlayed": 9}
    podcast = {"endTime": "2026-01-02 03:04", "podcastName": "P", "msPlayed": 9}
    body = json.dumps([podcast, music, podcast]).encode()
    for kind in (Kind.ACCOUNT, Kind.PODCAST):
        file = read("x.json", kind, body, NOW)
        assert (len(file.streams), file.left_out, file.kind) == (1, {"podcast": 2}, Kind.ACCOUNT)
        again = read("x.json", file.kind, file.archivable, NOW)
        assert (again.streams, again.left_out) == (file.streams, file.left_out)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([ROW] * 5_000).encode(),
        json.dumps([ROW] * 5_000, indent=4).encode("utf-16"),
        json.dumps(
            [{"endTime": "2026-01-02 03:04", "artistName": "", "trackName": "", "msPlayed": 1}]
            * 5_000,
            separators=(",", ":"),
        ).encode(),
        json.dumps([{}] * 999).encode(),
        b"",
    ],
)
def test_histories_and_small_files_are_plausible(body: bytes) -> None:
    require_plausible("x.json", body)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([{}] * 3_000).encode(),
        json.dumps([[]] * 50_000).encode(),
        json.dumps([None] * 50_000).encode(),
        json.dumps([{"ts": "2020", "ms_played": 1}] * 3_000).encode(),
        json.dumps([ROW | {"more": [1] * 9_000}] * 10).encode(),
    ],
)
def test_file_that_would_fill_memory_is_refused_unread(body: bytes) -> None:
    with pytest.raises(ExportRefused, match="Nothing was imported"):
        require_plausible("x.json", body)


def test_local_file_has_names_and_no_id() -> None:
    [stream] = extended({**ROW, "spotify_track_uri": "spotify:local:A:B:C:200"}).streams
    assert (stream.track_id, stream.track_name) == (None, "Song")


PERSONAL = {
    "ip_addr": "192.0.2.7",
    "ip_addr_decrypted": "192.0.2.8",
    "user_agent_decrypted": "agent-secret",
    "username": "name-secret",
    "something_new": "new-secret",
}


@pytest.mark.parametrize("broken", [{}, {"ms_played": "broken"}])
def test_archived_rows_hold_nothing_personal(broken: dict[str, Any]) -> None:
    """No address, agent, name or unknown field, also of broken rows."""
    file = extended({**ROW, **PERSONAL, **broken}, {**ROW, **PERSONAL})
    assert file.owners == {"name-secret"}
    rows = json.loads(file.archivable)
    assert [row.keys() & PERSONAL.keys() for row in rows] == [set(), set()]
    assert rows[1]["ts"] == ROW["ts"]
    assert rows[0].get("ms_played") == broken.get("ms_played", ROW["ms_played"])
    text = f"{file.archivable!r}{file.streams}{file.rejected_items}"
    assert not [value for value in PERSONAL.values() if value in text]


def test_archived_rows_give_the_same_streams() -> None:
    """And are archived as the same."""
    file = extended({**ROW, **PERSONAL}, {**ROW, "ms_played": None}, 5)
    again = read("x", Kind.EXTENDED, file.archivable, NOW)
    assert again.streams == file.streams
    assert again.archivable == file.archivable
    assert len(again.rejected_items) == len(file.rejected_items) == 2


def test_text_that_postgres_cannot_store() -> None:
    """NUL and half surrogates are dropped from names."""
    [stream] = extended({**ROW, "master_metadata_track_name": "a\x00b\ud800"}).streams
    assert stream.track_name == "ab"


def test_unreadable_file_is_named() -> None:
    """It is not JSON, or no list."""
    for body in (b"", b"[", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(ExportRefused, match=r"endsong_0\.json is not whole JSON"):
            read("endsong_0.json", Kind.EXTENDED, body, NOW)
    with pytest.raises(ExportRefused, match="not a list"):
        read("endsong_0.json", Kind.EXTENDED, b"{}", NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(rows=st.lists(st.dictionaries(st.sampled_from(sorted(ROW)), JSON) | JSON, max_size=8))
def test_any_rows_are_read_without_an_error(rows: list[Any]) -> None:
    """Each is a stream, left out or rejected."""
    file = read("x", Kind.EXTENDED, json.dumps(rows).encode(), NOW)
    left_out = sum(file.left_out.values())
    assert file.rows == len(rows) == len(file.streams) + left_out + len(file.rejected_items)
    json.loads(file.archivable)
