"""
### Test: a failed task is told on Discord, in the right words

Makes a task fail, reads its alert back from Discord, and takes it away. The one red task is meant
to be red; the run is green when the alert was right.

| task | what it proves |
|---|---|
| `fail_on_purpose` | fails, and its alert goes out as every alert does |
| `alert_arrived` | Discord has it: red mark, the error's first line and no other, what to do, links to log, DAG and run, the time in UTC and in Los Angeles |
| `take_away` | the message is deleted, whatever came before |
| `nothing_left` | Discord has no message of this test |

**When it is red**: read the log of the red task. *No alert was sent*: check the connection
`Discord_Notifier` or the variable `discord_webhook_endpoint`; the log of `fail_on_purpose` has the
message and why Discord did not take it. *These parts are wrong*: the code of the alerts is broken.
"""  # noqa: E501 - a row of a table is one line

from datetime import UTC, datetime

from airflow.sdk import TriggerRule, dag, task

from songswap.orchestration.alerts import ALERTS, Alert
from songswap.orchestration.retries import tried_once


@task(on_failure_callback=Alert())
def fail_on_purpose() -> None:
    """Fail."""
    from songswap.checks.acceptance import alert

    alert.fail()


@task(trigger_rule=TriggerRule.ALL_DONE)
def alert_arrived() -> None:
    """Read the alert back."""
    from songswap.orchestration import alert_proof

    alert_proof.arrived()


@task
def take_away() -> None:
    """Delete the message."""
    from songswap.orchestration import alert_proof

    alert_proof.take_away()


@task
def nothing_left() -> None:
    """See that the message is gone."""
    from songswap.orchestration import alert_proof

    alert_proof.nothing_left()


@dag(
    schedule="25 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "test", "unit"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_discord_failure_notifications() -> None:
    """A failure, its alert, and its removal."""
    arrived = alert_arrived()
    taken_away = take_away().as_teardown()
    fail_on_purpose() >> arrived >> taken_away
    [arrived, taken_away] >> nothing_left()


test_discord_failure_notifications()
