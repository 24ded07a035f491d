"""The tasks of the test DAG of the failure notifications."""

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context

from songswap.checks.acceptance import alert
from songswap.errors import AcceptanceFailed, UnknownToDiscord
from songswap.orchestration.alerts import MESSAGE, run_of
from songswap.orchestration.discord import DiscordHook

log = logging.getLogger(__name__)


def check_arrived() -> None:
    """`songswap.checks.acceptance.alert.check`, on the message that Discord has."""
    message_id = _message_id()
    message = DiscordHook().read(message_id) if message_id else None
    log.info("%s", alert.check(message, run_of(get_current_context()), datetime.now(UTC)))


def delete() -> None:
    """Delete the message, where one was sent."""
    message_id = _message_id()
    if message_id:
        DiscordHook().delete(message_id)
        log.info("The message is deleted.")
    else:
        log.info("No message was sent: there is nothing to delete.")


def check_deleted() -> None:
    """Check that Discord does not have the message.

    Raises:
        AcceptanceFailed: it does.
    """
    try:
        message = DiscordHook().read(_message_id() or "0")
    except UnknownToDiscord:
        log.info("Nothing is left of this test.")
        return
    raise AcceptanceFailed(
        f"The message {message['id']} of this test is still on Discord: delete it."
    )


def _message_id() -> str | None:
    """The id of the message about the failed task."""
    task = get_current_context()["ti"]
    message_id: str | None = task.xcom_pull(task_ids=alert.TASK, key=MESSAGE)
    return message_id
