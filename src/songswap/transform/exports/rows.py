"""Decode the rows of a file of an export, within limits: any file may be hostile or broken."""

import json
from functools import partial
from itertools import repeat
from typing import Any

import msgspec

from songswap.errors import ExportRefused
from songswap.transform import responses

MOST_ROWS = 200_000
"""Rows of one file: Spotify begins a new one after about 16,000, but people join files."""

_MOST_FIELDS = 25
"""A row of the extended history has 22 or 23, with a comma after each; some names have commas."""

_LEAST_ROW, _LEAST_FIELD = 60, 8
"""Bytes, on the average of a file. The shortest rows, those of account data, have 78 and 19."""

_FEW = 1_000

_parsed = partial(tuple.__new__, responses.Parsed)


class Entry(msgspec.Struct, gc=False, omit_defaults=True):
    """A row of the extended streaming history; ``username`` is read but never stored.

    ``songswap_export`` is there where a hand-over has written it, which may lack rows between.
    """

    ts: str | float | None = None
    platform: str | None = None
    ms_played: int | None = None
    conn_country: str | None = None
    master_metadata_track_name: str | None = None
    master_metadata_album_artist_name: str | None = None
    master_metadata_album_album_name: str | None = None
    spotify_track_uri: str | None = None
    episode_name: str | None = None
    episode_show_name: str | None = None
    spotify_episode_uri: str | None = None
    audiobook_title: str | None = None
    audiobook_uri: str | None = None
    audiobook_chapter_uri: str | None = None
    audiobook_chapter_title: str | None = None
    reason_start: str | None = None
    reason_end: str | None = None
    shuffle: bool | None = None
    skipped: bool | None = None
    offline: bool | None = None
    offline_timestamp: str | float | None = None
    incognito_mode: bool | None = None
    songswap_export: bool | None = None
    username: str | None = None


class AccountEntry(msgspec.Struct, gc=False, omit_defaults=True):
    """A row of the account data's streaming history; ``songswap_export`` as in `Entry`."""

    endTime: str | float | None = None
    artistName: str | None = None
    trackName: str | None = None
    msPlayed: int | None = None
    podcastName: str | None = None
    songswap_export: bool | None = None


class OwnPlay(msgspec.Struct, gc=False, omit_defaults=True):
    """A play that a warehouse handed over; ``source`` is ``api`` where Spotify's list had it."""

    played_at: str | float | None = None
    track_id: str | None = None
    source: str | None = None


class OwnStream(msgspec.Struct, gc=False, omit_defaults=True):
    """A row of ``songswap.streams`` that was handed over."""

    ended_at: str | float | None = None
    ms_played: int | None = None
    played_at: str | float | None = None
    to_the_minute: bool | None = None
    track_id: str | None = None
    shuffle: bool | None = None
    skipped: bool | None = None
    offline: bool | None = None
    incognito: bool | None = None
    reason_start: str | None = None
    reason_end: str | None = None
    platform: str | None = None
    country: str | None = None
    track_name: str | None = None
    artist_name: str | None = None
    album_name: str | None = None
    reported_at: str | float | None = None


class OwnTrack(msgspec.Struct, gc=False, omit_defaults=True):
    """A track that was handed over; ``artist_name`` is its first artist's."""

    id: str | None = None
    name: str | None = None
    artist_name: str | None = None
    album_name: str | None = None
    duration_ms: int | None = None


_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    entry: msgspec.json.Decoder(list[entry | None])  # type: ignore[valid-type]  # made at run time
    for entry in (Entry, AccountEntry, OwnPlay, OwnStream, OwnTrack)
}


def require_plausible(name: str, body: bytes, is_lines: bool = False) -> None:
    """Refuse a file that would take much more memory than a history of its size.

    Two bytes, ``{}``, take five hundred once they are decoded. An estimate: braces and commas in
    names are counted too.

    Args:
        is_lines: whether each line is a row, which takes memory once the lines are split.

    Raises:
        ExportRefused: it has more rows, or shorter ones, than any history.
    """
    rows, fields = body.count(b"{"), body.count(b",")
    if is_lines:
        rows = max(rows, body.count(b"\n"), body.count(b"\r"))
    most = _MOST_FIELDS * min(rows + _FEW, MOST_ROWS)
    shortest = max(_LEAST_ROW * (rows - _FEW), _LEAST_FIELD * (fields - _FEW))
    if rows > MOST_ROWS or fields > most or len(body) < shortest:
        raise _implausible_file(name)


def decode_rows(name: str, body: bytes, entry: type[Any]) -> list[responses.Parsed[Any]]:
    """Decode the rows of a file as ``entry``, one of the structures above.

    Raises:
        ExportRefused: it is not a JSON list, or has too many rows.
    """
    try:
        rows = _DECODERS[entry].decode(body)
    except responses.BROKEN:
        broken = _decode_broken(name, body)
        return [responses.parse_leniently(row, entry) for row in broken]
    if len(rows) > MOST_ROWS:
        raise _implausible_file(name)
    return [*map(_parsed, zip(rows, repeat(responses.NONE), repeat(None)))]


def _decode_broken(name: str, body: bytes) -> list[Any]:
    """Decode rows of which one at least is not of its shape."""
    try:
        # In UTF-8, -16 or -32, with or without a byte order mark.
        rows = json.loads(body, parse_int=responses.parse_int)
    except (ValueError, RecursionError) as error:
        raise ExportRefused(
            f"{name} is not whole JSON. Nothing was imported: download the export again, or leave"
            " this file out."
        ) from error
    if not isinstance(rows, list):
        raise ExportRefused(
            f"{name} is not a list of streams, as its name promises. Nothing was imported: give"
            " the files as Spotify sent them."
        )
    if len(rows) > MOST_ROWS:
        raise _implausible_file(name)
    return rows


def _implausible_file(name: str) -> ExportRefused:
    return ExportRefused(
        f"{name} has more than {MOST_ROWS:,} rows, or other ones than any history: Spotify begins a"
        " new file after about 16,000. Nothing was imported: give the files as Spotify sent them."
    )
