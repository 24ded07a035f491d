"""Plays in ListenBrainz' form, by the rules that its server has for listens.

The rules are written here by hand, from `validate_listen` in the server's source and from its
documentation of the API: the server itself is no package.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.handover import listenbrainz

AT = datetime(2026, 11, 22, 18, 0, 0, 999000, UTC)
PLAY = {
    "played_at": AT,
    "track_id": "t1",
    "track_name": "Song",
    "artist_name": "Anna, Ben",
    "album_name": None,
    "duration_ms": 200_000,
    "ms_played": None,
}
MOST_BYTES = 10_240
MBIDS = ("release_mbid", "recording_mbid", "release_group_mbid", "track_mbid")


def check(listen: dict[str, Any]) -> None:
    """Hold a listen to the server's rules for an import."""
    assert set(listen) == {"listened_at", "track_metadata"}
    assert type(listen["listened_at"]) is int
    metadata = listen["track_metadata"]
    for name in ("track_name", "artist_name"):
        assert metadata[name]
        assert isinstance(metadata[name], str)
    assert None not in metadata.values()
    info = metadata["additional_info"]
    for name in MBIDS:
        assert name not in info or UUID(info[name])
    assert len(info.get("tags", [])) <= 50
    assert len(listenbrainz.line(listen)) <= MOST_BYTES


def test_listen_says_what_is_known() -> None:
    listen = listenbrainz.listen(PLAY)
    assert listen
    check(listen)
    assert listen["listened_at"] == int(AT.timestamp()), "whole seconds, not rounded up"
    info = listen["track_metadata"].pop("additional_info")
    assert listen["track_metadata"] == {"track_name": "Song", "artist_name": "Anna, Ben"}
    assert info["origin_url"] == info["spotify_id"] == "https://open.spotify.com/track/t1"
    assert (info["music_service"], info["duration_ms"]) == ("spotify.com", 200_000)
    assert info["submission_client"] == "SongSwap Airflow"
    assert "ms_played" not in info


def test_what_an_export_said_is_in_it() -> None:
    listen = listenbrainz.listen(PLAY | {"ms_played": 31_000, "album_name": "Album"})
    assert listen
    assert listen["track_metadata"]["release_name"] == "Album"
    assert listen["track_metadata"]["additional_info"]["ms_played"] == 31_000


def test_play_without_a_name_is_no_listen() -> None:
    """ListenBrainz refuses it; a name must not be made up."""
    for name in ("track_name", "artist_name"):
        for missing in (None, ""):
            assert listenbrainz.listen(PLAY | {name: missing}) is None


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=240)


@given(NAMES, NAMES, st.none() | NAMES, st.none() | st.integers(1, 2**31 - 1))
def test_any_play_keeps_the_rules(
    name: str, artist: str, album: str | None, duration: int | None
) -> None:
    """With names as long as the columns take."""
    names = {"track_name": name, "artist_name": artist, "album_name": album or None}
    listen = listenbrainz.listen(PLAY | names | {"duration_ms": duration})
    if name and artist:
        assert listen
        check(listen)
    else:
        assert listen is None


def test_each_month_is_a_file() -> None:
    """As in ListenBrainz' own export; of UTC."""
    times = [
        datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC) + timedelta(days=day) for day in (0, 1, 32)
    ]
    files = {
        name: len(list(plays))
        for name, plays in listenbrainz.months(PLAY | {"played_at": at} for at in times)
    }
    assert files == {
        "listenbrainz/listens/2025/12.jsonl": 1,
        "listenbrainz/listens/2026/1.jsonl": 1,
        "listenbrainz/listens/2026/2.jsonl": 1,
    }
