"""What the proofs of `/tracks`, `/artists` and `/audio-features` have in common."""

from datetime import datetime, timedelta

import psycopg

from songswap.checks.acceptance.load import catalogue_rows
from songswap.checks.acceptance.sample import Rows, Sample
from songswap.models import Metadata
from songswap.warehouse import enrichment as warehouse

AT = datetime.fromisoformat("2026-11-02T04:30:00.250Z")
"""When the answers were given."""

TRANSFORMS = "songswap/transform/metadata.py"
LOADS = "songswap/warehouse/enrichment.py and enrichment.sql"


def rows_of(told: Metadata) -> Rows:
    """What an answer told, by the tables that it is for."""
    return {
        **catalogue_rows(told.catalogue),
        "ArtistImages": list(told.images.values()),
        "ArtistPopularity": list(told.popularity),
        "ArtistFollowers": list(told.followers),
        "ArtistGenres": list(told.genres),
        "TrackFeatures": list(told.features),
        "data_fixes": list(told.catalogue.data_fixes | told.data_fixes),
        "told": [(one,) for one in told.received],
        "unknown": [(one,) for one in told.unknown],
    }


def load(sample: Sample, connection: psycopg.Connection, told: Metadata) -> dict[str, int]:
    """Load an answer; these loads count nothing."""
    kind = sample.kind or ""
    warehouse.load(connection, kind, sample.asked, told, sample.at, timedelta(hours=6))
    return {}
