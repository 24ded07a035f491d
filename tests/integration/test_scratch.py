"""Folders for what is unpacked of a person."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from songswap.errors import SettingsError
from songswap.storage.scratch import PREFIX, remove_abandoned, scratch

HOLD = """
import sys, time
from songswap.storage.scratch import scratch
with scratch() as folder:
    (folder / "secret.json").write_text("secret")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR, for this process and its children."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def hold() -> tuple["subprocess.Popen[str]", Path]:
    """A process that has a folder until its input ends."""
    holder = subprocess.Popen(  # noqa: S603  (our own program)
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    return holder, Path(holder.stdout.readline().strip())


def test_folder_is_private_and_goes(place: Path) -> None:
    """Nobody else can look into it, and nothing stays."""
    with scratch() as folder:
        assert folder.parent == place
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "a").write_text("x")
    assert list(place.iterdir()) == []


def test_folder_goes_with_an_error(place: Path) -> None:
    """An import that fails leaves nothing."""
    with pytest.raises(ValueError, match="x"), scratch():
        raise ValueError("x")
    assert list(place.iterdir()) == []


def test_folder_of_a_killed_import_is_removed_and_of_a_live_one_stays(place: Path) -> None:
    killed, left = hold()
    alive, used = hold()
    with killed, alive:
        killed.kill()
        killed.wait()
        assert (left / "secret.json").exists()
        with scratch() as own:
            assert {*place.iterdir()} == {used, own}
            assert (used / "secret.json").exists()
        assert alive.stdin
        alive.stdin.close()
        assert alive.wait(30) == 0
    assert list(place.iterdir()) == []


def test_many_at_once(place: Path) -> None:
    """Imports that begin at once leave each other's folders alone."""
    holders = [hold() for _ in range(4)]
    for _, folder in holders:
        assert (folder / "secret.json").exists()
    for holder, _ in holders:
        with holder:
            assert holder.stdin
            holder.stdin.close()
            assert holder.wait(30) == 0
    assert list(place.iterdir()) == []


def test_link_file_or_foreign_folder_of_the_name_stays(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "kept").write_text("x")
    (place / f"{PREFIX}link").symlink_to(other)
    (place / f"{PREFIX}file").write_text("x")
    theirs = place / f"{PREFIX}theirs"
    theirs.mkdir()
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
    remove_abandoned()
    assert (other / "kept").exists()
    assert (place / f"{PREFIX}file").exists()
    assert theirs.exists() is (os.geteuid() == 0)


def test_missing_place_says_what_to_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place / "nowhere"))
    with pytest.raises(SettingsError, match="Set TMPDIR"), scratch():
        pass
