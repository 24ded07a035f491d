"""The pipeline's indexes on tables that the web app has made: which are missing, and building them.

what the platform reads ──▶ indexes that would serve it ──▶ those that no other index does
                        ──▶ built one by one, while others read and write the tables
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from songswap.errors import WarehouseBusy, WarehouseRefused
from songswap.warehouse import schema
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.schema import quoted
from songswap.warehouse.session import Session
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import Limits, limits_of_migrations, ms

log = logging.getLogger(__name__)

_SQL = statements("indexes.sql")

_LOOK_S = 2.0
"""How often to look how far a build is."""

_KNOWS_PROGRESS = 120_000
_KNOWS_CHECK_INTERVAL = 140_000
"""The versions of PostgreSQL from which it tells how far a build is, and notices a dead client."""

OnProgress = Callable[[str], None]
"""Is given a sentence for the operator."""


class Index(NamedTuple):
    """An index: its table, the columns of its key, those it holds besides, and what it serves."""

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
)
"""Those that the first migration gives the tables that it makes. What it lets keys hold besides is
not offered: it would be a second index as large as the key."""


class _Table(NamedTuple):
    """A table and its indexes, see the statement ``tables``."""

    name: str
    relkind: str
    owner: str
    is_ours: bool
    may_create: bool
    indexes: list[Mapping[str, Any]]

    def serving(self, index: Index) -> str | None:
        """The valid index that serves what ``index`` would; None where there is none."""
        return next((str(one["name"]) for one in self.indexes if _serves(one, index)), None)

    def named(self, index: Index) -> Mapping[str, Any] | None:
        """Its index of this name, valid or not."""
        return next((one for one in self.indexes if one["name"] == index.name), None)


def _serves(one: Mapping[str, Any], index: Index) -> bool:
    """Whether an index of the server's catalogue serves what ``index`` would."""
    keys = tuple(one["columns"][: one["keys"]])
    if not (one["is_whole"] and one["is_valid"]) or keys[: len(index.keys)] != index.keys:
        return False
    # A longer key serves a search as well; one that holds columns besides is read instead of rows.
    return not index.included or (
        keys == index.keys and set(one["columns"]) >= {*index.keys, *index.included}
    )


def build(dsn: str, on_progress: OnProgress) -> list[str]:
    """Build the indexes that are missing, one by one, without locking anybody out.

    One that an aborted build has left unfinished is dropped and built anew. Not through a pooler of
    transactions: a build is none.

    Returns:
        The names of those that were built.

    Raises:
        WarehouseRefused: the login may not, or a table cannot have them; nothing was begun.
        WarehouseBusy: another process builds them, or a transaction of others did not end in time.
        WarehouseUnavailable: PostgreSQL cannot be reached.
    """
    within = limits_of_migrations()
    with translate_errors(), Session.connect(dsn, autocommit=True, limits=within) as connection:
        platform = schema.find(connection)
        wanted = _wanted(connection, platform, on_progress)
        if wanted:
            _begin(connection, within)
        # Looked up again: another process may have built some until it let go of the lock.
        for index, is_unfinished in _wanted(connection, platform, lambda _: None) if wanted else ():
            _build(connection, dsn, platform, index, is_unfinished, within, on_progress)
    return [index.name for index, _ in wanted]


def _wanted(
    connection: Session, platform: str, on_progress: OnProgress
) -> list[tuple[Index, bool]]:
    """The indexes to build, and whether an unfinished one of the name is there."""
    about = {"schema": platform, "tables": sorted({one.table for one in INDEXES})}
    tables = {row[0]: _Table(*row) for row in connection.execute(_SQL["tables"], about)}
    wanted = []
    for index in INDEXES:
        table = tables[index.table]
        if serving := table.serving(index):
            on_progress(f"{index.table}: {serving} serves {index.serves}.")
            continue
        same = table.named(index)
        if same and same["is_valid"]:
            raise WarehouseRefused(
                f"{quoted(platform)}.{quoted(index.name)} is an index of other columns than"
                f" {', '.join((*index.keys, *index.included))}. Rename or drop it. Nothing was"
                " begun."
            )
        wanted.append((index, same is not None))
    role = quoted(connection.info.user)
    _require_rights(platform, role, [tables[index.table] for index, _ in wanted])
    return wanted


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


def _begin(connection: Session, within: Limits) -> None:
    row = psycopg.Connection.execute(connection, _SQL["alone"]).fetchone()
    if not row or not row[0]:
        raise WarehouseBusy(
            "Another 'songswap migrate --indexes' is building the indexes. Nothing was begun: wait"
            " for its end."
        )
    knows = connection.info.server_version >= _KNOWS_CHECK_INTERVAL
    settings = _SQL["settings" if knows else "settings_of_old_servers"]
    psycopg.Connection.execute(connection, settings, {"wait": ms(within.turn_s)})


def _build(
    connection: Session,
    dsn: str,
    platform: str,
    index: Index,
    is_unfinished: bool,
    within: Limits,
    on_progress: OnProgress,
) -> None:
    place, name = quoted(platform), quoted(index.name)
    include = f" INCLUDE ({', '.join(map(quoted, index.included))})" if index.included else ""
    create = (
        f"CREATE {'UNIQUE ' if index.included else ''}INDEX CONCURRENTLY {name}"
        f" ON {place}.{quoted(index.table)} ({', '.join(map(quoted, index.keys))}){include}"
    )
    begun = time.monotonic()
    try:
        if is_unfinished:
            on_progress(f"{index.name}: an unfinished one is dropped.")
            drop = f"DROP INDEX CONCURRENTLY {place}.{name}"
            psycopg.Connection.execute(connection, drop.encode())
        on_progress(f"{index.name}: building it on {index.table}, for {index.serves}.")
        with _progress(connection, dsn, index.name, on_progress):
            psycopg.Connection.execute(connection, create.encode())
    except psycopg.errors.LockNotAvailable as error:
        holders = " ".join(getattr(error, "__notes__", []))
        raise WarehouseBusy(
            f"The index {index.name} waited {within.turn_s:g} s for transactions of others to end."
            f" {holders} It is unfinished, and serves nobody. End them, or wait for their end, and"
            " run 'songswap migrate --indexes' again: it builds it anew."
        ) from None
    on_progress(f"{index.name}: built in {time.monotonic() - begun:.1f} s.")


@contextmanager
def _progress(connection: Session, dsn: str, name: str, on_progress: OnProgress) -> Iterator[None]:
    """Say every few seconds, from another connection, how far a build is."""
    done = threading.Event()
    about = {"pid": connection.info.backend_pid}

    def look() -> None:
        said = ""
        try:
            with Session.connect(dsn, autocommit=True) as other:
                while not done.wait(_LOOK_S):
                    row = other.execute(_SQL["progress"], about).fetchone()
                    if row and (told := _in_words(*row)) != said:
                        said = told
                        on_progress(f"{name}: {said}.")
        except psycopg.Error as error:
            # The build goes on: only nothing is said of it.
            log.warning("How far it is cannot be told: %s", type(error).__name__)

    if connection.info.server_version < _KNOWS_PROGRESS:
        yield
        return
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        done.set()
        looking.join()


def _in_words(phase: str, blocks: int, of_blocks: int, tuples: int, of_tuples: int) -> str:
    """How far a build is; one that waits for others has nothing to count."""
    done, of = (blocks, of_blocks) if of_blocks else (tuples, of_tuples)
    return f"{phase}, {100 * done // of} %" if of else phase
