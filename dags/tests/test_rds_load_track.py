"""
### Check that a response of `/tracks` becomes the right rows

`data/tracks_spotify.json` has two tracks in another order than requested, and lacks a third, which
Spotify does not know. It goes through the code of the enrichment. `make` adds the three tracks
without a name, and queues them.

The load queues ids for enrichment: an hourly run or a backfill in these seconds may request them
from Spotify, which does not know them. That takes places in one request, and changes nothing here.
"""

from pathlib import Path

from airflow.sdk import dag

from songswap.orchestration.acceptance import check_load, load_doc
from songswap.orchestration.dag_defaults import TEST_DAG, described


@dag(
    schedule="33 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(load_doc(__doc__)),
    **TEST_DAG,
)
def test_rds_load_track() -> None:
    """Load tracks with production's code into production's tables, and remove them."""
    check_load("track", Path(__file__).parent / "data")


test_rds_load_track()
