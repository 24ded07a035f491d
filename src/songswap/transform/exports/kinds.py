"""Find out what a file of an export holds: by its first rows, else by its name.

Spotify has changed the names several times, and people and computers rename and copy files. Its own
description of the files is "Understanding my data" in Spotify's support pages.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from songswap.transform.responses import parse_int

HEAD_BYTES = 16 * 2**10
"""How much of a file is read for this: some twenty rows of about 700 bytes each."""


class Kind(StrEnum):
    """The content of a file of an export; the last three are those of a hand-over, see `OWN`."""

    EXTENDED = "extended"
    ACCOUNT = "account"
    VIDEO = "video"
    PODCAST = "podcast"
    AUDIOBOOK = "audiobook"
    OWNER = "owner"
    PLAYS = "plays"
    STREAMS = "streams"
    TRACKS = "tracks"


WITHOUT_TRACKS = frozenset({Kind.VIDEO, Kind.PODCAST, Kind.AUDIOBOOK})
"""Their rows are counted and left out."""

OWN = frozenset({Kind.PLAYS, Kind.STREAMS, Kind.TRACKS})
"""Files that ``songswap export`` writes: rows of our own tables, a JSON object a line."""

_OWN_NAME = re.compile(r"(plays|streams|tracks)_[1-9][0-9]{0,4}\.jsonl")


class Verdict(NamedTuple):
    """The kind of a file; ``problem`` says why a file that may be a history cannot be used."""

    kind: Kind | None
    problem: str | None = None


_NAMES = (
    (Kind.EXTENDED, r"streaming_history_audio(?:_.*)?|endsong(?:_\d+)?"),
    (Kind.VIDEO, r"streaming_history_video(?:_.*)?|endvideo(?:_\d+)?"),
    (Kind.PODCAST, r"streaminghistory_podcast(?:_\d+)?"),
    (Kind.AUDIOBOOK, r"streaminghistory_audiobook(?:_\d+)?"),
    (Kind.ACCOUNT, r"streaminghistory(?:_music)?(?:_?\d+)?"),
    (Kind.OWNER, r"userdata"),
)
# Finder, Explorer, browsers and file managers add this to the name of a second file.
_COPIED = r"(?:[ _-]*(?:\(\d+\)|copy|kopie|copie|copia|kopia|cópia)(?: ?\d+)?)*"
_KINDS = [
    (kind, re.compile(rf"(?:{name}){_COPIED}\.json(?:\.txt)?", re.IGNORECASE))
    for kind, name in _NAMES
]
_SIMILAR = re.compile(r"endsong|endvideo|streaminghistory|myspotifydata")
# Exports also have descriptions, and people put screenshots and links beside them.
_NO_DATA = (".pdf", ".html", ".htm", ".png", ".jpg", ".jpeg", ".lnk", ".url", ".webloc")

_EXTENDED = frozenset({"ts", "ms_played"})
_ACCOUNT = frozenset({"endTime", "msPlayed"})
# A row must have one of these too: other programs also write a time and a length.
_OF_SPOTIFY = (
    "spotify_track_uri",
    "master_metadata_track_name",
    "spotify_episode_uri",
    "audiobook_uri",
    "conn_country",
    "reason_start",
    "reason_end",
    "incognito_mode",
)
_TELLING = re.compile(r'"(?:ms_played|msPlayed|endTime|master_metadata_\w+|spotify_track_uri)"\s*:')


def kind_of(name: str) -> Kind | None:
    """Return what a file holds by its name without folders: Spotify's own, or that of a copy."""
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(name)), None)


def own_kind_of(name: str) -> Kind | None:
    """Return what a file of a hand-over holds; None where an import does not read it."""
    found = _OWN_NAME.fullmatch(name)
    return Kind(found[1]) if found else None


def judge(name: str, head: bytes) -> Verdict:
    """Return what a file holds.

    Args:
        name: without folders.
        head: its first `HEAD_BYTES`, or fewer where it is smaller.
    """
    named = kind_of(name)
    if named is Kind.OWNER:
        return Verdict(named)
    text = _text(head)
    if kind := _kind_of_rows(text, named):
        if kind is Kind.EXTENDED and (named is Kind.VIDEO or "video" in _plain(name)):
            # The rows of a music video are those of a track.
            return Verdict(Kind.VIDEO)
        return Verdict(kind)
    if named:
        return Verdict(named)
    if text[:1] in ("[", "{") and _TELLING.search(text):
        return Verdict(None, "its rows look like a streaming history's, but it is no list of them")
    if is_similar(name):
        return Verdict(None, "it has the name of a streaming history, but no rows of one")
    return Verdict(None)


def is_similar(name: str) -> bool:
    """Return whether by its name a file may hold a history, in whatever form."""
    return bool(_SIMILAR.search(_plain(name))) and not is_no_data(name)


def is_no_data(name: str) -> bool:
    """Return whether by its name a file is for people to read."""
    return name.lower().endswith(_NO_DATA)


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in parts if letter.isalnum())


def _text(head: bytes) -> str:
    """Decode the beginning of a JSON file, whose last character may be cut."""
    encoding = json.detect_encoding(head)
    return head.decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")


def _kind_of_rows(text: str, named: Kind | None) -> Kind | None:
    kinds = [kind for row in _first_rows(text) if (kind := _kind_of_row(row, named))]
    for kind in (Kind.EXTENDED, Kind.ACCOUNT):
        if kind in kinds:
            return kind
    return kinds[0] if kinds else None


def _kind_of_row(row: Any, named: Kind | None) -> Kind | None:
    if not isinstance(row, dict):
        return None
    if row.keys() >= _EXTENDED and any(key in row for key in _OF_SPOTIFY):
        return Kind.EXTENDED
    if not row.keys() >= _ACCOUNT:
        return None
    if "trackName" in row:
        return Kind.ACCOUNT
    if "podcastName" in row:
        return Kind.PODCAST
    if any("audiobook" in key.lower() or "chapter" in key.lower() for key in row):
        return Kind.AUDIOBOOK
    return named if named in WITHOUT_TRACKS else Kind.ACCOUNT


_DECODER = json.JSONDecoder(parse_int=parse_int)
_BETWEEN = re.compile(r"[\s,]*")


def _first_rows(text: str) -> Iterator[Any]:
    """Yield the whole rows of a list that is cut off."""
    if not text.startswith("["):
        return
    at = 1
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
        try:
            row, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield row
