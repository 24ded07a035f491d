"""Shared by the checks of `/tracks`, `/artists` and `/audio-features`."""

from datetime import datetime, timedelta

import psycopg

from songswap.checks.acceptance.load import catalogue_rows
from songswap.checks.acceptance.sample import Rows, Sample
from songswap.models import Metadata
from songswap.warehouse import enrichment as warehouse

AT = datetime.fromisoformat("2026-11-02T04:30:00.250Z")
"""When Spotify sent the responses."""

TRANSFORM_MODULE = "songswap/transform/metadata.py"
LOAD_MODULE = "songswap/warehouse/enrichment.py and enrichment.sql"


def rows_of(metadata: Metadata) -> Rows:
    """Return the rows of a parsed response, by table."""
    return {
        **catalogue_rows(metadata.catalogue),
        "ArtistImages": list(metadata.images.values()),
        "ArtistPopularity": list(metadata.popularity),
        "ArtistFollowers": list(metadata.followers),
        "ArtistGenres": list(metadata.genres),
        "TrackFeatures": list(metadata.features),
        "data_fixes": list(metadata.catalogue.data_fixes | metadata.data_fixes),
        "known": [(id_,) for id_ in metadata.received],
        "unknown": [(id_,) for id_ in metadata.unknown],
    }


def load(sample: Sample, connection: psycopg.Connection, metadata: Metadata) -> dict[str, int]:
    """Load a parsed response; these loads count nothing."""
    kind = sample.kind or ""
    warehouse.load(connection, kind, sample.requested, metadata, sample.at, timedelta(hours=6))
    return {}
