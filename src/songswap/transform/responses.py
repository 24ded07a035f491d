"""The shapes of Spotify's answers, and how a broken one is read without losing what is whole.

An answer is decoded in one pass into the shapes below. When that fails anywhere, it is read again
leniently and each value of a wrong type is taken out alone and named by its path, so that one
broken field never costs its neighbours. Shapes list only the fields that become rows; all are
optional, because the API leaves each of them out somewhere (development mode, local files). They
hold no cycles, so the garbage collector need not look at them (``gc=False``).
"""

import json
import math
from functools import cache
from itertools import repeat
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

MISSING = "missing"
WRONG_TYPE = "wrong type"


class Image(msgspec.Struct, gc=False):
    """An image of an album or artist; height and width in pixels."""

    url: str | None = None
    height: int | None = None
    width: int | None = None


class Followers(msgspec.Struct, gc=False):
    """The followers of an artist."""

    total: int | None = None


class Artist(msgspec.Struct, gc=False):
    """An artist: the short form has only id and name."""

    id: str | None = None
    name: str | None = None
    genres: list[str | None] | None = None
    images: list[Image | None] | None = None
    popularity: int | None = None
    followers: Followers | None = None


class Album(msgspec.Struct, gc=False):
    """The album of a track."""

    images: list[Image | None] | None = None


class Track(msgspec.Struct, gc=False):
    """A track in the form that plays and ``/tracks`` carry.

    ``type`` and ``uri`` name what it is: an episode can stand where a track is expected.
    """

    id: str | None = None
    type: str | None = None
    uri: str | None = None
    name: str | None = None
    duration_ms: int | None = None
    popularity: int | None = None
    preview_url: str | None = None
    artists: list[Artist | None] | None = None
    album: Album | None = None


class Item(msgspec.Struct, gc=False):
    """One play of recently played."""

    played_at: str | None = None
    track: Track | None = None


class Features(msgspec.Struct, gc=False):
    """The audio features of a track."""

    id: str | None = None
    acousticness: float | None = None
    danceability: float | None = None
    energy: float | None = None
    instrumentalness: float | None = None
    key: int | None = None
    liveness: float | None = None
    loudness: float | None = None
    mode: int | None = None
    speechiness: float | None = None
    tempo: float | None = None
    time_signature: int | None = None
    valence: float | None = None


class LinkedFeatures(Features):
    """The audio features of the track to which ``href`` leads; ``id`` is ReccoBeats' own."""

    href: str | None = None


class RecentlyPlayed(msgspec.Struct, gc=False):
    """``GET /v1/me/player/recently-played``: a page of plays, newest first, and what it is of.

    What stands beside the items only tells how full the page is: whatever it may be, it must not
    cost them, so it is taken as it comes.
    """

    items: list[Item | None] | None = None
    limit: Any = None
    next: Any = None
    cursors: Any = None
    href: Any = None


class PlayedTrack(msgspec.Struct, gc=False):
    """A track of which only the id is read."""

    id: str | None = None


class Played(msgspec.Struct, gc=False):
    """One play of recently played: when, and of what."""

    played_at: str | None = None
    track: PlayedTrack | None = None


class PlayedLately(msgspec.Struct, gc=False):
    """`RecentlyPlayed`, of which only the plays are read: what is left out costs no time."""

    items: list[Played | None] | None = None
    next: Any = None
    cursors: Any = None


class Tracks(msgspec.Struct, gc=False):
    """``GET /v1/tracks``."""

    tracks: list[Track | None] | None = None


class Artists(msgspec.Struct, gc=False):
    """``GET /v1/artists``."""

    artists: list[Artist | None] | None = None


class AudioFeatures(msgspec.Struct, gc=False):
    """``GET /v1/audio-features``."""

    audio_features: list[Features | None] | None = None


class ReccoBeatsFeatures(msgspec.Struct, gc=False):
    """``GET /v1/audio-features`` of ReccoBeats."""

    content: list[LinkedFeatures | None] | None = None


BROKEN = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises of a body that is not wholly as it has to be."""

Shape = TypeVar("Shape")
Whole = TypeVar("Whole", bound=msgspec.Struct)
Problems = dict[str, str]
NONE: Problems = {}


class Parsed(NamedTuple, Generic[Shape]):
    """One entry of an answer's list.

    ``value`` is None for a null and for what is not an object; ``problems`` maps the path of each
    value that was taken out to what was wrong ("" is the entry itself); ``raw`` is what stood there
    when it had to be read leniently.
    """

    value: Shape | None
    problems: Problems
    raw: Any = None


def read(
    body: bytes, answer: type[msgspec.Struct], entry: type[Shape]
) -> list[Parsed[Shape]] | None:
    """Read the one list that an answer carries.

    Args:
        body: the answer's body as it came, whatever it is.
        answer: one of the answers above.
        entry: the shape of that answer's list entries.

    Returns:
        The entries in their order, or None when the body is not such an answer at all.
    """
    told = read_whole(body, answer, entry)
    return told and told[0]


def read_whole(
    body: bytes, answer: type[Whole], entry: type[Shape]
) -> tuple[list[Parsed[Shape]], Whole] | None:
    """Read the list that an answer carries, and what stands beside it.

    Returns:
        What `read` does, and the answer, whose other fields may be of any type.
    """
    try:
        whole = decode(body, answer)
    except BROKEN:
        return _read_leniently(body, answer, entry)
    entries = getattr(whole, _list_of(answer))
    if entries is None:
        return None
    return [*map(Parsed._make, zip(entries, repeat(NONE), repeat(None)))], whole


def decode(body: bytes, answer: type[Whole]) -> Whole:
    """An answer that is as it has to be.

    Raises:
        BROKEN: something in it is not of its type.
    """
    whole: Whole = _decoder(answer).decode(body)
    return whole


def _list_of(answer: type[msgspec.Struct]) -> str:
    """The name of the one list that an answer carries."""
    return answer.__struct_fields__[0]


@cache
def _decoder(answer: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(answer)


def _read_leniently(
    body: bytes, answer: type[Whole], entry: type[Shape]
) -> tuple[list[Parsed[Shape]], Whole] | None:
    try:
        # The standard decoder takes lone surrogates and NaN, which must not cost the whole answer.
        text = body.decode("utf-8-sig", errors="replace")
        whole = json.loads(text, parse_int=parse_int)
    except (ValueError, RecursionError):
        return None
    name, *others = answer.__struct_fields__
    entries = whole.get(name) if isinstance(whole, dict) else None
    if not isinstance(entries, list):
        return None
    beside = answer(**{other: whole.get(other) for other in others})
    return [parse_leniently(raw, entry) for raw in entries], beside


def parse_leniently(raw: Any, kind: type[Shape]) -> Parsed[Shape]:
    """A value of JSON as ``kind``, without what is not of its type."""
    problems: Problems = {}
    return Parsed(_mend(raw, kind, "", problems), problems, raw)


def parse_int(digits: str) -> int | float:
    """An absurdly long number must not cost the answer: as a float it is infinite and taken out."""
    return int(digits) if len(digits) < 30 else float(digits)


def _mend(value: Any, kind: Any, path: str, problems: Problems) -> Any:
    """``value`` as ``kind``, with everything that is not of its type taken out and named."""
    if value is None:
        return None
    if isinstance(kind, UnionType):
        # Text or a number, see `exports.rows`.
        kind = str if isinstance(value, str) else float
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(
            **{
                name: _mend(value.get(name), inner, f"{path}.{name}".lstrip("."), problems)
                for name, inner in _fields(kind).items()
            }
        )
    if isinstance(value, list) and get_origin(kind) is list:
        inner = _without_none(get_args(kind)[0])
        return [_mend(one, inner, path, problems) for one in value]
    number = _as_number(value, kind)
    if number is not None:
        return number
    if kind in (str, bool) and isinstance(value, kind):
        return value
    problems[path] = WRONG_TYPE
    return None


def _as_number(value: Any, kind: Any) -> int | float | None:
    """A number as ``kind`` where nothing of it is lost: 35.0 is 35, true is not 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind is int:
        if isinstance(value, float):
            return int(value) if math.isfinite(value) and value.is_integer() else None
        return value
    if kind is float:
        try:
            return float(value)
        except OverflowError:
            return None
    return None


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: _without_none(hint) for name, hint in get_type_hints(kind).items()}


def _without_none(hint: Any) -> Any:
    if isinstance(hint, UnionType) and len(get_args(hint)) == 2:
        return next(one for one in get_args(hint) if one is not type(None))
    return hint
