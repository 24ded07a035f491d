"""The files of a folder that somebody gave: looked at without following what leads out of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from songswap.errors import ExportRefused
from songswap.storage.export_zip import Unreadable
from songswap.transform.exports.kinds import HEAD_BYTES

UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload")
"""How browsers call what is on its way. Safari's is a folder."""

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
    """Whether a file is what computers leave beside others, by its path in a zip or a folder."""
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    return (
        name.startswith(("._", ".DS_Store", ".~lock", "~$"))
        or name.endswith(":Zone.Identifier")
        or any(part in _OF_COMPUTERS or part.startswith(".Trash") for part in parts)
    )


def shown(name: str) -> str:
    """A file's name as a terminal and a log take it: without control characters, in Unicode."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in name
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
    """All files and links below a folder, in order, and unfinished downloads that are folders.

    Raises:
        ExportRefused: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ExportRefused(
            f"A folder in {label} cannot be read ({error.strerror}). Nothing was imported."
        ) from error

    for parent, folders, files in os.walk(root, onerror=refuse):
        here = Path(parent)
        inside = here.relative_to(root)
        links = [one for one in folders if (here / one).is_symlink()]
        unfinished = [one for one in folders if one.lower().endswith(UNFINISHED)]
        folders[:] = sorted(
            one
            for one in folders
            if one not in links
            if one not in unfinished
            if not is_of_computer((inside / one).as_posix())
        )
        yield from (here / one for one in sorted({*files, *links, *unfinished}))


def is_zip(path: Path) -> bool:
    """Whether a file is a zip, or was one, by its name or its first bytes."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix in (*UNFINISHED, *_OTHER_ZIPS):
        return False
    try:
        return suffix == ".zip" or head(path, len(_ZIP)) == _ZIP
    except Unreadable:
        return False


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file.

    Raises:
        Unreadable: they cannot be read.
    """
    with _open(path) as file:
        return file.read(size)


def whole(path: Path, size: int) -> bytes:
    """The content of a file, which has to have that size.

    Raises:
        Unreadable: it cannot be read, or has another one.
    """
    with _open(path) as file:
        body = file.read(size + 1)
    if len(body) != size:
        raise Unreadable("changed while it was read")
    return body


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    try:
        # A link that took a file's place meanwhile is not followed.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            yield file
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from error
