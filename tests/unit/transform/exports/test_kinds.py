"""What a file of an export holds, by its rows and its name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.exports.kinds import HEAD_BYTES, Kind, is_similar, judge, kind_of

EXTENDED = {
    "ts": "2023-01-02T03:04:05Z",
    "ms_played": 200_000,
    "spotify_track_uri": "spotify:track:x",
    "reason_end": "trackdone",
}
MUSIC = {"endTime": "2023-01-02 03:04", "artistName": "A", "trackName": "T", "msPlayed": 31_000}
PODCAST = {"endTime": "2023-01-02 03:04", "podcastName": "P", "episodeName": "E", "msPlayed": 9}
BOOK = {"endTime": "2023-01-02 03:04", "audiobookName": "B", "chapterName": "C", "msPlayed": 9}


def head(*rows: Any) -> bytes:
    return json.dumps(rows).encode()[:HEAD_BYTES]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Streaming_History_Audio_2019-2020_1.json", Kind.EXTENDED),
        ("endsong.json", Kind.EXTENDED),
        ("endsong_12.json", Kind.EXTENDED),
        ("endsong_0 (1).json", Kind.EXTENDED),
        ("endsong_0(1).json", Kind.EXTENDED),
        ("endsong_0 copy.json", Kind.EXTENDED),
        ("endsong_0 copy 2.json", Kind.EXTENDED),
        ("endsong_0 - Kopie.json", Kind.EXTENDED),
        ("endsong_0 - Copy (2).json", Kind.EXTENDED),
        ("ENDSONG_0.JSON", Kind.EXTENDED),
        ("endsong_0.json.txt", Kind.EXTENDED),
        ("endvideo.json", Kind.VIDEO),
        ("Streaming_History_Video_2019-2024.json", Kind.VIDEO),
        ("StreamingHistory.json", Kind.ACCOUNT),
        ("StreamingHistory3.json", Kind.ACCOUNT),
        ("StreamingHistory_music_0.json", Kind.ACCOUNT),
        ("StreamingHistory_podcast_0.json", Kind.PODCAST),
        ("StreamingHistory_audiobook_0.json", Kind.AUDIOBOOK),
        ("Userdata.json", Kind.OWNER),
        ("Userdata (1).json", Kind.OWNER),
        ("Playlist1.json", None),
        ("YourLibrary.json", None),
        ("StreamingHistory notes.json", None),
        ("endsong_0.csv", None),
    ],
)
def test_name_shows_the_kind_of_a_file(name: str, kind: Kind | None) -> None:
    """By any name that Spotify has given it, or a copy of such."""
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    "name",
    ["2019.json", "my history", "Kopie von endsong_0.json", "endsong_0.json.bak", "x.JSON.txt"],
)
@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (EXTENDED, Kind.EXTENDED),
        (MUSIC, Kind.ACCOUNT),
        (PODCAST, Kind.PODCAST),
        (BOOK, Kind.AUDIOBOOK),
    ],
)
def test_rows_show_the_kind_whatever_the_name(name: str, row: dict[str, Any], kind: Kind) -> None:
    assert judge(name, head(row, row)) == (kind, None)


@pytest.mark.parametrize(
    ("name", "row", "kind"),
    [
        ("StreamingHistory_podcast_0.json", MUSIC, Kind.ACCOUNT),
        ("StreamingHistory_music_0.json", PODCAST, Kind.PODCAST),
        ("StreamingHistory0.json", EXTENDED, Kind.EXTENDED),
        ("Streaming_History_Audio_2020.json", MUSIC, Kind.ACCOUNT),
        ("endvideo.json", EXTENDED, Kind.VIDEO),
        ("Copia de endvideo.json", EXTENDED, Kind.VIDEO),
        ("Streaming_History_Vidéo_2020.json", EXTENDED, Kind.VIDEO),
    ],
)
def test_rows_outweigh_the_name(name: str, row: dict[str, Any], kind: Kind) -> None:
    """But those of a music video are those of a track."""
    assert judge(name, head(row)).kind is kind


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_rows_are_recognised_in_any_unicode_encoding(encoding: str) -> None:
    """Also where the last character is cut."""
    body = json.dumps([EXTENDED | {"platform": "ä"}] * 99, ensure_ascii=False).encode(encoding)
    assert judge("x.json", body[: HEAD_BYTES - 1]).kind is Kind.EXTENDED


def test_first_rows_are_broken() -> None:
    """A history whose first rows are none is one."""
    assert judge("x.json", head(None, 5, {}, EXTENDED)).kind is Kind.EXTENDED


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2019.json", b'[{"ts": "2020-01-01T00:00:00Z", "ms_played": 5}]'),
        ("2019.json", json.dumps({"rows": [EXTENDED]}).encode()),
        ("2019.json", json.dumps(EXTENDED).encode() + b"\n" + json.dumps(EXTENDED).encode()),
        ("2019.json", b'[{"ts": "2020-01-01T00:00:00Z", "ms_played'[:-3] + b'yed": '),
        ("Kopie von endsong_0.json", b""),
        ("StreamingHistory notes.json", b"{}"),
        ("endsong_0.csv", b"ts,ms_played"),
        ("Streaming History Audio.xlsx", b"PK\x03\x04"),
    ],
)
def test_skipped_file_that_may_be_a_history_has_a_reason(name: str, content: bytes) -> None:
    kind, problem = judge(name, content)
    assert kind is None
    assert problem


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Playlist1.json", b'{"playlists": [{"items": [{"track": {"trackName": "T"}}]}]}'),
        ("YourLibrary.json", b'{"tracks": [{"artist": "A", "uri": "spotify:track:x"}]}'),
        ("SearchQueries.json", b'[{"platform": "IPHONE", "searchTime": "2024-01-01T00:00:00Z"}]'),
        ("Follow.json", b'{"followerCount": 1, "userIsFollowing": []}'),
        ("Inferences.json", b'{"inferences": ["x"]}'),
        ("Payments.json", b'{"payment_method": "Other"}'),
        ("Identity.json", b'{"displayName": "x"}'),
        ("Marquee.json", b'[{"artistName": "A", "segment": "Light listeners"}]'),
        ("YourSoundCapsule.json", b'{"stats": [{"secondsPlayed": 9}]}'),
        ("Wrapped2024.json", b'{"topTracks": {"topTracks": []}}'),
        ("ReadMeFirst_ExtendedStreamingHistory.pdf", b"%PDF-1.4"),
        ("my_spotify_data.png", b"\x89PNG"),
        ("notes.txt", b"[to do]"),
        ("empty.json", b""),
        ("list.json", b"[]"),
        (".DS_Store", b"\x00\x00\x00\x01Bud1"),
    ],
)
def test_other_files_are_ignored(name: str, content: bytes) -> None:
    """Those of the account data, and of computers."""
    assert judge(name, content) == (None, None)


def test_names_of_histories() -> None:
    """A name is similar in other cases, accents and spaces too."""
    assert is_similar("STREAMING-HISTORY (old).xml")
    assert is_similar("my_spotify_data.rar")
    assert not is_similar("Playlist1.json")


@given(name=st.text(max_size=20), content=st.binary(max_size=200))
def test_any_name_and_content_has_a_kind(name: str, content: bytes) -> None:
    for start in (b"", b"[", b"[{", b'[{"ts": ', b"\xff\xfe[\x00"):
        judge(name, start + content)


def test_endless_brackets_are_no_rows() -> None:
    assert judge("x.json", b"[" * HEAD_BYTES) == (None, None)
