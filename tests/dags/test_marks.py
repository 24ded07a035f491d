"""A day of users who leave marks, with failures; then every place is searched for the marks.

docs/privacy.md says where which kind of personal data lies. Whatever is found elsewhere is a leak.
"""

import json
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform
from marked_columns import COLUMNS, RARE
from marks import (
    ACCESS,
    ALERT_TOKEN,
    CLIENT_SECRET,
    FILE,
    FIRST_ID,
    MARKS,
    REFRESH,
    USERS,
    export_zip,
    kinds_in,
    world,
)
from places import columns, files, joined
from privacy_page import documented
from receivers import HttpService, http_service
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.clock import utc_now
from songswap.dev.stack import metrics as stack_metrics
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import SIMULATED_APP
from songswap.dev.stack.postgres import Postgres
from songswap.warehouse import snapshots, user_view
from songswap.warehouse.connection import connect

LOAD = "load_listening_history"
ALL_IN_TURN = (
    *(LOAD, "follow_heavy_listeners", "backfill_data", "maintenance"),
    *("test_s3", "test_discord", "test_postgres", "test_tables"),
)
FEED = "/v1/me/player/recently-played"
PLAYS_ON, REVOKES, WITHOUT_LUCK, WITHOUT_TOKEN = USERS
FIRST, SECOND, THIRD, FOURTH = range(FIRST_ID, FIRST_ID + len(USERS))

EMPTY = ["Working files of imports"]
"""The places that have nothing at all in the end; an empty one would hide that it is not found."""


class Day:
    """A platform with marked users, what it runs in a day, and what was said."""

    def __init__(
        self,
        airflow: Any,
        platform: Platform,
        folder: Path,
        alerts: HttpService,
        metrics: HttpService,
    ) -> None:
        self.platform = platform
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.alerts, self.metrics = alerts, metrics
        self.logs: list[str] = []
        self.shown: list[str] = []
        self._airflow = airflow
        address = f"json://{alerts.address}/{ALERT_TOKEN}"
        self._environment = {
            "TMPDIR": str(self.scratch),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW_CONN_SONGSWAP_ALERTS": json.dumps(
                {"conn_type": "generic", "password": address}
            ),
            **stack_metrics.settings(f"http://{metrics.address}"),
        }

    def run(self, *dags: str, **conf: Any) -> str:
        """Run DAGs in Airflow; return the state of the last one's run."""
        run = self._airflow.run(
            ",".join(dags), self.platform, conf=conf or None, **self._environment
        )
        self.logs.append(run["log"])
        return str(run.get(dags[-1], run)["state"])

    def show(self, *lines: str) -> None:
        """Run commands in a terminal."""
        environment = {**self.platform.environment(), "COLUMNS": "200"}
        for line in lines:
            done = CliRunner().invoke(app, line.split(), env=environment)
            self.shown.append(f"$ songswap {line}\n{done.output}\n{done.exception or ''}")

    def files_of_airflow(self) -> Iterator[tuple[str, bytes]]:
        """Yield the files in Airflow's home: logs, and what the processes of runs wrote."""
        return files(self._airflow.home)

    def columns_of_airflow(self) -> Iterator[tuple[str, bytes]]:
        """Yield the columns of Airflow's metadata database."""
        for name, content in columns(self._airflow.dsn.replace("+psycopg2", "")):
            yield f"airflow.{name}", content


@pytest.fixture
def day(
    airflow: Any,
    make_platform: MakePlatform,
    own_objects: ObjectStore,
    warehouse_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Day]:
    """A platform of marked users before its first load; all tokens from now on are marked, too."""
    monkeypatch.setitem(SIMULATED_APP, "SPOTIFY_CLIENT_SECRET", CLIENT_SECRET)
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute(f'ALTER SEQUENCE "Users_id_seq" RESTART WITH {FIRST_ID}'.encode())
    feeds = tmp_path / "feeds"
    feeds.mkdir()
    platform = make_platform(*world(feeds, utc_now()), users=0, real_time=True)
    platform.use(own_objects)
    with http_service() as alerts, http_service() as metrics:
        made = Day(airflow, platform, tmp_path, alerts, metrics)
        monkeypatch.setattr(tempfile, "tempdir", str(made.scratch))
        yield made


def fail_an_hour(day: Day, objects: ObjectStore) -> None:
    """Have services fail while tokens are exchanged: Spotify's, S3, and PostgreSQL for two users.

    PostgreSQL quotes the rows, in a DETAIL and in a trigger's own text.
    """
    platform = day.platform
    platform.spotify.post(f"/admin/listeners/{REVOKES}/revoke", {})
    platform.fault(path=FEED, user=WITHOUT_LUCK, status=500, body=f"no {WITHOUT_LUCK}")
    expired = {"error": {"status": 401, "message": "The access token expired"}}
    for user in (PLAYS_ON, REVOKES, WITHOUT_TOKEN):
        platform.fault(path=FEED, user=user, status=401, times=1, body=expired)
    played_at = {"path": "items/0/played_at", "value": f"{utc_now():%Y-%m-%dT%H:%M:%S}.123Z"}
    platform.fault(path=FEED, user=PLAYS_ON, action="mutate", mutate={"json_patch": [played_at]})
    mark_tokens(platform)
    platform.execute(
        f'ALTER TABLE "History" ADD CONSTRAINT no CHECK (user_id <> {FIRST} OR played_at <'
        " now()::timestamp - interval '1 hour') NOT VALID"
    )
    platform.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.user_id = {FOURTH} THEN"
        "   RAISE EXCEPTION 'no %% %%', convert_from(NEW.refresh_token, 'UTF8'), NEW;"
        " END IF; RETURN NEW; END $$"
    )
    platform.execute(
        "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON songswap.tokens"
        " FOR EACH ROW EXECUTE FUNCTION public.fail()"
    )
    objects.stop()
    assert day.run(LOAD) == "failed"
    day.show("spool list", "spool list --json", "spool show 5", "spool hosts", "drain")


def recover(day: Day, objects: ObjectStore) -> None:
    """Have all services back, but a spool whose file is broken: it is renamed and salvaged."""
    platform = day.platform
    objects.start()
    platform.mend()
    mark_tokens(platform)
    platform.execute('ALTER TABLE "History" DROP CONSTRAINT no')
    platform.execute("DROP TRIGGER fail ON songswap.tokens")
    file = platform.settings.spool / "spool.sqlite3"
    file.write_bytes(bytes(100) + file.read_bytes()[100:])


def mark_tokens(platform: Platform) -> None:
    """Mark the tokens that Spotify gives from now on."""
    platform.fault(path="/api/token", access_suffix=ACCESS, refresh_suffix=REFRESH)


def hear_twice(platform: Platform) -> None:
    """Add a play that the checks of the tables find wrong."""
    platform.execute(
        "INSERT INTO \"History\" SELECT user_id, played_at + interval '200 ms', track_id"
        ' FROM "History" WHERE user_id = %s LIMIT 1',
        FIRST,
    )


def import_exports(day: Day, objects: ObjectStore, inbox: Path) -> None:
    """Import a user's export, another user's, one of nobody, a broken one, and one from S3."""
    inbox.mkdir()
    export = export_zip(PLAYS_ON, utc_now())
    broken = export.replace(b'[{"ts"', b'[["ts"')
    named = {f"user{FIRST}_{FILE}": export, f"user{SECOND}_{FILE}": export, FILE: export}
    for name, content in {**named, f"user{THIRD}_{FILE}": broken}.items():
        (inbox / f"{name}.zip").write_bytes(content)
    assert day.run("import_streaming_history", source=str(inbox)) == "failed"
    waiting = objects.objects / f"own/history/inbox/user{FIRST}"
    waiting.mkdir(parents=True)
    (waiting / f"{FILE}.zip").write_bytes(export)
    (waiting / f"{FILE} 2.zip").write_bytes(export_zip(PLAYS_ON, utc_now(), is_account=True))
    day.show(
        f"import {inbox}/user{THIRD}_{FILE}.zip --user {THIRD}",
        f"import s3://own/history/inbox --user {FIRST}",
    )


def replay_damaged(day: Day, objects: ObjectStore) -> None:
    """Replay a user, of whom an object is damaged."""
    name = f"user{FIRST}_spotify_{utc_now() - timedelta(days=3):%Y-%m-%d_%H}.json"
    (objects.objects / f"own/history/spotify/user{FIRST}/{name}").write_bytes(b"no response")
    assert day.run("replay_archive", users=str(FIRST)) == "failed"


def search(day: Day, objects: ObjectStore, server_log: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the places that are no tables, by their names in the docs, with what is in them."""
    platform = day.platform
    bucket, spool = dict(files(objects.objects / "own")), dict(files(platform.settings.spool))
    for name, prefix in {
        "S3: raw responses": "history/spotify",
        "S3: rows of exports": "history/export",
        "S3: inbox of exports": "history/inbox",
    }.items():
        yield name, joined(item for item in bucket.items() if item[0].startswith(prefix))
    yield "Spool", joined(item for item in spool.items() if "broken" not in item[0])
    yield "Broken spool files", joined(item for item in spool.items() if "broken" in item[0])
    yield "Working files of imports", joined(files(day.scratch))
    yield "Logs of tasks", "\n".join(day.logs).encode() + joined(day.files_of_airflow())
    yield "Log of the warehouse's server", server_log.read_bytes()
    yield "Terminals of operators", "\n".join(day.shown).encode()
    yield "Discord", json.dumps(platform.messages(), ensure_ascii=False).encode()
    yield "Other alert services", b"\n".join(request.body for request in day.alerts.requests)
    yield "Metrics", b"\n".join(request.body for request in day.metrics.requests)
    with connect(platform.settings.warehouse_dsn) as connection:
        latest = snapshots.latest(connection, utc_now())
        user = user_view.read(connection, FIRST, utc_now())
    yield "Page: snapshot", json.dumps(latest and latest.facts, default=str).encode()
    yield "Page: a user", json.dumps(user, default=str).encode()


def secrets_of(platform: Platform, objects: ObjectStore) -> list[str]:
    """Return the passwords and keys with which the platform was reached."""
    warehouse = psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)
    return [str(warehouse["password"]), *objects.access.secrets.values()]


def test_marks_are_only_where_the_docs_have_them(
    day: Day, own_objects: ObjectStore, postgres: Postgres, tmp_path: Path
) -> None:
    """What the docs have of a place is there, and nothing else; the platform's secrets nowhere."""
    platform = day.platform
    platform.load()
    fail_an_hour(day, own_objects)
    waiting = kinds_in(joined(files(platform.settings.spool)))
    recover(day, own_objects)
    hear_twice(platform)
    assert day.run(*ALL_IN_TURN) == "failed"
    import_exports(day, own_objects, tmp_path / f"{FILE}s")
    replay_damaged(day, own_objects)
    day.show("status --all", "status --json", "grants --long", "grants --json", "check")

    marks = {**MARKS, "secret": (*MARKS["secret"], *secrets_of(platform, own_objects))}
    tables = {
        name: kinds_in(content, marks)
        for name, content in (
            *columns(platform.settings.warehouse_dsn),
            *day.columns_of_airflow(),
        )
    }
    contents = dict(search(day, own_objects, Path(postgres.process.log)))
    others = {place: kinds_in(content, marks) for place, content in contents.items()}
    # A drained spool has tokens alone.
    others["Spool"] |= waiting
    expected = {place: set(documented().get(place, ())) for place in others}
    expected |= {name: COLUMNS.get(name, set()) for name in tables}
    lines = []
    for place, kinds in (tables | others).items():
        lines += [f"leak: {place} has {kind}" for kind in kinds - expected[place]]
        if place not in RARE:
            lines += [f"not found: {place} has no {kind}" for kind in expected[place] - kinds]
    assert not lines, "\n".join(["docs/privacy.md does not say it so:", *sorted(lines)])
    assert not COLUMNS.keys() - tables.keys()
    assert [place for place, content in contents.items() if not content] == EMPTY
