"""The plays of ``user_spotify.json``: four of three tracks, one twice, and an item without a track.

Two tracks share an artist, who is the primary artist of the first only; one has no preview.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.checks.acceptance.load import LoadCheck, catalogue_rows
from songswap.checks.acceptance.sample import USER_ID, Rows, Sample
from songswap.models import Catalogue, RecentPlays
from songswap.pipelines.load import load_catalogue
from songswap.transform import recent_plays as transform
from songswap.warehouse import plays as warehouse
from songswap.warehouse.plays import ParsedResponse, PollBatch

_AT = datetime.fromisoformat("2026-11-02T04:30:00.250Z")
_TRACK_1, _TRACK_2, _TRACK_3 = _TRACKS = (
    "SongSwapTestHTrack0001",
    "SongSwapTestHTrack0002",
    "SongSwapTestHTrack0003",
)
_ARTIST_1, _ARTIST_2, _ARTIST_3 = _ARTISTS = (
    "SongSwapTestHArtist001",
    "SongSwapTestHArtist002",
    "SongSwapTestHArtist003",
)
_NEWEST = datetime.fromisoformat("2026-11-02T04:21:37.512Z")
_IMAGES = "https://images.songswap.invalid"


class _Parsed(NamedTuple):
    body: bytes
    history: RecentPlays
    catalogue: Catalogue


def _transform(body: bytes) -> _Parsed:
    catalogue = Catalogue()
    return _Parsed(body, transform.transform(body, USER_ID, _AT, catalogue), catalogue)


def _rows_of(parsed: _Parsed) -> Rows:
    history = parsed.history
    return {
        **catalogue_rows(parsed.catalogue),
        "History": list(history.plays),
        "rejected_items": [
            (USER_ID, item.reason, item.played_at) for item in history.rejected_items
        ],
        "bounds": [(history.items, history.oldest, history.newest)],
    }


def _load(connection: psycopg.Connection, parsed: _Parsed) -> dict[str, int]:
    digest = transform.fingerprint(parsed.body)
    response = ParsedResponse(USER_ID, _AT, "no object", digest, parsed.history)
    batches, stale_after = [PollBatch([response], parsed.catalogue, _AT)], timedelta(days=1)
    counts: Counter[str] = Counter()
    batches = load_catalogue(connection, batches, stale_after, counts)
    counts.update(warehouse.load(connection, batches, "test_rds_load_history", stale_after))
    return counts


CHECK = LoadCheck(
    file="user_spotify.json",
    sample=Sample(_AT, _TRACKS, _ARTISTS, USER_ID),
    transform=_transform,
    rows_of=_rows_of,
    load=_load,
    transform_module="songswap/transform/recent_plays.py and track.py",
    load_module="songswap/warehouse/plays.py and catalogue.py",
    counts={
        "plays": 4,
        "tracks": 3,
        "artists": 3,
        "artist_tracks": 4,
        "track_popularity": 3,
        "track_images": 9,
        "track_previews": 2,
        "rejected_items": 1,
    },
    common={
        "History": [
            (USER_ID, _NEWEST, _TRACK_1),
            (USER_ID, datetime.fromisoformat("2026-11-02T04:17:58.040Z"), _TRACK_2),
            (USER_ID, datetime.fromisoformat("2026-11-02T04:09:41.873Z"), _TRACK_1),
            (USER_ID, datetime.fromisoformat("2026-11-01T23:59:59.999Z"), _TRACK_3),
        ],
        "Tracks": [
            (_TRACK_1, "Harbour at Half Past Four", 201337),
            (_TRACK_2, 'Ljós \\ "Myrkur"', 254960),
            (_TRACK_3, "Etude No. 2", 98004),
        ],
        "Artists": [
            (_ARTIST_1, "The Paper Lanterns"),
            (_ARTIST_2, "Jörð & Sær"),
            (_ARTIST_3, "Quartet for Nobody"),
        ],
        "ArtistTracks": [
            (_TRACK_1, _ARTIST_1, True),
            (_TRACK_2, _ARTIST_2, True),
            (_TRACK_2, _ARTIST_1, False),
            (_TRACK_3, _ARTIST_3, True),
        ],
        "TrackPopularity": [(_TRACK_1, _AT, 61), (_TRACK_2, _AT, 0), (_TRACK_3, _AT, 100)],
        "TrackImages": [
            (_TRACK_1, 640, 640, f"{_IMAGES}/low-tide/640"),
            (_TRACK_1, 300, 298, f"{_IMAGES}/low-tide/300"),
            (_TRACK_1, 64, 64, f"{_IMAGES}/low-tide/64"),
            (_TRACK_2, 640, 640, f"{_IMAGES}/northern-rooms/640"),
            (_TRACK_2, 300, 298, f"{_IMAGES}/northern-rooms/300"),
            (_TRACK_2, 64, 64, f"{_IMAGES}/northern-rooms/64"),
            (_TRACK_3, 640, 640, f"{_IMAGES}/empty-hall/640"),
            (_TRACK_3, 300, 298, f"{_IMAGES}/empty-hall/300"),
            (_TRACK_3, 64, 64, f"{_IMAGES}/empty-hall/64"),
        ],
        "TrackPreviews": [
            (_TRACK_1, "https://previews.songswap.invalid/harbour"),
            (_TRACK_3, "https://previews.songswap.invalid/etude"),
        ],
        "rejected_items": [(USER_ID, "track: missing", "2026-11-02T04:13:20.009Z")],
    },
    transformed={"bounds": [(5, datetime.fromisoformat("2026-11-01T23:59:59.999Z"), _NEWEST)]},
    stored={
        "Users": [(USER_ID, "songswap-test", "songswap-test@songswap.invalid", "songswap-test")],
        "polls": [(USER_ID, _AT, _AT, _NEWEST, None)],
        "metadata": [
            *(("features", track, False, False) for track in _TRACKS),
            *(("artist", artist, False, False) for artist in _ARTISTS),
        ],
    },
)
