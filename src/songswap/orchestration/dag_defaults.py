"""Arguments that all DAGs of a kind share: ``@dag(..., **described(__doc__), **PIPELINE_DAG)``."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.known_errors import hide_known_stacks
from songswap.orchestration.retries import TEST_RUN_TIMEOUT, retried, tried_once

_EVERY_TASK: dict[str, Any] = {"owner": "songswap", "on_execute_callback": hide_known_stacks}

_EVERY_DAG: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    **ALERTS,
}

PIPELINE_DAG = {**_EVERY_DAG, "default_args": _EVERY_TASK | retried()}
"""For DAGs that load data: lost services are retried. Each has a ``dagrun_timeout`` of its own."""

TEST_DAG = {
    **_EVERY_DAG,
    "default_args": _EVERY_TASK | tried_once(),
    "dagrun_timeout": TEST_RUN_TIMEOUT,
}
"""For DAGs that check something: they report the first result."""


def users_param(title: str, more: str) -> Param:
    """Return the param ``users``: ids as ``12, 13`` or, in a conf, as a list; None by default.

    Args:
        more: follows what its description says of the ids.
    """
    return Param(
        None,
        type=["null", "string", "array"],
        items={"type": "integer", "minimum": 0},
        # With examples, the form has a text field.
        examples=["12", "12, 13"],
        title=title,
        description_md=f"Their ids, with commas: `12, 13`. {more}",
    )


def described(doc: str | None) -> dict[str, Any]:
    """Return a DAG's ``doc_md``, and its heading as the ``description``: a line without Markdown.

    Raises:
        ValueError: the document does not begin with a heading.
    """
    text = (doc or "").strip()
    heading, _, _ = text.partition("\n")
    if not heading.startswith("### "):
        raise ValueError(
            "The docstring of a DAG file has to begin with a heading: ### What it does"
        )
    return {"doc_md": text, "description": heading.removeprefix("### ").replace("`", "")}
