"""
### Check that a response of recently played becomes the right rows

`data/user_spotify.json` has four plays (a repeat, two artists on one track, a track without
preview) and an item that has to be rejected. It goes through the code of the hourly load, for a
user of its own: `make` adds user 0, `songswap-test`, who has no tokens.

The load queues ids for enrichment: an hourly run or a backfill in these seconds may request them
from Spotify, which does not know them. That takes places in one request, and changes nothing here.
"""

from pathlib import Path

from airflow.sdk import dag

from songswap.orchestration.acceptance import check_load, load_doc
from songswap.orchestration.dag_defaults import TEST_DAG, described


@dag(
    schedule="30 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(load_doc(__doc__)),
    **TEST_DAG,
)
def test_rds_load_history() -> None:
    """Load plays with production's code into production's tables, and remove them."""
    check_load("history", Path(__file__).parent / "data")


test_rds_load_history()
