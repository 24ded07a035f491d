"""The state folder of a stack: its lock, and the data that the next start needs."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from songswap.dev.stack.access import Access, platform_access
from songswap.dev.stack.ports import bind_error
from songswap.supervision.errors import StartRefused
from songswap.supervision.private import write_private

LEAST_FREE_BYTES = 10**9
_LIVES_BEFORE_START = timedelta(days=3)


@dataclass(frozen=True)
class World:
    """The simulated listeners, whose lives continue over a restart.

    The number of founders shapes the catalogue, so it stays; later listeners join them.
    """

    seed: int
    founders: int
    listeners: int
    epoch: str


@contextmanager
def locked(folder: Path, holder: str = "demo") -> Iterator[None]:
    """Lock the folder for this process; a lock file whose process has ended locks nothing.

    Args:
        folder: created when missing.
        holder: what the error of a second process calls the first.

    Raises:
        StartRefused: another process holds the lock, or the folder is not writable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise StartRefused(
            f"The state folder {folder} cannot be used: {error.strerror}."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StartRefused(
                f"Another {holder} (pid {file.read().strip() or 'unknown'}) uses {folder}. "
                "Stop it, or name another folder with --state."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def load_world(folder: Path, seed: int, listeners: int) -> World:
    """Load the folder's world, or create it; it gets at least this many listeners.

    Raises:
        StartRefused: the stored world has another seed.
    """
    file = folder / "world.json"
    if file.exists():
        stored = World(**json.loads(file.read_text()))
        if stored.seed != seed:
            raise StartRefused(
                f"The listeners in {folder} were made with --seed {stored.seed}, not {seed}. Use "
                "that seed again, name another folder with --state, or remove this one."
            )
        world = World(seed, stored.founders, max(stored.listeners, listeners), stored.epoch)
    else:
        epoch = (datetime.now(UTC) - _LIVES_BEFORE_START).isoformat(timespec="seconds")
        world = World(seed, listeners, listeners, epoch)
    write_private(file, json.dumps(asdict(world)))
    return world


def load_access(folder: Path) -> Access:
    """Load the keys from the S3 endpoint's folder; generate those that are missing."""
    file = folder / "access.json"
    new = platform_access()
    stored = Access.from_json(file.read_text()).secrets if file.exists() else {}
    access = Access({**new.secrets, **stored}, new.grants)
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(file, access.to_json())
    return access


def require_room(folder: Path) -> None:
    """Raise StartRefused when the disk of the folder has less than 1 GB left."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise StartRefused(
            f"The disk that holds {folder} has {free / 1e9:.1f} GB left, and the stack needs "
            f"{LEAST_FREE_BYTES / 1e9:g} GB. Make room, or name another folder with --state."
        )


def require_port(host: str, port: int, part: str, remedy: str) -> None:
    """Raise StartRefused, with the remedy, when nothing can listen on a port; 0 is any."""
    if (error := bind_error(host, port)) is not None:
        raise StartRefused(f"Port {port}, meant for {part}, cannot be used: {error}. {remedy}")
