"""Messages when runs fail, through Airflow's own callbacks and real HTTP."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform, Platform
from receivers import HttpService, http_service, make_certificate

ALERT_CHECK = "test_discord_failure_notifications"

FAILING = """
from pathlib import Path
from airflow.sdk import dag, task
from songswap.errors import WarehouseUnavailable
from songswap.orchestration.alerts import ALERTS, record_problem

@task
def numbers():
    return list(range(200))

@task
def load(number):
    raise WarehouseUnavailable("The warehouse (connection SongSwap_RDS) was lost.\\nhush")

@task
def twice_red():
    marks = Path(__file__).parent / "marks"
    marks.touch()
    with marks.open("a") as file:
        file.write("x")
    if marks.stat().st_size <= 2:
        raise KeyError("Blue Monday")

@task
def of_another():
    mark = Path(__file__).parent / "mark"
    error = ValueError("bad") if mark.exists() else KeyError("Blue Monday")
    mark.touch()
    raise error

@task
def warned():
    from songswap.alerts.notices import LOOK, Notice
    from songswap.orchestration.alerts import add_notices

    add_notices([Notice(LOOK, "3 users played more than is remembered.")])

def make(name, tasks):
    @dag(dag_id=name, schedule=None, default_args={"on_failure_callback": record_problem}, **ALERTS)
    def made():
        tasks()
    made()

make("many", lambda: load.expand(number=numbers()))
make("turns", twice_red)
make("changes", of_another)
make("warned", warned)
for told in ("slow", "limited", "broken", "fine", "half", "both", "others", "nobody"):
    make(told, lambda: load(0))
"""


@pytest.fixture
def failing(tmp_path: Path) -> str:
    """A folder of DAGs that fail."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "failing.py").write_text(FAILING)
    return str(folder)


def embeds(platform: Platform) -> list[dict[str, Any]]:
    """Return the embeds of all messages on Discord."""
    return [embed for message in platform.messages() for embed in message["embeds"]]


def test_run_is_one_message_and_its_recovery_another(
    airflow: Any, make_platform: MakePlatform, failing: str
) -> None:
    """200 failed tasks are one message; only runs that fail of one cause count as in a row; the
    first good run reports the recovery; a good run with a notice reports that."""
    platform = make_platform(users=1, real_time=True)
    dags = "many,turns,turns,turns,turns,warned,changes,changes"
    run = airflow.run(dags, platform, AIRFLOW__CORE__DAGS_FOLDER=failing)
    assert run["many"]["state"] == "failed"
    assert list(run["many"]["tasks"].values()).count("failed") == 200
    assert run["turns"]["state"] == "success"

    many, first, second, recovered, warned, *changes = embeds(platform)
    titles = [embed["title"] for embed in changes]
    assert titles == ["🔴 changes failed"] * 2, "these are two causes"
    assert warned["title"] == "🟡 warned: look at this"
    assert warned["description"] == "3 users played more than is remembered."
    assert many["title"] == "🔴 many failed"
    assert many["description"] == "10 × The warehouse (connection SongSwap\\_RDS) was lost."
    fields = {field["name"]: field["value"] for field in many["fields"]}
    assert fields["Failed"] == "200 of 201 tasks: 200 × load"
    assert "/dags/many/runs/" in fields["Log"]
    assert "/tasks/load/mapped/0)" in fields["Log"]
    assert "SongSwap_RDS" in fields["What to do"]
    assert first["title"] == "🔴 turns failed"
    assert re.fullmatch(r"KeyError in failing\.py, line \d+", first["description"])
    assert second["title"] == "🔴 turns failed (2 runs in a row)"
    assert recovered["title"] == "🟢 turns recovered"
    assert recovered["description"].startswith("2 runs had failed since")
    assert "hush" not in str(platform.messages())
    recorded = airflow.variables("alert_")
    assert {"alert_many", "alert_changes"} <= recorded
    assert "alert_turns" not in recorded


def test_failing_discord_changes_no_run(
    airflow: Any, make_platform: MakePlatform, failing: str
) -> None:
    """Slow, rate-limiting or broken; unsent messages are in the log."""
    platform = make_platform(users=1, real_time=True)
    where = "/discord/*"
    platform.fault(path=where, times=1, delay_ms=60_000)
    platform.fault(path=where, times=1, status=429, headers={"Retry-After": "600"}, body={})
    platform.fault(path=where, times=1, action="refuse")
    dags = ["slow", "limited", "broken", "fine"]
    run = airflow.run(",".join(dags), platform, AIRFLOW__CORE__DAGS_FOLDER=failing)
    assert {name: run[name]["state"] for name in dags} == dict.fromkeys(dags, "failed")
    log = run["log"]
    for name, problem in (
        ("slow", "Discord was not reached: ReadTimeout."),
        ("limited", "Discord responded with status 429."),
        ("broken", "Discord was not reached: ConnectionError."),
    ):
        assert f"{problem} This message was not sent:\n🔴 {name} failed" in log
    assert log.count("This message was not sent") == 3
    assert "simulated-webhook-token" not in log
    assert [embed["title"] for embed in embeds(platform)] == ["🔴 fine failed"]


def test_alert_check_is_red_when_alerts_are_wrong(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """Green or red, it leaves no message of its own."""
    platform = make_platform(users=1, real_time=True)
    run = airflow.run(ALERT_CHECK, platform)
    assert run["state"] == "success", run["log"]
    assert run["tasks"] == {
        "fail_on_purpose": "failed",
        "alert_arrived": "success",
        "take_away": "success",
        "nothing_left": "success",
    }
    assert "not-for-discord" not in str(platform.messages())
    assert platform.messages() == []

    sources = broken_copy(("alerts/embed.py", "{at.astimezone(zone)", "{at.astimezone(UTC)"))
    run = airflow.run(ALERT_CHECK, platform, sources=sources)
    assert run["state"] == "failed"
    assert run["tasks"]["alert_arrived"] == "failed"
    assert "these parts are wrong: Los Angeles" in run["log"]
    (left,) = embeds(platform)
    assert left["title"] == f"🔴 {ALERT_CHECK} failed"
    assert "Los Angeles" in left["description"]

    platform.spotify.delete("/admin/discord")
    platform.fault(path="/discord/*", status=500, body={})
    run = airflow.run(ALERT_CHECK, platform)
    assert run["tasks"]["alert_arrived"] == "failed"
    assert "No alert was sent" in run["log"]
    assert platform.messages() == []


def alerts_connection(*addresses: str) -> str:
    """The connection that names other services."""
    return json.dumps({"conn_type": "generic", "password": " ".join(addresses)})


def titles(service: HttpService) -> list[str]:
    """The titles that a service was sent as JSON, and then took no more."""
    bodies = [json.loads(request.body) for request in service.requests]
    service.requests.clear()
    return [body["title"] for body in bodies]


def test_other_services_are_told_beside_discord(
    airflow: Any, make_platform: MakePlatform, failing: str, tmp_path: Path
) -> None:
    """Each by itself: neither a Discord that is away, nor a service that refuses, nor a time zone
    that does not exist keeps the others from being told. No log line has a part of an address."""
    platform = make_platform(users=1, real_time=True)
    platform.fault(path="/discord/*", times=1, action="refuse")
    certificate = make_certificate(tmp_path, "hooks.slack.com")
    slack = "T1HUSH3T3L2/B1HUSHRTD4JD/THUSHjkdnlazkcOXrIdevi7FQ"
    with (
        http_service() as other,
        http_service(status=404) as gone,
        http_service(certificate=certificate) as proxy,
    ):
        run = airflow.run(
            "half,both",
            platform,
            AIRFLOW__CORE__DAGS_FOLDER=failing,
            AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
            AIRFLOW_CONN_SONGSWAP_ALERTS=alerts_connection(
                f"json://{other.address}/T1HUSHtoken22222",
                f"json://{gone.address}/T1HUSHtoken33333",
                f"slack://{slack}",
            ),
            SONGSWAP_TIME_ZONES="Europe/Berlin,Mars/Base",
            HTTPS_PROXY=f"http://{proxy.address}",
            REQUESTS_CA_BUNDLE=str(certificate),
        )
        assert titles(other) == ["🔴 half failed", "🔴 both failed"]
    assert [request.path for request in proxy.requests] == [f"/services/{slack}"] * 2
    log = run["log"]
    refused = (
        "JSON (address 2 of the connection SongSwap_Alerts) did not take a message: it responded"
        " with status 404."
    )
    assert f"{refused} Discord was not reached: ConnectionError. The others were told." in log
    assert f"{refused} The others were told." in log
    assert "This message was not sent" not in log
    assert "'Mars/Base', which is no time zone" in log
    # This supervisor, which is in the same process, logs its requests to mask secrets.
    lines = [line for line in log.splitlines() if "MaskSecret" not in line]
    assert "[debug " in log, "everything is logged"
    assert [line for line in lines if "HUSH" in line] == []
    (embed,) = embeds(platform)
    names = [field["name"] for field in embed["fields"]]
    assert embed["title"] == "🔴 both failed"
    assert names[-1] == "UTC"


def test_other_services_replace_discord(
    airflow: Any, make_platform: MakePlatform, failing: str
) -> None:
    """Without a webhook they alone are told, and the daily test of alerts has nothing to read back;
    with neither, the log has the message and what to set."""
    platform = make_platform(users=1, real_time=True)
    discord = {"AIRFLOW_CONN_DISCORD_NOTIFIER": "", "AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT": ""}
    with http_service() as other:
        alerts = alerts_connection(f"json://{other.address}/")
        run = airflow.run(
            "others",
            platform,
            AIRFLOW__CORE__DAGS_FOLDER=failing,
            AIRFLOW_CONN_SONGSWAP_ALERTS=alerts,
            **discord,
        )
        assert titles(other) == ["🔴 others failed"]
        assert "Discord" not in run["log"]

        run = airflow.run(ALERT_CHECK, platform, AIRFLOW_CONN_SONGSWAP_ALERTS=alerts, **discord)
        assert run["state"] == "success", run["log"]
        assert run["tasks"]["alert_arrived"] == "skipped"
        assert run["tasks"]["take_away"] == "success"
        # Its run may be the recovery of another test's.
        assert titles(other)[:1] == [f"🔴 {ALERT_CHECK} failed"], "it was started by hand"
    assert platform.messages() == []

    run = airflow.run("nobody", platform, AIRFLOW__CORE__DAGS_FOLDER=failing, **discord)
    assert "Nobody can be told: set the connection Discord_Notifier" in run["log"]
    assert "SongSwap_Alerts" in run["log"]
    assert "This message was not sent:\n🔴 nobody failed" in run["log"]
