"""
### Check that the rows in the warehouse can be right

Daily and on demand, over the connection `SongSwap_RDS`, in transactions that only read. Each check
takes a minute at most, and blocks no load.

| task | what may not be |
|---|---|
| `future_plays` | a play in the future |
| `double_plays` | two plays of a track by one user within a second |
| `plays_of_no_track` | a play whose track does not exist |
| `primary_artists` | a track with no primary artist, or with several |
| `popularity` | a popularity outside of 0 to 100 |
| `features` | audio features outside of the platform's bounds |
| `tokens_of_no_user` | tokens without a user |
| `coverage` | less data of tracks and artists than a day ago |

Two plays that an export has both are two; `double_plays` reads the last three days, and whole
histories that were imported in them. A track that waits for its metadata, or whose artists Spotify
does not have, has no primary artist. `coverage` compares snapshots of hourly runs: no number of
tracks or artists with features, images, popularity may fall, and no share by more than five points.

**When it is red**, the red task's log says how many rows, names the first ten users, tracks or
artists by their ids, and says what to do; docs/operations.md has the statements that show the rows.
Loads go on meanwhile. Clear the task once the rows are right.
"""

from airflow.sdk import dag

from songswap.orchestration.dag_defaults import TEST_DAG, described
from songswap.orchestration.table_checks import MACROS, check_tasks


@dag(
    schedule="45 4 * * *",
    tags=["songswap", "daily", "sanity", "test"],
    user_defined_macros=MACROS,
    **described(__doc__),
    **TEST_DAG,
)
def test_tables() -> None:
    """Check that the rows in the warehouse can be right."""
    check_tasks(
        "future_plays",
        "double_plays",
        "plays_of_no_track",
        "primary_artists",
        "popularity",
        "features",
        "tokens_of_no_user",
        "coverage",
    )


test_tables()
