"""Disruptions that come from neither Spotify nor the pipeline: locks, damage, a busy machine."""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import psutil

from songswap.dev.soak.parts import Parts
from songswap.errors import SpoolError
from songswap.storage.spool import Spool

_LOCKED_FOR_S = 3.0
_FROZEN_FOR_S = 5.0


def lock_history(parts: Parts) -> None:
    """Hold a lock on "History" for some seconds, as somebody's ALTER TABLE does."""
    with parts.connect() as connection, connection.transaction():
        connection.execute('LOCK TABLE "History" IN ACCESS EXCLUSIVE MODE')
        time.sleep(_LOCKED_FOR_S)


def freeze_spotify(parts: Parts) -> None:
    """Freeze Spotify for some seconds, as a very busy machine does."""
    simulator = psutil.Process(parts.spotify.process.pid)
    simulator.suspend()
    try:
        time.sleep(_FROZEN_FOR_S)
    finally:
        simulator.resume()


def damage_spool(folder: Path, rng: Random) -> bool:
    """Damage the spool's file, unless something waits in it, which would be lost.

    Returns:
        Whether it was damaged; a file that cannot be read stays as it is.
    """
    try:
        with Spool(folder) as spool:
            if any(spool.waiting()) or spool.tokens():
                return False
            path = spool.path
    except SpoolError:
        return False
    size = path.stat().st_size
    with path.open("r+b") as file:
        match rng.randrange(4):
            case 0:  # the header, without which it is not a database
                file.write(rng.randbytes(100))
            case 1:  # a page
                file.seek(rng.randrange(size // 4096) * 4096)
                file.write(rng.randbytes(4096))
            case 2:  # scattered bytes
                for _ in range(200):
                    file.seek(rng.randrange(size))
                    file.write(rng.randbytes(1))
            case _:
                file.truncate(rng.randrange(1, size))
    return True


def damage_response(folder: Path) -> bool:
    """Damage the body of a response in the spool that waits only for S3: its plays are safe.

    Returns:
        Whether there was one.
    """
    with closing(sqlite3.connect(Spool(folder).path)) as db, suppress(sqlite3.Error), db:
        damaged = db.execute(
            "UPDATE answers SET body = zeroblob(length(body))"
            " WHERE id = (SELECT min(id) FROM answers WHERE loaded AND NOT archived)"
        )
        return damaged.rowcount > 0
    return False
