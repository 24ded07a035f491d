"""Rows that were handed over, as an import reads them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.models import ExportTrack, Stream
from songswap.transform.exports import files
from songswap.transform.exports.kinds import Kind, own_kind_of
from songswap.transform.exports.streams import File
from songswap.transform.handover.lines import json_line
from songswap.transform.handover.tables import STREAMS

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
END = "2020-01-02T03:04:05.000Z"
PLAY = {"played_at": "2020-01-02T03:04:05.678Z", "track_id": "t1", "source": "api"}
STREAM = {"ended_at": END, "ms_played": 200_000, "to_the_minute": False, "track_id": "t1"}


def read(kind: Kind, *rows: Any) -> File:
    return files.read("x", kind, json.dumps(rows).encode(), NOW)


def reasons(kind: Kind, row: Any) -> list[str]:
    file = read(kind, row)
    assert (file.plays, file.streams, file.tracks) == ([], [], [])
    assert file.rows == len(file.rejected_items)
    return [item.reason for item in file.rejected_items]


def test_play_of_the_api_is_exact() -> None:
    file = read(Kind.PLAYS, PLAY)
    assert file.plays == [(datetime(2020, 1, 2, 3, 4, 5, 678_000, UTC), "t1")]
    assert file.rows == 1


def test_play_of_an_export_comes_with_its_stream() -> None:
    """It is no row of its own, and none that is rejected."""
    assert reasons(Kind.PLAYS, PLAY | {"source": "export"}) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": None}, "source: neither api nor export"),
        ({"source": 1}, "source: wrong type"),
        ({"track_id": None}, "track_id: missing"),
        ({"track_id": "a/b"}, "track_id: not an id"),
        ({"track_id": 7}, "track_id: wrong type"),
        ({"played_at": None}, "played_at: missing"),
        ({"played_at": "03/04/2019"}, "played_at: not a time"),
        ({"played_at": "1999-01-01T00:00:00Z"}, "played_at: before Spotify or in the future"),
        ({"played_at": "2026-11-24T00:00:00Z"}, "played_at: before Spotify or in the future"),
        ({"played_at": ["x"]}, "played_at: wrong type"),
    ],
)
def test_play_that_cannot_be_one_is_rejected(change: dict[str, Any], reason: str) -> None:
    assert reasons(Kind.PLAYS, PLAY | change) == [reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ended_at": None}, "ended_at: missing"),
        ({"ended_at": "1999-01-01T00:00:00Z"}, "ended_at: before Spotify or in the future"),
        ({"ms_played": None}, "ms_played: missing"),
        ({"ms_played": -1}, "ms_played: out of range"),
        ({"ms_played": "1"}, "ms_played: wrong type"),
        ({"track_id": "a b"}, "track_id: not an id"),
        ({"to_the_minute": "no"}, "to_the_minute: wrong type"),
        ({"reported_at": "2020-03-02T03:04:05Z"}, "reported_at: not near the end"),
        ({"reported_at": "2020-01-01T03:04:05Z"}, "reported_at: not near the end"),
        ({"reported_at": "soon"}, "reported_at: not a time"),
        ({"reported_at": ""}, "reported_at: not a time"),
        ({"played_at": "never"}, "played_at: not a time"),
        ({"played_at": 5}, "played_at: not a time"),
    ],
)
def test_stream_that_cannot_be_one_is_rejected(change: dict[str, Any], reason: str) -> None:
    assert reasons(Kind.STREAMS, STREAM | change) == [reason]


@pytest.mark.parametrize("row", [None, 1, "x", []])
@pytest.mark.parametrize("kind", [Kind.PLAYS, Kind.STREAMS, Kind.TRACKS])
def test_row_of_another_type_is_rejected(kind: Kind, row: Any) -> None:
    assert len(reasons(kind, row)) == 1


def test_session_that_is_not_clearly_public_is_private() -> None:
    [stream] = read(Kind.STREAMS, STREAM | {"incognito": "perhaps"}).streams
    assert stream.incognito is True


def test_implausible_time_of_a_play_is_dropped_from_its_stream() -> None:
    [stream] = read(Kind.STREAMS, STREAM | {"played_at": "1999-01-01T00:00:00Z"}).streams
    assert stream.played_at is None


def test_account_data_is_to_the_minute_and_counted() -> None:
    """Two rows of one minute are two streams, where both fit into it."""
    rough = STREAM | {"to_the_minute": True, "ms_played": 31_000, "track_name": "Song"}
    streams = read(Kind.STREAMS, rough, rough, rough).streams
    assert [stream.nth for stream in streams] == [0, 1, 0]
    assert {stream.ended_at.second for stream in streams} == {0}


def test_track_says_no_more_than_an_export_can() -> None:
    """Its artists' ids are not read: they would be everybody's."""
    row = {"id": "t1", "name": "Song", "artist_name": "Anna", "album_name": None}
    file = read(Kind.TRACKS, row | {"duration_ms": -3, "artists": [{"id": "a", "name": "x"}]})
    assert file.tracks == [ExportTrack("t1", "Song", "Anna", "", 0)]
    assert b"artists" not in file.archivable
    assert file.rows == 0


def test_what_is_archived_is_read_again() -> None:
    for kind, row in ((Kind.PLAYS, PLAY), (Kind.STREAMS, STREAM), (Kind.TRACKS, {"id": "t1"})):
        file = read(kind, row | {"ip_addr": "192.0.2.7"})
        assert b"192.0.2.7" not in file.archivable
        again = files.read("x", kind, file.archivable, NOW)
        assert (again.plays, again.streams, again.tracks) == (file.plays, file.streams, file.tracks)


TIMES = st.datetimes(datetime(2008, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC))  # noqa: DTZ001
TEXTS = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1
)


@given(TIMES, st.integers(0, 2**31 - 1), st.none() | TIMES, TEXTS, TEXTS)
def test_stream_that_is_handed_over_is_the_same(
    ended_at: datetime, ms_played: int, played_at: datetime | None, name: str, platform: str
) -> None:
    ended_at = ended_at.replace(microsecond=0)
    played_at = played_at and played_at.replace(microsecond=played_at.microsecond // 1000 * 1000)
    stream = Stream(ended_at, ms_played, "t1", name, platform=platform, played_at=played_at)
    row = {column.name: getattr(stream, column.name, None) for column in STREAMS.columns}
    assert read(Kind.STREAMS, json.loads(json_line(STREAMS, row))).streams == [stream]


def test_files_are_known_by_their_names() -> None:
    assert own_kind_of("plays_12.jsonl") is Kind.PLAYS
    for name in ("plays.jsonl", "plays_0.jsonl", "plays_1.json", "gaps_1.jsonl", "a/plays_1.jsonl"):
        assert own_kind_of(name) is None
