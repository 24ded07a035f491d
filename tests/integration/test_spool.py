"""The spool on a real disk: what was kept is there until it is safe elsewhere."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songswap.errors import SpoolError
from songswap.models import RotatedToken
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool

AT = datetime(2026, 11, 22, 8, 1, 2, 345000, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "not" / "there" / "yet"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    """An empty spool."""
    with Spool(folder) as opened:
        yield opened


def answer(user_id: int, body: bytes = b'{"items": []}') -> RawResponse:
    return RawResponse(user_id, f"key-{user_id}", AT, pack(body))


def ids(kept: list[RawResponse]) -> list[int]:
    return [one.id for one in kept]


def test_spooled_response_comes_back_byte_for_byte(spool: Spool, folder: Path) -> None:
    """With its time, also in another process."""
    whole = RawResponse(7, "some/key.json", AT, pack(bytes(range(256)) * 9), b"\x00print")
    kept = spool.add("run", 3, [whole])
    with Spool(folder) as other:
        assert other.batch("run", 3) == kept
        assert (kept[0].user_id, kept[0].key, kept[0].observed_at) == (7, "some/key.json", AT)
        assert kept[0].body == whole.body
        assert other.users_of("run", 3) == {7}
        assert other.batch("run", 2) == []
        assert other.batch("other run", 3) == []


def test_leaves_when_archived_and_loaded(spool: Spool) -> None:
    """An answer stays until it is both archived and loaded, in whichever order."""
    first, second, third = ids(spool.add("run", 0, [answer(1), answer(2), answer(3)]))
    spool.mark_archived({first: "key-1"})
    spool.mark_loaded([second])
    assert ids(spool.not_archived(0, 10)) == [second, third]
    assert ids(spool.not_loaded(0, 10)) == [first, third]
    assert spool.waiting() == (2, 2)
    spool.mark_loaded([first])
    spool.mark_archived({second: "key-2"})
    assert spool.waiting() == (1, 1)
    assert ids(spool.not_archived(0, 10)) == [third]


def test_key_beside_another_response_is_stored(spool: Spool) -> None:
    """S3 may put a response beside another one."""
    (kept,) = spool.add("run", 0, [answer(1)])
    spool.mark_archived({kept.id: "beside"})
    assert [one.key for one in spool.batch("run", 0)] == ["beside"]


def test_read_in_parts(spool: Spool) -> None:
    """What waits is read in the order in which it came, in parts of any size."""
    came = ids(spool.add("run", 0, [answer(number) for number in range(5)]))
    assert ids(spool.not_loaded(0, 2)) == came[:2]
    assert ids(spool.not_loaded(came[1], 2)) == came[2:4]
    assert ids(spool.not_loaded(came[4], 2)) == []


def test_reason_why_a_response_stays_is_stored(spool: Spool) -> None:
    assert spool.last_problem() is None
    first, second = ids(spool.add("run", 0, [answer(1), answer(2)]))
    spool.mark_failed({first: "first", second: "second"})
    assert spool.last_problem() == "second"


def test_newer_token_of_a_user_replaces_the_older(spool: Spool, folder: Path) -> None:
    """It is stored until it is dropped."""
    old = RotatedToken(1, "spent", "access", "refresh", AT)
    new = RotatedToken(1, "refresh", "access 2", "refresh 2", AT)
    spool.add_tokens([old])
    spool.add_tokens([new])
    with Spool(folder) as other:
        assert other.tokens() == [new]
        other.drop_tokens([old], AT)
        assert other.tokens() == [new]
        other.drop_tokens([new], AT)
        assert other.tokens() == []


def test_spool_is_readable_by_its_owner_only(spool: Spool, folder: Path) -> None:
    spool.add("run", 0, [answer(1)])
    assert folder.stat().st_mode & 0o077 == 0
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_many_at_once(folder: Path) -> None:
    """Several writers at once lose nothing of each other's."""

    def write(writer: int) -> None:
        with Spool(folder) as mine:
            for number in range(20):
                mine.add("run", writer, [answer(number)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with Spool(folder) as spool:
        assert spool.waiting() == (80, 80)


def test_opened_by_many_at_once(tmp_path: Path) -> None:
    """Those who open a spool that is not there yet wait for each other; none is refused."""

    def wait(folder: Path) -> tuple[int, int]:
        with Spool(folder) as mine:
            return mine.waiting()

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            assert list(pool.map(wait, [tmp_path / str(number)] * 8)) == [(0, 0)] * 8


def test_many_threads_of_one_process(spool: Spool) -> None:
    """One spool in the hands of many threads loses nothing of what each of them keeps."""

    def write(number: int) -> None:
        spool.add_tokens([RotatedToken(number, "spent", "access", "refresh", AT)])
        kept = spool.add("run", 0, [answer(number)])
        spool.mark_archived({kept[0].id: kept[0].key})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(400)))
    assert len(spool.tokens()) == 400
    assert spool.waiting() == (0, 400)


@pytest.mark.parametrize("power_fails", [False, True])
def test_killed_while_writing(folder: Path, tmp_path: Path, power_fails: bool) -> None:
    """What was said to be kept is there after a SIGKILL or a loss of power, and nothing in part."""
    code = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from songswap.storage.records import RawResponse, pack\n"
        "from songswap.storage.spool import Spool\n"
        "at = datetime.now(UTC)\n"
        "with Spool(Path(sys.argv[1])) as spool:\n"
        "    for number in range(10**9):\n"
        "        spool.add('run', number, [RawResponse(n, 'key', at, pack(b'x' * 9999))"
        " for n in range(3)])\n"
        "        print(number, flush=True)\n"
    )
    environment = dict(os.environ)
    if power_fails:
        environment["LD_PRELOAD"] = power_loss(tmp_path)
    with subprocess.Popen(  # noqa: S603  (our own code)
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(30)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().split()]
    if power_fails:
        leave_what_is_durable(folder)
    with Spool(folder) as spool:
        for number in said:
            kept = spool.batch("run", number)
            assert [one.body for one in kept] == [b"x" * 9999] * 3
        assert spool.waiting()[0] % 3 == 0


def power_loss(tmp_path: Path) -> str:
    """The library that notes what a loss of power would leave of each file."""
    compiler, library = shutil.which("cc"), tmp_path / "power_loss.so"
    if compiler is None:
        pytest.skip("needs a C compiler")
    source = Path(__file__).with_name("power_loss.c")
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603  (our own source)
    return str(library)


def leave_what_is_durable(folder: Path) -> None:
    """Take from each file what was never brought to the disk, as a loss of power does."""
    here = {file.name for file in folder.iterdir()}
    for name in here:
        if name.endswith((".durable", ".partial")):
            continue
        if f"{name}.durable" in here:
            (folder / f"{name}.durable").replace(folder / name)
        else:
            (folder / name).unlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_that_takes_nothing(tmp_path: Path) -> None:
    """A disk that does not take an answer is told in a sentence with the file's name."""
    (tmp_path / "spool.sqlite3").symlink_to("/dev/full")
    with pytest.raises(SpoolError, match=r"spool\.sqlite3"), Spool(tmp_path) as spool:
        spool.add("run", 0, [answer(1)])
