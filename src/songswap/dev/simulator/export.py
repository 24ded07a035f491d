"""The privacy export: the zip that Spotify sends a listener on request, and the truth of its rows.

`extended` is the whole history in today's form, `endsong` in that of some years ago; `account` is
the last year's account data, without ids and to the minute, `account-older` in its older form.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Literal, NamedTuple

import msgspec

from songswap.dev.simulator import draw
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.export_row import RowBuilder
from songswap.dev.simulator.listener import DAY, Listener
from songswap.dev.simulator.listening import ListeningEvent, listening_events

Events = list[ListeningEvent]
ExportKind = Literal["extended", "endsong", "account", "account-older"]

_ROWS_A_FILE = {"extended": 16_000, "endsong": 16_000, "account": 10_000, "account-older": 10_000}
_EXTENDED = "Spotify Extended Streaming History"
_ACCOUNT = "Spotify Account Data"
_OLDER = "MyData"
_MAX_REPEATED = 40
_YEAR = 365 * DAY
_PDF = b"%PDF-1.4\n% Read me first: what each field means.\n%%EOF\n"


class _RowFile(NamedTuple):
    """A file of rows, and what builds a row of an event."""

    name: str
    events: Events
    build: Callable[[ListeningEvent], object]


class Truth(msgspec.Struct, frozen=True, gc=False):
    """What a row of the export is: the row at `index`, from 0, of the zip's member `file`."""

    file: str
    index: int
    played_at: str | None
    """The `played_at` of the play in the ledger, or null if the API never returns it."""
    track_id: str | None
    category: str
    """See `listening.Category`."""


@dataclass(frozen=True)
class PrivacyExport:
    """The export's files by name, and the truth of each row in their order.

    `at` is when it was made, in ms.
    """

    at: int
    files: dict[str, bytes]
    truth: list[Truth]

    def zipped(self) -> bytes:
        """Return the zip that Spotify sends."""
        made = datetime.fromtimestamp(self.at // 1000, UTC).timetuple()[:6]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in self.files.items():
                # The lowest level: the higher ones take longer than all else together.
                member = zipfile.ZipInfo(name, made)
                archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=1)
        return packed.getvalue()

    def truth_lines(self) -> bytes:
        """Return the truth as NDJSON."""
        return msgspec.json.Encoder().encode_lines(self.truth)


def make_export(
    listener: Listener, at: int, kind: ExportKind, rows_a_file: int | None = None
) -> PrivacyExport:
    """Return what Spotify sends a listener who requests an export at a time in ms.

    A file has at most `rows_a_file` rows, by default as many as Spotify's. If there are several,
    the last rows of one are the first of the next.
    """
    is_account = kind.startswith("account")
    builder = RowBuilder(listener)
    events = listening_events(listener, at, at - _YEAR if is_account else listener.born)
    events.sort(key=builder.second)
    parts = _Parts(
        rows_a_file or _ROWS_A_FILE[kind],
        draw.stream(listener.seed, "export", listener.number, kind),
    )
    files = _other_files(kind, listener, events, builder)
    truth: list[Truth] = []
    for name, part, build in _ROW_FILES[kind](events, builder, parts):
        rows = msgspec.json.encode([build(event) for event in part])
        # Account data is indented, the streaming history is not.
        files[name] = msgspec.json.format(rows) if is_account else rows
        for index, event in enumerate(part):
            played_at = None if event.played_at is None else iso(event.played_at)
            truth.append(Truth(name, index, played_at, builder.track_id(event), event.category))
    return PrivacyExport(at, files, truth)


class _Parts(NamedTuple):
    """Divides events among files; the last ones of a file are the first ones of the next."""

    size: int
    rng: Random

    def of(self, events: Events) -> Iterator[tuple[int, Events]]:
        """Yield the number and the events of each file."""
        begin = number = 0
        while begin < len(events):
            yield number, events[begin : begin + self.size]
            if begin + self.size >= len(events):
                return
            begin += self.size - self.rng.randint(1, min(_MAX_REPEATED, self.size - 1))
            number += 1


def _extended(events: Events, builder: RowBuilder, parts: _Parts) -> Iterator[_RowFile]:
    for number, part in parts.of(_without(events, "video")):
        name = f"Streaming_History_Audio_{_years(part)}_{number}.json"
        yield _RowFile(f"{_EXTENDED}/{name}", part, builder.extended)
    if video := [event for event in events if event.category == "video"]:
        name = f"Streaming_History_Video_{_years(video)}.json"
        yield _RowFile(f"{_EXTENDED}/{name}", video, builder.extended)


def _endsong(events: Events, builder: RowBuilder, parts: _Parts) -> Iterator[_RowFile]:
    for number, part in parts.of(_without(events, "chapter", "video")):
        yield _RowFile(f"{_OLDER}/endsong_{number}.json", part, builder.endsong)


def _account(events: Events, builder: RowBuilder, parts: _Parts) -> Iterator[_RowFile]:
    for number, part in parts.of(_without(events, "episode", "chapter", "video")):
        name = f"StreamingHistory_music_{number}.json"
        yield _RowFile(f"{_ACCOUNT}/{name}", part, builder.account)
    podcasts = [event for event in events if event.category == "episode"]
    yield _RowFile(f"{_ACCOUNT}/StreamingHistory_podcast_0.json", podcasts, builder.podcast)


def _older_account(events: Events, builder: RowBuilder, parts: _Parts) -> Iterator[_RowFile]:
    """Yield files with the episodes among the songs, their show in place of the artist."""
    for number, part in parts.of(_without(events, "chapter", "video")):
        yield _RowFile(f"{_OLDER}/StreamingHistory{number}.json", part, builder.account)


_ROW_FILES = {
    "extended": _extended,
    "endsong": _endsong,
    "account": _account,
    "account-older": _older_account,
}


def _other_files(
    kind: ExportKind, listener: Listener, events: Events, builder: RowBuilder
) -> dict[str, bytes]:
    """Return the files without plays."""
    match kind:
        case "extended":
            return {f"{_EXTENDED}/ReadMeFirst_ExtendedStreamingHistory.pdf": _PDF}
        case "endsong":
            return {f"{_OLDER}/ReadMeFirst.pdf": _PDF}
    folder = _ACCOUNT if kind == "account" else _OLDER
    user = {
        "username": listener.id,
        "email": listener.email,
        "country": builder.country,
        "createdFromFacebook": False,
        "facebookUid": None,
        "birthdate": "1990-01-01",
        "gender": "unspecified",
        "postalCode": None,
        "mobileNumber": None,
        "mobileOperator": None,
        "mobileBrand": None,
        "creationTime": iso(listener.born)[:10],
    }
    songs = [builder.playlist_item(event) for event in events if event.category == "play"][:20]
    playlist = {
        "name": "Favourites",
        "lastModifiedDate": iso(listener.born)[:10],
        "items": songs,
        "description": None,
        "numberOfFollowers": 0,
    }
    contents = {"Userdata": user, "Playlist1": {"playlists": [playlist]}}
    return {
        f"{folder}/{name}.json": msgspec.json.format(msgspec.json.encode(content))
        for name, content in contents.items()
    }


def _without(events: Events, *categories: str) -> Events:
    return [event for event in events if event.category not in categories]


def _years(events: Events) -> str:
    first, last = iso(events[0].ended_at)[:4], iso(events[-1].ended_at)[:4]
    return first if first == last else f"{first}-{last}"
