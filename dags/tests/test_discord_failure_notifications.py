"""
### Check that a failed task is reported on Discord, in the right words

Makes a task fail, reads its alert back from Discord, and deletes it. `fail_on_purpose` is meant to
be red; the run is green when the alert was right.

Started by hand, it also sends the alert to the services of the connection `SongSwap_Alerts`: look
whether it arrives. Without a Discord webhook `alert_arrived` is skipped, for other services return
no message.

| task | what it checks |
|---|---|
| `fail_on_purpose` | fails, and its alert is sent as every alert is |
| `alert_arrived` | Discord has it: red mark, only the error's first line, what to do, links to log, DAG and run, the time in UTC and in the time zones of the setting |
| `take_away` | the message is deleted, whatever failed before |
| `nothing_left` | Discord does not have the message |

**When it is red**: read the log of the red task. *No alert was sent*: check the connection
`Discord_Notifier` or the variable `discord_webhook_endpoint`; the log of `fail_on_purpose` has the
message and why Discord did not take it. *These parts are wrong*: the code of the alerts is broken.
"""  # noqa: E501 - a row of a table is one line

from airflow.sdk import TriggerRule, dag, task

from songswap.orchestration.alerts import Alert
from songswap.orchestration.dag_defaults import TEST_DAG, described


@task(on_failure_callback=Alert())
def fail_on_purpose() -> None:
    """Fail."""
    from songswap.checks.acceptance import alert

    alert.fail()


@task(trigger_rule=TriggerRule.ALL_DONE)
def alert_arrived() -> None:
    """Read the alert back."""
    from songswap.orchestration import acceptance_alert

    acceptance_alert.check_arrived()


@task
def take_away() -> None:
    """Delete the message."""
    from songswap.orchestration import acceptance_alert

    acceptance_alert.delete()


@task
def nothing_left() -> None:
    """Check that the message is gone."""
    from songswap.orchestration import acceptance_alert

    acceptance_alert.check_deleted()


@dag(
    schedule="25 4 * * *",
    tags=["songswap", "daily", "test", "unit"],
    **described(__doc__),
    **TEST_DAG,
)
def test_discord_failure_notifications() -> None:
    """Fail, check the alert, and delete it."""
    arrived = alert_arrived()
    deleted = take_away().as_teardown()
    fail_on_purpose() >> arrived >> deleted
    [arrived, deleted] >> nothing_left()


test_discord_failure_notifications()
