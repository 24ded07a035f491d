"""The privacy export: the zip that Spotify sends a listener who asks, and the truth about it.

`extended` is all of a life in today's form, `endsong` the same in the form of some years ago;
`account` is the last year's account data, without ids and to the minute, `account-older` as it was.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Literal, NamedTuple

import msgspec

from songswap.dev.simulator import draw
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.export_row import Rows
from songswap.dev.simulator.heard import Heard, heard
from songswap.dev.simulator.listener import DAY, Listener

Kind = Literal["extended", "endsong", "account", "account-older"]

_ROWS_A_FILE = {"extended": 16_000, "endsong": 16_000, "account": 10_000, "account-older": 10_000}
_SPOKEN = ("episode", "chapter", "video")
_EXTENDED = "Spotify Extended Streaming History"
_MOST_REPEATED = 40
_YEAR = 365 * DAY
_PDF = b"%PDF-1.4\n% Read me first: what each field means.\n%%EOF\n"


class _Member(NamedTuple):
    """A file of rows, and what makes a row of what was heard."""

    name: str
    rows: Sequence[Heard]
    make: Callable[[Heard], msgspec.Struct]


class Truth(msgspec.Struct, frozen=True, gc=False):
    """What a row of the export is: the row at `index`, from 0, of the zip's member `file`."""

    file: str
    index: int
    played_at: str | None
    """The API's `played_at` of the play, in the ledger's spelling; null for what it never tells."""
    track_id: str | None
    what: str
    """See `heard.What`."""


@dataclass(frozen=True)
class Export:
    """The files of an export by their names in the zip, and the truth of each row, in their order.

    `at` is when it was made, in ms.
    """

    at: int
    files: dict[str, bytes]
    truth: list[Truth]

    def zipped(self) -> bytes:
        """Return the zip as Spotify sends it."""
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


def export(listener: Listener, at: int, kind: Kind, rows_a_file: int | None = None) -> Export:
    """Return what Spotify would send a listener who asks at a time in ms.

    A file has at most `rows_a_file` rows, by default as many as Spotify's have. Where there are
    several, the last rows of one stand in the next again.
    """
    accounts = kind.startswith("account")
    rows = heard(listener, at, at - _YEAR if accounts else listener.born)
    make = Rows(listener)
    rows.sort(key=make.second)
    rng = draw.stream(listener.seed, "export", listener.number, kind)
    size = rows_a_file or _ROWS_A_FILE[kind]
    files: dict[str, bytes] = {}
    if kind == "extended":
        files |= {f"{_EXTENDED}/ReadMeFirst_ExtendedStreamingHistory.pdf": _PDF}
        members = _extended(rows, make, size, rng)
    elif kind == "endsong":
        files |= {"MyData/ReadMeFirst.pdf": _PDF}
        members = _endsong(rows, make, size, rng)
    else:
        folder = "Spotify Account Data" if kind == "account" else "MyData"
        files |= {f"{folder}/{name}": content for name, content in _beside(listener, rows, make)}
        members = (_account if kind == "account" else _older_account)(rows, make, size, rng)
    truth: list[Truth] = []
    for name, part, maker in members:
        written = msgspec.json.encode([maker(row) for row in part])
        # Account data is indented, the streaming history is not.
        files[name] = msgspec.json.format(written) if accounts else written
        truth += [_true(name, index, row, make) for index, row in enumerate(part)]
    return Export(at, files, truth)


def _extended(rows: list[Heard], make: Rows, size: int, rng: Random) -> Iterator[_Member]:
    audio = [row for row in rows if row.what != "video"]
    video = [row for row in rows if row.what == "video"]
    for number, part in enumerate(_parts(audio, size, rng)):
        name = f"Streaming_History_Audio_{_years(part)}_{number}.json"
        yield _Member(f"{_EXTENDED}/{name}", part, make.extended)
    if video:
        name = f"Streaming_History_Video_{_years(video)}.json"
        yield _Member(f"{_EXTENDED}/{name}", video, make.extended)


def _endsong(rows: list[Heard], make: Rows, size: int, rng: Random) -> Iterator[_Member]:
    audio = [row for row in rows if row.what not in ("chapter", "video")]
    for number, part in enumerate(_parts(audio, size, rng)):
        yield _Member(f"MyData/endsong_{number}.json", part, make.endsong)


def _account(rows: list[Heard], make: Rows, size: int, rng: Random) -> Iterator[_Member]:
    folder = "Spotify Account Data"
    music = [row for row in rows if row.what not in _SPOKEN]
    for number, part in enumerate(_parts(music, size, rng)):
        yield _Member(f"{folder}/StreamingHistory_music_{number}.json", part, make.account)
    podcasts = [row for row in rows if row.what == "episode"]
    yield _Member(f"{folder}/StreamingHistory_podcast_0.json", podcasts, make.podcast)


def _older_account(rows: list[Heard], make: Rows, size: int, rng: Random) -> Iterator[_Member]:
    """Yield files in which episodes stand among the songs, the show in the artist's place."""
    audio = [row for row in rows if row.what not in ("chapter", "video")]
    for number, part in enumerate(_parts(audio, size, rng)):
        yield _Member(f"MyData/StreamingHistory{number}.json", part, make.account)


def _beside(listener: Listener, rows: list[Heard], make: Rows) -> Iterator[tuple[str, bytes]]:
    """Yield the files of account data that tell of no plays."""
    user = {
        "username": listener.id,
        "email": listener.email,
        "country": make.country,
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
    songs = [make.listed(row) for row in rows if row.what == "play"][:20]
    playlist = {
        "name": "Favourites",
        "lastModifiedDate": iso(listener.born)[:10],
        "items": songs,
        "description": None,
        "numberOfFollowers": 0,
    }
    for name, content in (("Userdata", user), ("Playlist1", {"playlists": [playlist]})):
        yield f"{name}.json", msgspec.json.format(msgspec.json.encode(content))


def _parts(rows: list[Heard], size: int, rng: Random) -> Iterator[list[Heard]]:
    """Yield the rows of each file; the last ones of a file are the first ones of the next."""
    begin = 0
    while begin < len(rows):
        yield rows[begin : begin + size]
        if begin + size >= len(rows):
            return
        begin += size - rng.randint(1, min(_MOST_REPEATED, size - 1))


def _years(rows: list[Heard]) -> str:
    first, last = iso(rows[0].ended_at)[:4], iso(rows[-1].ended_at)[:4]
    return first if first == last else f"{first}-{last}"


def _true(name: str, index: int, row: Heard, make: Rows) -> Truth:
    played_at = None if row.played_at is None else iso(row.played_at)
    return Truth(name, index, played_at, make.track_id(row), row.what)
