"""The state folder: one user at a time, and the same world at each start."""

import fcntl
import os
import socket
from pathlib import Path

import pytest

from songswap.dev.stack.access import Access
from songswap.dev.stack.state import load_access, load_world, locked, require_port
from songswap.supervision.errors import StartRefused


def test_second_demo_names_the_process_of_the_first(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(StartRefused, match=rf"pid {os.getpid()}\)"),
        locked(tmp_path),
    ):
        pass


def test_a_lock_file_that_was_left_is_no_obstacle(tmp_path: Path) -> None:
    """Who was killed holds nothing, whatever the file says."""
    (tmp_path / "lock").write_text("1\n")
    with locked(tmp_path), (tmp_path / "lock").open() as file:
        assert file.read() == f"{os.getpid()}\n"
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """The state folder may not lie below a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match="cannot be used"), locked(tmp_path / "file" / "state"):
        pass


def test_lives_go_on(tmp_path: Path) -> None:
    """The epoch and the founders stay; more listeners join, and none leaves."""
    first = load_world(tmp_path, seed=1, listeners=25)
    assert (first.founders, first.listeners) == (25, 25)
    more = load_world(tmp_path, seed=1, listeners=40)
    assert (more.epoch, more.founders, more.listeners) == (first.epoch, 25, 40)
    assert load_world(tmp_path, seed=1, listeners=5) == more


def test_another_seed_is_refused(tmp_path: Path) -> None:
    """The listeners of one seed cannot become those of another."""
    load_world(tmp_path, seed=1, listeners=25)
    with pytest.raises(StartRefused, match="--seed 1, not 2"):
        load_world(tmp_path, seed=2, listeners=25)


def test_keys_outlive_a_restart_and_are_private(tmp_path: Path) -> None:
    first = load_access(tmp_path / "s3")
    assert load_access(tmp_path / "s3") == first
    # A key that this version of the code has added gets its secret, the others keep theirs.
    older = {name: text for name, text in first.secrets.items() if name != "reader"}
    (tmp_path / "s3" / "access.json").write_text(Access(older, first.grants[:1]).to_json())
    again = load_access(tmp_path / "s3")
    assert {name: again.secrets[name] for name in older} == older
    assert (again.secrets.keys(), again.grants) == (first.secrets.keys(), first.grants)
    assert (tmp_path / "s3" / "access.json").stat().st_mode & 0o777 == 0o600


def test_a_used_port_names_the_remedy() -> None:
    """The sentence says which port, for what, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartRefused, match=rf"Port {port}, meant for the web UI.*Do this"):
            require_port("127.0.0.1", port, "the web UI", "Do this.")
    require_port("127.0.0.1", port, "the web UI", "Do this.")
