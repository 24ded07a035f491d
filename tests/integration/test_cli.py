"""The command line as somebody in a terminal uses it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from factories import MakePlatform, Platform
from typer.main import get_command

from songswap.cli.main import app
from songswap.dev.stack.postgres import Postgres
from songswap.storage.spool import Spool

REPOSITORY = Path(__file__).parents[2]
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def songswap(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``songswap`` in a folder, with no environment but this one."""
    return subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", *arguments],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_are_those_of_the_readme() -> None:
    assert COMMANDS == [
        "backfill",
        "check",
        "connect",
        "dags",
        "demo",
        "deployment",
        "drain",
        "erase",
        "export",
        "grants",
        "import",
        "load",
        "maintenance",
        "migrate",
        "replay",
        "simulator",
        "spark",
        "spool",
        "status",
    ]
    readme = (REPOSITORY / "README.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_each_option(command: str) -> None:
    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert found.help
    assert [option.name for option in found.params if not option.help] == []


def environment_of(platform: Platform) -> dict[str, str]:
    """A platform's settings as a user would write them down."""
    archive, spotify = platform.settings.archive, platform.settings.spotify
    warehouse = psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)
    return {
        "AIRFLOW_CONN_SONGSWAP_RDS": "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(
            **warehouse
        ),
        "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": json.dumps(
            {
                "conn_type": "aws",
                "login": archive.access_key_id,
                "password": archive.secret_access_key,
                "extra": {"endpoint_url": archive.endpoint_url, "region_name": archive.region},
            }
        ),
        "AIRFLOW_VAR_BUCKET_NAME": archive.bucket,
        "SPOTIFY_CLIENT_ID": spotify.client_id,
        "SPOTIFY_CLIENT_SECRET": spotify.client_secret,
        "SPOTIFY_API_URL": spotify.api_url,
        "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url,
        "SONGSWAP_SPOOL": str(platform.settings.spool),
    }


def test_load_takes_settings_from_dotenv(make_platform: MakePlatform, tmp_path: Path) -> None:
    """It loads every play that Spotify can return."""
    platform = make_platform(users=3, real_time=True)
    lines = [f"{name}='{value}'" for name, value in environment_of(platform).items()]
    (tmp_path / ".env").write_text("# as .env.example\n" + "\n".join(lines) + "\n")

    assert songswap(tmp_path, "migrate").returncode == 0
    first = songswap(tmp_path, "load", "--json")
    assert first.returncode == 0, first.stderr
    counts = json.loads(first.stdout)
    assert counts["plays"] == platform.history().total() > 0
    assert platform.history() == platform.reachable()
    assert "enrich artist" in first.stderr
    assert counts["fetch_ms"] > 0

    shown = songswap(tmp_path, "load")
    assert shown.returncode == 0, shown.stderr
    assert "unchanged" in shown.stdout
    assert "fetch ms" not in shown.stdout


def test_migrate_waits_for_the_server(tmp_path: Path, free_port: Callable[[], int]) -> None:
    server = Postgres(tmp_path / "postgres", free_port())
    server.start()
    server.stop()
    settings = {"AIRFLOW_CONN_SONGSWAP_RDS": server.dsn()}

    at_once = songswap(tmp_path, "migrate", **settings)
    assert at_once.returncode == 1
    assert "Trying again" not in at_once.stderr

    migrate = subprocess.Popen(
        [sys.executable, "-m", "songswap.cli.main", "migrate", "--wait-s", "120"],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"} | settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert migrate.stderr is not None
    assert any("Trying again" in line for line in migrate.stderr)
    try:
        server.start()
        _, said = migrate.communicate(timeout=100)
        assert migrate.returncode == 0, said
    finally:
        migrate.kill()
        server.stop()


def test_incomplete_load_exits_with_1_and_says_what_to_check(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    platform = make_platform(users=2, real_time=True)
    platform.fault(path="/v1/artists", status=429, headers={"Retry-After": "9999"})
    environment = environment_of(platform)
    failed = songswap(tmp_path, "load", "--json", **environment)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "allows no more requests of this app until" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "simulated" not in failed.stderr, "a secret is shown"


@pytest.mark.parametrize(
    "command",
    ["backfill", "connect", "grants", "import x --user 1", "load", "migrate", "status"],
)
def test_missing_setting_is_named_with_exit_code_1(tmp_path: Path, command: str) -> None:
    done = songswap(tmp_path, *command.split())
    assert done.returncode == 1
    assert done.stderr.startswith("Error: AIRFLOW_CONN_SONGSWAP_RDS is not set")


def test_settings_file_that_is_not_utf_8(tmp_path: Path) -> None:
    """A `.env` in another encoding is a sentence that names it and tells nothing of its content."""
    (tmp_path / ".env").write_bytes("SONGSWAP_PLAY_MS=30000 # für\n".encode("latin-1"))
    done = songswap(tmp_path, "status")
    assert done.returncode == 1
    assert ".env" in done.stderr
    assert "UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
    assert "PLAY_MS" not in done.stderr


def test_unknown_option_exits_with_2(tmp_path: Path) -> None:
    assert songswap(tmp_path, "load", "--bogus").returncode == 2


def test_host_cannot_drain_less_often_than_hosts_count_as_silent(tmp_path: Path) -> None:
    """It would count as silent half of the time, and its tokens could be given up."""
    done = songswap(tmp_path, "drain", "--every", "30")
    assert done.returncode == 2
    assert "less than or equal to 20" in done.stderr


def test_killed_at_any_moment(make_platform: MakePlatform, tmp_path: Path) -> None:
    """Loads that are killed wherever they are lose no play, and double none.

    Spotify's time stands still: what a killed load was told and a new play pushes out before the
    next one asks is gone for ever. Answers with an Age say nothing of what time it is.
    """
    platform = make_platform(users=20)
    platform.fault(path="/v1/*", headers={"Age": "1"})
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | environment_of(platform)
    whole = 0.0
    for part in (0.0, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97):
        platform.join(20)
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "songswap.cli.main", "load"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as load:
            try:
                load.wait(part * whole or None)
            except subprocess.TimeoutExpired:
                load.kill()
        whole = whole or time.monotonic() - began
    done = songswap(tmp_path, "load", "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert platform.history() == platform.reachable()
    assert platform.rows("SELECT count(*) FROM songswap.polls WHERE answered_at IS NOT NULL") == [
        (180,)
    ]
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
    wanted = "SELECT DISTINCT misses FROM songswap.enrichment_queue WHERE queued_at IS NOT NULL"
    assert platform.rows(wanted) in ([], [(1,)]), (
        "only what Spotify does not know is asked for again"
    )
