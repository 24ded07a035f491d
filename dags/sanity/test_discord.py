"""
### Do alerts reach Discord?

Each day, and on demand: posts a message to the engineers' channel, silently, and deletes it again.

| task | what it proves |
|---|---|
| `provider` | `apache-airflow-providers-discord`, which alerts are sent with, is installed |
| `webhook` | the connection or the variable is set, and looks like a webhook |
| `message` | Discord takes a message, gives it an id, and deletes it again |

**When it is red**, its log says what to set where. Until then nobody is told of failures: look at
the runs of the other DAGs here, and at the log of the dag-processor, which holds what was not sent.

* *not installed*: install it from `requirements.lock`, or build the image again.
* *No Discord webhook is set*, *has to look like*: set the connection `Discord_Notifier` or the
  variable `discord_webhook_endpoint`.
* *knows no such webhook*: make one in the channel's settings (Integrations), and set it.
* *takes no more messages*, *Discord failed*: nothing to set; clear the task later.
* *cannot be reached*: open the way from the workers to Discord, or correct the connection's host.
"""

from datetime import UTC, datetime

from airflow.sdk import chain, dag, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import tried_once


@task
def run(step: str) -> None:
    """Run a step of the check."""
    from songswap.orchestration import checks

    checks.run("discord", step)


@dag(
    schedule="10 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "sanity", "test"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_discord() -> None:
    """Whether Discord takes messages."""
    chain(*(run.override(task_id=step)(step) for step in ("provider", "webhook", "message")))


test_discord()
