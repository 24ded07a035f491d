"""Read the files of a user's privacy export.

    a file ──▶ rows ──▶ streams ──▶ songswap.streams
                 └────▶ the same without personal fields ──▶ the archive

Two exports of Spotify are read. The *extended streaming history* has every stream with its track's
id; the *account data* only has the last year, to the minute and by names. Rows that are no tracks
(podcasts, audiobooks, video) are counted and left out. Fields are allowed, not forbidden: a field
that `rows` does not list is dropped before anything is stored, and so are addresses, user agents
and user names. What a warehouse of ours has handed over is read likewise, see `own`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from songswap.models import RejectedItem
from songswap.transform import responses
from songswap.transform.exports import own
from songswap.transform.exports.deduplicate import number_repeats
from songswap.transform.exports.kinds import OWN, WITHOUT_TRACKS, Kind
from songswap.transform.exports.rows import (
    AccountEntry,
    Entry,
    OwnPlay,
    OwnStream,
    OwnTrack,
    decode_rows,
)
from songswap.transform.exports.streams import File
from songswap.transform.values import clean

_NEEDED = (
    *("", "ts", "endTime", "ms_played", "msPlayed", "spotify_track_uri"),
    *("ended_at", "played_at", "reported_at", "to_the_minute", "track_id", "id", "source"),
)
"""Paths of fields without which a row is no stream, or no row of a hand-over."""

_TIMES = ("ts", "endTime", "ended_at", "played_at")

_PRIVATE = {"incognito_mode", "incognito"}

_ENTRIES: dict[Kind, type[Any]] = {
    Kind.EXTENDED: Entry,
    Kind.VIDEO: Entry,
    Kind.PLAYS: OwnPlay,
    Kind.STREAMS: OwnStream,
    Kind.TRACKS: OwnTrack,
}

_ADD: dict[Kind, Callable[[File, Any, datetime], str | None]] = {
    Kind.EXTENDED: File.add,
    Kind.ACCOUNT: File.add_account,
    Kind.PLAYS: own.add_play,
    Kind.STREAMS: own.add_stream,
    Kind.TRACKS: own.add_track,
}


class _Owner(msgspec.Struct):
    username: str | int | None = None


def read(name: str, kind: Kind, body: bytes, imported_at: datetime) -> File:
    """Read a file of an export.

    A row that cannot be a stream is rejected with its reason, and costs only itself.

    Args:
        name: for the messages of errors.
        imported_at: when the import reads it (aware, UTC): no stream ended later.

    Raises:
        ExportRefused: it is not JSON, not a list of rows, or has more of them than any history.
    """
    if kind is Kind.OWNER:
        return _read_owner(kind, body)
    entry = _ENTRIES.get(kind, AccountEntry)
    rows = decode_rows(name, body, entry)
    if entry is AccountEntry and any(row.value and row.value.trackName for row in rows):
        kind = Kind.ACCOUNT  # also where the first rows are podcasts
    file = File(kind, len(rows))
    if kind in WITHOUT_TRACKS:
        file.left_out[kind.value] = len(rows)
        return file
    _add_rows(file, rows, imported_at)
    if kind in (Kind.ACCOUNT, Kind.STREAMS):
        file.streams = number_repeats(file.streams)
    if kind in OWN:
        # The plays of exports come a second time with their streams, and tracks are no plays.
        file.rows = len(file.plays) + len(file.streams) + len(file.rejected_items)
    file.archivable = _archivable(rows, entry)
    return file


def _read_owner(kind: Kind, body: bytes) -> File:
    """Read the file that names the owner; it may be of any shape."""
    file = File(kind)
    try:
        # In any encoding of Unicode, as rows.
        owner = msgspec.convert(json.loads(body), _Owner)
    except (*responses.BROKEN, ValueError, RecursionError):
        return file
    if owner.username:
        file.owners.add(str(owner.username))
    return file


def _add_rows(file: File, rows: Sequence[responses.Parsed[Any]], imported_at: datetime) -> None:
    add = _ADD[file.kind]
    for row in rows:
        value, problems, _ = row
        reason = _broken(value, problems) if problems or value is None else None
        if reason is None:
            reason = add(file, value, imported_at)
        if reason:
            file.rejected_items.append(_rejected_item(row, reason))


def _broken(value: Any, problems: responses.Problems) -> str | None:
    """Return why a row cannot be a stream, by the types of its fields; None where it can."""
    for name in _PRIVATE & problems.keys() if value is not None else ():
        # A value that is not clearly "no" is taken for a private session.
        setattr(value, name, True)
    for path in _NEEDED:
        if path in problems:
            return f"{path or 'row'}: {problems[path]}"
    return f"row: {responses.MISSING}" if value is None else None


def _rejected_item(row: responses.Parsed[Any], reason: str) -> RejectedItem:
    value, _, raw = row
    content = raw if value is None else msgspec.to_builtins(value)
    fields = content if isinstance(content, dict) else {}
    time = next((fields[name] for name in _TIMES if name in fields), None)
    text = json.dumps([reason, content], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return RejectedItem(digest, reason, clean(time)[:40] if isinstance(time, str) else None)


def _archivable(rows: Sequence[responses.Parsed[Any]], entry: type[Any]) -> bytes:
    """Return the rows without personal fields; values that could not be read are as they came."""
    allowed = [name for name in entry.__struct_fields__ if name != "username"]
    stripped: list[Any] = []
    for value, problems, raw in rows:
        if problems or value is None:
            fields = raw if isinstance(raw, dict) else None
            stripped.append(fields and {name: fields[name] for name in allowed if name in fields})
        else:
            if entry is Entry:
                value.username = None
            stripped.append(value)
    try:
        return msgspec.json.encode(stripped)
    except (UnicodeEncodeError, OverflowError):
        # Halves of surrogate pairs, which only the standard encoder writes.
        return json.dumps(msgspec.to_builtins(stripped)).encode()
