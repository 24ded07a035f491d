"""The platform's tables as the pipeline needs them (docs/deployment.md).

The statements decide which types a column may have, and those can be more than the contract's: a
``text`` holds all that a ``varchar(240)`` does.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """The types that a column may have.

    Args:
        contract: its type in the contract.
        types: the types that will do, as ``pg_type`` names them.
        size: the smallest size: characters, or digits of a second; 0 where any will do.
    """

    contract: str
    types: frozenset[str]
    size: int = 0


_TEXTS = frozenset({"varchar", "text", "citext"})
_KEYS = _TEXTS - {"citext"}  # ids can differ in case alone
_FLOATS = frozenset({"float8", "float4", "numeric"})
_WHOLE = frozenset({"int4", "int8", "numeric"})


def _text(size: int) -> Kind:
    return Kind(f"varchar({size})", _TEXTS, size)


_USER = Kind("integer", frozenset({"int4", "int8", "int2"}))
_ID = Kind("varchar(24)", _KEYS, 22)
_GENRE = Kind("varchar(120)", _KEYS, 120)
_MS = _FOLLOWERS = Kind("integer", _WHOLE)
_SMALL = Kind("integer", _WHOLE | {"int2"})
_FLOAT = Kind("float", _FLOATS)
_BOOLEAN = Kind("boolean", frozenset({"bool"}))
_MOMENT = Kind("timestamp", frozenset({"timestamp"}), 3)


class Table(NamedTuple):
    """A table of the contract.

    Args:
        key: the columns of the primary key.
        parents: the tables of its foreign keys, by column; their rows are deleted with its own.
        loaded: the columns that loads use; some commands use others.
        keys: other unique keys, which some commands need.
    """

    columns: Mapping[str, Kind]
    key: tuple[str, ...]
    parents: Mapping[str, str]
    loaded: frozenset[str]
    keys: tuple[tuple[str, ...], ...] = ()


def _loaded(columns: Mapping[str, Kind], *key: str, **parents: str) -> Table:
    return Table(columns, key, parents, frozenset(columns))


_IMAGES = {"id": _ID, "height": _SMALL, "width": _SMALL, "url": _text(240)}
_POPULARITY = {"id": _ID, "date": _MOMENT, "popularity": _SMALL}

TABLES: Mapping[str, Table] = {
    "Users": Table(
        {"id": _USER, "username": _text(20), "email": _text(120), "spotify_id": _text(120)},
        ("id",),
        {},
        frozenset({"id"}),
        (("spotify_id",), ("email",)),
    ),
    "SpotifyTokens": Table(
        # Only Spotify knows how long tokens are: `songswap.warehouse.tokens` measures those in use.
        {"id": _USER, **dict.fromkeys(("access_token", "refresh_token"), Kind("text", _KEYS))},
        ("id",),
        {"id": "Users"},
        frozenset({"id", "access_token", "refresh_token"}),
    ),
    "Artists": _loaded({"id": _ID, "name": _text(120)}, "id"),
    "Tracks": _loaded({"id": _ID, "name": _text(240), "duration_ms": _MS}, "id"),
    "ArtistTracks": _loaded(
        {"track_id": _ID, "artist_id": _ID, "is_primary": _BOOLEAN},
        "track_id",
        "artist_id",
        track_id="Tracks",
        artist_id="Artists",
    ),
    "History": _loaded(
        {"user_id": _USER, "played_at": _MOMENT, "track_id": _ID},
        "user_id",
        "played_at",
        user_id="Users",
        track_id="Tracks",
    ),
    "TrackPopularity": _loaded(_POPULARITY, "id", "date", id="Tracks"),
    "TrackFeatures": _loaded(
        {
            "id": _ID,
            "acousticness": _FLOAT,
            "danceability": _FLOAT,
            "energy": _FLOAT,
            "instrumentalness": _FLOAT,
            "key": _SMALL,
            "liveness": _FLOAT,
            "loudness": _FLOAT,
            "mode": _SMALL,
            "speechiness": _FLOAT,
            "tempo": _FLOAT,
            "time_signature": _SMALL,
            "valence": _FLOAT,
        },
        "id",
        id="Tracks",
    ),
    "TrackImages": _loaded(_IMAGES, "id", "height", "width", id="Tracks"),
    "TrackPreviews": _loaded({"id": _ID, "url": _text(240)}, "id", id="Tracks"),
    "ArtistImages": _loaded(_IMAGES, "id", "height", "width", id="Artists"),
    "ArtistPopularity": _loaded(_POPULARITY, "id", "date", id="Artists"),
    "ArtistGenres": _loaded({"id": _ID, "genre": _GENRE}, "id", "genre", id="Artists"),
    "ArtistFollowers": _loaded(
        {"id": _ID, "date": _MOMENT, "followers": _FOLLOWERS}, "id", "date", id="Artists"
    ),
}
"""By name, in the order of the contract."""

METADATA = tuple(name for name in TABLES if name not in ("Users", "SpotifyTokens", "History"))
"""The tables that enrichment and backfills load."""
