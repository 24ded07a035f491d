"""Users of the platform: written as the web app does it, looked for, copied."""

from collections.abc import Collection

import psycopg

from songswap.errors import ConnectFailed
from songswap.models import AuthorizedUser
from songswap.warehouse.sql import statements

_LONGEST_NAME = 20


def keep(
    connection: psycopg.Connection, user: AuthorizedUser, username: str = ""
) -> tuple[int, str]:
    """Store a user with the tokens, in one transaction; who is there already gets these tokens.

    Args:
        username: instead of Spotify's name, or of the one that a known user has; it is cut to the
            20 characters of the column.

    Returns:
        The user's id and name in the warehouse.

    Raises:
        ConnectFailed: the tables do not take it; nothing was stored.
    """
    name = (username or user.display_name or user.spotify_id)[:_LONGEST_NAME]
    # Development mode can leave the address out, and the column needs one that nobody else has.
    email = user.email or f"{user.spotify_id}@spotify.invalid"
    sql = statements("users.sql")
    row = user._asdict() | {"username": name, "email": email, "is_named": bool(username)}
    try:
        with connection.transaction():
            found = connection.execute(sql["keep_user"], row).fetchone()
            assert found is not None  # noqa: S101 - an insert or an update, either returns
            connection.execute(sql["keep_tokens"], row | {"user_id": found[0]})
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
    return found[0], found[1]


def existing(connection: psycopg.Connection, ids: Collection[int]) -> set[int]:
    """Those of the users who are in the warehouse."""
    rows = connection.execute(statements("users.sql")["there"], {"ids": list(ids)})
    return {user for (user,) in rows}


def copy(source: psycopg.Connection, target: psycopg.Connection, ids: Collection[int]) -> int:
    """Copy users, without their tokens, into another warehouse; how many were not there."""
    sql = statements("users.sql")
    rows = source.execute(sql["rows"], {"ids": list(ids)}).fetchall()
    with target.transaction(), target.cursor() as cursor:
        if rows:
            cursor.executemany(sql["copy_user"], rows)
        copied = cursor.rowcount if rows else 0
        cursor.execute(sql["next_id"])
    return copied
