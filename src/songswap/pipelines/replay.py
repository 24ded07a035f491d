"""Rebuild the warehouse from the raw archive: load again what the hourly runs have archived.

    plan: users and hours, in units ──▶ replay, many units at once: S3 ──▶ transform ──▶ warehouse

A user's responses are loaded in the order in which Spotify gave them; what they say of tracks comes
out the same in any order (docs/adr/0012). The tables' keys decide what is new, so a replay can go
into the live tables, be stopped at any point, and be started again. A unit needs nothing but the
settings: any process on any machine can do it.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import psycopg

from songswap.errors import CorruptResponse, ExportRefused, RunFailed, SettingsError
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.bisection import Bisection
from songswap.pipelines.import_export import import_archived
from songswap.pipelines.load import REFUSED, load_catalogue, poll_batches, reason, transformed
from songswap.settings import Settings
from songswap.storage.archive_reader import ArchiveReader, Damaged, ReadResult, Unusable
from songswap.storage.records import RawExport, RawResponse
from songswap.warehouse import erasures, news, plays, users
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.plays import PollBatch
from songswap.warehouse.retry import retried

log = logging.getLogger(__name__)

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

MOST_UNITS = 1000
"""Airflow maps over at most 1,024 things."""

_USERS_AT_MOST = 50
_UNITS_AT_LEAST = 16


class Unit(NamedTuple):
    """Users, by their ids, and the hours to replay of them: from ``since``, before ``until``.

    None is no bound.
    """

    users: tuple[int, ...]
    since: datetime | None
    until: datetime | None


def plan(
    settings: Settings,
    users: Collection[int] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Unit]:
    """Cut a replay into units.

    Args:
        users: their ids; all users of the archive, if None.
        since: the first hour (UTC); no bound, if None.
        until: the hour before which it ends; no bound, if None.

    Raises:
        SettingsError: no key may read the archive, or the hours end before they begin.
        ArchiveUnreadable: S3 does not list its objects.
    """
    if since is not None and until is not None and since >= until:
        raise SettingsError("The hours to replay end before they begin: nothing was done.")
    ids = sorted(set(users)) if users is not None else _all_users(settings)
    size = max(-(-len(ids) // MOST_UNITS), min(_USERS_AT_MOST, -(-len(ids) // _UNITS_AT_LEAST)), 1)
    starts = range(0, len(ids), size)
    return [Unit(tuple(ids[start : start + size]), since, until) for start in starts]


def require_users(settings: Settings, units: Sequence[Unit]) -> None:
    """Raise `RunFailed` where no user of these units is in the warehouse: nothing would load.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing can be loaded.
    """
    ids = [user_id for unit in units for user_id in unit.users]
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection)
        existing = users.existing(connection, ids)
    if ids and not existing:
        raise RunFailed(
            f'None of the {len(ids)} users to replay is in "Users" of this warehouse, and plays'
            " belong to users: nothing was loaded. Restore that table first, or have its rows"
            " copied from the live warehouse ('songswap replay --into … --copy-users')."
        )


def copy_users(settings: Settings, live_dsn: str, units: Sequence[Unit]) -> int:
    """Copy the users of these units from the live warehouse, without tokens; return how many.

    Raises:
        WarehouseUnavailable: one of the two refused or was lost.
    """
    ids = [user_id for unit in units for user_id in unit.users]
    with connect(live_dsn) as source, connect(settings.warehouse_dsn) as target:
        return users.copy(source, target, ids)


def look(settings: Settings, unit: Unit) -> dict[str, int]:
    """Count what a unit would read, and change nothing.

    Returns:
        Counts: users, gone_users (not in the warehouse), objects, bytes, foreign (objects that are
        no responses).
    """
    archive, ids = _archive(settings), unit.users
    counts: Counter[str] = Counter(users=len(ids))
    sizes = [found.size for found in archive.responses_of(ids, unit.since, unit.until)]
    sizes += [size for _, exports in archive.export_sizes(ids) for _, size in exports]
    counts["objects"], counts["bytes"] = len(sizes), sum(sizes)
    counts["foreign"] = archive.foreign.total()
    with connect(settings.warehouse_dsn) as connection:
        counts["gone_users"] = len(ids) - len(users.existing(connection, ids))
    return dict(counts)


def replay(settings: Settings, run_id: str, unit: Unit) -> dict[str, int]:
    """Load all responses of a unit in the order of time, then the exports of its users.

    Args:
        run_id: is stored in ``songswap.gaps``, ``songswap.rejected_items`` and ``songswap.news``.

    Returns:
        Counts: users, gone_users, objects, responses (loaded), known (plays that were loaded
        before), damaged (objects that are no whole response), unusable (whole ones without plays:
        errors of Spotify, empty ones), refused (responses whose rows PostgreSQL refused), foreign;
        and new rows by name, see `songswap.pipelines.load.load_responses`.

    Raises:
        ArchiveUnreadable, WarehouseUnavailable: what was loaded until then stays.
    """
    archive, ids = _archive(settings), unit.users
    with connect(settings.warehouse_dsn) as connection:
        replay = _Replay(settings, connection, run_id, str(ids[0]), Counter(users=len(ids)))
        replay.counts["gone_users"] = len(ids) - len(users.existing(connection, ids))
        for results in archive.read_all(archive.responses_of(ids, unit.since, unit.until)):
            replay.load_responses(results)
        existing = users.existing(connection, ids)
        erased = erasures.not_loadable(connection, existing)
    loadable = [user_id for user_id in sorted(existing) if erased.get(user_id, _FIRST)]
    # After all plays of the API, so that the order in which both came decides nothing. An import
    # has its own connection: a unit never has two.
    for user_id, exports in archive.exports_of(loadable):
        replay.load_exports(user_id, unit, exports, erased.get(user_id) or _FIRST)
    replay.counts["foreign"] = archive.foreign.total()
    return dict(replay.counts)


def problem(counts: Mapping[str, int]) -> str | None:
    """Say in a sentence what of a replay is not loaded; None where all is."""
    damaged, refused = counts.get("damaged", 0), counts.get("refused", 0)
    if not damaged and not refused:
        return None
    return (
        f"{damaged} objects are damaged and {refused} responses were refused by PostgreSQL; the"
        " log names them. All others are loaded. Start the replay again when they are repaired:"
        " nothing is loaded twice."
    )


class _Replay(NamedTuple):
    """The replay of a unit."""

    settings: Settings
    connection: psycopg.Connection
    run_id: str
    part: str
    counts: Counter[str]

    def load_responses(self, results: Sequence[ReadResult]) -> None:
        """Load responses, in the order of time."""
        self.counts["objects"] += len(results)
        responses = []
        for result in results:
            match result:
                case Damaged():
                    self._skip("damaged", result.key, result.problem)
                case Unusable():
                    self._skip("unusable", result.key, result.problem)
                case _:
                    responses.append(result)
        responses.sort(key=lambda response: (response.observed_at, response.key))
        if responses:
            self._load(responses)

    def load_exports(
        self, user_id: int, unit: Unit, exports: Sequence[RawExport | Damaged], erased: datetime
    ) -> None:
        """Load the exports of a user that were imported in the hours of the unit.

        Args:
            erased: none that was imported until then.
        """
        earlier: list[RawExport] = []
        chosen: list[RawExport] = []
        for export in exports:
            if isinstance(export, Damaged):
                self._skip("damaged", export.key, export.problem)
            elif erased < export.imported_at < (unit.until or _LAST):
                is_earlier = export.imported_at < (unit.since or _FIRST)
                (earlier if is_earlier else chosen).append(export)
        self.counts["objects"] += len(chosen)
        if not chosen:
            return
        try:
            counts = import_archived(self.settings, self.run_id, user_id, chosen, earlier)
        except CorruptResponse as error:
            self._skip("damaged", chosen[0].key, str(error))
        except ExportRefused as error:
            self._skip("refused", chosen[0].key, str(error))
        else:
            new = {"plays": counts.get("loaded", 0), "tracks": counts.get("tracks", 0)}
            with connect(self.settings.warehouse_dsn) as connection:
                news.record(connection, self.run_id, self.part, new)
            self.counts["plays"] += counts.get("loaded", 0)
            self.counts["known"] += counts.get("duplicates", 0) + counts.get("repeated", 0)
            self.counts["tracks"] += counts.get("tracks", 0)

    @gc_paused()
    def _load(self, responses: list[RawResponse]) -> None:
        """Load responses, their plays in one transaction; where that is refused, in halves."""
        stale_after = self.settings.stale_after
        parts = Bisection(responses)
        of_tracks: Counter[str] = Counter()
        for part in parts:
            try:
                batches = list(_poll_batches(part))
                batches = load_catalogue(self.connection, batches, stale_after, of_tracks)
                counts = _load_plays(self.connection, batches, self, of_tracks)
            except REFUSED as error:
                if not parts.halve(part):
                    kind = "damaged" if isinstance(error, CorruptResponse) else "refused"
                    self._skip(kind, part[0].key, reason(error))
                continue
            number = sum(
                len(response.history.plays) for batch in batches for response in batch.responses
            )
            of_tracks.clear()
            self.counts.update(counts)
            self.counts["responses"] += len(part)
            self.counts["known"] += number - counts["plays"] - counts["gone"]
        news.record(self.connection, self.run_id, self.part, of_tracks)
        self.counts.update(of_tracks)

    def _skip(self, kind: str, key: str, problem: str) -> None:
        self.counts[kind] += 1
        log.warning("%s: %s. Everything else goes on.", key, problem.removeprefix(key).strip())


@retried
def _load_plays(
    connection: psycopg.Connection,
    batches: Sequence[PollBatch],
    replay: _Replay,
    of_tracks: Counter[str],
) -> Counter[str]:
    """Load plays in one transaction, with the record of them and of their new tracks."""
    with connection.transaction():
        counts = plays.load(connection, batches, replay.run_id, replay.settings.stale_after)
        counts.update(of_tracks)
        news.record(connection, replay.run_id, replay.part, counts)
    return counts


def _poll_batches(responses: Iterable[RawResponse]) -> Iterator[PollBatch]:
    """Transform responses hour by hour; metadata is stale here if it was stale in that hour."""
    for _, of_hour in groupby(responses, key=_hour):
        for batch in poll_batches(of_hour):
            yield transformed(batch, max(response.observed_at for response in batch))


def _hour(response: RawResponse) -> datetime:
    return response.observed_at.replace(minute=0, second=0, microsecond=0)


def _all_users(settings: Settings) -> list[int]:
    archive = _archive(settings)
    users = archive.users()
    if archive.foreign:
        log.warning(
            "%d objects or folders of the archive belong to no user, and are left alone.",
            archive.foreign.total(),
        )
    return users


def _archive(settings: Settings) -> ArchiveReader:
    if settings.library is None:
        raise SettingsError(
            "No key may read the archive: define the connection SongSwap_S3_ReadOnly"
            " (AIRFLOW_CONN_SONGSWAP_S3_READONLY) with one that may list and get below history/."
        )
    return ArchiveReader(settings.library)
