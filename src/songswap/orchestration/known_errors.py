"""Task logs in which a known error is its sentence, without a stack.

Airflow's task runner logs whatever ended a task with its whole stack, which pushes the sentence out
of sight. The stack of an error that nobody foresaw stays.
"""

import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

from airflow.sdk.configuration import conf


def hide_known_stacks(_context: Mapping[str, Any]) -> None:
    """Log known errors without a stack from here on; a task's ``on_execute_callback``.

    The logger of the task runner exists by then, and reads this list for each line it logs. With
    the log level DEBUG all stacks stay.
    """
    import structlog

    if conf.get("logging", "logging_level").upper() == "DEBUG":
        return
    processors = structlog.get_config()["processors"]
    if _drop_known_stack not in processors:
        processors.insert(0, _drop_known_stack)


def _drop_known_stack(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the message about a known error, and its stack, by its kind and sentence."""
    found = event.get("exc_info")
    error = sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException) and _is_known(error):
        del event["exc_info"]
        event["event"] = str(error)
        event["error"] = type(error).__name__
    return event


def _is_known(error: BaseException) -> bool:
    from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

    from songswap.errors import SongSwapError, UnexpectedFailure

    known = (SongSwapError, AirflowFailException, AirflowNotFoundException)
    return isinstance(error, known) and not isinstance(error, UnexpectedFailure)
