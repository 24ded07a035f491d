"""A zip that somebody gave: looked at and read within limits, whatever it turns out to be.

It may be broken or hostile. The library answers some broken bytes with errors of its own and others
with whatever they lead it to: all of them are `Unreadable` here.
"""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from songswap.errors import ExportRefused, SongSwapError

MOST_MEMBERS = 10_000
"""An export of fifteen years has some dozens of files."""

_CHUNK = 2**20

_LARGEST_READ = 16 * 2**20
"""The list of 10,000 files is smaller; all else is read by chunks."""


class Unreadable(Exception):
    """Says, after the name of a file, what is wrong with it."""


class Member(NamedTuple):
    """A file of a zip: its place there, its path and name, its size and that of it in the zip."""

    place: int
    path: str
    name: str
    size: int
    packed: int


class Zip:
    """A zip, open; ``label`` is its name for whoever gave it.

    Raises:
        Unreadable: it is not a whole zip.
    """

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        with _translate_errors("is not a whole zip"):
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
        """Its files, in their order.

        Raises:
            ExportRefused: no export has such ones.
        """
        infos = self._package.infolist()
        if len(infos) > MOST_MEMBERS:
            raise ExportRefused(
                f"{self._label} has {len(infos):,} files, and no export of Spotify has more than"
                f" {MOST_MEMBERS:,}. Nothing was imported."
            )
        found = []
        for place, info in enumerate(infos):
            path = PurePosixPath(info.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(info.external_attr >> 16):
                raise ExportRefused(
                    f"{self._label} has a file that leads out of it, which no export of Spotify"
                    " has. Nothing was imported."
                )
            if not info.is_dir():
                found.append(
                    Member(place, str(path), path.name, info.file_size, info.compress_size)
                )
        return found

    def head(self, member: Member, size: int) -> bytes:
        """The first bytes of a file.

        Raises:
            Unreadable: they cannot be read.
        """
        with _translate_errors("cannot be read"), self._open(member.place) as file:
            return file.read(size)

    def body(self, place: int, size: int) -> bytes:
        """The content of the file at a place, which has to have that size.

        Raises:
            Unreadable: it cannot be read, or is not what the zip says of it.
        """
        with _translate_errors("cannot be read"):
            return b"".join(self._chunks(place, size))

    def copy(self, member: Member, path: Path) -> None:
        """Write a file to the disk.

        Raises:
            Unreadable: as `body`, or the disk does not take it.
        """
        with _translate_errors("cannot be unpacked"), path.open("wb") as into:
            into.writelines(self._chunks(member.place, member.size))

    def _open(self, place: int) -> IO[bytes]:
        # By its place: another may have the same name.
        return self._package.open(self._package.infolist()[place])

    def _chunks(self, place: int, size: int) -> Iterator[bytes]:
        left = size
        with self._open(place) as file:
            while left >= 0 and (chunk := file.read(min(_CHUNK, left + 1))):
                left -= len(chunk)
                yield chunk
        if left:
            raise zipfile.BadZipFile("its size is not the one that the zip tells")


class _Bounded(FileIO):
    """A file of which no claim of a zip about itself has much read at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_READ:
            raise zipfile.BadZipFile("its list of files is larger than any export's")
        return super().read(size)


@contextmanager
def _translate_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except SongSwapError:
        raise  # it was stopped
    except RuntimeError as error:
        raise Unreadable("is encrypted, or packed in a way that Spotify does not use") from error
    except Exception as error:  # struct.error, IndexError, MemoryError … : see above
        raise Unreadable(f"{problem} ({str(error) or type(error).__name__})") from error
