"""Read a zip within limits: it may be broken or hostile.

All errors of the library are raised as `songswap.storage.unreadable.Unreadable`.
"""

import stat
import zipfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from songswap.errors import ExportRefused
from songswap.storage.unreadable import translate_errors

MOST_MEMBERS = 10_000
"""An export of fifteen years has some dozens of files."""

_CHUNK = 2**20

_LARGEST_READ = 16 * 2**20
"""The list of 10,000 files is smaller; everything else is read in chunks."""


class Member(NamedTuple):
    """A file of a zip: its position, path and name; its size, unpacked and packed."""

    position: int
    path: str
    name: str
    size: int
    packed: int


class Zip:
    """An open zip; ``label`` is its name in messages.

    Raises:
        Unreadable: it is not a whole zip.
    """

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        with translate_errors("is not a whole zip"):
            self._file = _Bounded(path)
            try:
                self._package = zipfile.ZipFile(self._file)
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> "Zip":
        return self

    def __exit__(self, *_: object) -> None:
        self._package.close()
        self._file.close()

    def members(self) -> list[Member]:
        """Return its files, in their order.

        Raises:
            ExportRefused: there are too many for an export, or one leads out of the zip.
        """
        infos = self._package.infolist()
        if len(infos) > MOST_MEMBERS:
            raise ExportRefused(
                f"{self._label} has {len(infos):,} files, and no export of Spotify has more than"
                f" {MOST_MEMBERS:,}. Nothing was imported."
            )
        members = []
        for position, info in enumerate(infos):
            path = PurePosixPath(info.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(info.external_attr >> 16):
                raise ExportRefused(
                    f"{self._label} has a file that leads out of it, which no export of Spotify"
                    " has. Nothing was imported."
                )
            if not info.is_dir():
                sizes = info.file_size, info.compress_size
                members.append(Member(position, str(path), path.name, *sizes))
        return members

    def head(self, member: Member, size: int) -> bytes:
        """Return the first bytes of a file.

        Raises:
            Unreadable: they cannot be read.
        """
        with translate_errors("cannot be read"), self._open(member.position) as file:
            return file.read(size)

    def body(self, position: int, size: int) -> bytes:
        """Return the content of the file at a position, which must have that size.

        Raises:
            Unreadable: it cannot be read, or differs from what the zip says.
        """
        with translate_errors("cannot be read"):
            return b"".join(self._chunks(position, size))

    def copy(self, member: Member, path: Path) -> None:
        """Write a file to the disk.

        Raises:
            Unreadable: as `body`, or the disk is full.
        """
        with translate_errors("cannot be unpacked"), path.open("wb") as into:
            into.writelines(self._chunks(member.position, member.size))

    def _open(self, position: int) -> IO[bytes]:
        # By its position: another may have the same name.
        return self._package.open(self._package.infolist()[position])

    def _chunks(self, position: int, size: int) -> Iterator[bytes]:
        left = size
        with self._open(position) as file:
            while left >= 0 and (chunk := file.read(min(_CHUNK, left + 1))):
                left -= len(chunk)
                yield chunk
        if left:
            raise zipfile.BadZipFile("its size is not the one that the zip says")


class _Bounded(FileIO):
    """A file that refuses large reads, whatever the zip says of its own lists."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_READ:
            raise zipfile.BadZipFile("its list of files is larger than any export's")
        return super().read(size)
