"""
### May the pipeline write below `history/`, and nothing else?

An answer of user 0, who is nobody, goes into the bucket through the code of the hourly run, with
the connection `SongSwap_S3_PutOnly`. `SongSwap_S3_TestPutGetDelete` reads it and removes it.

| task | what it does |
|---|---|
| `make` | removes what a killed run left |
| `put` | archives the answer, the same again, another of the same hour; checks their keys |
| `verify` | reads the objects: bodies, and when the answers were given |
| `check_refusals` | tries to PUT outside `history/`, to GET and to DELETE with the pipeline's key |
| `remove` | removes the objects, also after a failure, and sees that they are gone |
| `all_green` | is green when all of these are |

**When it is red**, the log of the red task says what was expected and found.

* `put`: S3 or the rights of `SongSwap_S3_PutOnly` (PUT below `history/`), or `bucket_name`.
* `check_refusals`: take the rights that it names from the key of `SongSwap_S3_PutOnly`.
* `make`, `verify`, `remove`: `SongSwap_S3_TestPutGetDelete` has to have PUT, GET and DELETE below
  `tests/` and `history/spotify/user0/`.

No answer of a real user is touched. What a killed run left, the next one removes.
"""

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import dag, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.proofs import surround
from songswap.orchestration.retries import tried_once

DATA = Path(__file__).parent / "data"


@task
def make() -> None:
    """Remove what a killed run left."""
    from songswap.checks.acceptance import archive
    from songswap.orchestration.connections import read_test_archive

    archive.remove(read_test_archive())


@task
def put() -> None:
    """Archive answers with the pipeline's key."""
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
    """See the pipeline's key refused what it must not do."""
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
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "test", "unit"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_s3_user_load_history() -> None:
    """Raw answers into production's bucket, and out again."""
    surround(make(), [put(), verify(), check_refusals()], remove())


test_s3_user_load_history()
