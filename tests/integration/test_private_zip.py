"""Zips that are whole or not there."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songswap.errors import HandOverFailed
from songswap.storage.private_zip import private_zip

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)

HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from songswap.storage.private_zip import private_zip
with private_zip(Path(sys.argv[1]), datetime.now(UTC), replaces=True) as package:
    print("", flush=True)
    sys.stdin.read()
    package.write("a", [b"held"])
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    """A process that writes a zip until its input ends."""
    holder = subprocess.Popen(  # noqa: S603  (our own program)
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    holder.stdout.readline()
    return holder


def test_entries_of_any_size_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    entries = {"none": [], "small": [b"a", b"b"], "large": [b"x" * 1000] * 1000}
    with private_zip(path, NOW, replaces=False) as package:
        for name, chunks in entries.items():
            package.write(name, chunks)
    with zipfile.ZipFile(path) as read:
        assert {name: read.read(name) for name in read.namelist()} == {
            name: b"".join(chunks) for name, chunks in entries.items()
        }
        assert {info.date_time for info in read.infolist()} == {(2026, 11, 22, 18, 0, 0)}


def test_error_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("x")

    with (
        pytest.raises(ValueError, match="x"),
        private_zip(tmp_path / "a.zip", NOW, replaces=False) as package,
    ):
        package.write("a", chunks())
    assert list(tmp_path.iterdir()) == []


def test_file_of_a_killed_process_is_removed_and_of_a_live_one_stays(tmp_path: Path) -> None:
    """Also where the name has the marks of a pattern; others' files are left alone."""
    path, other = tmp_path / "[a]*.zip", tmp_path / ".[a]*.zip.mine"
    other.write_text("mine")
    killed, alive = hold(path), hold(path)
    with killed, alive:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 3
        with private_zip(path, NOW, replaces=False):
            assert len(list(tmp_path.iterdir())) == 3, "the killed one's, for this one's"
        assert alive.stdin
        alive.stdin.close()
        assert alive.wait(30) == 0
    assert {*tmp_path.iterdir()} == {path, other}
    with zipfile.ZipFile(path) as read:
        assert read.read("a") == b"held", "it may replace the file"


def test_link_is_never_followed(tmp_path: Path) -> None:
    """A link in a folder of others must not lead a person's data elsewhere."""
    target, path = tmp_path / "target", tmp_path / "a.zip"
    path.symlink_to(target)
    with (
        pytest.raises(HandOverFailed, match="exists already"),
        private_zip(path, NOW, replaces=False),
    ):
        pass
    with private_zip(path, NOW, replaces=True) as package:
        package.write("a", [b"a"])
    assert not target.exists()
    assert not path.is_symlink()
