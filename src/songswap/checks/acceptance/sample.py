"""Samples: rows of a test user, and of tracks and artists with ids that Spotify never assigns.

Spotify's ids are 128-bit numbers in base 62 and begin with 0 to 7. Those of a sample begin with S,
so no real row has one, and removing them removes nothing else. The user has the id 0, which a
serial never yields, and no tokens, so no hourly run polls them.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg

from songswap.errors import AcceptanceFailed
from songswap.warehouse.sql import statements

USER_ID = 0
_USER = {
    "username": "songswap-test",
    "email": "songswap-test@songswap.invalid",
    "spotify_id": "songswap-test",
}

Rows = dict[str, list[tuple[Any, ...]]]
"""Rows by their table, in no order."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows that a check may write: the user, tracks and artists, by their ids.

    Args:
        at: when Spotify sent the response (aware, UTC).
        user_id: `USER_ID` where plays are loaded.
        kind: track, artist or features; None where plays are loaded.
        requested: ids in the request; each has a row without a name or duration before the load.
    """

    at: datetime
    tracks: tuple[str, ...] = ()
    artists: tuple[str, ...] = ()
    user_id: int | None = None
    kind: str | None = None
    requested: tuple[str, ...] = ()


def make(connection: psycopg.Connection, sample: Sample) -> None:
    """Remove what a killed test left, and write the rows that a load expects.

    Raises:
        AcceptanceFailed: a real user has the test user's id, e-mail or Spotify id; nothing was
            changed.
    """
    sql = statements("sample.sql", "songswap.checks.acceptance")
    with connection.transaction():
        remove(connection, sample)
        if sample.user_id is not None:
            taken = connection.execute(sql["user_taken"], _parameters(sample)).fetchone()
            if taken:
                raise AcceptanceFailed(
                    f'User {taken[0]} in "Users" has the id, e-mail address or Spotify id of the'
                    f" test user ({USER_ID}, {_USER['email']}, {_USER['spotify_id']}) and is"
                    " somebody else. Nothing was changed. Give that user others, then clear the"
                    " run."
                )
            connection.execute(sql["insert_user"], _parameters(sample))
        if sample.kind:
            table = "insert_artists" if sample.kind == "artist" else "insert_tracks"
            connection.execute(sql[table], _parameters(sample))
            connection.execute(sql["insert_wanted"], _parameters(sample))


def found(connection: psycopg.Connection, sample: Sample) -> Rows:
    """Return all rows of the sample by table, with those of schema `songswap`; times are aware."""
    parameters = _parameters(sample)
    return {
        table: connection.execute(select, parameters).fetchall()
        for table, select in statements("sample_found.sql", "songswap.checks.acceptance").items()
    }


def remove(connection: psycopg.Connection, sample: Sample) -> None:
    """Delete all rows of the sample, with the rows that refer to them."""
    with connection.transaction():
        for name, statement in statements("sample.sql", "songswap.checks.acceptance").items():
            if name.startswith("delete_"):
                connection.execute(statement, _parameters(sample))


def _parameters(sample: Sample) -> dict[str, Any]:
    lists = {
        "tracks": list(sample.tracks),
        "artists": list(sample.artists),
        "ids": [*sample.tracks, *sample.artists],
        "requested": list(sample.requested),
        "kinds": ["artist"] if sample.kind == "artist" else ["track", "features"],
    }
    return {**asdict(sample), **lists, **_USER}
