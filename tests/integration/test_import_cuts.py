"""The warehouse is lost at every point of an import: what was not imported is, by the next try."""

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cutting_proxy import CUT, DOWN, CuttingProxy
from factories import MakePlatform

from songswap.errors import WarehouseError
from songswap.pipelines.import_export import import_export

BEGAN = datetime(2019, 3, 1, 12, tzinfo=UTC)
PLAYS = 300
POINTS = 20


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of plays that the API never told, four minutes apart."""
    rows = [
        {
            "ts": f"{BEGAN + number * timedelta(minutes=4):%Y-%m-%dT%H:%M:%SZ}",
            "ms_played": 200_000,
            "spotify_track_uri": f"spotify:track:{number % 50:022d}",
            "master_metadata_track_name": f"Song {number % 50}",
            "master_metadata_album_artist_name": "Artist",
            "master_metadata_album_album_name": "Album",
            "reason_end": "trackdone",
        }
        for number in range(PLAYS)
    ]
    path = tmp_path / "my_spotify_data.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("Streaming_History_Audio_2019_0.json", json.dumps(rows))
    return path


EMPTY = """
TRUNCATE "Tracks", "Artists", "History", songswap.streams, songswap.imports,
  songswap.export_tracks, songswap.estimated_durations, songswap.enrichment_queue CASCADE
"""


@pytest.mark.parametrize("how", [CUT, DOWN, "08P01"])
def test_import_that_is_cut_anywhere(make_platform: MakePlatform, export: Path, how: str) -> None:
    """Each try is whole or not there; the last one leaves every play, once."""
    platform = make_platform(users=1)
    user = platform.user_id("listener-0001")
    plays = 'SELECT count(*), count(DISTINCT played_at) FROM "History"'

    def run(dsn: str, name: str) -> dict[str, int]:
        settings = replace(platform.settings, warehouse_dsn=dsn)
        return import_export(settings, user, [export], name, lambda *_: None, platform.clock)

    lost = 0
    with CuttingProxy(platform.settings.warehouse_dsn) as proxy:
        proxy.strike(None)
        run(proxy.dsn, "measured")
        messages = proxy.seen
        for point in range(1, POINTS + 1):
            platform.execute(EMPTY)
            proxy.strike(max(1, point * messages // POINTS), how)
            try:
                run(proxy.dsn, f"cut {point}")
            except WarehouseError:
                lost += 1
            assert platform.rows(plays)[0] in ((0, 0), (PLAYS, PLAYS)), point
    assert lost > POINTS // 2
    run(platform.settings.warehouse_dsn, "at last")
    assert platform.rows(plays) == [(PLAYS, PLAYS)]
    assert platform.rows("SELECT count(*) FROM songswap.streams") == [(PLAYS,)]
