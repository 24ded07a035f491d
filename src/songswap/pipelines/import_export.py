"""Import a user's whole streaming history from the export that Spotify sends on request.

    zip, folder, files ──▶ rows ──▶ S3 (without personal fields) ──▶ one transaction, see `streams`

All files are read before anything is stored, so that one that is broken, hostile or another user's
leaves nothing behind. Stopped at any point and started again, an import gives the same tables.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import psycopg

from songswap.clock import utc_now
from songswap.errors import ExportRefused, LoadIncomplete
from songswap.models import Stream
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines import run_counts
from songswap.pipelines.export_contents import Contents, Progress, read_contents, require_owner
from songswap.settings import Settings
from songswap.storage.archive import Archive
from songswap.storage.export_files import LabelledPath, find_sources
from songswap.storage.export_folder import shown
from songswap.storage.export_inbox import Package, fetch_package
from songswap.storage.records import RawExport
from songswap.storage.scratch import scratch
from songswap.transform.exports import files
from songswap.transform.exports.kinds import OWN, Kind
from songswap.transform.exports.outcomes import Rule
from songswap.transform.exports.ownership import share_found
from songswap.transform.exports.streams import File
from songswap.warehouse import erasures
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.exports.own_plays import OwnPlay
from songswap.warehouse.exports.streams import (
    Export,
    HandedOver,
    api_plays,
    id_of_replay,
    load,
    spotify_id,
)
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)

_OWN_SHARE = 0.1
"""An export that has a smaller share of the plays of the API is another user's."""

_ADJACENT = timedelta(days=2)
"""Spotify cuts a history into files between two rows."""


class Imported(NamedTuple):
    """The result of a user's import.

    ``left_out`` names files that may be a history and were not read, with the reason; ``problem``
    says why the whole export was refused.
    """

    user_id: int
    counts: dict[str, int]
    left_out: tuple[str, ...] = ()
    problem: str | None = None


def import_export(
    settings: Settings,
    user_id: int,
    paths: Sequence[Path],
    import_id: str,
    progress: Progress,
    clock: Callable[[], datetime] = utc_now,
    trust: bool = False,
) -> dict[str, int]:
    """Import an export of a user; return the counts of `import_files`."""
    return import_files(settings, user_id, paths, import_id, progress, clock, trust).counts


def import_files(
    settings: Settings,
    user_id: int,
    paths: Sequence[Path],
    import_id: str,
    progress: Progress,
    clock: Callable[[], datetime] = utc_now,
    trust: bool = False,
) -> Imported:
    """Import an export of a user.

    Args:
        paths: zips, folders and single files that are one export, or parts of it.
        import_id: its id in ``songswap.imports``.
        trust: import it although it has another user's name, or hardly any play of the API.

    Returns:
        Counts: rows, which are the sum of loaded, merged, duplicates (of an earlier import),
        repeated (a second time in this export), short, private, unidentified, podcast, audiobook,
        video and rejected_items; new tracks, data_fixes, gaps_closed; and files_left_out.

    Raises:
        ExportRefused: this is no export, or not this user's. Nothing was imported.
        ArchiveError: S3 does not take it. Nothing was imported.
        SettingsError: there is no disk space to unpack it.
        WarehouseUnavailable, SchemaOutdated, LoadIncomplete: no stream was loaded. Plays of the API
            in our own export can have been, some thousand at a time.
    """
    inputs = [LabelledPath(path, shown(str(path))) for path in paths]
    with scratch() as folder:
        return _import(settings, user_id, inputs, folder, import_id, progress, clock, trust)


def import_package(
    settings: Settings,
    run_id: str,
    package: Package,
    clock: Callable[[], datetime] = utc_now,
    progress: Progress | None = None,
    trust: bool = False,
) -> Imported:
    """Import one of many exports; one that is refused costs only itself.

    Args:
        run_id: of all of them; the import's id is made of it and the user.
        trust: see `import_files`.

    Raises:
        ArchiveError, ArchiveUnreadable, WarehouseUnavailable, SchemaOutdated, LoadIncomplete,
        SettingsError: it is not the export's fault. No stream of it was loaded; start again.
    """
    user_id = package.user_id
    import_id = f"{run_id}__user{user_id}"
    try:
        with scratch() as folder:
            inputs = fetch_package(package, settings.library, folder)
            return _import(
                settings,
                user_id,
                inputs,
                folder,
                import_id,
                progress or partial(_log, user_id),
                clock,
                trust,
            )
    except ExportRefused as error:
        return Imported(user_id, {}, problem=str(error))


def _log(user_id: int, step: str, done: int, of: int) -> None:
    log.debug("User %d: %s, %d of %d.", user_id, step, done, of)


@gc_paused()
def _import(
    settings: Settings,
    user_id: int,
    inputs: Sequence[LabelledPath],
    folder: Path,
    import_id: str,
    progress: Progress,
    clock: Callable[[], datetime],
    trust: bool,
) -> Imported:
    now = clock()
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection)
        owner = spotify_id(connection, user_id)
    package = read_contents(user_id, find_sources(inputs, folder), now, progress)
    with connect(settings.warehouse_dsn) as guard:
        if not trust:
            require_owner(package, user_id, owner)
            _require_likeness(guard, user_id, package)
        with _guarded(guard, user_id):
            progress("archive", 0, len(package.archivable))
            asyncio.run(_archive(settings, package, progress))
            counts = _load(settings, user_id, package, import_id, now, progress)
    return Imported(user_id, dict(counts), tuple(package.left_out))


@contextmanager
def _guarded(connection: psycopg.Connection, user_id: int) -> Iterator[None]:
    """Let nobody erase the user for the block, whose end would come after S3 was swept.

    Raises:
        ExportRefused: the user is erased, or being erased.
    """
    with erasures.taking_turn(connection, user_id, is_import=True) as is_free:
        # An erasure that is requested from now on waits for its turn.
        spotify_id(connection, user_id)
        if not is_free:
            raise ExportRefused(
                f"User {user_id} is being erased at this moment. Nothing was imported."
            )
        yield


def import_archived(
    settings: Settings,
    run_id: str,
    user_id: int,
    exports: Sequence[RawExport],
    earlier: Iterable[RawExport] = (),
) -> dict[str, int]:
    """Load the rows of a user's exports from the archive, import by import.

    An object has the time of the import that archived it first. So the streams of a hand-over can
    be those of a later import than its plays: each gets the plays of all before it.

    Args:
        exports: the objects with the rows, in the order of their imports.
        earlier: objects of imports before these, which are not loaded.

    Returns:
        Counts, see `import_export`.

    Raises:
        CorruptResponse, ExportRefused: an object is not whole, or the user is gone. What was loaded
            until then stays.
        WarehouseUnavailable, LoadIncomplete: likewise.
    """
    counts: Counter[str] = Counter()
    plays = {
        play for export in earlier if export.kind == Kind.PLAYS for play in _read(export).plays
    }
    for (imported_at, _), objects in groupby(exports, key=_import_of):
        package = Contents(earlier_plays=plays)
        for export in objects:
            package.files.append(_read(export))
            package.keys.append(export.key)
        plays = plays.union(*(file.plays for file in package.files))
        import_id = id_of_replay(run_id, user_id, imported_at)
        counts += _load(
            settings, user_id, package, import_id, imported_at, lambda *_: None, is_replay=True
        )
    return dict(counts)


def total(imports: Iterable[Imported]) -> dict[str, int]:
    """Add up the counts of imports."""
    return run_counts.total(imported.counts for imported in imports)


def _load(
    settings: Settings,
    user_id: int,
    package: Contents,
    import_id: str,
    now: datetime,
    progress: Progress,
    is_replay: bool = False,
) -> Counter[str]:
    streams = list(chain.from_iterable(file.streams for file in package.files))
    rejected_items = [
        (item, raw_key or "")
        for file, raw_key in zip(package.files, package.keys, strict=True)
        for item in file.rejected_items
    ]
    raw_keys = sorted({key for key in package.keys if key})
    handed_over = _handed_over(package)
    # Ours has the gaps of the warehouse that it comes from.
    spans = [] if handed_over else _spans(package.files)
    export = Export(user_id, streams, spans, rejected_items, raw_keys, is_replay, handed_over)
    progress("load", 0, len(streams))
    with connect(settings.warehouse_dsn) as connection:
        try:
            rule = Rule(settings.play_ms)
            counts = load(connection, export, import_id, rule, package.counts(), now)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            loaded = (
                "; plays of the API that came with them may be, and stay" if handed_over else ""
            )
            raise LoadIncomplete(
                f"PostgreSQL refused the export of user {user_id} (SQLSTATE {error.sqlstate}). None"
                f" of its streams is loaded{loaded}. Its rows are archived. Start the import again:"
                " if it is refused again, something else writes to the tables, or a constraint was"
                " added."
            ) from None  # whose text quotes rows
    progress("load", len(streams), len(streams))
    return counts


def _read(export: RawExport) -> File:
    return files.read(export.key, Kind(export.kind), export.body, export.imported_at)


def _import_of(export: RawExport) -> tuple[datetime, bool]:
    return export.imported_at, Kind(export.kind) in OWN


def _handed_over(package: Contents) -> HandedOver | None:
    """Return what only our own export has; None where it is Spotify's."""
    if not any(file.kind in OWN for file in package.files):
        return None
    plays = [
        OwnPlay(played_at, track_id, raw_key or "")
        for file, raw_key in zip(package.files, package.keys, strict=True)
        for played_at, track_id in file.plays
    ]
    tracks = [track for file in package.files for track in file.tracks]
    return HandedOver(plays, tracks, package.earlier_plays)


def _require_likeness(connection: psycopg.Connection, user_id: int, package: Contents) -> None:
    """Require the export to have the user's plays of the API in its time.

    Raises:
        ExportRefused: it has hardly any.
    """
    streams = [stream for file in package.files if not _by_names(file) for stream in file.streams]
    streams += [Stream(at, 0, track_id) for file in package.files for at, track_id in file.plays]
    if not streams:
        return
    ends = [stream.ended_at for stream in streams]
    plays = api_plays(connection, user_id, min(ends), max(ends))
    share = share_found(streams, plays)
    if share is not None and share < _OWN_SHARE:
        raise ExportRefused(
            f"This looks like the export of another user than {user_id}: of {len(plays)} plays from"
            f" the API in its time, it has {share:.0%}. Nothing was imported. If it is this user's"
            f" all the same, import it alone, with --user {user_id} --trust."
        )


def _by_names(file: File) -> bool:
    return all(stream.to_the_minute for stream in file.streams)


async def _archive(settings: Settings, package: Contents, progress: Progress) -> None:
    archive = Archive(settings.archive)
    for done, file in enumerate(package.archivable, 1):
        await archive.put_export(file)
        progress("archive", done, len(package.archivable))


def _spans(files: Sequence[File]) -> list[tuple[datetime, datetime]]:
    """The times that the files cover without a gap."""
    spans: list[tuple[datetime, datetime]] = []
    for oldest, newest in sorted(span for file in files if (span := file.span)):
        if spans and oldest - spans[-1][1] <= _ADJACENT:
            since, until = spans.pop()
            spans.append((since, max(until, newest)))
        else:
            spans.append((oldest, newest))
    return spans
