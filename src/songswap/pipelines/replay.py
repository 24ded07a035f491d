"""Rebuild the warehouse from the raw archive: load again what the hourly runs have archived.

    plan: users and hours, in units ──▶ replay, units side by side: S3 ──▶ transform ──▶ warehouse

A user's answers are loaded in the order in which Spotify gave them; what they tell of tracks comes
out the same in any order (docs/adr/0012). The tables' keys decide what is new, so a replay can go
into the live tables, be stopped at any point, and be started again. A unit needs nothing but the
settings: it can be done by any process, on any machine.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import psycopg

from songswap.errors import CorruptResponse, ExportRefused, RunFailed, SettingsError
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.import_export import import_archived
from songswap.pipelines.load import REFUSED, poll_batches, reason, transformed
from songswap.settings import Settings
from songswap.storage.archive_reader import ArchiveReader, Damaged, ReadResult, Unusable
from songswap.storage.records import RawExport, RawResponse
from songswap.warehouse import plays as history
from songswap.warehouse import users as user
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.plays import PollBatch

log = logging.getLogger(__name__)

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

MOST_UNITS = 1000
"""Airflow maps over at most 1,024 things."""

_USERS_AT_MOST = 50
_UNITS_AT_LEAST = 16


class Unit(NamedTuple):
    """Users, by their ids, and hours that are replayed together.

    The hours begin with ``since`` and end before ``until``; without bounds where they are None.
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
        users: their ids; all of whom there are answers, if None.
        since: the first hour (UTC); from the first answer on, if None.
        until: the hour before which it ends; to the last answer, if None.

    Raises:
        SettingsError: there is no key that may read the archive, or the hours are none.
        ArchiveUnreadable: S3 does not list.
    """
    if since is not None and until is not None and since >= until:
        raise SettingsError("The hours to replay end before they begin: nothing was done.")
    ids = sorted(set(users)) if users is not None else _all_users(settings)
    size = max(-(-len(ids) // MOST_UNITS), min(_USERS_AT_MOST, -(-len(ids) // _UNITS_AT_LEAST)), 1)
    starts = range(0, len(ids), size)
    return [Unit(tuple(ids[start : start + size]), since, until) for start in starts]


def require_users(settings: Settings, units: Sequence[Unit]) -> None:
    """Raise `RunFailed` where nobody of these units is in the warehouse, and nothing could load.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing can be loaded.
    """
    users = [one for unit in units for one in unit.users]
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection)
        there = user.existing(connection, users)
    if users and not there:
        raise RunFailed(
            f'None of the {len(users)} users to replay is in "Users" of this warehouse, and plays'
            " belong to users: nothing was loaded. Restore that table first, or have its rows"
            " copied from the live warehouse ('songswap replay --into … --copy-users')."
        )


def copy_users(settings: Settings, live_dsn: str, units: Sequence[Unit]) -> int:
    """Copy the users of these units from the live warehouse, without tokens; how many were new.

    Raises:
        WarehouseUnavailable: one of the two refused or was lost.
    """
    users = [one for unit in units for one in unit.users]
    with connect(live_dsn) as source, connect(settings.warehouse_dsn) as target:
        return user.copy(source, target, users)


def look(settings: Settings, unit: Unit) -> dict[str, int]:
    """Count what a unit would read, and change nothing.

    Returns:
        users, gone_users (not in the warehouse), objects, bytes, foreign (keys that are no
        answer's).
    """
    library = _library(settings)
    users = unit.users
    counts: Counter[str] = Counter(users=len(users))
    for found in library.responses_of(users, unit.since, unit.until):
        counts["objects"] += 1
        counts["bytes"] += found.size
    for size in (size for one in users for _, size in library.export_sizes(one)):
        counts["objects"] += 1
        counts["bytes"] += size
    counts["foreign"] = library.foreign.total()
    with connect(settings.warehouse_dsn) as connection:
        counts["gone_users"] = len(users) - len(user.existing(connection, users))
    return dict(counts)


def replay(settings: Settings, run_id: str, unit: Unit) -> dict[str, int]:
    """Load all answers of a unit in the order of time, then the exports of its users.

    Args:
        run_id: what is noted in ``songswap.gaps`` and ``songswap.rejected_items``.

    Returns:
        users, gone_users, objects, answers (loaded), known (plays that were there), damaged
        (objects that are no whole answer), unusable (whole ones that tell of no plays: errors of
        Spotify, empty ones), refused (answers whose rows PostgreSQL did not take),
        foreign; and new rows by name, see `songswap.warehouse.plays.load`.

    Raises:
        ArchiveUnreadable, WarehouseUnavailable: what was loaded until then stays.
    """
    library = _library(settings)
    users = unit.users
    with connect(settings.warehouse_dsn) as connection:
        this = _Replay(settings, connection, run_id, Counter(users=len(users)))
        this.counts["gone_users"] = len(users) - len(user.existing(connection, users))
        for given in library.read_all(library.responses_of(users, unit.since, unit.until)):
            this.load_part(given)
        # After all that the API told, so that which was told first decides nothing.
        for user_id in user.existing(connection, users):
            this.load_exports(user_id, unit, library.exports(user_id))
        this.counts["foreign"] = library.foreign.total()
        return dict(this.counts)


def total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The counts of units, added up."""
    added: Counter[str] = Counter()
    for one in counts:
        added.update(one)
    return dict(added)


def problem(counts: dict[str, int]) -> str | None:
    """What of a replay is not loaded, in a sentence; None where all is."""
    damaged, refused = counts.get("damaged", 0), counts.get("refused", 0)
    if not damaged and not refused:
        return None
    return (
        f"{damaged} objects are damaged and {refused} answers were refused by PostgreSQL; the log"
        " names them. All others are loaded. Start the replay again when they are mended: nothing"
        " is loaded twice."
    )


class _Replay(NamedTuple):
    """A unit under way."""

    settings: Settings
    connection: psycopg.Connection
    run_id: str
    counts: Counter[str]

    def load_part(self, given: Sequence[ReadResult]) -> None:
        """Load what was read, in the order of time."""
        self.counts["objects"] += len(given)
        for one in given:
            if isinstance(one, Damaged):
                self._leave("damaged", one.key, one.problem)
            elif isinstance(one, Unusable):
                self._leave("unusable", one.key, one.problem)
        whole = [one for one in given if isinstance(one, RawResponse)]
        whole.sort(key=lambda one: (one.observed_at, one.key))
        if whole:
            self._load(whole)

    def load_exports(self, user_id: int, unit: Unit, given: Sequence[RawExport | Damaged]) -> None:
        """Load the exports of a user that were imported in the hours of the unit."""
        chosen = []
        for one in given:
            if isinstance(one, Damaged):
                self._leave("damaged", one.key, one.problem)
            elif (unit.since or _FIRST) <= one.imported_at < (unit.until or _LAST):
                chosen.append(one)
        self.counts["objects"] += len(chosen)
        if not chosen:
            return
        try:
            counts = import_archived(self.settings, self.run_id, user_id, chosen)
        except CorruptResponse as error:
            self._leave("damaged", chosen[0].key, str(error))
        except ExportRefused as error:
            self._leave("refused", chosen[0].key, str(error))
        else:
            self.counts["plays"] += counts.get("loaded", 0)
            self.counts["known"] += counts.get("duplicates", 0) + counts.get("repeated", 0)
            self.counts["tracks"] += counts.get("tracks", 0)

    @gc_paused()
    def _load(self, answers: list[RawResponse]) -> None:
        """Load answers in one transaction; if that is refused, each half of them."""
        try:
            told = list(_poll_batches(answers))
            stale_after = self.settings.stale_after
            counts = history.load(self.connection, told, self.run_id, stale_after)
        except REFUSED as error:
            if len(answers) == 1:
                kind = "damaged" if isinstance(error, CorruptResponse) else "refused"
                self._leave(kind, answers[0].key, reason(error))
            else:
                middle = len(answers) // 2
                self._load(answers[:middle])
                self._load(answers[middle:])
        else:
            plays = sum(len(one.history.plays) for some in told for one in some.responses)
            self.counts.update(counts)
            self.counts["responses"] += len(answers)
            self.counts["known"] += plays - counts["plays"] - counts["gone"]

    def _leave(self, kind: str, key: str, why: str) -> None:
        self.counts[kind] += 1
        log.warning("%s: %s. Everything else goes on.", key, why.removeprefix(key).strip())


def _poll_batches(answers: Iterable[RawResponse]) -> Iterator[PollBatch]:
    """Answers hour by hour: what was stale in the hour in which they came is stale now."""
    for _, of_hour in groupby(answers, key=_hour):
        for some in poll_batches(of_hour):
            yield transformed(some, max(one.observed_at for one in some))


def _hour(response: RawResponse) -> datetime:
    return response.observed_at.replace(minute=0, second=0, microsecond=0)


def _all_users(settings: Settings) -> list[int]:
    library = _library(settings)
    users = library.users()
    if library.foreign:
        log.warning(
            "%d objects or folders of the archive belong to no user, and are left alone.",
            library.foreign.total(),
        )
    return users


def _library(settings: Settings) -> ArchiveReader:
    if settings.library is None:
        raise SettingsError(
            "No key may read the archive: define the connection SongSwap_S3_ReadOnly"
            " (AIRFLOW_CONN_SONGSWAP_S3_READONLY) with one that may list and get below history/."
        )
    return ArchiveReader(settings.library)
