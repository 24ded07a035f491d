"""The rights that the logins of the pipeline and of the page need, and those that they lack."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg

from songswap.warehouse import schema
from songswap.warehouse.error_translation import translate
from songswap.warehouse.sql import statements

_SQL = statements("rights.sql")

_READ = ("SELECT",)
_ADD = ("SELECT", "INSERT")
_CHANGE = ("SELECT", "UPDATE")
_KEEP = ("SELECT", "INSERT", "UPDATE")

NEEDED = {
    "Users": _CHANGE,  # never changed, but locked while its plays are loaded
    "SpotifyTokens": _CHANGE,
    "Artists": _KEEP,
    "Tracks": _KEEP,
    "ArtistTracks": _KEEP,
    "History": (*_KEEP, "DELETE"),  # an export's play gives way to the API's
    "TrackPopularity": _KEEP,
    "TrackFeatures": _ADD,
    "TrackImages": _KEEP,
    "TrackPreviews": _KEEP,
    "ArtistImages": _KEEP,
    "ArtistPopularity": _KEEP,
    "ArtistGenres": _ADD,
    "ArtistFollowers": _KEEP,
    "songswap.schema_version": _READ,
    "songswap.runs": (*_KEEP, "DELETE"),
    "songswap.steps": (*_KEEP, "DELETE"),
    "songswap.polls": _KEEP,
    "songswap.grants": _KEEP,
    "songswap.tokens": _KEEP,
    "songswap.token_exchanges": (*_KEEP, "DELETE"),
    "songswap.cut_off_exchanges": (*_KEEP, "DELETE"),
    "songswap.notices": (*_KEEP, "DELETE"),
    "songswap.gaps": _KEEP,
    "songswap.rejected_items": (*_KEEP, "DELETE"),  # of plays that are loaded after all
    "songswap.data_fixes": _ADD,
    "songswap.enrichment_queue": _KEEP,
    "songswap.track_forms": _KEEP,
    "songswap.catalogue_shards": _CHANGE,
    "songswap.spools": (*_KEEP, "DELETE"),
    "songswap.pauses": _KEEP,
    "songswap.blocked_endpoints": _KEEP,
    "songswap.budgets": _KEEP,
    "songswap.requests": (*_KEEP, "DELETE"),
    "songswap.imports": _KEEP,
    "songswap.streams": (*_KEEP, "DELETE"),
    "songswap.export_tracks": _KEEP,
    "songswap.estimated_durations": (*_ADD, "DELETE"),
    "songswap.snapshots": (*_KEEP, "DELETE"),
    "songswap.plays_by_hour": _KEEP,
    "songswap.totals": _KEEP,
    "songswap.news": _KEEP,
    "songswap.erasures": _KEEP,
    "songswap.erasure_places": _KEEP,
    "songswap.disconnects": (*_KEEP, "DELETE"),
}
"""The rights that the pipeline's statements need, by table; the platform's are without a schema."""

NEEDED_TO_ERASE = {
    "Users": ("DELETE",),
    "SpotifyTokens": ("DELETE",),
    "songswap.polls": ("DELETE",),
    "songswap.grants": ("DELETE",),
    "songswap.tokens": ("DELETE",),
    "songswap.gaps": ("DELETE",),
    "songswap.imports": ("DELETE",),
}
"""What erasing users needs beyond `NEEDED`."""

READ_BY_PAGE: dict[str, tuple[str, ...]] = {
    "Users": ("id",),
    "SpotifyTokens": ("id",),
    "History": ("user_id", "played_at"),
    "songswap.schema_version": (),
    "songswap.runs": (),
    "songswap.steps": ("run_id", "ended_at"),
    "songswap.snapshots": (),
    "songswap.plays_by_hour": (),
    "songswap.polls": ("user_id", "polled_at", "answered_at", "newest_played_at", "problem"),
    "songswap.grants": ("user_id", "state", "authorized_at", "ask_again_at", "problem"),
    "songswap.gaps": ("user_id", "after", "before", "found_at", "closed_at"),
    "songswap.imports": ("import_id", "user_id", "started_at", "ended_at", "counts"),
    "songswap.erasures": (
        *("erasure_id", "user_id", "requested_at", "reason", "keeps_account"),
        *("ended_at", "renewed_at"),
    ),
    "songswap.erasure_places": (),
    "songswap.disconnects": (),
}
"""What the page in Airflow and the checks from outside read, by table: columns, or all of them.
No token, name, address or track is among it."""

_SECRETS = {
    "SpotifyTokens": ("access_token", "refresh_token"),
    "songswap.tokens": ("access_token", "refresh_token"),
}
"""What the login of the page must not read."""


class Server(NamedTuple):
    """PostgreSQL's version, and whether this session can change nothing."""

    version: str
    read_only: bool


def server(connection: psycopg.Connection) -> Server:
    """Return what the server says of itself."""
    row = connection.execute(_SQL["server"]).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Server(*row)


def require_writable(connection: psycopg.Connection) -> None:
    """Raise `WarehouseRefused` where this session can change nothing."""
    if server(connection).read_only:
        raise translate(psycopg.errors.ReadOnlySqlTransaction())


def missing_tables(connection: psycopg.Connection) -> list[str]:
    """Return the tables that do not exist, as ``schema.name``."""
    platform = schema.find(connection)
    tables = [_qualified(name, platform) for name in NEEDED]
    rows = connection.execute(_SQL["missing_tables"], {"tables": tables})
    return [name for (name,) in rows]


def missing_grants(
    connection: psycopg.Connection, needed_rights: Mapping[str, Sequence[str]] = NEEDED
) -> list[str]:
    """Return the GRANT statements for the rights that the connection's role lacks."""
    platform = schema.find(connection)
    needed = [
        (_qualified(name, platform), right)
        for name, rights in needed_rights.items()
        for right in rights
    ]
    tables, rights = zip(*needed, strict=True)
    params = {"schema": platform, "tables": list(tables), "rights": list(rights)}
    return [grant for (grant,) in connection.execute(_SQL["missing_grants"], params)]


def page_grants(platform: str, role: str) -> list[str]:
    """Return the GRANT statements for the page's role, see `READ_BY_PAGE`."""
    to = schema.quoted(role)
    schemas = f"GRANT USAGE ON SCHEMA {schema.quoted(platform)}, {schema.OWN} TO {to}"
    tables = [_grant(name, columns, platform, to) for name, columns in READ_BY_PAGE.items()]
    return [schemas, *tables]


def _grant(table: str, columns: Sequence[str], platform: str, to: str) -> str:
    of = f" ({', '.join(columns)})" if columns else ""
    namespace, name = _qualified(table, platform).rsplit(".", 1)
    return f"GRANT SELECT{of} ON {schema.quoted(namespace)}.{schema.quoted(name)} TO {to}"


def missing_grants_of_page(connection: psycopg.Connection) -> list[str]:
    """Return the GRANT statements for what the page's role cannot read, see `READ_BY_PAGE`."""
    return _about_columns(connection, "missing_reads", READ_BY_PAGE)


def surplus_of_page(connection: psycopg.Connection) -> list[str]:
    """Return the rights that the page's role has and must not: to write anything, to read tokens.

    A superuser, an owner and a member of either have all of them.
    """
    return _about_columns(connection, "surplus", _SECRETS)


def _about_columns(
    connection: psycopg.Connection, query: str, columns: Mapping[str, Sequence[str]]
) -> list[str]:
    platform = schema.find(connection)
    params = {
        "schema": platform,
        "tables": [_qualified(name, platform) for name in columns],
        "columns": [",".join(names) for names in columns.values()],
    }
    return [found for (found,) in connection.execute(_SQL[query], params)]


def _qualified(table: str, platform: str) -> str:
    return table if "." in table else f"{platform}.{table}"
