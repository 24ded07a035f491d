"""The tasks of the test DAG of the failure notifications."""

import logging
import os
from datetime import UTC, datetime

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from songswap.checks.acceptance import alert
from songswap.errors import AcceptanceFailed, UnknownToDiscord
from songswap.orchestration.alerts import MESSAGE, run_of
from songswap.orchestration.connections import find_services, find_webhook
from songswap.orchestration.discord import DiscordHook
from songswap.settings.time_zones import time_zones

log = logging.getLogger(__name__)


def check_arrived() -> None:
    """`songswap.checks.acceptance.alert.check`, on the message that Discord has.

    Raises:
        AirflowSkipException: messages go to other services alone, which return none.
    """
    webhook, message_id = find_webhook(), _message_id()
    if webhook is None and find_services():
        raise AirflowSkipException(
            "No Discord webhook is set, and other services return no message. Started by hand, this"
            " DAG sends its message to them: look whether it arrived."
        )
    message = DiscordHook(webhook).read(message_id) if webhook and message_id else None
    run, zones = run_of(get_current_context()), time_zones(os.environ)
    log.info("%s", alert.check(message, run, datetime.now(UTC), zones))


def delete() -> None:
    """Delete the message, where one was sent."""
    webhook, message_id = find_webhook(), _message_id()
    if webhook and message_id:
        DiscordHook(webhook).delete(message_id)
        log.info("The message is deleted.")
    else:
        log.info("No message was sent: there is nothing to delete.")


def check_deleted() -> None:
    """Check that Discord does not have the message.

    Raises:
        AcceptanceFailed: it does.
    """
    webhook = find_webhook()
    if webhook is None:
        log.info("No Discord webhook is set: nothing can be left of this test.")
        return
    try:
        message = DiscordHook(webhook).read(_message_id() or "0")
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
