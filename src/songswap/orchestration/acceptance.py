"""The wiring of the test DAGs, and the tasks of those that load a response.

The DAG files import this to be parsed: what only a task needs is imported inside it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import XComArg, chain, task

if TYPE_CHECKING:
    from songswap.checks.acceptance.load import LoadCheck
    from songswap.settings import Settings

_LOAD_DOC = """
| task | what it does |
|---|---|
| `make` | removes what a killed run left, and writes the rows that the load expects |
| `transform` | transforms the response; compares each key and value with rows written by hand |
| `insert` | loads it with production's code, and checks what was counted as new |
| `verify` | compares each row in the database with rows written by hand |
| `insert_again` | loads the same response again: nothing may change |
| `remove` | removes all of it, also after a failure, and checks that nothing is left |
| `all_green` | succeeds when all of these did |

**When it is red**, the log of the red task names the table, the missing or wrong rows, and the
module to look at. Do not deploy before it is green. No real row is touched: the ids begin with
`SongSwapTest`, as none of Spotify's does, and no real user has the id 0. The next run removes what
a killed one left: trigger it again.

* *The warehouse refused or was lost*, *schema is at version …*: as in `load_listening_history`.
* *permission denied*: the role of `SongSwap_RDS` needs INSERT and DELETE on the named table.
"""


def wire(made: XComArg, steps: Sequence[XComArg], removed: XComArg) -> None:
    """Wire ``steps`` in order between a set-up and a teardown that also runs after a failure.

    ``all_green`` depends on every task: without it the teardown alone would decide the run's state,
    and hide a failure before it.
    """
    all_green = EmptyOperator(task_id="all_green")
    made.as_setup() >> removed.as_teardown() >> all_green
    chain(made, *steps, [removed, all_green])


def load_doc(heading: str | None) -> str:
    """Return the ``doc_md`` of a DAG of `check_load`: what it loads, then what they share."""
    return f"{heading}{_LOAD_DOC}"


def check_load(name: str, folder: Path) -> None:
    """Wire the check that a response becomes the right rows.

    Args:
        name: of the check's module in `songswap.checks.acceptance`.
        folder: has the data files.
    """
    data = str(folder)
    steps = [transform(name, data), insert(name, data), verify(name), insert_again(name, data)]
    wire(make(name), steps, remove(name))


@task
def make(name: str) -> None:
    """Write the rows that the load expects."""
    _check(name).make(_settings())


@task
def transform(name: str, folder: str) -> None:
    """Transform the response, and check each key and value."""
    _check(name).check_transform(Path(folder))


@task
def insert(name: str, folder: str) -> None:
    """Load the response, and check what was counted as new."""
    _check(name).insert(_settings(), Path(folder))


@task
def verify(name: str) -> None:
    """Check each row in the warehouse."""
    _check(name).verify(_settings())


@task
def insert_again(name: str, folder: str) -> None:
    """Load the same response again, and check that nothing changes."""
    _check(name).insert_again(_settings(), Path(folder))


@task
def remove(name: str) -> None:
    """Remove all that was written, and check that nothing is left."""
    _check(name).remove(_settings())


def _check(name: str) -> "LoadCheck[Any]":
    from importlib import import_module

    check: LoadCheck[Any] = import_module(f"songswap.checks.acceptance.{name}").CHECK
    return check


def _settings() -> "Settings":
    from songswap.orchestration.connections import read_settings

    return read_settings()
