"""Who is told when a run fails, and when it is well again."""

from typing import Any

ALERTS: dict[str, Any] = {}
"""What every DAG passes on: ``@dag(..., **ALERTS)``."""


def note_problem(context: Any) -> None:
    """A task's ``on_failure_callback``: leave the error's first line for the run's alert."""
