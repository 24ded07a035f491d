"""
### Check that a response of `/audio-features` becomes the right rows

`data/features_spotify.json` has the features of two tracks in another order than requested, one of
them noise at the edges of the ranges, and lacks those of a third. It goes through the code of the
enrichment. `make` adds the three tracks, and queues their features.
"""

from pathlib import Path

from airflow.sdk import dag

from songswap.orchestration.acceptance import check_load, load_doc
from songswap.orchestration.dag_defaults import TEST_DAG, described


@dag(
    schedule="39 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(load_doc(__doc__)),
    **TEST_DAG,
)
def test_rds_load_track_features() -> None:
    """Load features with production's code into production's tables, and remove them."""
    check_load("features", Path(__file__).parent / "data")


test_rds_load_track_features()
