"""Build the pipeline's indexes on tables that the web app has created.

queries of the platform ──▶ indexes that serve them ──▶ those that no existing index replaces
                        ──▶ built one by one, while others read and write the tables
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from songswap.errors import WarehouseBusy, WarehouseError, WarehouseRefused
from songswap.warehouse import schema
from songswap.warehouse.connection import connect
from songswap.warehouse.schema import quoted
from songswap.warehouse.sql import scalar, statements
from songswap.warehouse.timeouts import Limits, limits_of_migrations, ms

log = logging.getLogger(__name__)

_SQL = statements("indexes.sql")

_POLL_S = 2.0
"""How often to look up the progress of a build."""

_HAS_PROGRESS = 120_000
_HAS_CHECK_INTERVAL = 140_000
"""The first versions of PostgreSQL to report the progress of a build, and notice a dead client."""

OnProgress = Callable[[str], None]
"""Receives sentences for the operator."""


class Index(NamedTuple):
    """An index: its table, its key columns, its other columns, and the query that it serves."""

    name: str
    table: str
    keys: tuple[str, ...]
    included: tuple[str, ...]
    serves: str


INDEXES = (
    Index("songswap_history_track_id", "History", ("track_id",), (), "plays of a track"),
    Index(
        "songswap_artist_tracks_artist_id",
        "ArtistTracks",
        ("artist_id",),
        (),
        "tracks of an artist",
    ),
    Index(
        "songswap_tracks_id_covering",
        "Tracks",
        ("id",),
        ("duration_ms", "name"),
        "length and name of a track, read from the index alone",
    ),
    Index(
        "songswap_track_images_id_width",
        "TrackImages",
        ("id", "width"),
        (),
        "the widest image of a track",
    ),
)
"""The indexes that the first migration adds to tables that it creates itself. Columns that it
includes in primary keys are left out: they would take a second index as large as the key."""


class _Table(NamedTuple):
    """A table and its indexes, see the statement ``tables``."""

    name: str
    relkind: str
    owner: str
    is_ours: bool
    may_create: bool
    indexes: list[Mapping[str, Any]]

    def serving(self, index: Index) -> str | None:
        """Return the valid index that serves the same query; None if there is none."""
        return next((str(own["name"]) for own in self.indexes if _serves(own, index)), None)

    def named(self, index: Index) -> Mapping[str, Any] | None:
        """Return the table's index of this name, valid or not."""
        return next((own for own in self.indexes if own["name"] == index.name), None)


def _serves(existing: Mapping[str, Any], index: Index) -> bool:
    """Return whether an index of the server's catalogue serves the same query as ``index``."""
    keys = tuple(existing["columns"][: existing["keys"]])
    is_usable = existing["is_whole"] and existing["is_valid"]
    if not is_usable or keys[: len(index.keys)] != index.keys:
        return False
    # A longer key serves a search too, but a covering index is read instead of the rows.
    return not index.included or (
        keys == index.keys and set(existing["columns"]) >= {*index.keys, *index.included}
    )


def build(dsn: str, on_progress: OnProgress) -> list[str]:
    """Build the missing indexes one by one, while others read and write the tables.

    An index that an aborted build has left unfinished is dropped and built again. Needs a direct
    connection: a concurrent build is no transaction, which a pooler of transactions needs.

    Returns:
        The names of the built indexes.

    Raises:
        WarehouseRefused: a right is missing, or a table cannot have indexes; nothing was begun.
        WarehouseBusy: another process builds them, or another transaction did not end in time.
        WarehouseUnavailable: PostgreSQL cannot be reached.
    """
    within = limits_of_migrations()
    with connect(dsn, within) as connection:
        platform = schema.find(connection)
        tables = _tables(connection, platform)
        for index in INDEXES:
            if serving := tables[index.table].serving(index):
                on_progress(f"{index.table}: {serving} serves {index.serves}.")
        missing = _missing(connection, platform, tables)
        if not missing:
            return []
        _begin(connection, within)
        # Looked up again: another process may have built some before it released the lock.
        missing_now = _missing(connection, platform, _tables(connection, platform))
        for index, is_unfinished in missing_now:
            _build(connection, dsn, platform, index, is_unfinished, within, on_progress)
    return [index.name for index, _ in missing]


def _tables(connection: psycopg.Connection, platform: str) -> dict[str, _Table]:
    params = {"schema": platform, "tables": sorted({index.table for index in INDEXES})}
    return {row[0]: _Table(*row) for row in connection.execute(_SQL["tables"], params)}


def _missing(
    connection: psycopg.Connection, platform: str, tables: Mapping[str, _Table]
) -> list[tuple[Index, bool]]:
    """Return the indexes to build, and whether there is an unfinished one of the name.

    Raises:
        WarehouseRefused: a table cannot have one of them.
    """
    missing = []
    for index in INDEXES:
        table = tables[index.table]
        if table.serving(index):
            continue
        same = table.named(index)
        if same and same["is_valid"]:
            raise WarehouseRefused(
                f"{quoted(platform)}.{quoted(index.name)} is an index of other columns than"
                f" {', '.join((*index.keys, *index.included))}. Rename or drop it. Nothing was"
                " begun."
            )
        missing.append((index, same is not None))
    role = quoted(connection.info.user)
    _require_rights(platform, role, [tables[index.table] for index, _ in missing])
    return missing


def _require_rights(platform: str, role: str, tables: list[_Table]) -> None:
    """Raise `WarehouseRefused` where an index cannot be built on one of these tables."""
    for table in tables:
        name = f"{quoted(platform)}.{quoted(table.name)}"
        if table.relkind != "r":
            raise WarehouseRefused(
                f"{name} is no plain table, and PostgreSQL builds indexes beside running work on"
                " those alone: have its owner make them (docs/deployment.md). Nothing was begun."
            )
        if not table.is_ours:
            raise WarehouseRefused(
                f"Only the owner of {name}, {quoted(table.owner)}, may give it an index. Run"
                " 'songswap migrate --indexes' with that login, or have a superuser run: GRANT"
                f" {quoted(table.owner)} TO {role}. Nothing was begun."
            )
        if not table.may_create:
            raise WarehouseRefused(
                f"The login of SongSwap_RDS may not make an index in schema {quoted(platform)}."
                f" Have the schema's owner run: GRANT CREATE ON SCHEMA {quoted(platform)} TO"
                f" {role}. Nothing was begun."
            )


def _begin(connection: psycopg.Connection, within: Limits) -> None:
    if not scalar(psycopg.Connection.execute(connection, _SQL["lock"])):
        raise WarehouseBusy(
            "Another 'songswap migrate --indexes' is building the indexes. Nothing was begun: wait"
            " for its end."
        )
    is_old = connection.info.server_version < _HAS_CHECK_INTERVAL
    settings = _SQL["settings_of_old_servers" if is_old else "settings"]
    psycopg.Connection.execute(connection, settings, {"wait": ms(within.turn_s)})


def _build(
    connection: psycopg.Connection,
    dsn: str,
    platform: str,
    index: Index,
    is_unfinished: bool,
    within: Limits,
    on_progress: OnProgress,
) -> None:
    schema_name, name = quoted(platform), quoted(index.name)
    include = f" INCLUDE ({', '.join(map(quoted, index.included))})" if index.included else ""
    create = (
        f"CREATE {'UNIQUE ' if index.included else ''}INDEX CONCURRENTLY {name}"
        f" ON {schema_name}.{quoted(index.table)} ({', '.join(map(quoted, index.keys))}){include}"
    )
    started = time.monotonic()
    try:
        if is_unfinished:
            on_progress(f"{index.name}: an unfinished one is dropped.")
            drop = f"DROP INDEX CONCURRENTLY {schema_name}.{name}"
            psycopg.Connection.execute(connection, drop.encode())
        on_progress(f"{index.name}: building it on {index.table}, for {index.serves}.")
        with _reporting(connection, dsn, index.name, on_progress):
            psycopg.Connection.execute(connection, create.encode())
    except psycopg.errors.LockNotAvailable as error:
        holders = " ".join(getattr(error, "__notes__", []))
        raise WarehouseBusy(
            f"The index {index.name} waited {within.turn_s:g} s for transactions of others to end."
            f" {holders} It is unfinished, and serves nobody. End them, or wait for their end, and"
            " run 'songswap migrate --indexes' again: it builds it anew."
        ) from None
    on_progress(f"{index.name}: built in {time.monotonic() - started:.1f} s.")


@contextmanager
def _reporting(
    connection: psycopg.Connection, dsn: str, name: str, on_progress: OnProgress
) -> Iterator[None]:
    """Report the progress of a build every few seconds, from a thread with its own connection."""
    if connection.info.server_version < _HAS_PROGRESS:
        yield
        return
    done = threading.Event()
    arguments = (done, dsn, connection.info.backend_pid, name, on_progress)
    thread = threading.Thread(target=_report_until, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report_until(
    done: threading.Event, dsn: str, pid: int, name: str, on_progress: OnProgress
) -> None:
    last = ""
    try:
        with connect(dsn) as connection:
            while not done.wait(_POLL_S):
                row = connection.execute(_SQL["progress"], {"pid": pid}).fetchone()
                if row and (progress := _progress(*row)) != last:
                    last = progress
                    on_progress(f"{name}: {progress}.")
    except WarehouseError as error:
        # The build itself is not affected.
        log.warning("The progress of the build is unknown: %s", type(error).__name__)


def _progress(phase: str, blocks: int, of_blocks: int, tuples: int, of_tuples: int) -> str:
    """Return the progress of a build in words; a build that waits for others has no count."""
    done, total = (blocks, of_blocks) if of_blocks else (tuples, of_tuples)
    return f"{phase}, {100 * done // total} %" if total else phase
