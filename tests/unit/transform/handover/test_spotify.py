"""Streams in Spotify's form: an import of it gives the very same streams."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.exports import files as export_files
from songswap.transform.exports.kinds import Kind, judge
from songswap.transform.handover import spotify
from songswap.transform.handover.tables import STREAMS

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
NAMES = [column.name for column in STREAMS.columns]
TEXTS = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1
)
FLAGS = st.none() | st.booleans()
ENDS = st.datetimes(datetime(2008, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC))  # noqa: DTZ001


def stream(**more: Any) -> dict[str, Any]:
    """A row of the table of streams."""
    ended_at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    known = {"ended_at": ended_at, "ms_played": 200_000, "to_the_minute": False, "track_id": "t1"}
    return dict.fromkeys(NAMES) | known | {"track_name": "Song", "artist_name": "Anna"} | more


@given(
    ended_at=ENDS,
    ms_played=st.integers(0, 2**31 - 1),
    delay=st.none() | st.integers(0, 86_400),
    texts=st.fixed_dictionaries(
        dict.fromkeys(("track_name", "artist_name", "album_name", "platform", "country"), TEXTS)
    ),
    flags=st.fixed_dictionaries(dict.fromkeys(("shuffle", "skipped", "incognito"), FLAGS)),
)
def test_import_gives_the_same_stream(
    ended_at: datetime,
    ms_played: int,
    delay: int | None,
    texts: dict[str, str | None],
    flags: dict[str, bool | None],
) -> None:
    """Also of an offline phone, whose start decides when it ended."""
    ended_at = ended_at.replace(microsecond=0)
    reported_at = None if delay is None else ended_at + timedelta(seconds=delay)
    row = stream(ended_at=ended_at, ms_played=ms_played, reported_at=reported_at, **texts, **flags)
    row["offline"] = True if reported_at else None
    body = json.dumps([spotify.extended_row(row)]).encode()
    file = export_files.read("x", Kind.EXTENDED, body, NOW)
    assert not file.rejected_items
    [read] = file.streams
    found = read._asdict()
    assert {name: found[name] for name in NAMES if name in found} == {
        name: row[name] for name in NAMES if name in found
    }


def test_account_data_stays_account_data() -> None:
    """Seconds that nobody knows are not made up."""
    at = datetime(2020, 1, 2, 3, 4, tzinfo=UTC)
    rows = [stream(), stream(ended_at=at, to_the_minute=True, track_id=None)]
    [file] = spotify.account_files(iter(rows))
    assert file.name == "spotify/StreamingHistory_music_0.json"
    assert json.loads(file.content) == [
        {
            "endTime": "2020-01-02 03:04",
            "artistName": "Anna",
            "trackName": "Song",
            "msPlayed": 200_000,
            "songswap_export": True,
        }
    ]
    [read] = export_files.read("x", Kind.ACCOUNT, file.content, NOW).streams
    assert (read.ended_at, read.to_the_minute) == (at, True)


def test_what_is_not_stored_is_null() -> None:
    row = spotify.extended_row(stream())
    assert (row["ip_addr"], row["offline_timestamp"], row["conn_country"]) == (None, None, None)
    assert "username" not in row
    assert spotify.extended_row(stream(track_id=None))["spotify_track_uri"] is None


def test_files_are_cut_and_named_like_spotifys() -> None:
    """An import knows them by their rows and by their names."""
    begin = datetime(2019, 12, 31, tzinfo=UTC)
    rows = (
        stream(ended_at=begin + number * timedelta(minutes=5))
        for number in range(spotify.ROWS_OF_FILE + 1)
    )
    first, second = spotify.files(rows)
    assert (first.rows, second.rows) == (spotify.ROWS_OF_FILE, 1)
    assert first.name == "spotify/Streaming_History_Audio_2019-2020_0.json"
    assert second.name == "spotify/Streaming_History_Audio_2020_1.json"
    name = second.name.rpartition("/")[2]
    assert judge(name, second.content).kind is judge("x.json", second.content).kind is Kind.EXTENDED


def test_no_gap_closes_over_what_a_file_lacks() -> None:
    """Its rows can be of several exports, with a hole between; also once they are archived."""
    at = datetime(2015, 1, 2, 3, 4, tzinfo=UTC)
    rows = [
        stream(ended_at=at + number * timedelta(days=2_000), to_the_minute=is_rough)
        for number in range(2)
        for is_rough in (False, True)
    ]
    [exact], [rough] = spotify.files(iter(rows)), spotify.account_files(iter(rows))
    for kind, written in ((Kind.EXTENDED, exact), (Kind.ACCOUNT, rough)):
        file = export_files.read("x", kind, written.content, NOW)
        archived = export_files.read("x", kind, file.archivable, NOW)
        assert len(file.streams) == len(archived.streams) == 2
        assert (file.span, archived.span) == (None, None)
    spotifys = exact.content.replace(b',"songswap_export":true', b"")
    assert export_files.read("x", Kind.EXTENDED, spotifys, NOW).span is not None


def test_no_streams_no_file() -> None:
    assert [*spotify.files(iter(()))] == [*spotify.account_files(iter(()))] == []
