"""What the demo starts, by the user's settings."""

import json
from pathlib import Path

import pytest

from songswap.dev.stack.access import platform_access
from songswap.dev.stack.plan import Plan, make_plan
from songswap.dev.stack.ports import Ports
from songswap.supervision.errors import StartRefused

RDS = "postgresql://app:secret@db.example.org:5432/platform"


def environment(plan: Plan) -> dict[str, str]:
    """The tasks' environment with recognizable local parts."""
    return plan.environment(
        warehouse="postgresql://local/songswap",
        archive="http://127.0.0.1:9010",
        access=platform_access(),
        simulator="http://127.0.0.1:8010",
        spool=Path("/state/spool"),
        page="postgresql://page/songswap",
    )


def test_every_part_is_local_by_default() -> None:
    """At its usual port, which the tasks know."""
    plan = make_plan({})
    result = environment(plan)
    assert plan.started_ports == {
        "airflow": 8080,
        "postgres": 5439,
        "s3": 9010,
        "simulator": 8010,
    }
    assert result["AIRFLOW_CONN_SONGSWAP_RDS"] == "postgresql://local/songswap"
    assert result["AIRFLOW_CONN_SONGSWAP_RDS_READONLY"] == "postgresql://page/songswap"
    assert result["SPOTIFY_API_URL"] == "http://127.0.0.1:8010/v1"
    assert result["RECCOBEATS_URL"] == "http://127.0.0.1:8010/reccobeats"
    assert result["AIRFLOW_VAR_BUCKET_NAME"] == "songswap"
    assert result["SONGSWAP_SPOOL"] == "/state/spool"
    s3 = json.loads(result["AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"])
    assert (s3["conn_type"], s3["login"]) == ("aws", "pipeline")
    assert s3["extra"]["endpoint_url"] == "http://127.0.0.1:9010"
    reading = json.loads(result["AIRFLOW_CONN_SONGSWAP_S3_READONLY"])
    assert (reading["login"], reading["password"] != s3["password"]) == ("reader", True)
    erasing = json.loads(result["AIRFLOW_CONN_SONGSWAP_S3_ERASE"])
    assert (erasing["login"], erasing["password"] != s3["password"]) == ("eraser", True)
    discord = json.loads(result["AIRFLOW_CONN_DISCORD_NOTIFIER"])
    assert discord["host"] == "http://127.0.0.1:8010/discord/"
    assert (
        discord["extra"]["webhook_endpoint"]
        == (result["AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT"])
        != ""
    )


def test_real_credentials_keep_the_simulator_away() -> None:
    """With Spotify's credentials neither its addresses nor the webhook sink are the simulator's."""
    plan = make_plan({"SPOTIFY_CLIENT_ID": "id", "SPOTIFY_CLIENT_SECRET": "secret"})
    result = environment(plan)
    assert not plan.simulated
    assert "simulator" not in plan.started_ports
    assert result["SPOTIFY_CLIENT_ID"] == "id"
    simulated = "SPOTIFY_API_URL SPOTIFY_ACCOUNTS_URL RECCOBEATS_URL AIRFLOW_CONN_DISCORD_NOTIFIER"
    assert not set(simulated.split()) & set(result)


def test_a_real_warehouse_and_archive_win() -> None:
    """A connection that the user has set is passed on, and its local counterpart not started."""
    s3 = "aws://key:secret@/?region_name=eu-west-1"
    plan = make_plan(
        {
            "AIRFLOW_CONN_SONGSWAP_RDS": RDS,
            "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": s3,
            "AIRFLOW_VAR_BUCKET_NAME": "real-bucket",
        },
    )
    result = environment(plan)
    assert not plan.local_warehouse
    assert set(plan.started_ports) == {"airflow", "postgres", "simulator"}
    assert result["AIRFLOW_CONN_SONGSWAP_RDS"] == RDS
    assert result["AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"] == s3
    assert result["AIRFLOW_VAR_BUCKET_NAME"] == "real-bucket"
    assert "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE" not in result
    assert "AIRFLOW_CONN_SONGSWAP_S3_READONLY" not in result
    assert "AIRFLOW_CONN_SONGSWAP_S3_ERASE" not in result


def test_an_empty_setting_counts_as_none() -> None:
    """What is set to nothing is not set."""
    plan = make_plan({"SONGSWAP_S3_PORT": "3333", "SPOTIFY_CLIENT_ID": ""})
    assert plan.ports == Ports(s3=3333)
    assert plan.simulated


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"SPOTIFY_CLIENT_ID": "id"}, "SPOTIFY_CLIENT_SECRET is not"),
        ({"SPOTIFY_CLIENT_SECRET": "secret"}, "SPOTIFY_CLIENT_ID is not"),
        ({"AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": "aws://"}, "AIRFLOW_VAR_BUCKET_NAME"),
        ({"SONGSWAP_POSTGRES_PORT": "70000"}, "SONGSWAP_POSTGRES_PORT"),
        ({"SONGSWAP_SPOTIFY_SLOTS": "none"}, "SONGSWAP_SPOTIFY_SLOTS"),
    ],
)
def test_half_a_setting_is_refused(settings: dict[str, str], says: str) -> None:
    """The sentence names the setting to change."""
    with pytest.raises(StartRefused, match=says):
        make_plan(settings)


@pytest.mark.parametrize("page", ["", "postgresql://reader:secret@db.example.org/platform"])
def test_real_warehouse_has_no_local_reader(page: str) -> None:
    """Its page reads with the login that is set for it, or with none."""
    name = "AIRFLOW_CONN_SONGSWAP_RDS_READONLY"
    result = environment(make_plan({"AIRFLOW_CONN_SONGSWAP_RDS": RDS, name: page}))
    assert result.get(name, "") == page
