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


def test_replay_restores_lost_plays(airflow: Any, platform: MakePlatform) -> None:
    """A dry run only counts; a damaged object makes the run red."""
    here = platform(users=20)
    for _ in range(2):
        here.load()
        here.advance(hours=2)
    before = here.history()
    here.execute('DELETE FROM "History"')

    dry = airflow.run(DAG, here, conf={"dry_run": True})
    assert dry["state"] == "success", dry["log"]
    counts, _ = summary(airflow, dry)
    assert (counts["users"], counts["objects"]) == (20, len(here.objects()))
    assert here.history().total() == 0

    # Some users and hours only. The second hour has responses of those who listened meanwhile.
    users = [id_ for (id_,) in here.rows('SELECT id FROM "Users" ORDER BY id LIMIT 15')]
    conf = {"users": users, "from": "2026-11-22", "to": "2026-11-22T19"}
    part = airflow.run(DAG, here, conf=conf)
    assert part["state"] == "success", part["log"]
    assert len([task for task in part["tasks"] if task.startswith("replay[")]) == 15
    counts, size = summary(airflow, part)
    assert counts["users"] == 15
    assert counts["plays"] == here.history().total() > 0
    assert size < 10_240
    loaded = {user for (user,) in here.rows('SELECT DISTINCT user_id FROM "History"')}
    assert loaded <= set(users)

    torn = next(key for key in here.objects() if f"/user{users[0]}/" not in key)
    obstore.put(here.bucket, torn.replace(".json", "_0123456789abcdef.json"), b"no time")
    red = airflow.run(DAG, here)
    assert red["state"] == "failed"
    assert red["tasks"]["summarise"] == "failed"
    assert {state for task, state in red["tasks"].items() if task != "summarise"} == {"success"}
    assert "1 objects are damaged" in here.messages()[-1]["embeds"][0]["description"]
    assert here.history() == before
