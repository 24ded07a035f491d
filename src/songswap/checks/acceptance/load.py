"""The check that a response becomes exactly the rows that are written by hand."""

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

Parsed = TypeVar("Parsed")


def catalogue_rows(catalogue: Catalogue) -> Rows:
    """Return the rows of a catalogue, by table."""
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
class LoadCheck(Generic[Parsed]):
    """A response, the code that transforms and loads it, and the rows that it has to become.

    Args:
        file: the name of the response's file.
        transform: parses the response.
        rows_of: returns the parsed response's rows, by table.
        load: writes it to the warehouse, and returns counts of what was new.
        common: rows that the transform returns and the warehouse then has.
        transformed: rows that only the transform returns.
        stored: rows that only the warehouse has: those from before, and those of schema `songswap`.
        counts: what the first load counts as new; the second has to count nothing.
        transform_module, load_module: named in the messages.
    """

    file: str
    sample: Sample
    transform: Callable[[bytes], Parsed]
    rows_of: Callable[[Parsed], Rows]
    load: Callable[[psycopg.Connection, Parsed], Mapping[str, int]]
    common: Rows
    transformed: Rows
    stored: Rows
    transform_module: str
    load_module: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def make(self, settings: Settings) -> None:
        """Write the rows that the load expects.

        Raises:
            AcceptanceFailed: the test user is a real user; nothing was changed.
            WarehouseUnavailable, SchemaOutdated: nothing was changed.
        """
        with connect(settings.warehouse_dsn) as connection:
            require_schema(connection)
            require_fit(connection)
            sample.make(connection, self.sample)

    def check_transform(self, folder: Path) -> None:
        """Transform the response in ``folder``, and check each key and value.

        Raises:
            AcceptanceFailed: a row is missing, wrong, or one too many.
        """
        rows = self.rows_of(self._parse(folder))
        expect_rows({**self.common, **self.transformed}, rows, self.transform_module)

    def insert(self, settings: Settings, folder: Path) -> None:
        """Load the response for the first time.

        Raises:
            AcceptanceFailed: the load counted something else than what is new.
        """
        self._load(settings, folder, self.counts)

    def verify(self, settings: Settings) -> None:
        """Check all rows in the warehouse.

        Raises:
            AcceptanceFailed: a row is missing, wrong, or one too many.
        """
        with connect(settings.warehouse_dsn) as connection:
            found = sample.found(connection, self.sample)
        expect_rows({**self.common, **self.stored}, found, self.load_module)

    def insert_again(self, settings: Settings, folder: Path) -> None:
        """Load the same response again: nothing is new, and no row changes.

        Raises:
            AcceptanceFailed: something was counted as new, or changed.
        """
        self._load(settings, folder, {})
        self.verify(settings)

    def remove(self, settings: Settings) -> None:
        """Remove all rows of the sample, and check that none is left.

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
                " songswap/checks/acceptance/sample.sql, and whether user 0 is a real user."
                " Nothing real was removed; the next run tries again."
            )
        log.info("All rows of the test are removed: nothing is left in %d tables.", len(found))

    def _load(self, settings: Settings, folder: Path, counts: Mapping[str, int]) -> None:
        parsed = self._parse(folder)
        with connect(settings.warehouse_dsn) as connection:
            found = self.load(connection, parsed)
        new = {name: count for name, count in found.items() if count}
        expect("What the load counted as new", counts, new, self.load_module)

    def _parse(self, folder: Path) -> Parsed:
        return self.transform((folder / self.file).read_bytes())
