"""What the test DAG of the failure notifications proves: the alert arrives, and says what it must.

The failure is made on purpose, its alert goes the way of every alert, is read back from Discord,
and is taken away again.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from songswap.alerts.message import Run
from songswap.errors import AcceptanceFailed, RunFailed

TASK = "fail_on_purpose"
SENTENCE = "This failure is a test of the alerts: nothing is wrong and nothing has to be done."
_HIDDEN = "not-for-discord-4f1c"
_LONGEST = timedelta(minutes=5)


def fail() -> NoReturn:
    """Fail as a task of the pipeline does; only the first line is for people."""
    raise RunFailed(f"{SENTENCE}\nrefresh_token={_HIDDEN}")


def check(message: dict[str, Any] | None, run: Run, now: datetime) -> str:
    """Hold the message that Discord has against what an alert has to say.

    Args:
        message: as Discord gives it back; None when none was sent.
        run: the run whose task failed.
        now: bounds the time in it (aware).

    Raises:
        AcceptanceFailed: it did not arrive, or something in it is not as it has to be.
    """
    if message is None:
        raise AcceptanceFailed(
            "No alert was sent: the log of the failed task says why. Check the connection"
            " Discord_Notifier or the variable discord_webhook_endpoint."
        )
    (embed,) = message["embeds"]
    told = {field["name"]: field["value"] for field in embed["fields"]}
    at = datetime.strptime(told.get("UTC", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    page = f"{run.base_url.rstrip('/')}/dags/{run.dag_id}"
    in_run = f"{page}/runs/{run.run_id.replace(':', '%3A').replace('+', '%2B')}"
    dag, run_id, task = (name.replace("_", r"\_") for name in (run.dag_id, run.run_id, TASK))
    there = at.astimezone(ZoneInfo("America/Los_Angeles"))
    expected = {
        "title": f"🔴 {run.dag_id} failed",
        "color": 0xD32F2F,
        "description": SENTENCE,
        "Failed": f"1 of 1 tasks: {task}",
        "Log": f"[{task}]({in_run}/tasks/{TASK})",
        "DAG": f"[{dag}]({page})",
        "Run": f"[{run_id}]({in_run})",
        "Los Angeles": f"{there:%Y-%m-%d %H:%M:%S} {'PDT' if there.dst() else 'PST'}",
    }
    found = {name: embed[name] if name in embed else told.get(name) for name in expected}
    wrong = [name for name, value in expected.items() if found[name] != value]
    if "What to do" not in told:
        wrong.append("What to do")
    if not timedelta() <= now - at <= _LONGEST:
        wrong.append("UTC")
    if _HIDDEN in json.dumps(message):
        wrong.append("a line that is not for people")
    if wrong:
        raise AcceptanceFailed(
            f"The alert arrived, but this is not as it has to be: {', '.join(wrong)}. Look at"
            " songswap.alerts.message; until it is mended, alerts may mislead."
        )
    return "The alert arrived, with all its fields."
