"""Replay: the archive of days under a storm gives, row for row, what the hourly runs loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from songswap.dev.soak import run as soak
from songswap.dev.soak.parts import Parts, running
from songswap.dev.soak.storm import storm
from songswap.parallel.processes import run_parallel
from songswap.pipelines import hourly_load, replay, run_counts
from songswap.pipelines.enrich import KINDS, enrich
from songswap.settings import Settings
from songswap.supervision.process import wait_until
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import migrate

# Each worker would soak an archive of its own.
pytestmark = pytest.mark.xdist_group("replay")

USERS, HOURS, SEED = 30, 24, 3

EXACT = {
    "History": 'SELECT * FROM "History"',
    "Tracks": 'SELECT * FROM "Tracks"',
    "Artists": 'SELECT * FROM "Artists"',
    "ArtistTracks": 'SELECT * FROM "ArtistTracks"',
    "TrackImages": 'SELECT * FROM "TrackImages"',
    "TrackPreviews": 'SELECT * FROM "TrackPreviews"',
    "TrackPopularity": 'SELECT * FROM "TrackPopularity"',
    "gaps": "SELECT user_id, after, before, found_at, closed_at FROM songswap.gaps",
    "rejected_items": "SELECT user_id, fingerprint, reason, played_at, raw_key, found_at"
    " FROM songswap.rejected_items",
    "polls": "SELECT user_id, first_answered_at, fingerprint, newest_played_at FROM songswap.polls",
}
"""What the archive alone decides, exactly: all but the ids of runs, when a user was asked without
an answer that was archived, and the pace that follows from it."""

ENRICHED = {
    "TrackFeatures": 'SELECT * FROM "TrackFeatures"',
    "ArtistImages": 'SELECT * FROM "ArtistImages"',
    "ArtistGenres": 'SELECT * FROM "ArtistGenres"',
    "ArtistPopularity": 'SELECT DISTINCT id, popularity FROM "ArtistPopularity"',
    "ArtistFollowers": 'SELECT DISTINCT id, followers FROM "ArtistFollowers"',
    "metadata": "SELECT kind, id, known, queued_at IS NULL FROM songswap.enrichment_queue",
    "data_fixes": "SELECT kind, id, field, problem FROM songswap.data_fixes",
}
"""What enrichment asks for, and so has dates of its own; it is no part of the archive."""


@dataclass(frozen=True)
class Soaked:
    """A soaked archive with all parts up, and the tables as the hourly runs left them."""

    parts: Parts
    now: datetime
    loaded: dict[str, set[Any]]

    def fresh(self, name: str) -> Settings:
        """The settings with a fresh database."""
        self.parts.postgres.create_database(name)
        dsn = self.parts.postgres.dsn(name)
        migrate(dsn)
        return replace(self.parts.settings, warehouse_dsn=dsn)


def tables(settings: Settings, queries: dict[str, str]) -> dict[str, set[Any]]:
    """What queries give in a warehouse; no row comes twice."""
    found = {}
    with connect(settings.warehouse_dsn) as connection:
        for name, query in queries.items():
            rows = connection.execute(query.encode()).fetchall()
            found[name] = set(rows)
            assert len(found[name]) == len(rows), name
    return found


def everything(settings: Settings) -> dict[str, list[Any]]:
    """All rows of all tables of the platform and of the pipeline."""
    with connect(settings.warehouse_dsn) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname IN ('public', 'songswap') ORDER BY 1, 2"
        ).fetchall()
        return {
            f"{schema}.{table}": sorted(
                map(
                    repr,
                    connection.execute(
                        sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
                    ).fetchall(),
                )
            )
            for schema, table in names
        }


def replay_all(settings: Settings, processes: int = 2, **chosen: Any) -> dict[str, int]:
    """A replay as the command does it."""
    work = partial(replay.replay, settings, "a replay")
    return run_counts.total(
        run_parallel(work, replay.plan(settings, **chosen), processes=processes)
    )


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soaked]:
    """A day of listeners under a storm: kills, outages, broken items, gaps."""
    with running(tmp_path_factory.mktemp("soaked"), USERS, SEED, soak.BEGINS) as parts:
        moments: list[datetime] = []
        tally = soak.live(
            parts, storm(SEED, USERS, HOURS), lambda done, of, now: moments.append(now)
        )
        assert tally.occurred["malformed"]
        assert tally.runs["failed"]
        yield Soaked(parts, moments[-1], tables(parts.settings, EXACT))


def test_replay_into_a_fresh_database_gives_the_same_rows(soaked: Soaked) -> None:
    """Those that the hourly runs loaded and, once enriched, what they had enriched."""
    fresh = soaked.fresh("fresh")
    live = soaked.parts.settings
    replay.copy_users(fresh, live.warehouse_dsn, replay.plan(fresh))
    counts = replay_all(fresh)
    assert tables(fresh, EXACT) == soaked.loaded
    assert all(soaked.loaded.values()), "a table without rows proves nothing"
    assert counts["plays"] == len(soaked.loaded["History"])
    assert counts["objects"] == counts["responses"] > USERS
    assert replay.problem(counts) is None

    now = datetime.fromisoformat(soaked.parts.spotify.get("/admin/clock")["now"])
    hourly_load.plan(fresh, "enrichment", lambda: now)
    for kind in KINDS:
        enrich(fresh, "enrichment", kind, lambda: now)
    assert tables(fresh, EXACT) == soaked.loaded
    enriched = tables(fresh, ENRICHED)
    assert enriched == tables(live, ENRICHED)
    assert len(enriched["TrackFeatures"]) > 100


def test_replay_into_live_tables_changes_nothing(soaked: Soaked) -> None:
    live = soaked.parts.settings
    before = everything(live)
    counts = replay_all(live, processes=1)
    assert everything(live) == before
    assert counts["known"] > counts["plays"] == 0
    # Of users who were deleted meanwhile the archive still tells.
    assert {name for name, count in counts.items() if count} - {"gone_users"} == {
        "users",
        "objects",
        "responses",
        "known",
    }


def test_replay_restores_only_chosen_users_and_hours(soaked: Soaked) -> None:
    part = soaked.fresh("part")
    replay.copy_users(part, soaked.parts.settings.warehouse_dsn, replay.plan(part))
    plays = 'SELECT user_id, count(*) FROM "History" GROUP BY 1 ORDER BY 2 DESC'
    with connect(soaked.parts.settings.warehouse_dsn) as connection:
        (first, number), (second, _), *_ = connection.execute(plays).fetchall()
    middle = soak.BEGINS.replace(minute=0) + (soaked.now - soak.BEGINS) / 2
    before = replay_all(part, users=[first], until=middle)
    assert 0 < before["plays"] < number
    with connect(part.warehouse_dsn) as connection:
        rows = connection.execute("SELECT max(answered_at) FROM songswap.polls").fetchone()
        assert rows is not None
        assert rows[0] < middle
    after = replay_all(part, users=[first], since=middle)
    assert before["plays"] + after["plays"] == number
    replay_all(part, users=[second])
    assert {row[0] for row in tables(part, EXACT)["History"]} == {first, second}
    replay_all(part)
    assert tables(part, EXACT) == soaked.loaded


def test_killed_replay_is_completed_by_the_next(soaked: Soaked, tmp_path: Path) -> None:
    killed = soaked.fresh("killed")

    def loaded() -> int:
        return len(tables(killed, {"History": EXACT["History"]})["History"])

    command = [sys.executable, "-m", "songswap.cli.main", "replay", "--processes", "2", "--json"]
    command += ["--into", "FRESH", "--copy-users"]
    environment = settings_of(soaked.parts.settings) | {"FRESH": killed.warehouse_dsn}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as first:
        try:
            assert wait_until(lambda: first.poll() is not None or loaded() > 0, 60, 0.01)
        finally:
            first.kill()
    # Its processes end by themselves: what they have in hand is rolled back.
    found = tables(killed, EXACT)
    assert 0 < len(found["History"]) < len(soaked.loaded["History"])
    again = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    counts = json.loads(again.stdout)
    assert counts["known"] >= len(found["History"])
    assert tables(killed, EXACT) == soaked.loaded


def settings_of(settings: Settings) -> dict[str, str]:
    """Settings as environment variables."""

    def s3(key: Any) -> str:
        extra = {"endpoint_url": key.endpoint_url, "region_name": key.region}
        result = {"login": key.access_key_id, "password": key.secret_access_key, "extra": extra}
        return json.dumps({"conn_type": "aws"} | result)

    warehouse = psycopg.conninfo.conninfo_to_dict(settings.warehouse_dsn)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "AIRFLOW_CONN_SONGSWAP_RDS": "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(
            **warehouse
        ),
        "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": s3(settings.archive),
        "AIRFLOW_CONN_SONGSWAP_S3_READONLY": s3(settings.library),
        "AIRFLOW_VAR_BUCKET_NAME": settings.archive.bucket,
        "SPOTIFY_CLIENT_ID": settings.spotify.client_id,
        "SPOTIFY_CLIENT_SECRET": settings.spotify.client_secret,
        "SONGSWAP_SPOOL": str(settings.spool),
    }
