"""Each service is broken in turn: only its check is red, and says what to set where."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform, Platform, StartObjectStore
from psycopg.conninfo import make_conninfo
from receivers import http_service
from typer.testing import CliRunner

from songswap.checks.sanity.context import from_environment
from songswap.checks.sanity.run import CHECKS, run_check, run_step
from songswap.cli.main import app
from songswap.dev.simulator.discord import WEBHOOK_ID, WEBHOOK_TOKEN
from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import CheckFailed
from songswap.pipelines.hourly_load import load_once
from songswap.warehouse import rights

RDS = "AIRFLOW_CONN_SONGSWAP_RDS"
S3 = "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE"
DISCORD = "AIRFLOW_CONN_DISCORD_NOTIFIER"
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
NOWHERE = 1  # a port without a listener


def red(environment: Mapping[str, str]) -> dict[str, str]:
    """Run all checks and return the message of each one's first failed step, by ``check.step``."""
    context = from_environment(environment, "a run", lambda: NOW)
    results = {name: list(run_check(steps, context)) for name, steps in CHECKS.items()}
    messages = " ".join(result.message for each in results.values() for result in each)
    assert [secret for secret in secrets_of(environment) if secret in messages] == []
    failed: dict[str, str] = {}
    for name, each in results.items():
        first = next((result for result in each if result.ok is False), None)
        if first is not None:
            failed[f"{name}.{first.step}"] = first.message
    return failed


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """The secrets in the environment, which no message may show."""
    connections = [json.loads(environment[name]) for name in (RDS, S3) if name in environment]
    passwords = [connection["password"] for connection in connections]
    return [*passwords, environment.get("SPOTIFY_CLIENT_SECRET") or "simulated", WEBHOOK_TOKEN]


def changed(environment: Mapping[str, str], connection: str, **parts: Any) -> dict[str, str]:
    """Return the environment with changed fields in a connection."""
    return {**environment, connection: json.dumps(json.loads(environment[connection]) | parts)}


def without(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the environment without some variables."""
    return {name: value for name, value in environment.items() if name not in names}


def expect(environment: Mapping[str, str], step: str, *words: str) -> None:
    """Assert that only this step fails, with these words in its message."""
    failed = red(environment)
    assert list(failed) == [step], failed
    missing = [word for word in words if word not in failed[step]]
    assert missing == [], failed[step]


def test_healthy_platform_passes_every_check(make_platform: MakePlatform, tmp_path: Path) -> None:
    """`songswap check` shows each step and exits 0; nothing is left in Discord or the bucket."""
    platform = make_platform(users=1)
    environment = platform.environment()
    done = subprocess.run(
        [sys.executable, "-m", "songswap.cli.main", "check"],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == sum(map(len, CHECKS.values()))
    assert "✗" not in done.stdout
    assert "A message was sent and deleted." in done.stdout
    assert [secret for secret in secrets_of(environment) if secret in done.stdout] == []
    assert platform.messages() == []
    assert platform.objects() == []
    assert platform.spotify.get("/admin/calls")["by_endpoint"]["artist"] == {"404": 1}

    platform.fault(path="/v1/artists/*", status=200, body={"name": "Somebody"})
    results = json.loads(command(environment, 0, "check", "--json", "spotipy"))
    assert results["spotipy"][-1]["message"].endswith("is Somebody.")
    assert list(results) == ["spotipy"]


def command(environment: Mapping[str, str], code: int, *arguments: str) -> str:
    """Return what the command prints; it has to exit with this code."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", **environment})
    assert done.exit_code == code, done.output
    return done.stdout


def test_failed_step_skips_the_rest_of_its_check(make_platform: MakePlatform) -> None:
    """Other checks run all the same; an unknown name is refused."""
    platform = make_platform(users=1)
    environment = changed(platform.environment(), RDS, port=NOWHERE)
    lines = [line for line in command(environment, 1, "check").splitlines() if "✗" in line]
    assert len(lines) == 1
    assert "query" in lines[0]
    results = json.loads(command(environment, 1, "check", "--json"))
    assert [step["ok"] for step in results["postgres"]] == [True, True, False, *[None] * 4]
    others = [step for name in ("discord", "s3", "spotipy") for step in results[name]]
    assert {step["ok"] for step in others} == {True}
    assert json.loads(command(environment, 0, "check", "--json", "s3", "discord")).keys() == {
        "s3",
        "discord",
    }
    command(environment, 2, "check", "s3", "s4")


def test_empty_environment_fails_every_check() -> None:
    """Each message names what to set, and both places where it can be set."""
    failed = red({})
    assert list(failed) == [
        "discord.webhook",
        "postgres.connection",
        "s3.connections",
        "spotipy.environment",
    ]
    for words, message in zip(
        (
            ("Discord_Notifier", DISCORD, "AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT", "Variables"),
            ("SongSwap_RDS", RDS, "Admin, Connections"),
            ("bucket_name", "AIRFLOW_VAR_BUCKET_NAME", "Admin, Variables"),
            ("SPOTIFY_CLIENT_ID", "environment", ".env"),
        ),
        failed.values(),
        strict=True,
    ):
        assert [word for word in words if word not in message] == [], message


def test_broken_discord_fails_only_its_check(make_platform: MakePlatform) -> None:
    """A wrong webhook; Discord refusing, failing, silent or unreachable."""
    platform = make_platform(users=1)
    good = platform.environment()
    variable = "AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT"

    def hook(endpoint: str) -> dict[str, str]:
        return changed(good, DISCORD, extra={"webhook_endpoint": endpoint})

    expect(without(good, DISCORD), "discord.webhook", DISCORD, variable)
    expect(hook("webhooks/1"), "discord.webhook", "has to look like", DISCORD, variable)
    expect(changed(good, DISCORD, conn_type="http"), "discord.webhook", "type", "discord", DISCORD)
    wrong = f"webhooks/{WEBHOOK_ID}/wrong-token"
    expect(hook(wrong), "discord.message", "no such webhook (404)", "Integrations", DISCORD)
    nobody = changed(good, DISCORD, host=f"http://127.0.0.1:{NOWHERE}/discord/")
    expect(nobody, "discord.message", "cannot be reached", "host", DISCORD)

    faults: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"status": 429, "headers": {"Retry-After": "7"}}, ("7 s (429)", "Nothing has to be set")),
        ({"status": 500}, ("Discord failed (500)", "discordstatus.com")),
        ({"status": 403}, ("refused a message (403)", variable)),
        ({"status": 200, "body": "<html>"}, ("not lead to Discord's API", DISCORD)),
        ({"action": "refuse"}, ("cannot be reached",)),
        ({"path": "*/messages/*", "status": 500}, ("did not delete it (500)", "by hand")),
    ]
    for fault, words in faults:
        platform.fault(**{"path": "/discord/*", **fault})
        expect(good, "discord.message", *words)
        platform.mend()
    whole = f"{platform.spotify.url}/discord/webhooks/{WEBHOOK_ID}/{WEBHOOK_TOKEN}"
    assert red({**without(good, DISCORD), variable: whole}) == {}


def test_other_services_are_checked_and_sent_nothing(make_platform: MakePlatform) -> None:
    """Beside Discord or in its place; an address that cannot be used is named by its place."""
    good = make_platform(users=1).environment()

    def services(*addresses: str) -> dict[str, str]:
        connection = {"conn_type": "generic", "password": " ".join(addresses)}
        return {"AIRFLOW_CONN_SONGSWAP_ALERTS": json.dumps(connection)}

    def found(environment: Mapping[str, str]) -> dict[str, str]:
        shown = json.loads(command(environment, 0, "check", "--json", "discord"))
        return {step["step"]: step["message"] for step in shown["discord"]}

    with http_service() as other:
        both = services(f"json://{other.address}/hush", "mailtos://me:hush@mail.example?to=a@b.cd")
        assert "Messages also go to: JSON, E-Mail" in found(good | both)["services"]
        assert found(good | both)["message"] == "A message was sent and deleted."
        alone = found(without(good, DISCORD) | both)
        assert "SongSwap_Alerts alone" in alone["webhook"]
        assert alone["message"].startswith("Nothing was sent")
        assert other.requests == []
    assert "Discord alone" in found(good)["services"]

    wrong = good | services("slack://hush", "json://chat.example/hush")
    words = ("Address 1 in", "slack://", "Address 2 in", "TLS", "Admin, Connections")
    expect(wrong, "discord.services", *words)
    assert "hush" not in str(red(wrong))
    allowed = services("json://chat.example/hush") | {"SONGSWAP_ALLOW_HTTP": "chat.example"}
    assert "discord.services" not in red(good | allowed)


def test_wrong_time_settings_are_a_sentence(make_platform: MakePlatform) -> None:
    """It says what holds until they are right."""
    good = make_platform(users=1).environment()
    expect(good | {"SONGSWAP_TIME_ZONES": "Mars/Base"}, "discord.time", "Mars/Base", "Europe/")
    expect(good | {"SONGSWAP_MINUTE": "60"}, "discord.time", "0 to 59", "runs at minute 1")
    times = {"SONGSWAP_TIME_ZONES": "Europe/Berlin,Asia/Tokyo", "SONGSWAP_MINUTE": "17"}
    shown = json.loads(command(good | times, 0, "check", "--json", "discord"))
    (message,) = [step["message"] for step in shown["discord"] if step["step"] == "time"]
    assert message == "Messages show: UTC, Berlin, Tokyo. The hourly load runs at minute 17."


def test_broken_postgres_fails_only_its_check(make_platform: MakePlatform) -> None:
    """No server, a wrong password, a replica, missing and old tables."""
    platform = make_platform(users=1)
    good = platform.environment()
    expect(without(good, RDS), "postgres.connection", RDS)
    expect(changed(good, RDS, port=NOWHERE), "postgres.query", "refused or was lost", "port", RDS)
    wrong = changed(good, RDS, password="wrong-password")
    expect(wrong, "postgres.query", "password authentication failed", RDS)
    expect(changed(good, RDS, schema="nowhere"), "postgres.query", '"nowhere" does not exist', RDS)
    expect(changed(good, RDS, schema="postgres"), "postgres.tables", "public.History", "migrate")
    platform.execute("UPDATE songswap.schema_version SET version_num = '0000'")
    expect(good, "postgres.version", "at version 0000", "songswap migrate")
    platform.execute("DELETE FROM songswap.schema_version")
    expect(good, "postgres.version", "at version none", "songswap migrate")
    platform.execute('DROP TABLE songswap.gaps, "TrackPreviews"')
    expect(good, "postgres.tables", "public.TrackPreviews, songswap.gaps", "songswap migrate")
    of_database("ALTER DATABASE %%I SET default_transaction_read_only = on", platform)
    expect(good, "postgres.query", "read-only", "primary", RDS)


def test_load_runs_with_exactly_the_grants_that_are_named(make_platform: MakePlatform) -> None:
    """For a login without rights the check names the GRANTs to run."""
    platform = make_platform(users=2)
    platform.execute("CREATE ROLE little LOGIN PASSWORD 'little-secret'")
    try:
        platform.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        of_database("REVOKE TEMPORARY ON DATABASE %%I FROM PUBLIC", platform)
        little = changed(platform.environment(), RDS, login="little", password="little-secret")
        right = 'GRANT SELECT, INSERT, UPDATE, DELETE ON public."History" TO little'
        expect(little, "postgres.tables", right)
        grants = red(little)["postgres.tables"].partition("owner run: ")[2].split("; ")
        assert len(grants) == len(rights.NEEDED) + 3, "both schemas, the database, each table"
        for grant in grants:
            platform.execute(grant)
        assert red(little) == {}
        dsn = make_conninfo(
            platform.settings.warehouse_dsn, user="little", password="little-secret"
        )
        settings = replace(platform.settings, warehouse_dsn=dsn)
        assert load_once(settings, "run", lambda *_: None, platform.clock)["plays"] > 0
        assert platform.history() == platform.reachable()

        platform.execute('REVOKE INSERT ON "History" FROM little')
        expect(little, "postgres.tables", 'run: GRANT INSERT ON public."History" TO little')
    finally:
        platform.execute("DROP OWNED BY little")
        platform.execute("DROP ROLE little")


def of_database(statement: str, platform: Platform) -> None:
    """Run a statement in which ``%%I`` is the name of the platform's database."""
    platform.execute(f"DO $$ BEGIN EXECUTE format('{statement}', current_database()); END $$")


def test_broken_s3_fails_only_its_check(
    make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """No server, a wrong secret, bucket or endpoint."""
    platform = make_platform(users=1)
    platform.use(own_objects)
    good = platform.environment()
    put_only = "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"
    bucket = "AIRFLOW_VAR_BUCKET_NAME"
    for name in (S3, put_only, bucket):
        expect(without(good, name), "s3.connections", name)
    extra = {"endpoint_url": "127.0.0.1", "region_name": "us-east-1"}
    expect(changed(good, put_only, extra=extra), "s3.connections", "endpoint_url", put_only)
    wrong = changed(good, S3, password="wrong-secret")
    expect(wrong, "s3.put", "SignatureDoesNotMatch", "password", S3)
    expect(changed(good, S3, login="nobody"), "s3.put", "InvalidAccessKeyId", "login", S3)
    expect({**good, bucket: "none"}, "s3.put", "NoSuchBucket", bucket)
    pipeline = json.loads(good[put_only])
    own = {"login": pipeline["login"], "password": pipeline["password"]}
    expect(changed(good, S3, **own), "s3.put", "AccessDenied", "tests/sanity/")
    own_objects.stop()
    expect(good, "s3.put", "no answer of S3", "endpoint_url", S3)


@pytest.mark.parametrize(
    ("allowed", "step", "left"),
    [(("PUT", "DELETE"), "s3.read", 0), (("PUT", "GET"), "s3.delete", 1)],
)
def test_tests_key_without_a_right_fails_its_step(
    make_platform: MakePlatform,
    limited_objects: StartObjectStore,
    allowed: tuple[str, ...],
    step: str,
    left: int,
) -> None:
    """After a refused read the object is deleted all the same; one that stays is named."""
    platform = make_platform(users=1)
    store = limited_objects(*allowed)
    platform.use(store)
    expect(platform.environment(), step, "AccessDenied", "tests/sanity/")
    objects = list(store.objects.glob("own/tests/sanity/*.txt"))
    assert len(objects) == left
    message = red(platform.environment())[step]
    assert all(f"tests/sanity/{path.name}" in message for path in objects)


def test_changed_or_undeleted_object_is_named(
    make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """An object that comes back changed fails `read`; one that outlives its deletion, `gone`."""
    platform = make_platform(users=1)
    platform.use(own_objects)
    context = from_environment(platform.environment(), "a run", lambda: NOW)
    run_step("s3", "put", context)
    (stored,) = own_objects.objects.glob("own/tests/sanity/*.txt")
    stored.write_bytes(stored.read_bytes().upper())
    with pytest.raises(CheckFailed, match="other bytes than were put"):
        run_step("s3", "read", context)
    with pytest.raises(CheckFailed, match=f"{stored.name} was deleted and is still returned"):
        run_step("s3", "gone", context)


def test_spotify_connection_wins_over_the_environment(make_platform: MakePlatform) -> None:
    """The connection may also be the only place of the credentials."""
    platform = make_platform(users=1)
    good = platform.environment()
    name = "AIRFLOW_CONN_SONGSWAP_SPOTIFY"
    app = {"login": good["SPOTIFY_CLIENT_ID"], "password": good["SPOTIFY_CLIENT_SECRET"]}
    extra = {
        "redirect_uri": good["SPOTIFY_REDIRECT_URI"],
        "api_url": good["SPOTIFY_API_URL"],
        "accounts_url": good["SPOTIFY_ACCOUNTS_URL"],
    }
    bare = {key: text for key, text in good.items() if not key.startswith("SPOTIFY_")}
    alone = {**bare, name: json.dumps(app | {"extra": extra})}
    assert red(alone) == {}
    context = from_environment(alone, "a run", lambda: NOW)
    assert "SongSwap_Spotify, which wins over" in run_step("spotipy", "environment", context)
    wrong = {**good, name: json.dumps(app | {"password": "wrong-secret"})}
    expect(wrong, "spotipy.token", "refused the app's credentials", "SongSwap_Spotify")
    expect({**good, name: json.dumps({"login": "a"})}, "spotipy.environment", "SongSwap_Spotify")
    expect(bare, "spotipy.environment", "SPOTIFY_CLIENT_ID is not set", "SongSwap_Spotify", name)


def test_broken_spotify_fails_only_its_check(make_platform: MakePlatform) -> None:
    """Wrong credentials, an unreachable host, rate limits, failures."""
    platform = make_platform(users=1)
    good = platform.environment()
    for name in ("SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET", "SPOTIFY_REDIRECT_URI"):
        expect(without(good, name), "spotipy.environment", f"{name} is not set", "environment")
    odd = {**good, "SPOTIFY_CLIENT_SECRET": "wröng"}
    expect(odd, "spotipy.environment", "SPOTIFY_CLIENT_SECRET", "dashboard")
    for uri in ("http://localhost:8888/", "https://localhost/", "http://[", "http://a.example/"):
        address = {**good, "SPOTIFY_REDIRECT_URI": uri}
        expect(address, "spotipy.environment", "SPOTIFY_REDIRECT_URI", "never localhost")
    wrong = {**good, "SPOTIFY_CLIENT_SECRET": "wrong-secret"}
    expect(wrong, "spotipy.token", "refused the app's credentials", "SPOTIFY_CLIENT_SECRET")
    nobody = f"http://127.0.0.1:{NOWHERE}"
    away = {**good, "SPOTIFY_ACCOUNTS_URL": nobody}
    expect(away, "spotipy.token", "cannot be reached", "SPOTIFY_ACCOUNTS_URL")
    away = {**good, "SPOTIFY_API_URL": nobody}
    expect(away, "spotipy.read", "cannot be reached", "SPOTIFY_API_URL")

    limit = {"status": 429, "headers": {"Retry-After": "3600"}}
    faults: list[tuple[str, str, dict[str, Any], str]] = [
        ("token", "/api/token", limit, "until 2026-11-22 19:00:00 UTC (429)"),
        ("read", "/v1/artists/*", limit, "until 2026-11-22 19:00:00 UTC (429)"),
        ("read", "/v1/artists/*", {"status": 429}, "for a while (429)"),
        ("token", "/api/token", {"status": 503}, "(503). Nothing has to be set"),
        ("read", "/v1/artists/*", {"status": 503}, "(503). Nothing has to be set"),
        ("read", "/v1/artists/*", {"status": 403}, "developer dashboard"),
        ("token", "/api/token", {"status": 200, "body": "<html>"}, "not from Spotify's API"),
        ("read", "/v1/artists/*", {"status": 200, "body": {}}, "not from Spotify's API"),
    ]
    for step, path, fault, words in faults:
        platform.fault(path=path, **fault)
        expect(good, f"spotipy.{step}", words)
        platform.mend()
