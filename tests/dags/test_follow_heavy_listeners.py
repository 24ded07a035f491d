"""The DAG that polls heavy listeners, through ``dag.test()``."""

from typing import Any

from factories import MakePlatform

DAG = "follow_heavy_listeners"


def test_only_users_at_risk_are_polled(airflow: Any, make_platform: MakePlatform) -> None:
    """If nobody is at risk, all tasks but `plan` and `watch` are skipped."""
    platform = make_platform(users=4, real_time=True)
    platform.load()
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 1")
    platform.spotify.delete("/admin/calls")
    run = airflow.run(DAG, platform)
    assert run["state"] == "success", run["log"]
    assert run["tasks"].pop("plan") == run["tasks"].pop("watch") == "success"
    assert set(run["tasks"].values()) == {"skipped"}
    assert platform.calls() == {}

    user = platform.user_id("listener-0003")
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 1000 WHERE user_id = %s", user)
    run = airflow.run(DAG, platform)
    assert run["state"] == "success", run["log"]
    ended = {task: state for task, state in run["tasks"].items() if "publish" not in task}
    assert ended == dict.fromkeys(("watch", "plan", "batch[0]", "summarise"), "success")
    assert platform.calls().get("recently-played") == 1
    assert platform.history() == platform.reachable()
