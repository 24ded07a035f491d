"""
### Does an answer of `/tracks` become the right rows?

Two tracks of `data/tracks_spotify.json` in another order than asked, and one that Spotify does not
know, through the code of the enrichment.

| task | what it does |
|---|---|
| `make` | removes what a killed run left; makes three tracks without a name, and wants them |
| `transform` | transforms the answer; compares each key and value with rows written out by hand |
| `insert` | loads it with the code of the hourly run |
| `verify` | compares each row in the database with rows written out by hand |
| `insert_again` | loads the same answer once more; nothing may change |
| `remove` | removes all of it, also after a failure, and sees that nothing is left |
| `all_green` | is green when all of these are |

**When it is red**, the log of the red task names the table, the rows that are missing or wrong,
and the module to look at. Do not deploy before it is green. No real row is touched: the ids begin
with `SongSwapTest`, which no id of Spotify's does. What a killed run left, the next one removes:
trigger it again. *The warehouse refused or was lost* and *schema is at version …* mean the same as
in `load_listening_history`. *permission denied*: the role of `SongSwap_RDS` has to be able to
insert and delete there.

While it runs, what it loads is wanted by the enrichment: an hourly run or a backfill in these
seconds may ask Spotify once for ids that do not exist. That costs a place in a call, and changes
nothing here.
"""

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import dag

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.proofs import prove_load
from songswap.orchestration.retries import tried_once

DATA = Path(__file__).parent / "data"


@dag(
    schedule="33 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "test", "unit"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_rds_load_track() -> None:
    """Tracks through production's code, into production's tables, and out again."""
    prove_load("track", str(DATA))


test_rds_load_track()
