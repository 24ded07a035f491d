"""The replay DAG through ``dag.test()``, with real PostgreSQL, S3 and HTTP."""

from typing import Any

import obstore
import psycopg
from factories import MakePlatform

DAG = "replay_archive"


def summary(airflow: Any, run: dict[str, Any]) -> Any:
    """Return the result of ``summarise``, and the size of the run's XComs in bytes."""
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        xcoms = connection.execute(
            "SELECT task_id, value, length(value::text) FROM xcom"
            " WHERE dag_id = %s AND run_id = %s",
            [DAG, run["run_id"]],
        ).fetchall()
    return next(value for task, value, _ in xcoms if task == "summarise"), sum(
        size for _, _, size in xcoms
    )


def test_replay_restores_lost_plays(airflow: Any, make_platform: MakePlatform) -> None:
    """A dry run only counts; a damaged object makes the run red."""
    platform = make_platform(users=20)
    for _ in range(2):
        platform.load()
        platform.advance(hours=2)
    before = platform.history()
    platform.execute('DELETE FROM "History"')

    everything: dict[str, Any] = {"users": [], "from": None, "to": None, "dry_run": True}
    dry = airflow.run(DAG, platform, conf=everything)
    assert dry["state"] == "success", dry["log"]
    counts, _ = summary(airflow, dry)
    assert (counts["users"], counts["objects"]) == (20, len(platform.objects()))
    assert platform.history().total() == 0

    # Some users and hours only. The second hour has responses of those who listened meanwhile.
    users = [id_ for (id_,) in platform.rows('SELECT id FROM "Users" ORDER BY id LIMIT 15')]
    ids = ", ".join(map(str, users))  # as in the form; a list is right, too
    conf = {"users": ids, "from": "2026-11-22", "to": "2026-11-22T19"}
    part = airflow.run(DAG, platform, conf=conf)
    assert part["state"] == "success", part["log"]
    assert len([task for task in part["tasks"] if task.startswith("replay[")]) == 15
    counts, size = summary(airflow, part)
    assert counts["users"] == 15
    assert counts["plays"] == platform.history().total() > 0
    assert size < 10_240
    loaded = {user for (user,) in platform.rows('SELECT DISTINCT user_id FROM "History"')}
    assert loaded <= set(users)

    torn = next(key for key in platform.objects() if f"/user{users[0]}/" not in key)
    obstore.put(platform.bucket, torn.replace(".json", "_0123456789abcdef.json"), b"no time")
    red = airflow.run(DAG, platform)
    assert red["state"] == "failed"
    failed = {task for task, state in red["tasks"].items() if state == "failed"}
    assert failed == {"summarise"}
    assert "1 objects are damaged" in platform.messages()[-1]["embeds"][0]["description"]
    assert platform.history() == before


def test_param_that_cannot_be_read_is_named(airflow: Any, make_platform: MakePlatform) -> None:
    """The message is the sentence; nothing else was done. Lists of users stay right."""
    platform = make_platform(users=1)
    run = airflow.run(DAG, platform, conf={"users": [1], "from": "tomorrow"})
    assert run["tasks"] == {
        "plan": "failed",
        "replay": "upstream_failed",
        "publish_plays": "skipped",
        "publish_catalogue": "skipped",
        "summarise": "upstream_failed",
    }
    (message,) = platform.messages()
    description = message["embeds"][0]["description"]
    assert "'tomorrow' is not an hour: write 2026-11-22T08" in description
    assert "Traceback" not in run["log"]
    assert "error=SettingsError" in run["log"]
