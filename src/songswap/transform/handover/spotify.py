"""Streams in the form of Spotify's own exports: what came from such an export goes back into it.

Plays that only the API returned are not among them: it does not say how long a track was listened
to, and a row without that is no stream. What is not stored is null: the IP address, and
``offline_timestamp`` where the device was online. Each row says that it comes from here: a file
can join rows of several exports, and an import must not take it for all of its time.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from songswap.transform.handover.lines import Row

ROWS_OF_FILE = 16_000
"""After about as many rows Spotify begins a new file."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class File(NamedTuple):
    """A file in Spotify's form."""

    name: str
    rows: int
    content: bytes


def files(streams: Iterable[Row]) -> Iterator[File]:
    """Yield the files of the extended streaming history, from all streams in the order of time."""
    exact = (stream for stream in streams if not stream["to_the_minute"])
    for number, (part, first, last) in enumerate(_parts(exact, extended_row)):
        years = f"{first}-{last}" if first != last else f"{first}"
        yield _file(f"spotify/Streaming_History_Audio_{years}_{number}.json", part)


def account_files(streams: Iterable[Row]) -> Iterator[File]:
    """Yield the files of the account data, from all streams in the order of time."""
    rough = (stream for stream in streams if stream["to_the_minute"])
    for number, (part, _, _) in enumerate(_parts(rough, account_row)):
        yield _file(f"spotify/StreamingHistory_music_{number}.json", part)


def _parts(
    streams: Iterable[Row], to_row: Callable[[Row], dict[str, Any]]
) -> Iterator[tuple[list[bytes], int, int]]:
    """Yield the rows of each file as JSON, and the years of its first and last stream."""
    left = iter(streams)
    while True:
        years, part = [], []
        for stream in islice(left, ROWS_OF_FILE):
            years.append(stream["ended_at"].year)
            part.append(msgspec.json.encode(to_row(stream)))
        if not part:
            return
        yield part, years[0], years[-1]


def _file(name: str, rows: list[bytes]) -> File:
    return File(name, len(rows), b"[\n" + b",\n".join(rows) + b"\n]\n")


def extended_row(stream: Row) -> dict[str, Any]:
    """Return a stream as a row of the extended streaming history."""
    reported_at = stream["reported_at"]
    return {
        "ts": f"{reported_at or stream['ended_at']:%Y-%m-%dT%H:%M:%SZ}",
        "platform": stream["platform"],
        "ms_played": stream["ms_played"],
        "conn_country": stream["country"],
        "ip_addr": None,
        "master_metadata_track_name": stream["track_name"],
        "master_metadata_album_artist_name": stream["artist_name"],
        "master_metadata_album_album_name": stream["album_name"],
        "spotify_track_uri": stream["track_id"] and f"spotify:track:{stream['track_id']}",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "audiobook_uri": None,
        "audiobook_chapter_uri": None,
        "audiobook_chapter_title": None,
        "reason_start": stream["reason_start"],
        "reason_end": stream["reason_end"],
        "shuffle": stream["shuffle"],
        "skipped": stream["skipped"],
        "offline": stream["offline"],
        "offline_timestamp": _offline_start(stream) if reported_at else None,
        "incognito_mode": stream["incognito"],
        "songswap_export": True,
    }


def _offline_start(stream: Row) -> int:
    """Return the second in which an offline stream began: the only one that gives its end."""
    started_at: datetime = stream["ended_at"] - timedelta(milliseconds=stream["ms_played"])
    return -((_EPOCH - started_at) // timedelta(seconds=1))


def account_row(stream: Row) -> dict[str, Any]:
    """Return a stream that is known to the minute as a row of the account data."""
    return {
        "endTime": f"{stream['ended_at']:%Y-%m-%d %H:%M}",
        "artistName": stream["artist_name"],
        "trackName": stream["track_name"],
        "msPlayed": stream["ms_played"],
        "songswap_export": True,
    }
