"""Settings: read once, and every mistake is a sentence that names the variable."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from songswap.errors import SettingsError
from songswap.settings import another_warehouse, from_environment, warehouse_dsn

ENVIRONMENT = {
    "AIRFLOW_CONN_SONGSWAP_RDS": "postgresql://me:p%40ss@db.example:5433/songswap?sslmode=require&iam=no",
    "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": json.dumps(
        {"conn_type": "aws", "login": "key", "password": "hush", "extra": {"region_name": "eu"}}
    ),
    "AIRFLOW_VAR_BUCKET_NAME": "raw",
    "SPOTIFY_CLIENT_ID": "id",
    "SPOTIFY_CLIENT_SECRET": "hush",
    "SONGSWAP_SPOOL": "/var/spool/songswap",
}


def test_each_setting_has_its_variable_or_a_default() -> None:
    settings = from_environment(ENVIRONMENT)
    assert conninfo_to_dict(settings.warehouse_dsn) == {
        "host": "db.example",
        "port": "5433",
        "user": "me",
        "password": "p@ss",
        "dbname": "songswap",
        "sslmode": "require",
    }
    assert settings.archive.bucket == "raw"
    assert settings.archive.region == "eu"
    assert settings.archive.access_key_id == "key"
    assert settings.spotify.api_url == "https://api.spotify.com/v1"
    assert settings.spotify.reccobeats_url == "https://api.reccobeats.com"
    assert settings.spool == Path("/var/spool/songswap")
    assert settings.spool_max_bytes == 2 * 2**30
    assert settings.batch_size == 500


def test_secrets_are_not_shown() -> None:
    """A settings object that ends up in a log tells no secret."""
    shown = repr(from_environment(ENVIRONMENT))
    assert "hush" not in shown
    assert "p@ss" not in shown
    assert "p%40ss" not in shown


@pytest.mark.parametrize("name", list(ENVIRONMENT))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_setting_is_named(name: str, value: str | None) -> None:
    environment = {key: text for key, text in ENVIRONMENT.items() if key != name}
    if value is not None:
        environment[name] = value
    with pytest.raises(SettingsError, match=name):
        from_environment(environment)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "1000000000"])
def test_number_out_of_range(text: str) -> None:
    """A number that makes no sense is refused with its bounds."""
    with pytest.raises(SettingsError, match="SONGSWAP_BATCH_SIZE has to be a whole number of 1 to"):
        from_environment({**ENVIRONMENT, "SONGSWAP_BATCH_SIZE": text})


def test_users_are_erased_after_five_days_by_hand() -> None:
    """That is what Spotify's terms give; erasing by itself has to be switched on."""
    settings = from_environment(ENVIRONMENT)
    assert (settings.erase_after, settings.erases_due) == (timedelta(days=5), False)
    chosen = {"SONGSWAP_ERASE_DAYS": "30", "SONGSWAP_ERASE_DUE": "1"}
    settings = from_environment(ENVIRONMENT | chosen)
    assert (settings.erase_after, settings.erases_due) == (timedelta(days=30), True)
    for name, text in (("SONGSWAP_ERASE_DAYS", "0"), ("SONGSWAP_ERASE_DUE", "yes")):
        with pytest.raises(SettingsError, match=f"{name} has to be a whole number"):
            from_environment(ENVIRONMENT | {name: text})


def test_migrating_needs_the_warehouse_connection_only() -> None:
    name = "AIRFLOW_CONN_SONGSWAP_RDS"
    assert "db.example" in warehouse_dsn({name: ENVIRONMENT[name]})


@pytest.mark.parametrize(("name", "field"), [("READONLY", "library"), ("ERASE", "eraser")])
def test_optional_key_of_the_archive(name: str, field: str) -> None:
    """The keys that may read, and erase, are connections of their own, and may be missing."""
    variable = f"AIRFLOW_CONN_SONGSWAP_S3_{name}"
    assert getattr(from_environment(ENVIRONMENT), field) is None
    given = '{"conn_type": "aws", "login": "another", "password": "hush"}'
    result = from_environment({**ENVIRONMENT, variable: given})
    archive = getattr(result, field)
    assert (archive.bucket, archive.access_key_id) == ("raw", "another")
    assert "hush" not in repr(result)
    assert getattr(from_environment({**ENVIRONMENT, variable: " "}), field) is None


@pytest.mark.parametrize(
    "value",
    ["postgresql://me:p%40ss@db:5/fresh", "host=db port=5 dbname=fresh user=me password=p@ss", "F"],
)
def test_another_warehouse_is_a_uri_conninfo_or_variable(value: str) -> None:
    dsn = another_warehouse({"F": "postgresql://me:p%40ss@db:5/fresh"}, value)
    expected = {"host": "db", "port": "5", "user": "me", "password": "p@ss", "dbname": "fresh"}
    assert conninfo_to_dict(dsn) == expected


@pytest.mark.parametrize("value", ["FRESH", "password=hush in", "hush me"])
def test_no_other_warehouse(value: str) -> None:
    """What is none of these is refused without being repeated."""
    with pytest.raises(SettingsError, match="neither") as refused:
        another_warehouse({}, value)
    assert value not in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("value", ["postgresql://u:hush@h/d?iam=true", '{"extra": {"iam": true}}'])
def test_other_warehouse_that_is_not_supported(value: str) -> None:
    """What another database may not be is said as of the platform's own."""
    with pytest.raises(SettingsError, match="database to replay into asks for IAM") as refused:
        another_warehouse({}, value)
    assert "hush" not in str(refused.value)


def test_every_setting_is_explained() -> None:
    """`.env.example` explains each variable that the settings read."""
    explained = (Path(__file__).parents[3] / ".env.example").read_text()
    names: list[Any] = [
        *ENVIRONMENT,
        "SPOTIFY_API_URL",
        "SPOTIFY_ACCOUNTS_URL",
        "RECCOBEATS_URL",
        "SONGSWAP_ALLOW_HTTP",
        "SPOTIFY_REDIRECT_URI",
        "SONGSWAP_SPOOL_MAX_MB",
        "SONGSWAP_KEEP_TOKENS_HOURS",
        "SONGSWAP_KEEP_RAW_DAYS",
        "SONGSWAP_KEEP_DAYS",
        "SONGSWAP_KEEP_LOG_DAYS",
        "SONGSWAP_BATCH_SIZE",
        "SONGSWAP_IN_FLIGHT",
        "SONGSWAP_STALE_HOURS",
        "SONGSWAP_LOST_USERS_PERCENT",
        "SONGSWAP_ERASE_DAYS",
        "SONGSWAP_ERASE_DUE",
        "SONGSWAP_PLAY_MS",
        "SONGSWAP_RETRY_DELAY_S",
        "SONGSWAP_WAIT_S",
        "SONGSWAP_SPOTIFY_SLOTS",
        "SONGSWAP_STATE",
        "SONGSWAP_AIRFLOW_PORT",
        "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE",
        "AIRFLOW_CONN_SONGSWAP_S3_READONLY",
        "AIRFLOW_CONN_SONGSWAP_S3_ERASE",
        "AIRFLOW_CONN_DISCORD_NOTIFIER",
        "AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT",
    ]
    assert [name for name in names if name not in explained] == []
