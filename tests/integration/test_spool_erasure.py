"""Erased users are gone from the bytes of the spool's file; nobody else's rows are."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from songswap.models import RotatedToken
from songswap.storage import spool_file
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.storage.spool_erasure import SpoolErasure

AT = datetime(2026, 11, 22, 8, 1, 2, 345000, tzinfo=UTC)
DAYS = timedelta(days=2)
MARK = b"mark-of-seven"
ERASED, OTHER = 7, 8
ALL = [SpoolErasure(1, ERASED)]
FILLINGS = 24


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool."""
    with Spool(tmp_path / "spool", remembers=DAYS) as opened:
        yield opened


def marked(user_id: int) -> bytes:
    return MARK if user_id == ERASED else b"something"


def answer(user_id: int, at: datetime = AT, times: int = 1) -> RawResponse:
    mark = marked(user_id)
    return RawResponse(user_id, f"{mark.decode()}/key", at, mark * times, mark)


def token(user_id: int, number: int, given: datetime = AT) -> RotatedToken:
    name = f"{marked(user_id).decode()}-{number}"
    ends = given + timedelta(hours=1)
    return RotatedToken(user_id, f"{name} old", f"{name} access", f"{name} new", ends)


def bytes_of(folder: Path) -> bytes:
    """All that is in the files of a folder, and their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() + path.name.encode() for path in files)


def fill(spool: Spool, rng: random.Random) -> None:
    """Spool responses and tokens of any length; some leave before, some are stored elsewhere."""
    for batch in range(rng.randint(1, 12)):
        responses = [
            answer(rng.choice([ERASED, ERASED, OTHER, 9]), times=rng.choice([1, 9, 60, 300, 999]))
            for _ in range(rng.randint(1, 30))
        ]
        added = spool.add("run", batch, responses)
        tokens = [token(user_id, batch) for user_id in {ERASED, OTHER}]
        spool.add_tokens(tokens)
        spool.mark_archived({each.id: each.key for each in rng.sample(added, len(added) // 2)})
        spool.mark_failed({added[0].id: f"it failed {marked(added[0].user_id).decode()}"})
        spool.mark_loaded([each.id for each in rng.sample(added, len(added) // 3)])
        if rng.random() < 0.5:
            spool.drop_tokens(tokens, AT)


def test_no_byte_of_an_erased_user_is_left(tmp_path: Path) -> None:
    """Nor of rows that left before; the others keep every row."""
    for seed in range(FILLINGS):
        folder = tmp_path / str(seed)
        with Spool(folder, remembers=DAYS) as spool:
            fill(spool, random.Random(seed))  # noqa: S311  (no secret)
            others = [entry for entry in spool.entries() if entry.user_id != ERASED]
            held = sum(entry.user_id == ERASED for entry in spool.entries())
            assert MARK in bytes_of(folder)
            counts = spool.erase(ALL)
            assert counts[1]["responses"] == held
            assert spool.rewrite()
            # Also while it is open, as other processes have it.
            assert MARK not in bytes_of(folder), seed
            assert spool.entries() == others
            assert {each.user_id for each in spool.tokens()} <= {OTHER}
            (new,) = spool.add("run", 99, [answer(OTHER)])
            assert new.id > max((entry.id for entry in others), default=0), "no id is used again"
        assert MARK not in bytes_of(folder), seed


def test_what_came_after_a_new_authorization_stays(spool: Spool) -> None:
    """To the millisecond, of responses; of tokens, by when they were given."""
    until = AT + timedelta(days=1)
    moments = [AT, until, until + timedelta(milliseconds=1), until + timedelta(days=1)]
    kept = spool.add("run", 0, [answer(ERASED, at) for at in moments])
    for number, given in enumerate((AT, until + timedelta(seconds=5))):
        spool.drop_tokens([token(ERASED, number, given)], given)
    waits = token(ERASED, 3, until + timedelta(seconds=5))
    spool.add_tokens([waits])
    old = token(OTHER, 1)
    spool.add_tokens([old])
    erasures = [SpoolErasure(1, ERASED, until), SpoolErasure(2, OTHER, until)]
    assert spool.erase(erasures) == {
        1: {"responses": 2, "tokens": 0, "rotations": 1},
        2: {"responses": 0, "tokens": 1, "rotations": 0},
    }
    assert [entry.id for entry in spool.entries()] == [each.id for each in kept[2:]]
    assert spool.tokens() == [waits]
    assert len(spool.latest_tokens(0, 99, 9)) == 1


def test_counts_add_up_until_the_erasure_is_confirmed(spool: Spool) -> None:
    """So that a process that is killed after it has deleted loses none."""
    for total in (2, 4):
        spool.add("run", 0, [answer(ERASED), answer(ERASED), answer(OTHER)])
        spool.add_tokens([token(ERASED, total)])
        assert spool.erase(ALL)[1] == {"responses": total, "tokens": total // 2, "rotations": 0}
    both = [*ALL, SpoolErasure(2, OTHER)]
    assert spool.erase(both)[2]["responses"] == 2
    assert spool.erase(ALL)[1]["responses"] == 4, "by a process that has not seen the other"
    assert spool.erase(both[1:])[2]["responses"] == 2
    assert spool.erase(ALL)[1] == {"responses": 0, "tokens": 0, "rotations": 0}, "confirmed"


def test_tokens_can_stay_for_now(spool: Spool) -> None:
    spool.add("run", 0, [answer(ERASED)])
    spool.add_tokens([token(ERASED, 1)])
    counts = spool.erase([SpoolErasure(1, ERASED, keeps_tokens=True)])
    assert counts[1] == {"responses": 1, "tokens": 0, "rotations": 0}
    assert spool.tokens() == [token(ERASED, 1)]


def test_hundreds_are_erased_in_one_transaction(spool: Spool) -> None:
    spool.add("run", 0, [answer(user_id) for user_id in range(1, 9)])
    statements: list[str] = []
    spool.file.db.set_trace_callback(statements.append)
    counts = spool.erase([SpoolErasure(user_id, user_id) for user_id in range(5, 505)])
    assert sum(each["responses"] for each in counts.values()) == 4
    assert sum(statement.startswith("BEGIN") for statement in statements) == 1
    scans = [each for each in statements if "FROM answers" in each and "WHERE id" not in each]
    assert len(scans) == 1


def test_file_is_not_clean_while_others_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log holds what they see; once they have ended it is."""
    monkeypatch.setattr(spool_file, "BUSY_S", 0.1)
    with Spool(tmp_path) as spool:
        spool.add("run", 0, [answer(ERASED)])
        with closing(sqlite3.connect(spool.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM answers").fetchall()
            spool.erase(ALL)
            assert not spool.rewrite()
            assert MARK in bytes_of(tmp_path)
        assert spool.rewrite()
        assert MARK not in bytes_of(tmp_path)


def test_file_that_was_replaced_is_not_clean(tmp_path: Path) -> None:
    """The open one is another: the next transaction finds it."""
    with Spool(tmp_path) as spool:
        spool.add("run", 0, [answer(ERASED)])
        shutil.copy(spool.path, tmp_path / "copy")
        (tmp_path / "copy").replace(spool.path)
        assert not spool.rewrite()
        spool.erase(ALL)
        assert spool.rewrite()


def test_report_of_a_broken_file_names_the_user_no_more(tmp_path: Path) -> None:
    """Those of others stay: an operator has yet to hear of them."""
    with Spool(tmp_path) as spool:
        spool.add("run", 0, [answer(ERASED), answer(OTHER)])
        spool.add_tokens([token(ERASED, 1), token(OTHER, 1)])
        spool.file.db.execute("UPDATE answers SET key = 'damaged'")
        spool.file.db.execute("UPDATE rotated_tokens SET spent = x'00'")
    spool.path.rename(spool.path.with_name("spool.sqlite3.broken-20261122T080000.000000Z"))
    with Spool(tmp_path) as again:
        assert again.broken_files() == ["spool.sqlite3.broken-20261122T080000.000000Z"]
        (recovery,) = again.recoveries()
        assert (set(recovery.lost_responses), recovery.lost_tokens) == ({7, 8}, (7, 8))
        again.erase(ALL)
        (recovery,) = again.recoveries()
        assert (set(recovery.lost_responses), recovery.lost_tokens) == ({OTHER}, (OTHER,))


def test_spool_of_an_older_version_erases(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.add("run", 0, [answer(ERASED)])
        spool.file.db.execute("DROP TABLE erased")
    with Spool(tmp_path) as again:
        assert again.erase(ALL)[1]["responses"] == 1
