"""How the test DAGs are wired, and the tasks of those that load: proofs with production's settings.

The DAG files import this to be parsed: what only a task needs is imported inside of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import XComArg, chain, task

if TYPE_CHECKING:
    from songswap.checks.acceptance.load import LoadCheck
    from songswap.settings import Settings


def surround(made: XComArg, steps: Sequence[XComArg], removed: XComArg) -> None:
    """Wire ``steps`` in their order between a set-up and a teardown that follows also a failure.

    The run is as good as all of them: a run that ended with its teardown would be as good as that
    alone, and hide what failed before.
    """
    all_green = EmptyOperator(task_id="all_green")
    made.as_setup() >> removed.as_teardown() >> all_green
    chain(made, *steps, [removed, all_green])


def prove_load(name: str, folder: str) -> None:
    """Wire the proof that an answer becomes the right rows.

    Args:
        name: of its module in `songswap.checks.acceptance`.
        folder: where the data files are.
    """
    steps = [
        transform(name, folder),
        insert(name, folder),
        verify(name),
        insert_again(name, folder),
    ]
    surround(make(name), steps, remove(name))


@task
def make(name: str) -> None:
    """Write what has to be there before the load."""
    _proof(name).make(_settings())


@task
def transform(name: str, folder: str) -> None:
    """Transform the answer, and check each key and value."""
    _proof(name).check_transform(Path(folder))


@task
def insert(name: str, folder: str) -> None:
    """Load the answer, and check what it counted as new."""
    _proof(name).insert(_settings(), Path(folder))


@task
def verify(name: str) -> None:
    """Check each row in the warehouse."""
    _proof(name).verify(_settings())


@task
def insert_again(name: str, folder: str) -> None:
    """Load the same answer once more, and see that nothing changes."""
    _proof(name).insert_again(_settings(), Path(folder))


@task
def remove(name: str) -> None:
    """Remove all that was written, and see that nothing is left."""
    _proof(name).remove(_settings())


def _proof(name: str) -> "LoadCheck[Any]":
    from importlib import import_module

    proof: LoadCheck[Any] = import_module(f"songswap.checks.acceptance.{name}").CHECK
    return proof


def _settings() -> "Settings":
    from songswap.orchestration.connections import read_settings

    return read_settings()
