"""The platform's tables as the pipeline needs them (docs/deployment.md), in words of its own.

What each statement needs of a column decides which types will do, whether it has to be as the
platform's contract has it or not: ``text`` holds what ``varchar(240)`` does.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """What a column holds.

    Args:
        contract: its type in the contract.
        types: those that will do, as ``pg_type`` names them.
        size: the least that it has to hold: characters, or digits of a second; 0 where any will do.
    """

    contract: str
    types: frozenset[str]
    size: int = 0


_TEXTS = frozenset({"varchar", "text", "citext"})
_KEYS = _TEXTS - {"citext"}  # ids differ in the case of their letters alone
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
        key: by what its rows are told apart.
        parents: the tables whose rows take its rows with them, by the column that refers to them.
        loaded: the columns that loads use; of the others only single commands make use.
        keys: other keys that single commands need.
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
        # How long a token is only Spotify knows: `songswap.warehouse.tokens` looks at those in use.
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
"""By name, in the order in which the contract has them."""

METADATA = tuple(name for name in TABLES if name not in ("Users", "SpotifyTokens", "History"))
"""Those that enrichment and backfills load."""
