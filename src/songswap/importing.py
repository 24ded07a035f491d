"""Import a user's whole streaming history from the export that Spotify sends on request.

    zip, folder, files ──▶ rows ──▶ S3 (without personal fields) ──▶ one transaction, see `stream`

All files are read before anything is stored, so that one that is broken, hostile or another user's
leaves nothing behind. Stopped at any point and started again, it gives the same tables.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import psycopg

from songswap.errors import ExportRefused, LoadIncomplete
from songswap.garbage import uncollected
from songswap.raw import key
from songswap.raw.archive import Archive
from songswap.raw.export import Source, sources
from songswap.raw.inbox import Package, opened
from songswap.raw.kept import Kept, pack
from songswap.raw.library import RawExport
from songswap.settings import Settings
from songswap.spotify.client import utc_now
from songswap.transform import export
from songswap.transform.export import File
from songswap.transform.export_row import Kind
from songswap.transform.settle import Rule, share_told
from songswap.warehouse import stream
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)

_OWN_SHARE = 0.1
"""An export of which less stands in what the API told is another user's."""

_ADJACENT = timedelta(days=2)
"""Spotify cuts a history into files between two rows."""

Progress = Callable[[str, int, int], None]
"""Hears the step, and of its work how much is done and how much there is."""


@dataclass(slots=True)
class _Read:
    """The files of an export, read; ``kept`` is what may be archived of them, gzipped, by key."""

    files: list[File] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Rows that were read, and what became of those that are no streams."""
        counts = Counter[str]()
        for file in self.files:
            counts["rows"] += file.rows
            counts += file.left_out
            counts["set_aside"] += len(file.set_aside)
        return counts


def import_export(
    settings: Settings,
    user_id: int,
    paths: Sequence[Path],
    import_id: str,
    progress: Progress,
    clock: Callable[[], datetime] = utc_now,
    trust: bool = False,
) -> dict[str, int]:
    """Import an export of a user.

    Args:
        paths: zips, folders and single files that are one export, or parts of it.
        import_id: under which it is noted in ``songswap.imports``.
        trust: import it although hardly anything of what the API told stands in it.

    Returns:
        Counts: rows, which are the sum of loaded, merged, again, short, private, unidentified,
        podcast, audiobook, video and set_aside; and new tracks, notes, gaps_closed.

    Raises:
        ExportRefused: what was given is no export, or not this user's. Nothing was imported.
        ArchiveError: S3 does not take it. Nothing was imported.
        WarehouseUnavailable, SchemaOutdated, LoadIncomplete: nothing was loaded.
    """
    now = clock()
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection)
        spotify_id = stream.spotify_id(connection, user_id)
    with uncollected():
        package = _read_all(user_id, sources(paths), now, progress)
        _require_owner(package, user_id, spotify_id)
        if not trust:
            _require_likeness(settings, user_id, package)
        progress("archive", 0, len(package.kept))
        asyncio.run(_archive(settings, package, progress))
        return dict(_load(settings, user_id, package, import_id, now, progress))


class Imported(NamedTuple):
    """What became of the export of a user; ``problem`` says why it was refused."""

    user_id: int
    counts: dict[str, int]
    problem: str | None = None


def import_package(
    settings: Settings,
    run_id: str,
    package: Package,
    clock: Callable[[], datetime] = utc_now,
) -> Imported:
    """Import one of many exports; one that is refused costs only itself.

    Args:
        run_id: of all of them; the import is noted under it and the user.

    Raises:
        ArchiveError, ArchiveUnreadable, WarehouseUnavailable, SchemaOutdated, LoadIncomplete: the
            trouble is not the export's. Nothing of it was loaded; start again.
    """
    user_id = package.user_id

    def told(step: str, done: int, of: int) -> None:
        log.debug("User %d: %s, %d of %d.", user_id, step, done, of)

    try:
        with opened(package, settings.library) as paths:
            import_id = f"{run_id}__user{user_id}"
            return Imported(
                user_id, import_export(settings, user_id, paths, import_id, told, clock)
            )
    except ExportRefused as error:
        log.warning("User %d: %s", user_id, error)
        return Imported(user_id, {}, str(error))


def import_archived(
    settings: Settings, run_id: str, user_id: int, given: Sequence[RawExport]
) -> dict[str, int]:
    """Load the rows of a user's exports from the archive, import by import.

    Args:
        given: the objects that hold them, in the order of their imports.

    Returns:
        Counts, see `import_export`.

    Raises:
        AnswerDamaged, ExportRefused: an object is not whole, or the user is gone. What was loaded
            until then stays.
        WarehouseUnavailable, LoadIncomplete: as above.
    """
    counts: Counter[str] = Counter()
    for told_at, of_import in groupby(given, key=lambda one: one.told_at):
        package = _Read()
        for one in of_import:
            package.files.append(export.read(one.key, Kind(one.kind), one.body, told_at))
            package.keys.append(one.key)
        import_id = f"{run_id}__user{user_id}__{told_at:%Y-%m-%dT%H:%M:%S}"
        counts += _load(
            settings, user_id, package, import_id, told_at, lambda *_: None, is_replay=True
        )
    return dict(counts)


def total(done: Iterable[Imported]) -> dict[str, int]:
    """The counts of imports, added up."""
    added: Counter[str] = Counter()
    for one in done:
        added.update(one.counts)
    return dict(added)


def _load(
    settings: Settings,
    user_id: int,
    package: _Read,
    import_id: str,
    now: datetime,
    progress: Progress,
    is_replay: bool = False,
) -> Counter[str]:
    streams = list(chain.from_iterable(file.streams for file in package.files))
    set_aside = [
        (item, raw_key or "")
        for file, raw_key in zip(package.files, package.keys, strict=True)
        for item in file.set_aside
    ]
    raw_keys = sorted({one for one in package.keys if one})
    told = stream.Export(user_id, streams, _spans(package.files), set_aside, raw_keys, is_replay)
    progress("load", 0, len(streams))
    with connect(settings.warehouse_dsn) as connection:
        try:
            counts = stream.load(
                connection, told, import_id, Rule(settings.play_ms), package.counts(), now
            )
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise LoadIncomplete(
                f"PostgreSQL refused the export of user {user_id} (SQLSTATE {error.sqlstate}). All"
                " of it was rolled back; its rows are archived. Start the import again: if it is"
                " refused again, something else writes to the tables, or a constraint was added."
            ) from None  # whose text quotes rows
    progress("load", len(streams), len(streams))
    return counts


def _read_all(user_id: int, found: Sequence[Source], now: datetime, progress: Progress) -> _Read:
    package = _Read()
    size, done = sum(source.size for source in found), 0
    for source in found:
        progress("read", done, size)
        file = export.read(source.name, source.kind, source.body(), now)
        raw_key = None
        if file.kept:
            raw_key = key.for_export(user_id, file.kind.value, file.kept)
            kept = Kept(len(package.kept), user_id, raw_key, now, None, pack(file.kept))
            package.kept.append(kept)
            file.kept = b""
        package.files.append(file)
        package.keys.append(raw_key)
        done += source.size
    progress("read", done, size)
    return package


def _require_owner(package: _Read, user_id: int, spotify_id: str) -> None:
    """The user names that stand in an export have to be the user's."""
    owners = {owner.casefold() for file in package.files for owner in file.owners}
    if owners - {spotify_id.casefold()}:
        raise ExportRefused(
            f"This is the export of another user than {user_id}: the name at Spotify that stands in"
            " it is not this user's. Nothing was imported."
        )


def _require_likeness(settings: Settings, user_id: int, package: _Read) -> None:
    """What the API told of the user in the time of an export has to stand in it."""
    told = [one for file in package.files if not _by_names(file) for one in file.streams]
    if not told:
        return
    ends = [one.ended_at for one in told]
    with connect(settings.warehouse_dsn) as connection:
        plays = stream.told_by_api(connection, user_id, min(ends), max(ends))
    share = share_told(told, plays)
    if share is not None and share < _OWN_SHARE:
        raise ExportRefused(
            f"This looks like the export of another user than {user_id}: of {len(plays)} plays that"
            f" the API told in its time, {share:.0%} stand in it. Nothing was imported. If it is"
            " this user's all the same, say --trust."
        )


def _by_names(file: File) -> bool:
    return all(one.to_the_minute for one in file.streams)


async def _archive(settings: Settings, package: _Read, progress: Progress) -> None:
    archive = Archive(settings.archive)
    for done, kept in enumerate(package.kept, 1):
        await archive.put_once(kept)
        progress("archive", done, len(package.kept))


def _spans(files: Sequence[File]) -> list[tuple[datetime, datetime]]:
    """The times of which the files tell everything; those that follow each other are one."""
    spans: list[tuple[datetime, datetime]] = []
    for oldest, newest in sorted(span for file in files if (span := file.span)):
        if spans and oldest - spans[-1][1] <= _ADJACENT:
            since, until = spans.pop()
            spans.append((since, max(until, newest)))
        else:
            spans.append((oldest, newest))
    return spans
