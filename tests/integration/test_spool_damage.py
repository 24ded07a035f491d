"""The spool on a disk that damages it: nothing changed is believed, nothing readable is lost."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import MakePlatform, Platform
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import CorruptResponse, RunFailed, SpoolError
from songswap.models import RotatedToken
from songswap.pipelines.fetch import fetch
from songswap.pipelines.hourly_load import plan
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool
from songswap.storage.spool_rows import token_of, token_row

AT = datetime(2026, 11, 22, 8, 1, 2, 345000, tzinfo=UTC)
FILE = "spool.sqlite3"
TOKENS = [RotatedToken(user, f"spent {user}", f"a{user}", "r" * 300, AT) for user in range(1, 9)]
CORRUPTIONS = 40


def content(response: RawResponse) -> RawResponse:
    return response._replace(id=0)


def fill(folder: Path) -> dict[int, RawResponse]:
    """A spool with answers on a page and on several, and tokens; by id what was kept."""
    rng = random.Random(1)  # noqa: S311  (no secret)
    kept: dict[int, RawResponse] = {}
    with Spool(folder) as spool:
        for batch in range(6):
            answers = [
                RawResponse(
                    1 + (7 * batch + n) % 19,
                    f"history/key-{batch}-{n}",
                    AT + timedelta(seconds=batch),
                    fingerprint=rng.randbytes(32) if n % 2 else None,
                    packed=pack(rng.randbytes(rng.choice([50, 900, 3000, 9000]))),
                )
                for n in range(8)
            ]
            came = spool.add("run", batch, answers)
            kept |= dict(zip((one.id for one in came), answers, strict=True))
        spool.add_tokens(TOKENS)
    return kept


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, RawResponse]]:
    """The folder of a spool in order, and what is in it."""
    folder = tmp_path_factory.mktemp("sound")
    return folder, fill(folder)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, RawResponse]]:
    """The same as a crash leaves it: everything is in the log."""
    folder = tmp_path_factory.mktemp("crashed")
    with Spool(folder / "live"):
        kept = fill(folder / "live")
        shutil.copytree(folder / "live", folder / "left")
    return folder / "left", kept


@pytest.fixture
def folder(tmp_path: Path, sound: tuple[Path, dict[int, RawResponse]]) -> Path:
    """A copy of the spool in order."""
    return shutil.copytree(sound[0], tmp_path / "spool")


def drain(spool: Spool) -> dict[int, RawResponse]:
    """Read all that waits in parts, as the loads do, and have it leave; what was not damaged."""
    spool.check()
    assert spool.id
    spool.users_of("run", 3)
    whole: dict[int, RawResponse] = {}
    last = 0
    while part := spool.not_loaded(last, 7):
        last = part[-1].id
        whole |= {one.id: one for one in part if not one.damage()}
    spool.mark_archived({id_: f"beside {id_}" for id_ in spool_ids(spool) & whole.keys()})
    spool.mark_loaded(list(whole))
    return whole


def spool_ids(spool: Spool) -> set[int]:
    return {one.id for one in spool.not_archived(0, 10**6)}


def scramble(data: bytes, rng: random.Random) -> bytes:
    """A file as a disk may give it back."""
    changed = bytearray(data)
    kind = rng.choice(["bytes", "bytes", "head of pages", "noise", "zeros", "cut"])
    place = rng.randrange(len(changed))
    match kind:
        case "cut":
            del changed[place - place % 4096 :]
        case "noise" | "zeros":
            length = len(changed[place : place + 4096])
            changed[place : place + 4096] = (
                rng.randbytes(length) if kind == "noise" else bytes(length)
            )
        case _:
            for _ in range(rng.choice([1, 8, 100])):
                at = rng.randrange(len(changed))
                changed[at if kind == "bytes" else at - at % 4096 + at % 120] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("file", [FILE, f"{FILE}-wal"])
def test_any_damage_raises_only_spool_errors(
    file: str,
    sound: tuple[Path, dict[int, RawResponse]],
    crashed: tuple[Path, dict[int, RawResponse]],
    tmp_path: Path,
) -> None:
    """No changed row is believed, and none goes in silence."""
    origin, kept = sound if file == FILE else crashed
    data = (origin / file).read_bytes()
    recovered = 0
    for seed in range(CORRUPTIONS):
        rng = random.Random(seed)  # noqa: S311  (no secret)
        folder = shutil.copytree(origin, tmp_path / str(seed))
        (folder / file).write_bytes(scramble(data, rng))
        cut = (folder / file).stat().st_size < len(data)
        with Spool(folder) as spool:
            spool.entries()
            assert set(spool.tokens()) <= set(TOKENS), seed
            whole = drain(spool)
            assert {id_: content(one) for id_, one in whole.items()}.items() <= kept.items(), seed
            left = spool.entries()
            assert all(one.problem for one in left), seed
            result = spool.recoveries()
            lost = kept.keys() - whole.keys() - {one.id for one in left}
            # Of a log that ends too early nothing tells that it went on.
            assert not lost or result or (cut and file != FILE), seed
            recovered += bool(result)
            (new,) = spool.add("run 2", 0, [RawResponse(1, "key", AT, pack(b"{}"))])
            assert new.id > max(whole, default=0), "whoever has an id in hand means that answer"
    assert recovered > CORRUPTIONS / 4


def no_database(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 9 + path.read_bytes()[189:])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40_000])


def broken_tree(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'answers'").fetchone()
    data[(root - 1) * 4096 + 12 : root * 4096] = bytes(4096 - 12)
    path.write_bytes(data)


def another_schema(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE answers (id INTEGER PRIMARY KEY, question TEXT NOT NULL)")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_folder_for_its_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").mkdir()


def read_only_by_its_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[18] = 9
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("trouble", "saved"),
    [
        (no_database, 40),
        (cut, 30),
        (broken_tree, 48),
        (another_schema, 0),
        (nothing, 0),
        (a_folder, 0),
        (a_folder_for_its_log, 48),
        (read_only_by_its_header, 48),
    ],
)
def test_broken_file_is_put_aside_and_its_readable_rows_saved(
    trouble: Callable[[Path], None],
    saved: int,
    folder: Path,
    sound: tuple[Path, dict[int, RawResponse]],
) -> None:
    """It is reported; the spool keeps its id."""
    with Spool(folder) as before:
        id_ = before.id
    trouble(folder / FILE)
    with Spool(folder) as spool:
        assert (spool.id == id_) == bool(saved)
        whole = drain(spool)
        (result,) = spool.recoveries(only_unreported=True)
        assert (folder / result.file).exists()
        assert result.file.startswith(f"{FILE}.broken-20")
        assert result.responses == len(whole) >= saved
        assert result.tokens == len(spool.tokens()) == (8 if saved else 0)
        assert {id_: content(one) for id_, one in whole.items()}.items() <= sound[1].items()
        spool.acknowledge([result])
        assert spool.recoveries(only_unreported=True) == []
    with Spool(folder) as again:
        assert again.recoveries() == [result]
        assert again.waiting() == (0, 0)


def test_damage_that_comes_while_it_is_open(folder: Path) -> None:
    """Whatever is asked for when the damage shows is answered, by the new file."""
    with Spool(folder) as spool, Spool(folder) as other:
        assert len(spool.not_loaded(0, 3)) == 3
        cut(folder / FILE)
        kept = spool.add("run 2", 0, [RawResponse(1, "key", AT, pack(b"{}"))])
        assert len(spool.not_loaded(0, 100)) > 30
        assert len(list(folder.glob("*.broken-*Z"))) == 1
        other.mark_archived({kept[0].id: "key"})
        other.mark_loaded([kept[0].id])
        assert kept[0].id not in {entry.id for entry in spool.entries()}, "both have the new file"


def test_many_find_it_broken(folder: Path) -> None:
    """Of those who open a broken spool at once, threads and processes, one puts it aside."""
    broken_tree(folder / FILE)
    code = (
        "import sys; from pathlib import Path; from songswap.storage.spool import Spool\n"
        "with Spool(Path(sys.argv[1])) as spool: print(spool.waiting())"
    )

    def look(number: int) -> str:
        if number % 2:
            with Spool(folder) as spool:
                return f"{spool.waiting()}\n"
        command = [sys.executable, "-c", code, str(folder)]
        return subprocess.run(  # noqa: S603  (our own code)
            command, capture_output=True, text=True, check=True
        ).stdout

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(look, range(4))) == {"(48, 48)\n"}
    assert len(list(folder.glob("*.broken-*Z"))) == 1


def test_salvage_that_was_killed_is_completed_once(folder: Path) -> None:
    """By whoever opens the spool next."""
    (folder / FILE).rename(folder / f"{FILE}.broken-20261122T080000.000000Z")
    for _ in range(2):
        with Spool(folder) as spool:
            assert spool.waiting() == (48, 48)
            assert len(spool.recoveries(only_unreported=True)) == 1


@pytest.mark.parametrize("change", ["spool = x'00'", "checksum = 7", "spool = 'text'"])
def test_damaged_id_is_replaced_and_nothing_else_lost(change: str, folder: Path) -> None:
    with Spool(folder) as before:
        id_ = before.id
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(f"UPDATE identity SET {change}")  # noqa: S608 - ours
    with Spool(folder) as spool:
        assert spool.id != id_
        assert len(drain(spool)) == 48
    with Spool(folder) as again:
        assert again.id == spool.id


@pytest.mark.parametrize(
    "change",
    [
        "user_id = user_id + 1",
        "user_id = 'one'",
        "observed_ms = 4611686018427387904",
        "observed_ms = 2.5",
        "key = CAST(x'ff00fe' AS TEXT)",
        "key = 'another/key.json'",
        "run_id = x'00'",
        "fingerprint = 'text'",
        "body = substr(body, 1, 99)",
        "body = 17",
        "body = :other",
        "checksum = x'00'",
    ],
)
def test_damaged_row_is_reported_and_stays_until_dropped(change: str, folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(f"UPDATE answers SET {change} WHERE id = 7", {"other": pack(b"another")})  # noqa: S608
    with Spool(folder) as spool:
        assert len(drain(spool)) == 47
        assert spool.recoveries() == []
        assert spool.waiting() == (1, 1)
        (entry,) = spool.entries()
        assert entry.id == 7
        assert "songswap spool drop 7" in (entry.problem or "")
        with pytest.raises(CorruptResponse):
            _ = spool.find(7).body
        assert 7 not in {one.id for one in spool.batch("run", 0) if not one.damage()}
        spool.drop([7])
        assert spool.waiting() == (0, 0)


@pytest.mark.parametrize("flag", ["archived", "loaded"])
def test_done_only_where_it_was_done(flag: str, folder: Path) -> None:
    """A flag that damage has set is not believed: the answer does not leave without its deed."""
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(f"UPDATE answers SET {flag} = 1 WHERE id = 7")  # noqa: S608  (our own names)
    with Spool(folder) as spool:
        assert spool.waiting() == (48, 48)
        assert len(drain(spool)) == 48


def test_damaged_tokens_are_reported_and_never_used(folder: Path) -> None:
    """They can be dropped."""
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute("UPDATE rotated_tokens SET refresh_token = x'61' WHERE user_id = 3")
        db.execute("UPDATE rotated_tokens SET expires_ms = 'soon' WHERE user_id = 4")
    with Spool(folder) as spool:
        assert [token.user_id for token in spool.tokens()] == [1, 2, 5, 6, 7, 8]
        assert spool.damaged_tokens() == [3, 4]
        spool.add_tokens([TOKENS[2]])
        spool.drop_damaged_tokens()
        assert [token.user_id for token in spool.tokens()] == [1, 2, 3, 5, 6, 7, 8]
        assert spool.damaged_tokens() == []


OLD = """
CREATE TABLE answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, batch INTEGER NOT NULL,
  user_id INTEGER NOT NULL, key TEXT NOT NULL, observed_ms INTEGER NOT NULL, fingerprint BLOB,
  body BLOB NOT NULL, archived INTEGER NOT NULL DEFAULT 0, loaded INTEGER NOT NULL DEFAULT 0,
  problem TEXT
);
CREATE INDEX answers_of_batch ON answers (run_id, batch);
CREATE TABLE tokens (
  user_id INTEGER PRIMARY KEY, spent TEXT NOT NULL, access_token TEXT NOT NULL,
  refresh_token TEXT NOT NULL, expires_ms INTEGER NOT NULL
);
"""


@pytest.mark.parametrize("broken", [False, True])
def test_spool_of_the_version_before(broken: bool, tmp_path: Path) -> None:
    """A spool without checksums is taken over with all it holds, also when it is broken."""
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.executescript(OLD)
        for number, (archived, loaded) in enumerate([(0, 0), (1, 0), (0, 1)], 1):
            row = ("run", 0, number, "key", 1_000 * number, None, pack(b"{}"), archived, loaded)
            insert = "INSERT INTO answers VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
            db.execute(insert, row)
        db.execute("INSERT INTO tokens VALUES (7, 's', 'a', 'r', 9223372036854775807)")
    if broken:
        no_database(tmp_path / FILE)
    with Spool(tmp_path) as spool:
        assert [one.user_id for one in spool.not_archived(0, 9)] == [1, 3]
        assert [one.body for one in spool.not_loaded(0, 9)] == [b"{}", b"{}"]
        assert [(token.user_id, token.refresh_token) for token in spool.tokens()] == [(7, "r")]


@pytest.mark.parametrize("trouble", ["full", "locked"])
def test_full_disk_or_lock_leaves_the_file_alone(
    trouble: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("songswap.storage.spool_file.BUSY_S", 0.05)
    with Spool(folder) as spool, closing(sqlite3.connect(folder / FILE)) as other:
        match trouble:
            case "full":
                pages = other.execute("PRAGMA page_count").fetchone()[0]
                spool.file.db.execute(f"PRAGMA max_page_count={pages}")
            case _:
                other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolError):
            spool.add("run", 9, [RawResponse(1, "key", AT, pack(os.urandom(9**6)))])
        assert spool.waiting() == (48, 48)
    assert list(folder.glob("*.broken-*")) == []


@given(st.text(st.characters(), max_size=40), st.datetimes(timezones=st.just(UTC)))
def test_tokens_of_any_content(text: str, ends: datetime) -> None:
    """Whatever Spotify gives as a token is given back, lone surrogates and NUL included."""
    token = RotatedToken(7, text, text + "\ud800\0", text[::-1], ends.replace(microsecond=0))
    assert token_of(token_row(token)) == token
    assert repr(token) == f"RotatedToken(user_id=7, expires_at={token.expires_at.isoformat()})"


def test_older_tokens_do_not_replace_newer_ones(tmp_path: Path) -> None:
    """Which of two is newer is told by what was given for what, then by when they end."""
    first = RotatedToken(1, "t0", "a1", "t1", AT)
    second = RotatedToken(1, "t1", "a2", "t2", AT - timedelta(hours=5))
    with Spool(tmp_path) as spool:
        for order in ([first, second], [second, first]):
            spool.add_tokens(order[:1])
            spool.add_tokens(order[1:])
            assert spool.tokens() == [second]
            spool.drop_tokens([second], AT)
        early, late = first, first._replace(access_token="a3", expires_at=AT + timedelta(hours=1))
        spool.add_tokens([late, early])
        assert spool.tokens() == [late]


@pytest.fixture
def platform(make_platform: MakePlatform, own_objects: ObjectStore) -> Platform:
    """A platform of four users with an S3 endpoint of its own."""
    made = make_platform(users=4)
    made.use(own_objects)
    return made


def test_run_goes_on_and_is_red_once(platform: Platform) -> None:
    """A run that finds the spool broken loads what was saved, is red, and the next one is not."""
    plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    broken_tree(platform.settings.spool / FILE)
    with pytest.raises(RunFailed, match="The spool was broken") as result:
        platform.load()
    assert "4 responses and the tokens of 0 users were recovered" in str(result.value)
    assert platform.history() == platform.reachable()
    platform.advance(hours=1)
    platform.load()
    environment = {"COLUMNS": "160"} | platform.environment()
    listed = CliRunner().invoke(app, ["spool", "list"], env=environment)
    assert "its file was renamed to spool.sqlite3.broken-" in listed.stdout.replace("\n", " ")
