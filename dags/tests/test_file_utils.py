"""
### Check that the local disk holds responses until they are safe

The data files go through the spool, in a folder `test_file_utils` within `SONGSWAP_SPOOL`: the disk
and the code that the hourly load relies on while S3 or the warehouse is down.

| task | what it does |
|---|---|
| `make` | removes what a killed run left |
| `check_files` | reads the data files as JSON in the shape of Spotify's responses |
| `keep` | stores them in the spool, whose files only their owner may read |
| `read` | opens the spool again and compares each byte |
| `finish` | marks them as archived, then as loaded: only then do they leave the spool |
| `remove` | removes the folder, also after a failure |
| `all_green` | succeeds when all of these did |

**When it is red**, the log of the red task says what was expected and found. *The spool … cannot be
read or written*: free or repair the disk. Only `read` is red, and finds nothing: the workers do not
share `SONGSWAP_SPOOL`, so no run can load what another worker has stored. The spool of the hourly
load is not touched.
"""

from pathlib import Path

from airflow.sdk import dag, task

from songswap.orchestration.acceptance import wire
from songswap.orchestration.dag_defaults import TEST_DAG, described

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
    """Store them in the spool."""
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
    """Check that they leave the spool when they are safe."""
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
    tags=["songswap", "daily", "test", "unit"],
    **described(__doc__),
    **TEST_DAG,
)
def test_file_utils() -> None:
    """Store responses on production's disk, and read them back."""
    wire(make(), [check_files(), keep(), read(), finish()], remove())


test_file_utils()
