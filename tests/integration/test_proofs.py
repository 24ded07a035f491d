"""The proofs' own safety: what they do when something of theirs is not as it should be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from songswap import settings
from songswap.checks.acceptance import artist, features, history, spool, track
from songswap.checks.acceptance.load import LoadProof
from songswap.errors import AcceptanceFailed
from songswap.models import Metadata
from songswap.pipelines.enrich import KINDS
from songswap.warehouse import enrichment, missing

DATA = Path(__file__).parents[2] / "dags/tests/data"
PROOFS = [history.PROOF, track.PROOF, artist.PROOF, features.PROOF]


@pytest.fixture
def here(warehouse_dsn: str, tmp_path: Path) -> settings.Settings:
    """Settings with a warehouse of their own."""
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
def test_a_real_user_in_the_way(
    here: settings.Settings, warehouse_dsn: str, user_id: int, email: str, spotify_id: str
) -> None:
    """Somebody with the test user's id, e-mail or Spotify id stays, with every play of theirs."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as warehouse:
        user = (user_id, "Real", email, spotify_id)
        warehouse.execute('INSERT INTO "Users" VALUES (%s, %s, %s, %s)', user)
        warehouse.execute("""INSERT INTO "Tracks" VALUES ('real', 'Real', 1)""")
        warehouse.execute("""INSERT INTO "History" VALUES (%s, '2026-11-02', 'real')""", [user_id])
        with pytest.raises(AcceptanceFailed, match=f"User {user_id} .* Nothing was changed"):
            history.PROOF.make(here)
        if user_id == 0:
            with pytest.raises(AcceptanceFailed, match="left in Users, History"):
                history.PROOF.remove(here)
        assert warehouse.execute('SELECT * FROM "Users"').fetchall() == [user]
        assert warehouse.execute('SELECT count(*) FROM "History"').fetchone() == (1,)
        assert warehouse.execute('SELECT count(*) FROM "Tracks"').fetchone() == (1,)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.data)
def test_what_a_killed_run_left(here: settings.Settings, proof: LoadProof) -> None:
    """The set-up removes it, however far it came, and each step is green after it."""
    proof.make(here)
    proof.insert(here, DATA)
    proof.make(here)
    proof.check_transform(DATA)
    proof.insert(here, DATA)
    proof.verify(here)
    proof.insert_again(here, DATA)
    proof.remove(here)
    with pytest.raises(AcceptanceFailed, match=r": \d of \d rows are missing"):
        proof.verify(here)


def test_all_at_once(here: settings.Settings) -> None:
    """Two proofs at the same time do not meet: none sees or removes a row of another."""
    for proof in PROOFS:
        proof.make(here)
    for proof in PROOFS:
        proof.insert(here, DATA)
    for proof in PROOFS:
        proof.insert_again(here, DATA)
        proof.remove(here)


def test_others_ask_meanwhile(here: settings.Settings, warehouse_dsn: str) -> None:
    """An hourly run and a backfill that ask for what the proofs load change no verdict."""
    for proof in PROOFS:
        proof.make(here)
    asked = _ask_for_all(warehouse_dsn)
    assert asked == set()
    for proof in PROOFS:
        proof.insert(here, DATA)
    asked = _ask_for_all(warehouse_dsn)
    assert {*history.PROOF.sample.tracks, *history.PROOF.sample.artists} <= asked
    for proof in PROOFS:
        proof.insert_again(here, DATA)
        proof.remove(here)


def _ask_for_all(dsn: str) -> set[str]:
    """Ask for what is wanted and for what is missing; Spotify knows none of it."""
    now, asked = datetime(2027, 1, 1, tzinfo=UTC), set()
    with psycopg.connect(dsn, autocommit=True) as warehouse:
        for kind in KINDS:
            lacking = missing.find(warehouse, kind, now)
            ids = {
                *enrichment.queued_ids(warehouse, kind, 1000, now),
                *missing.page(warehouse, kind, lacking, "", 1000),
            }
            told = Metadata(unknown=ids)
            enrichment.load(warehouse, kind, ids, told, now, timedelta(hours=6))
            asked |= ids
    return asked


def test_a_spool_that_others_may_read(tmp_path: Path) -> None:
    """The proof of the spool says so, and names the mode."""
    file = tmp_path / "test_file_utils" / "spool.sqlite3"
    file.parent.mkdir()
    file.touch(mode=0o644)
    with pytest.raises(AcceptanceFailed, match=r"modes .* found .*644"):
        spool.keep(tmp_path, DATA)
    spool.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
