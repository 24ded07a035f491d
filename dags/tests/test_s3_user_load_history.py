"""
### Check that the pipeline may write below `history/`, and nothing else

A response of user 0, who does not exist, goes into the bucket through the code of the hourly load,
with the connection `SongSwap_S3_PutOnly`. `SongSwap_S3_TestPutGetDelete` reads and removes it.

| task | what it does |
|---|---|
| `make` | removes what a killed run left |
| `put` | archives the response, the same again, another one of that hour; checks their keys |
| `verify` | reads the objects: bodies, and the times of the responses |
| `check_refusals` | tries to PUT outside `history/`, to GET and to DELETE with the pipeline's key |
| `remove` | removes the objects, also after a failure, and checks that they are gone |
| `all_green` | succeeds when all of these did |

**When it is red**, the log of the red task says what was expected and found.

* `put`: S3 or the rights of `SongSwap_S3_PutOnly` (PUT below `history/`), or `bucket_name`.
* `check_refusals`: remove the named rights from the key of `SongSwap_S3_PutOnly`.
* `make`, `verify`, `remove`: `SongSwap_S3_TestPutGetDelete` needs PUT, GET and DELETE below
  `tests/` and `history/spotify/user0/`.

No response of a real user is touched. What a killed run left, the next one removes.
"""

from pathlib import Path

from airflow.sdk import dag, task

from songswap.orchestration.acceptance import wire
from songswap.orchestration.dag_defaults import TEST_DAG, described

DATA = Path(__file__).parent / "data"


@task
def make() -> None:
    """Remove what a killed run left."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_test_archive

    archive.remove(read_test_archive())


@task
def put() -> None:
    """Archive responses with the pipeline's key."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_settings

    archive.put(read_settings().archive, DATA)


@task
def verify() -> None:
    """Read them with the tests' key."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_test_archive

    archive.verify(read_test_archive(), DATA)


@task
def check_refusals() -> None:
    """Check that S3 refuses what the pipeline's key must not do."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_settings

    archive.check_refusals(read_settings().archive)


@task
def remove() -> None:
    """Remove the objects with the tests' key."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_test_archive

    archive.remove(read_test_archive())


@dag(
    schedule="45 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(__doc__),
    **TEST_DAG,
)
def test_s3_user_load_history() -> None:
    """Archive responses in production's bucket, and remove them."""
    wire(make(), [put(), verify(), check_refusals()], remove())


test_s3_user_load_history()
