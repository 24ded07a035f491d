"""The proof that an answer becomes exactly the rows that are written out by hand."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import psycopg

from songswap.checks.acceptance import sample
from songswap.checks.acceptance.expectation import expect, expect_rows
from songswap.checks.acceptance.sample import Rows, Sample
from songswap.errors import AcceptanceFailed
from songswap.models import Catalogue
from songswap.settings import Settings
from songswap.warehouse.connection import connect
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)

Told = TypeVar("Told")


def catalogue_rows(catalogue: Catalogue) -> Rows:
    """What a catalogue tells, by the tables that it is for."""
    return {
        "Tracks": list(catalogue.tracks.values()),
        "Artists": list(catalogue.artists.values()),
        "ArtistTracks": list(catalogue.artist_tracks.values()),
        "TrackPopularity": list(catalogue.track_popularity.values()),
        "TrackImages": list(catalogue.track_images.values()),
        "TrackPreviews": list(catalogue.track_previews.values()),
        "data_fixes": list(catalogue.data_fixes),
        "incomplete": [(track_id,) for track_id in catalogue.incomplete],
    }


@dataclass(frozen=True, slots=True)
class LoadProof(Generic[Told]):
    """An answer, the code that transforms and loads it, and what has to come of it.

    Args:
        data: the name of the answer's file.
        transform: reads the answer.
        rows_of: what it told, as rows by their table.
        load: writes it into the warehouse, and counts what was new.
        both: rows that the transform gives and the warehouse has then.
        told: what only the transform gives.
        stored: rows that only the warehouse has: what was there, and the bookkeeping.
        counts: what the first load counts as new; the second has to count nothing.
        transforms, loads: the modules to be looked at.
    """

    data: str
    sample: Sample
    transform: Callable[[bytes], Told]
    rows_of: Callable[[Told], Rows]
    load: Callable[[psycopg.Connection, Told], Mapping[str, int]]
    both: Rows
    told: Rows
    stored: Rows
    transforms: str
    loads: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def make(self, settings: Settings) -> None:
        """Write what has to be there before the load.

        Raises:
            AcceptanceFailed: the test user is somebody else; nothing was changed.
            WarehouseUnavailable, SchemaOutdated: nothing was changed.
        """
        with connect(settings.warehouse_dsn) as connection:
            require_schema(connection)
            require_fit(connection)
            sample.make(connection, self.sample)

    def check_transform(self, folder: Path) -> None:
        """Transform the answer in ``folder``, and check each key and value.

        Raises:
            AcceptanceFailed: a row is missing, wrong, or one too many.
        """
        told = self.transform(self._answer(folder))
        expect_rows({**self.both, **self.told}, self.rows_of(told), self.transforms)

    def insert(self, settings: Settings, folder: Path) -> None:
        """Load the answer for the first time.

        Raises:
            AcceptanceFailed: it counted something else as new than what is new.
        """
        self._load(settings, folder, self.counts)

    def verify(self, settings: Settings) -> None:
        """Check all rows that are in the warehouse.

        Raises:
            AcceptanceFailed: a row is missing, wrong, or one too many.
        """
        with connect(settings.warehouse_dsn) as connection:
            found = sample.found(connection, self.sample)
        expect_rows({**self.both, **self.stored}, found, self.loads)

    def insert_again(self, settings: Settings, folder: Path) -> None:
        """Load the same answer once more: nothing is new, and no row is another.

        Raises:
            AcceptanceFailed: something was counted as new, or changed.
        """
        self._load(settings, folder, {})
        self.verify(settings)

    def remove(self, settings: Settings) -> None:
        """Remove all that was written, and see that nothing of it is left.

        Raises:
            AcceptanceFailed: a row is left.
        """
        with connect(settings.warehouse_dsn) as connection:
            sample.remove(connection, self.sample)
            found = sample.found(connection, self.sample)
        left = [table for table, rows in found.items() if rows]
        if left:
            raise AcceptanceFailed(
                f"Rows are left in {', '.join(left)}: look at the foreign keys of these tables, at"
                " songswap/checks/acceptance/sample.sql, and whether user 0 is somebody real."
                " Nothing real was removed; the next run tries again."
            )
        log.info("All rows of the test are removed: nothing is left in %d tables.", len(found))

    def _load(self, settings: Settings, folder: Path, counts: Mapping[str, int]) -> None:
        told = self.transform(self._answer(folder))
        with connect(settings.warehouse_dsn) as connection:
            found = self.load(connection, told)
        new = {name: count for name, count in found.items() if count}
        expect("What the load counted as new", counts, new, self.loads)

    def _answer(self, folder: Path) -> bytes:
        return (folder / self.data).read_bytes()
