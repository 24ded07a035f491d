"""Find and read the files of a folder, without following links that lead out of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from songswap.errors import ExportRefused
from songswap.storage.unreadable import Unreadable, translate_errors
from songswap.transform.exports.kinds import HEAD_BYTES

UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload")
"""How browsers name a download that is under way. Safari's is a folder."""

_ZIP = b"PK\x03\x04"
_OTHER_ZIPS = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk")
_OF_COMPUTERS = (
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)


def is_of_computer(path: str) -> bool:
    """Return whether a file is one that computers add on their own, by its path."""
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    return (
        name.startswith(("._", ".DS_Store", ".~lock", "~$"))
        or name.endswith(":Zone.Identifier")
        or any(part in _OF_COMPUTERS or part.startswith(".Trash") for part in parts)
    )


def shown(name: str) -> str:
    """Return a file's name for a terminal or a log, with control characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in name
    )


def require_inside(root: Path, link: Path, label: str) -> None:
    """Refuse a link that leads out of a folder: it may lead to another person's files.

    Raises:
        ExportRefused: it does.
    """
    try:
        is_inside = link.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # in a circle
        is_inside = False
    if not is_inside:
        raise ExportRefused(
            f"{label} has a link that leads out of it, {shown(link.name)}. Nothing was imported:"
            " put the file itself there."
        )


def files(root: Path, label: str) -> Iterator[Path]:
    """Yield all files and links below a folder, in order, and unfinished downloads.

    Raises:
        ExportRefused: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ExportRefused(
            f"A folder in {label} cannot be read ({error.strerror}). Nothing was imported."
        ) from error

    for parent, folders, files in os.walk(root, onerror=refuse):
        folder = Path(parent)
        inside = folder.relative_to(root)
        links = [name for name in folders if (folder / name).is_symlink()]
        unfinished = [name for name in folders if name.lower().endswith(UNFINISHED)]
        folders[:] = sorted(
            name
            for name in folders
            if name not in links
            if name not in unfinished
            if not is_of_computer((inside / name).as_posix())
        )
        yield from (folder / name for name in sorted({*files, *links, *unfinished}))


def is_zip(path: Path) -> bool:
    """Return whether a file is a zip, whole or broken, by its name or its first bytes."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix in (*UNFINISHED, *_OTHER_ZIPS):
        return False
    try:
        return suffix == ".zip" or head(path, len(_ZIP)) == _ZIP
    except Unreadable:
        return False


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """Return the first bytes of a file.

    Raises:
        Unreadable: they cannot be read.
    """
    with _open(path) as file:
        return file.read(size)


def whole(path: Path, size: int) -> bytes:
    """Return the content of a file, which must have that size.

    Raises:
        Unreadable: it cannot be read, or has another size.
    """
    with _open(path) as file:
        body = file.read(size + 1)
    if len(body) != size:
        raise Unreadable("changed while it was read")
    return body


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with (
        translate_errors("cannot be read"),
        # A link that replaced the file meanwhile is not followed.
        os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file,
    ):
        yield file
