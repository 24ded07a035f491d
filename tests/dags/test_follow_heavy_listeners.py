"""The DAG that polls heavy listeners, through ``dag.test()``."""

from typing import Any

from factories import MakePlatform

DAG = "follow_heavy_listeners"


def test_only_users_at_risk_are_polled(airflow: Any, platform: MakePlatform) -> None:
    """If nobody is at risk, all tasks but `plan` are skipped."""
    here = platform(users=4, real_time=True)
    here.load()
    here.execute("UPDATE songswap.polls SET plays_per_hour = 1")
    here.spotify.delete("/admin/calls")
    run = airflow.run(DAG, here)
    assert run["state"] == "success", run["log"]
    assert run["tasks"].pop("plan") == "success"
    assert set(run["tasks"].values()) == {"skipped"}
    assert here.calls() == {}

    user = here.user_id("listener-0003")
    here.execute("UPDATE songswap.polls SET plays_per_hour = 1000 WHERE user_id = %s", user)
    run = airflow.run(DAG, here)
    assert run["state"] == "success", run["log"]
    assert set(run["tasks"].values()) == {"success"}
    assert here.calls().get("recently-played") == 1
    assert here.history() == here.reachable()
