"""Users of the platform: stored as the web app does it, looked up, copied."""

from collections.abc import Collection

import psycopg

from songswap.errors import ConnectFailed
from songswap.models import AuthorizedUser
from songswap.warehouse.sql import statements

_LONGEST_NAME = 20

_SQL = statements("users.sql")


def store(
    connection: psycopg.Connection, user: AuthorizedUser, username: str = ""
) -> tuple[int, str]:
    """Store a user with tokens in one transaction; an existing user gets the new tokens.

    Args:
        username: instead of Spotify's name, or of an existing user's; it is cut to the 20
            characters of the column.

    Returns:
        The user's id and name in the warehouse.

    Raises:
        ConnectFailed: the tables refuse the user; nothing was stored.
    """
    name = (username or user.display_name or user.spotify_id)[:_LONGEST_NAME]
    # Development mode can leave the address out, and the column needs a unique one.
    email = user.email or f"{user.spotify_id}@spotify.invalid"
    params = user._asdict() | {"username": name, "email": email, "is_named": bool(username)}
    try:
        with connection.transaction():
            row = connection.execute(_SQL["upsert_user"], params).fetchone()
            assert row is not None  # noqa: S101 - an insert or an update, either returns
            connection.execute(_SQL["upsert_tokens"], params | {"user_id": row[0]})
    except psycopg.errors.UniqueViolation:
        raise ConnectFailed(
            "Another user of the warehouse has this e-mail address, or these tokens. Nothing was"
            " stored: remove that user first if it is the same person."
        ) from None  # whose text quotes the address
    except psycopg.errors.StringDataRightTruncation:
        raise ConnectFailed(
            'Spotify gave a token that is longer than its column of "SpotifyTokens". Nothing was'
            ' stored: have the table\'s owner run ALTER TABLE "SpotifyTokens" ALTER COLUMN'
            " access_token TYPE varchar(1024), ALTER COLUMN refresh_token TYPE varchar(1024), then"
            " run the command again."
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise ConnectFailed(
            'The login of SongSwap_RDS may not add to "Users" and "SpotifyTokens". Nothing was'
            " stored: run the command with the login of the tables' owner."
        ) from None
    return row[0], row[1]


def existing(connection: psycopg.Connection, ids: Collection[int]) -> set[int]:
    """Return those of these users who are in the warehouse."""
    rows = connection.execute(_SQL["existing"], {"ids": list(ids)})
    return {user_id for (user_id,) in rows}


def copy(source: psycopg.Connection, target: psycopg.Connection, ids: Collection[int]) -> int:
    """Copy users, without their tokens, into another warehouse; return how many are new there."""
    rows = source.execute(_SQL["rows"], {"ids": list(ids)}).fetchall()
    with target.transaction(), target.cursor() as cursor:
        if rows:
            cursor.executemany(_SQL["insert_copy"], rows)
        copied = cursor.rowcount if rows else 0
        cursor.execute(_SQL["advance_ids"])
    return copied
