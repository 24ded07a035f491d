"""The acceptance checks touch no real row, and survive what a killed run left behind."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from songswap import settings
from songswap.checks.acceptance import artist, features, history, spool, track
from songswap.checks.acceptance.load import LoadCheck
from songswap.errors import AcceptanceFailed
from songswap.models import Metadata
from songswap.pipelines.enrich import KINDS
from songswap.warehouse import enrichment, enrichment_queue, missing

DATA = Path(__file__).parents[2] / "dags/tests/data"
CHECKS: list[LoadCheck[Any]] = [history.CHECK, track.CHECK, artist.CHECK, features.CHECK]


@pytest.fixture
def fresh(warehouse_dsn: str, tmp_path: Path) -> settings.Settings:
    """Settings with a fresh warehouse."""
    return settings.Settings(
        warehouse_dsn, settings.Spotify("", ""), settings.Archive(""), tmp_path
    )


@pytest.mark.parametrize(
    ("user_id", "email", "spotify_id"),
    [
        (0, "real@songswap.test", "real"),
        (7, "songswap-test@songswap.invalid", "real"),
        (7, "real@songswap.test", "songswap-test"),
    ],
)
def test_real_user_with_the_test_users_identity_stays(
    fresh: settings.Settings, warehouse_dsn: str, user_id: int, email: str, spotify_id: str
) -> None:
    """A user with its id, e-mail or Spotify id keeps every play."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as warehouse:
        user = (user_id, "Real", email, spotify_id)
        warehouse.execute('INSERT INTO "Users" VALUES (%s, %s, %s, %s)', user)
        warehouse.execute("""INSERT INTO "Tracks" VALUES ('real', 'Real', 1)""")
        warehouse.execute("""INSERT INTO "History" VALUES (%s, '2026-11-02', 'real')""", [user_id])
        with pytest.raises(AcceptanceFailed, match=f"User {user_id} .* Nothing was changed"):
            history.CHECK.make(fresh)
        if user_id == 0:
            with pytest.raises(AcceptanceFailed, match="left in Users, History"):
                history.CHECK.remove(fresh)
        assert warehouse.execute('SELECT * FROM "Users"').fetchall() == [user]
        assert warehouse.execute('SELECT count(*) FROM "History"').fetchone() == (1,)
        assert warehouse.execute('SELECT count(*) FROM "Tracks"').fetchone() == (1,)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.file)
def test_set_up_removes_what_a_killed_run_left(
    fresh: settings.Settings, check: LoadCheck[Any]
) -> None:
    """Each step passes after it."""
    check.make(fresh)
    check.insert(fresh, DATA)
    check.make(fresh)
    check.check_transform(DATA)
    check.insert(fresh, DATA)
    check.verify(fresh)
    check.insert_again(fresh, DATA)
    check.remove(fresh)
    with pytest.raises(AcceptanceFailed, match=r": \d of \d rows are missing"):
        check.verify(fresh)


def test_checks_at_the_same_time_do_not_meet(fresh: settings.Settings) -> None:
    """None sees or removes a row of another."""
    for check in CHECKS:
        check.make(fresh)
    for check in CHECKS:
        check.insert(fresh, DATA)
    for check in CHECKS:
        check.insert_again(fresh, DATA)
        check.remove(fresh)


def test_enrichment_of_the_samples_changes_no_result(
    fresh: settings.Settings, warehouse_dsn: str
) -> None:
    """An hourly run and a backfill may request what the checks have loaded."""
    for check in CHECKS:
        check.make(fresh)
    assert _enrich_all(warehouse_dsn) == set()
    for check in CHECKS:
        check.insert(fresh, DATA)
    requested = _enrich_all(warehouse_dsn)
    assert {*history.CHECK.sample.tracks, *history.CHECK.sample.artists} <= requested
    for check in CHECKS:
        check.insert_again(fresh, DATA)
        check.remove(fresh)


def _enrich_all(dsn: str) -> set[str]:
    """Load responses for all ids that are queued or missing, none of which Spotify knows."""
    now = datetime(2027, 1, 1, tzinfo=UTC)
    requested: set[str] = set()
    with psycopg.connect(dsn, autocommit=True) as warehouse:
        for kind in KINDS:
            lacking = missing.find(warehouse, kind, now)
            ids = {
                *enrichment_queue.queued_ids(warehouse, kind, 1000, now),
                *missing.page(warehouse, kind, lacking, "", 1000),
            }
            parsed = Metadata(unknown=ids)
            enrichment.load(warehouse, kind, ids, parsed, now, timedelta(hours=6))
            requested |= ids
    return requested


def test_spool_that_others_may_read_fails(tmp_path: Path) -> None:
    """The message names the mode."""
    file = tmp_path / "test_file_utils" / "spool.sqlite3"
    file.parent.mkdir()
    file.touch(mode=0o644)
    with pytest.raises(AcceptanceFailed, match=r"modes .* found .*644"):
        spool.store(tmp_path, DATA)
    spool.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
