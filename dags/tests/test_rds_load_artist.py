"""
### Check that a response of `/artists` becomes the right rows

`data/artists_spotify.json` has two artists in another order than requested, one without images and
genres, and lacks a third, whom Spotify does not know. It goes through the code of the enrichment.
`make` adds the three artists without a name, and queues them.
"""

from pathlib import Path

from airflow.sdk import dag

from songswap.orchestration.acceptance import check_load, load_doc
from songswap.orchestration.dag_defaults import TEST_DAG, described


@dag(
    schedule="36 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(load_doc(__doc__)),
    **TEST_DAG,
)
def test_rds_load_artist() -> None:
    """Load artists with production's code into production's tables, and remove them."""
    check_load("artist", Path(__file__).parent / "data")


test_rds_load_artist()
