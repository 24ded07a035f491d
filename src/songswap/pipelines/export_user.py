"""Hand over to a user all that is stored of the user: one zip.

    one snapshot of the warehouse ──▶ tables: CSV, JSON Lines ──▶ a zip, named once it is whole
                                 └──▶ the forms of ListenBrainz and Spotify

Each file is read and written row by row, so that its size does not matter.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from songswap.clock import utc_now
from songswap.errors import FIND_ID, HandOverFailed
from songswap.settings import Settings
from songswap.storage.private_zip import ZipWriter, private_zip
from songswap.transform.handover import listenbrainz, manifest, spotify
from songswap.transform.handover.lines import Row, csv_lines, json_document, json_line
from songswap.transform.handover.readme import readme
from songswap.transform.handover.tables import PLAYS, STREAMS, TABLES, Table
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.user_data import UserData, snapshot

_REPORTED_EVERY = 5_000

_SPOTIFY_FORMS = (
    ("spotify: extended history", spotify.files),
    ("spotify: account data", spotify.account_files),
)

Progress = Callable[[str, int, int], None]
"""Receives the step, how many rows are done, and how many there are; 0 while that is unknown."""


class HandedOver(NamedTuple):
    """A zip that was written, its bytes, and the rows in it by what they are."""

    file: Path
    size: int
    counts: dict[str, int]


def default_name(user_id: int, now: datetime) -> str:
    """Return the name of a user's zip; it names the user for an import of many users."""
    return f"{_series(user_id)}{now:%Y-%m-%d}.zip"


def _series(user_id: int) -> str:
    return f"user{user_id}_songswap_"


def export_user(
    settings: Settings,
    user_id: int,
    path: Path,
    keep_days: int,
    progress: Progress,
    replaces: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> HandedOver:
    """Write all that is stored of a user into a zip, with mode 0600.

    Args:
        path: of the zip; its folder must exist.
        keep_days: for how long records of runs are kept, which the README says.
        replaces: whether it takes the place of an existing file.

    Returns:
        Counts: rows by table; listens, the plays in ListenBrainz' form, and listens_left_out, those
        without a name; spotify_rows, the streams in Spotify's form.

    Raises:
        HandOverFailed: there is no such user, or the user is erased; the file exists, or the disk
            does not take it. No file was left.
        WarehouseUnavailable, WarehouseBusy, SchemaOutdated: likewise.
    """
    _require_id(user_id)
    now = clock()
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection)
        data = UserData(connection, user_id)
        # What was killed on another day has another name.
        series = _series(user_id) if path.name.startswith(_series(user_id)) else ""
        with private_zip(path, now, replaces, series) as package:
            with snapshot(connection):
                _require_not_erased(data)
                hand_over = _HandOver(data, package, progress, data.sizes())
                hand_over.write(settings.archive.bucket, keep_days, now)
            # The user may have been erased meanwhile.
            _require_not_erased(data)
    return HandedOver(path, path.stat().st_size, dict(hand_over.counts))


def _require_id(user_id: int) -> None:
    if user_id == 0:
        raise HandOverFailed(
            "User 0 belongs to the test DAGs and has no data of a person. Nothing was written."
            f" {FIND_ID}"
        )


def _require_not_erased(data: UserData) -> None:
    if data.is_erased():
        raise HandOverFailed(
            f"User {data.user_id} is erased, or is being erased, and has not authorized the app"
            " again. Nothing was written, and there is nothing to hand over."
        )


@dataclass(slots=True)
class _HandOver:
    """The writing of one zip; ``rows`` counts those of each file, ``counts`` those of each kind."""

    data: UserData
    package: ZipWriter
    progress: Progress
    sizes: dict[str, int]
    rows: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def write(self, bucket: str, keep_days: int, now: datetime) -> None:
        """Write all files; the manifest is the last one."""
        account = self.data.account()
        if account is None:
            raise HandOverFailed(
                f"There is no user {self.data.user_id} in the warehouse. Nothing was written."
                f" {FIND_ID}"
            )
        self.package.write("account.json", [json_document(account)])
        for table in TABLES:
            self._write_table(table)
        self._write_listens()
        self._write_spotify()
        text = readme(
            self.data.user_id,
            now,
            self.counts,
            self.counts["listens_left_out"],
            bucket,
            keep_days,
        )
        self.package.write("README.md", [text])
        contents = manifest.build(account["user"]["spotify_id"], self.rows, now)
        self.package.write(manifest.NAME, [json_document(contents)])

    def _write_table(self, table: Table) -> None:
        name = f"{table.name}.csv"
        rows = self._counted(name, self._read(table, name))
        self.package.write(name, csv_lines(table, rows))
        self.counts[table.name] = self.rows[name]
        name = f"{table.name}.jsonl"
        for number, part in groupby(self._read(table, name), _PartOf(table)):
            name = f"{table.name}_{number}.jsonl"
            lines = (json_line(table, row) for row in self._counted(name, part))
            self.package.write(name, lines)

    def _write_listens(self) -> None:
        for name, plays in listenbrainz.months(self._read(PLAYS, "listenbrainz")):
            self.package.write(name, self._listens(name, plays))

    def _listens(self, name: str, plays: Iterable[Row]) -> Iterator[bytes]:
        self.rows[name] = 0
        for play in plays:
            if listen := listenbrainz.listen(play):
                self.rows[name] += 1
                self.counts["listens"] += 1
                yield listenbrainz.line(listen)
            else:
                self.counts["listens_left_out"] += 1

    def _write_spotify(self) -> None:
        for step, files in _SPOTIFY_FORMS:
            for file in files(self._read(STREAMS, step)):
                self.package.write(file.name, [file.content])
                self.rows[file.name] = file.rows
                self.counts["spotify_rows"] += file.rows

    def _read(self, table: Table, step: str) -> Iterator[Row]:
        """Yield the rows of a table, and report the progress of a step."""
        rows: Iterator[Any] = self.data.plays() if table is PLAYS else self.data.rows(table.name)
        size = self.sizes.get(table.name, 0)
        for number, row in enumerate(rows):
            if number % _REPORTED_EVERY == 0:
                self.progress(step, number, size)
            yield row
        self.progress(step, size, size)

    def _counted(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        self.rows[name] = 0
        for row in rows:
            self.rows[name] += 1
            yield row


@dataclass(slots=True)
class _PartOf:
    """Numbers the files of a table; called with its rows in their order.

    Streams that ended at one moment stay together: some are told apart by their order alone.
    """

    table: Table
    part: int = 1
    rows: int = 0
    last: Row | None = None

    def __call__(self, row: Row) -> int:
        """Return the number of the row's file."""
        is_whole = self.rows >= self.table.rows_of_part
        if is_whole and not (self.table is STREAMS and self._ended_with_last(row)):
            self.part, self.rows = self.part + 1, 0
        self.rows += 1
        self.last = row
        return self.part

    def _ended_with_last(self, row: Row) -> bool:
        return self.last is not None and self.last["ended_at"] == row["ended_at"]
