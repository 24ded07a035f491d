"""The state folder of a stack: who uses it, and what has to be the same at the next start."""

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
from songswap.dev.stack.ports import problem
from songswap.supervision.errors import StartRefused
from songswap.supervision.private import write_private

LEAST_FREE_BYTES = 10**9
_LIVES_BEFORE_START = timedelta(days=3)


@dataclass(frozen=True)
class World:
    """The simulated listeners, whose lives go on over a restart.

    The number of founders shapes the catalogue, so it stays; later ones join them.
    """

    seed: int
    founders: int
    listeners: int
    epoch: str


@contextmanager
def locked(folder: Path, holder: str = "demo") -> Iterator[None]:
    """Holds the folder for this process; a lock file that was left behind is no obstacle.

    Args:
        folder: is made when it is missing.
        holder: what holds it, for the one that comes second.

    Raises:
        StartRefused: another process holds it, or nothing can be written there.
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


def kept_world(folder: Path, seed: int, listeners: int) -> World:
    """The world that is kept in the folder, with at least this many listeners; else a new one.

    Raises:
        StartRefused: the kept one has another seed.
    """
    file = folder / "world.json"
    if file.exists():
        kept = World(**json.loads(file.read_text()))
        if kept.seed != seed:
            raise StartRefused(
                f"The listeners in {folder} were made with --seed {kept.seed}, not {seed}. Use "
                "that seed again, name another folder with --state, or remove this one."
            )
        world = World(seed, kept.founders, max(kept.listeners, listeners), kept.epoch)
    else:
        epoch = (datetime.now(UTC) - _LIVES_BEFORE_START).isoformat(timespec="seconds")
        world = World(seed, listeners, listeners, epoch)
    write_private(file, json.dumps(asdict(world)))
    return world


def kept_access(folder: Path) -> Access:
    """The keys of the S3 endpoint whose folder this is, made at the first start that has them."""
    file = folder / "access.json"
    made = platform_access()
    kept = Access.from_json(file.read_text()).secrets if file.exists() else {}
    access = Access({**made.secrets, **kept}, made.grants)
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(file, access.to_json())
    return access


def require_room(folder: Path) -> None:
    """Raises StartRefused when the disk of the folder has less than 1 GB left."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise StartRefused(
            f"The disk that holds {folder} has {free / 1e9:.1f} GB left, and the stack needs "
            f"{LEAST_FREE_BYTES / 1e9:g} GB. Make room, or name another folder with --state."
        )


def require_port(host: str, port: int, part: str, remedy: str) -> None:
    """Raises StartRefused, with the remedy, when nothing can listen on a port; 0 is any."""
    if (why := problem(host, port)) is not None:
        raise StartRefused(f"Port {port}, meant for {part}, cannot be used: {why}. {remedy}")
