"""
### Does the local disk keep answers until they are safe?

The data files go through the spool, in a folder `test_file_utils` within `SONGSWAP_SPOOL`: the disk
and the code that the hourly run relies on when S3 or the warehouse is away.

| task | what it does |
|---|---|
| `make` | removes what a killed run left |
| `check_files` | reads the data files as JSON in the shape of Spotify's answers |
| `keep` | keeps them as answers; nobody else may read the spool's files |
| `read` | opens the spool again and compares each byte |
| `finish` | notes them as archived, then as loaded: only then they leave |
| `remove` | removes the folder, also after a failure |
| `all_green` | is green when all of these are |

**When it is red**, the log of the red task says what was expected and found. *The spool … did not
take or give an answer*: free or mend the disk. `read` alone is red, and finds nothing: the workers
do not share `SONGSWAP_SPOOL`, so no run can load what another worker kept. The spool of the hourly
run is not touched.
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
    from songswap.checks.acceptance import spool
    from songswap.orchestration.connections import read_settings

    spool.remove(read_settings().spool)


@task
def check_files() -> None:
    """Read the data files."""
    from songswap.checks.acceptance import spool

    spool.check_files(DATA)


@task
def keep() -> None:
    """Keep them in the spool."""
    from songswap.checks.acceptance import spool
    from songswap.orchestration.connections import read_settings

    spool.store(read_settings().spool, DATA)


@task
def read() -> None:
    """Read them back."""
    from songswap.checks.acceptance import spool
    from songswap.orchestration.connections import read_settings

    spool.read(read_settings().spool, DATA)


@task
def finish() -> None:
    """See them leave when they are safe."""
    from songswap.checks.acceptance import spool
    from songswap.orchestration.connections import read_settings

    spool.finish(read_settings().spool)


@task
def remove() -> None:
    """Remove the folder."""
    from songswap.checks.acceptance import spool
    from songswap.orchestration.connections import read_settings

    spool.remove(read_settings().spool)


@dag(
    schedule="42 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "test", "unit"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_file_utils() -> None:
    """Answers onto production's disk and back."""
    surround(make(), [check_files(), keep(), read(), finish()], remove())


test_file_utils()
