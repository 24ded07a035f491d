"""Write a zip that only its owner can read, and that has its name once it is whole.

    .NAME.….partial, mode 0600 ──▶ entries, one after another ──▶ fsync ──▶ NAME

A process that is killed leaves a partial file, which the system locked for it: the next zip of that
name, or of its series of names, removes those whose locks are gone.
"""

import fcntl
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from songswap.errors import HandOverFailed

_SUFFIX = ".partial"

_WRITTEN_AT_ONCE = 2**16
"""Bytes: packing each row alone takes twice as long."""


class ZipWriter:
    """A zip that is being written; an entry of any size takes little memory."""

    def __init__(self, package: zipfile.ZipFile, created_at: datetime) -> None:
        self._package = package
        self._created_at = created_at.timetuple()[:6]

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write an entry."""
        info = zipfile.ZipInfo(name, self._created_at)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._package.open(info, "w", force_zip64=True) as entry:
            part = bytearray()
            for chunk in chunks:
                part += chunk
                if len(part) >= _WRITTEN_AT_ONCE:
                    entry.write(bytes(part))
                    part.clear()
            entry.write(bytes(part))


@contextmanager
def private_zip(
    path: Path, created_at: datetime, replaces: bool, series: str = ""
) -> Iterator[ZipWriter]:
    """Write a zip in the block; on any error there is none.

    Args:
        created_at: the time of its entries (UTC).
        replaces: whether it takes the place of an existing file.
        series: how the names begin, this one's too, whose abandoned partial files are removed;
            this name alone if left out.

    Raises:
        HandOverFailed: there is such a file, or the disk does not take the zip.
    """
    if not replaces:
        _require_absent(path)
    try:
        _remove_abandoned(path.parent, f".{series or f'{path.name}.'}")
        descriptor, partial = _locked_partial(path)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
                yield ZipWriter(package, created_at)
            file.flush()
            os.fsync(file.fileno())
            _name(partial, path, replaces)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _locked_partial(path: Path) -> tuple[int, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Before it is locked, another process may take it for abandoned: then make another.
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)


def _name(partial: Path, path: Path, replaces: bool) -> None:
    """Give a whole file its name, on the disk too."""
    if replaces:
        partial.replace(path)
    else:
        try:
            # Unlike a rename, a link never replaces a file that came meanwhile.
            path.hardlink_to(partial)
        except FileExistsError:
            _require_absent(path)
            raise
        except OSError:  # some file systems have no links
            _require_absent(path)
            partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _require_absent(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise HandOverFailed(
            f"{path} exists already, and was left as it is. Nothing was written: name another file"
            " with --to, or replace this one with --force."
        )


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove partial files whose names begin so, and whose processes are gone."""
    for name in os.listdir(folder):  # noqa: PTH208 - a name may have the marks of a pattern
        if not (name.startswith(prefix) and name.endswith(_SUFFIX)):
            continue
        # Another user's cannot be opened, and one that is gone was removed by another process.
        with suppress(OSError), open(folder / name, "rb", opener=_not_through_links) as file:
            if os.fstat(file.fileno()).st_uid == os.geteuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(folder / name)  # noqa: PTH108 - beside the call above


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _failed(path: Path, error: OSError) -> HandOverFailed:
    return HandOverFailed(
        f"{path} cannot be written ({error.strerror or error}). No file was left: name another one"
        " with --to, in a folder that may be written, on a disk with room."
    )
