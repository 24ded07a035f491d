"""The check that the alert of a failed task arrives on Discord, with everything it has to say.

A task fails on purpose; its alert is sent as every alert is, read back from Discord and deleted.
"""

import json
from collections.abc import Sequence
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
    """Fail as a task of the pipeline does; only the first line may be shown to people."""
    raise RunFailed(f"{SENTENCE}\nrefresh_token={_HIDDEN}")


def check(
    message: dict[str, Any] | None, run: Run, now: datetime, zones: Sequence[ZoneInfo]
) -> str:
    """Compare the message on Discord with the expected alert, and return a sentence.

    Args:
        message: as Discord returns it; None when none was sent.
        run: the run whose task failed.
        now: the latest time that the message may have (aware).
        zones: those in which it has to show its time, beside UTC.

    Raises:
        AcceptanceFailed: it did not arrive, or a part of it is wrong.
    """
    if message is None:
        raise AcceptanceFailed(
            "No alert was sent: the log of the failed task says why. Check the connection"
            " Discord_Notifier or the variable discord_webhook_endpoint."
        )
    (embed,) = message["embeds"]
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    at = datetime.strptime(fields.get("UTC", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    page = f"{run.base_url.rstrip('/')}/dags/{run.dag_id}"
    in_run = f"{page}/runs/{run.run_id.replace(':', '%3A').replace('+', '%2B')}"
    dag, run_id, task = (name.replace("_", r"\_") for name in (run.dag_id, run.run_id, TASK))
    expected = {
        "title": f"🔴 {run.dag_id} failed",
        "color": 0xD32F2F,
        "description": SENTENCE,
        "Failed": f"1 of 1 tasks: {task}",
        "Log": f"[{task}]({in_run}/tasks/{TASK})",
        "DAG": f"[{dag}]({page})",
        "Run": f"[{run_id}]({in_run})",
    }
    for zone in zones:
        local = at.astimezone(zone)
        city = zone.key.split("/")[-1].replace("_", " ")
        expected[city] = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    found = {name: embed[name] if name in embed else fields.get(name) for name in expected}
    wrong = [name for name, value in expected.items() if found[name] != value]
    if "What to do" not in fields:
        wrong.append("What to do")
    if not timedelta() <= now - at <= _LONGEST:
        wrong.append("UTC")
    if _HIDDEN in json.dumps(message):
        wrong.append("a line that people must not see")
    if wrong:
        raise AcceptanceFailed(
            f"The alert arrived, but these parts are wrong: {', '.join(wrong)}. Look at"
            " songswap.alerts.message; until it is fixed, alerts may mislead."
        )
    return "The alert arrived, with all its fields."
