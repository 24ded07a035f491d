"""The tasks of the test DAG of the failure notifications, on Airflow's side."""

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context

from songswap.checks.acceptance import alert
from songswap.errors import AcceptanceFailed, UnknownToDiscord
from songswap.orchestration.alerts import MESSAGE, run_of
from songswap.orchestration.discord import DiscordHook

log = logging.getLogger(__name__)


def arrived() -> None:
    """`songswap.checks.acceptance.alert.check`, with the message that Discord has."""
    sent = _sent()
    message = DiscordHook().read(sent) if sent else None
    log.info("%s", alert.check(message, run_of(get_current_context()), datetime.now(UTC)))


def take_away() -> None:
    """Delete the message, where one was sent."""
    sent = _sent()
    if sent:
        DiscordHook().delete(sent)
        log.info("The message is deleted.")
    else:
        log.info("No message was sent: there is nothing to delete.")


def nothing_left() -> None:
    """See that Discord has the message no more.

    Raises:
        AcceptanceFailed: it is still there.
    """
    try:
        message = DiscordHook().read(_sent() or "0")
    except UnknownToDiscord:
        log.info("Nothing is left of this test.")
        return
    raise AcceptanceFailed(
        f"The message {message['id']} of this test is still on Discord: delete it."
    )


def _sent() -> str | None:
    """The id of the message about the failed task."""
    task = get_current_context()["ti"]
    sent: str | None = task.xcom_pull(task_ids=alert.TASK, key=MESSAGE)
    return sent
