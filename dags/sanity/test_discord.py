"""
### Check that alerts reach Discord

Runs daily and on demand. Posts a silent message to the engineers' channel and deletes it. Other
services (the connection `SongSwap_Alerts`) are sent nothing: only their addresses are checked.

| task | what it checks |
|---|---|
| `provider` | `apache-airflow-providers-discord`, which sends the alerts, is installed |
| `time` | the time zones of messages exist, and the minute of the hourly load is one |
| `services` | the addresses of other services can be used, if there are any |
| `webhook` | the connection or the variable is set, and looks like a webhook; other services can replace it |
| `message` | Discord takes a message, returns its id, and deletes it |

**When it is red**, the log says what to set where. Until it is fixed, no failure is reported: look
at the runs of the other DAGs, and at the log of the dag-processor, which has the unsent messages.

* *not installed*: install it from `requirements.lock`, or build the image again.
* *SONGSWAP_TIME_ZONES*, *SONGSWAP_MINUTE*: correct the setting. Until then messages show UTC alone,
  and the hourly load runs at minute 1.
* *Address … of the connection SongSwap_Alerts*: correct that address; the others get messages.
* *No Discord webhook is set*, *has to look like*: set the connection `Discord_Notifier` or the
  variable `discord_webhook_endpoint`.
* *knows no such webhook*: make one in the channel's settings (Integrations), and set it.
* *takes no more messages*, *Discord failed*: nothing to set; clear the task later.
* *cannot be reached*: open the route from the workers to Discord, or correct the connection's host.
"""  # noqa: E501 - a row of a table is one line

from airflow.sdk import chain, dag

from songswap.orchestration.dag_defaults import TEST_DAG, described
from songswap.orchestration.sanity import check_tasks


@dag(
    schedule="10 4 * * *",
    tags=["songswap", "daily", "sanity", "test"],
    **described(__doc__),
    **TEST_DAG,
)
def test_discord() -> None:
    """Check that Discord takes messages."""
    chain(*check_tasks("discord", "provider", "time", "services", "webhook", "message"))


test_discord()
