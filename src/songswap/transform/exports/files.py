"""The files of a user's privacy export → streams, and what of them may be kept.

    a file ──▶ rows ──▶ streams ──▶ songswap.streams
                 └────▶ the same without personal fields ──▶ the archive

Two exports are read. The *extended streaming history* has every stream with its track's id; the
*account data* only has the last year, to the minute and by names. What of them is no track
(podcasts, audiobooks, video) is counted and left out. Fields are allowed, not forbidden: what is
not listed here is dropped before anything is stored, and so are addresses, user agents and user
names.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from songswap.errors import ExportRefused
from songswap.models import RejectedItem, Stream
from songswap.transform import responses
from songswap.transform.exports.classify import number_repeats
from songswap.transform.exports.kinds import WITHOUT_TRACKS, Kind
from songswap.transform.exports.rows import AccountEntry, Entry
from songswap.transform.exports.times import export_time, offline_end
from songswap.transform.values import INTEGER_MAX, clean, is_id, is_plausible

MOST_ROWS = 200_000
"""What one file may hold: Spotify begins a new one after about 16,000, but people join them."""

_MOST_FIELDS = 25
"""A row of the extended history has 22 or 23, with a comma after each; some names have commas."""

_LEAST_ROW, _LEAST_FIELD = 60, 8
"""Bytes, on the average of a file. The shortest rows, those of account data, have 78 and 19."""

_FEW = 1_000

_TRACK = "spotify:track:"
_LOCAL = "spotify:local:"
_OTHERS = {
    "spotify:episode:": "podcast",
    "spotify:show:": "podcast",
    "spotify:chapter:": "audiobook",
    "spotify:audiobook:": "audiobook",
}


class _Owner(msgspec.Struct):
    username: str | int | None = None


_Add = Callable[["File", Any, datetime], str | None]


@dataclass(slots=True)
class File:
    """What a file tells.

    ``rows`` counts its rows; each of them is a stream, is left out or is set aside. ``owners`` are
    the user names that stand in it. ``kept`` is what may be archived of it, a JSON list.
    """

    kind: Kind
    rows: int = 0
    streams: list[Stream] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    rejected_items: list[RejectedItem] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    kept: bytes = b""

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The ends of the first and the last stream."""
        ends = [stream.ended_at for stream in self.streams]
        return (min(ends), max(ends)) if ends else None


def read(name: str, kind: Kind, body: bytes, told_at: datetime) -> File:
    """Read a file of an export.

    A row that cannot be a stream is set aside with its reason, and costs only itself.

    Args:
        name: for the sentence about a file that is none.
        told_at: when the import reads it (aware, UTC): no stream ended later.

    Raises:
        ExportRefused: it is not JSON, not a list of rows, or has more of them than any history.
    """
    if kind is Kind.OWNER:
        return _read_owner(kind, body)
    entry = Entry if kind in (Kind.EXTENDED, Kind.VIDEO) else AccountEntry
    rows = _rows(name, body, entry)
    if entry is AccountEntry and any(row.value and row.value.trackName for row in rows):
        kind = Kind.ACCOUNT  # also where the first rows are podcasts
    file = File(kind, len(rows))
    if kind in WITHOUT_TRACKS:
        file.left_out[kind.value] = len(rows)
        return file
    add: _Add = _add_account if kind is Kind.ACCOUNT else _add
    for row in rows:
        value, problems, _ = row
        if value is not None and "incognito_mode" in problems:
            # What is no plain no was not for others to see.
            value.incognito_mode = True
        reason = _broken(value, problems)
        if reason is None:
            reason = add(file, value, told_at)
        if reason:
            file.rejected_items.append(_rejected_item(row, reason))
    if kind is Kind.ACCOUNT:
        file.streams = number_repeats(file.streams)
    file.kept = _kept(rows, entry)
    return file


def require_plausible(name: str, body: bytes) -> None:
    """Refuse what would take much more memory than a history of its size, before it is decoded.

    Two bytes, ``{}``, take five hundred. An estimate: what stands in names is counted too.

    Raises:
        ExportRefused: it has more rows, or shorter ones, than any history.
    """
    rows, fields = body.count(b"{"), body.count(b",")
    most = _MOST_FIELDS * min(rows + _FEW, MOST_ROWS)
    shortest = max(_LEAST_ROW * (rows - _FEW), _LEAST_FIELD * (fields - _FEW))
    if rows > MOST_ROWS or fields > most or len(body) < shortest:
        raise _implausible_file(name)


def _rows(name: str, body: bytes, entry: type[Any]) -> list[responses.Parsed[Any]]:
    try:
        whole = _decoder(entry).decode(body)
    except responses.BROKEN:
        rows = _rows_one_by_one(name, body)
        return [responses.parse_leniently(row, entry) for row in rows]
    if len(whole) > MOST_ROWS:
        raise _implausible_file(name)
    return [responses.Parsed(one, responses.NONE) for one in whole]


def _rows_one_by_one(name: str, body: bytes) -> list[Any]:
    """The rows as they stand there, where one of them is not as it has to be."""
    try:
        # In UTF-8, -16 or -32, with a mark in front of it or without.
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


_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    entry: msgspec.json.Decoder(list[entry | None])  # type: ignore[valid-type]  # made at run time
    for entry in (Entry, AccountEntry)
}


def _decoder(entry: type[Any]) -> msgspec.json.Decoder[Any]:
    return _DECODERS[entry]


def _read_owner(kind: Kind, body: bytes) -> File:
    file = File(kind)
    try:
        # In any encoding of Unicode, as rows.
        owner = msgspec.convert(json.loads(body), _Owner)
    except (*responses.BROKEN, ValueError, RecursionError):
        return file
    if owner.username:
        file.owners.add(str(owner.username))
    return file


_NEEDED = ("", "ts", "endTime", "ms_played", "msPlayed", "spotify_track_uri")


def _broken(value: Any, problems: responses.Problems) -> str | None:
    """Why a row cannot be a stream, as far as its types tell."""
    for path in _NEEDED if problems else ():
        if path in problems:
            return f"{path or 'row'}: {problems[path]}"
    return f"row: {responses.MISSING}" if value is None else None


def _add(file: File, row: Entry, told_at: datetime) -> str | None:
    """Add a row to its file, as a stream or as left out; returns why it can be neither."""
    if row.username:
        file.owners.add(row.username)
    if other := _no_track(row):
        file.left_out[other] += 1
        return None
    uri = row.spotify_track_uri
    track_id = None
    if uri and not uri.startswith(_LOCAL):
        track_id = _track_of(uri)
        if track_id is None:
            return "spotify_track_uri: not a track's"
    ended_at = export_time(row.ts)
    reason = _implausible("ts", row.ts, ended_at, "ms_played", row.ms_played, told_at)
    if reason or ended_at is None or row.ms_played is None:
        return reason
    reported_at = None
    if row.offline:
        started_at = export_time(row.offline_timestamp)
        if end := offline_end(ended_at, started_at, row.ms_played):
            ended_at, reported_at = end, ended_at
    file.streams.append(
        Stream(
            ended_at,
            row.ms_played,
            track_id,
            _text(row.master_metadata_track_name),
            _text(row.master_metadata_album_artist_name),
            _text(row.master_metadata_album_album_name),
            _text(row.reason_start),
            _text(row.reason_end),
            row.shuffle,
            row.skipped,
            row.offline,
            row.incognito_mode,
            _text(row.platform),
            _text(row.conn_country),
            reported_at=reported_at,
        )
    )
    return None


def _no_track(row: Entry) -> str | None:
    """What a row is that is no track, by its address, or else by what else stands in it."""
    uri = row.spotify_track_uri
    if uri:
        return next((what for kind, what in _OTHERS.items() if uri.startswith(kind)), None)
    if row.master_metadata_track_name:
        return None
    if row.spotify_episode_uri or row.episode_name or row.episode_show_name:
        return "podcast"
    if row.audiobook_uri or row.audiobook_title or row.audiobook_chapter_uri:
        return "audiobook"
    return None


def _add_account(file: File, row: AccountEntry, told_at: datetime) -> str | None:
    if row.podcastName and not row.trackName:
        file.left_out["podcast"] += 1
        return None
    ended_at = export_time(row.endTime)
    if ended_at:
        # Told to the minute, whatever else is written.
        ended_at = ended_at.replace(second=0, microsecond=0)
    reason = _implausible("endTime", row.endTime, ended_at, "msPlayed", row.msPlayed, told_at)
    if reason or ended_at is None or row.msPlayed is None:
        return reason
    names = _text(row.trackName), _text(row.artistName)
    file.streams.append(Stream(ended_at, row.msPlayed, None, *names, to_the_minute=True))
    return None


def _implausible(
    time: str,
    text: str | float | None,
    ended_at: datetime | None,
    ms: str,
    number: int | None,
    at: datetime,
) -> str | None:
    if not text:
        return f"{time}: {responses.MISSING}"
    if ended_at is None:
        return f"{time}: not a time"
    if not is_plausible(ended_at, at):
        return f"{time}: before Spotify or in the future"
    if number is None:
        return f"{ms}: {responses.MISSING}"
    if not 0 <= number <= INTEGER_MAX:
        return f"{ms}: out of range"
    return None


# Texts and tracks come again and again: they are looked at, and kept, once.
@lru_cache(65_536)
def _text(text: str | None) -> str | None:
    """Text as PostgreSQL takes it; None where it is empty."""
    return clean(text) if text else None


@lru_cache(65_536)
def _track_of(uri: str) -> str | None:
    """The id of a track from its address; None where it is none."""
    track_id = uri.removeprefix(_TRACK)
    return track_id if track_id != uri and is_id(track_id) else None


def _rejected_item(row: responses.Parsed[Any], reason: str) -> RejectedItem:
    value, _, raw = row
    claims = raw if value is None else msgspec.to_builtins(value)
    told = claims.get("ts", claims.get("endTime")) if isinstance(claims, dict) else None
    claim = json.dumps([reason, claims], sort_keys=True, default=str)
    digest = hashlib.sha256(claim.encode(errors="replace")).digest()
    return RejectedItem(digest, reason, clean(told)[:40] if isinstance(told, str) else None)


def _kept(rows: Sequence[responses.Parsed[Any]], entry: type[Any]) -> bytes:
    """The rows without what may not be kept; a value that could not be read stands as it came."""
    allowed = [name for name in entry.__struct_fields__ if name != "username"]
    kept: list[Any] = []
    for value, problems, raw in rows:
        if problems or value is None:
            is_row = isinstance(raw, dict)
            kept.append({name: raw[name] for name in allowed if name in raw} if is_row else None)
        else:
            if isinstance(value, Entry):
                value.username = None
            kept.append(value)
    try:
        return msgspec.json.encode(kept)
    except (UnicodeEncodeError, OverflowError):
        # Halves of surrogate pairs, which only the standard encoder writes.
        return json.dumps(msgspec.to_builtins(kept)).encode()
