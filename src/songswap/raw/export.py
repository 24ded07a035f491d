"""A user's export on this machine: the zip as Spotify sends it, a folder, or single files.

Nothing is unpacked to disk. A zip may be hostile: how many files it has, how large they become and
how much they were compressed is bounded, and a name that leads out of it is refused.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from songswap.errors import ExportRefused
from songswap.transform.export_row import Kind, kind_of

MOST_MEMBERS = 10_000
"""An export of fifteen years has some dozens of files."""

MOST_BYTES = 256 * 2**20
"""What one file may hold: Spotify begins a new one at about 12 MB."""

MOST_BYTES_IN_ALL = 4 * 2**30

MOST_COMPRESSED = 300
"""How many times larger than in the zip a file may be: histories shrink to a fifteenth."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is of use: where it is, its name without folders, what it holds, its bytes.

    ``member`` is its name within the zip at ``path``; None where ``path`` is the file itself.
    """

    path: Path
    name: str
    kind: Kind
    size: int
    member: str | None = None

    def body(self) -> bytes:
        """The file's content.

        Raises:
            ExportRefused: it cannot be read, or is not what the zip says of it.
        """
        try:
            if self.member is None:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as package, package.open(self.member) as file:
                return self._bounded(file)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ExportRefused(
                f"{self.name} in {self.path} cannot be read ({_words(error)}). Nothing was"
                " imported: download the export again."
            ) from error
        except (RuntimeError, NotImplementedError) as error:
            raise ExportRefused(
                f"{self.name} in {self.path} is encrypted, or packed in a way that Spotify does not"
                " use. Nothing was imported: give the zip as Spotify sent it."
            ) from error

    def _bounded(self, file: IO[bytes]) -> bytes:
        body = file.read(self.size + 1)
        if len(body) != self.size:
            raise zipfile.BadZipFile("its size is not the one that the zip tells")
        return body


def sources(paths: Iterable[Path]) -> list[Source]:
    """The files of use among zips, folders and single files, by name.

    Raises:
        ExportRefused: one of them has none, or is hostile or broken.
    """
    found: list[Source] = []
    for path in paths:
        here = list(_of(path))
        if all(source.kind is Kind.OWNER for source in here):
            raise ExportRefused(
                f"There is no streaming history in {path}. Nothing was imported: give the zip as"
                " Spotify sent it, the folder that it unpacks to, or its files"
                " Streaming_History_Audio_….json, endsong_….json or StreamingHistory….json."
            )
        found += here
    size = sum(source.size for source in found)
    if size > MOST_BYTES_IN_ALL:
        raise ExportRefused(
            f"The files hold {size / 2**30:.1f} GB, which is no user's history. Nothing was"
            " imported: give the zip as Spotify sent it."
        )
    return sorted(found, key=lambda source: (source.name, str(source.path), source.member or ""))


def _of(path: Path) -> Iterator[Source]:
    if not path.exists():
        raise ExportRefused(f"{path} is not there. Nothing was imported.")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() == ".zip":
                yield from _zipped(file)
            elif source := _single(file):
                yield source
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        yield from _zipped(path)
    elif source := _single(path):
        yield source
    else:
        raise ExportRefused(
            f"{path.name} is none of the files that hold a streaming history. Nothing was imported:"
            " leave the file's name as Spotify gave it."
        )


def _single(path: Path) -> Source | None:
    kind = kind_of(path.name)
    if kind is None or not path.is_file():
        return None
    return _fitting(Source(path, path.name, kind, path.stat().st_size))


def _zipped(path: Path) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as package:
            members = package.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ExportRefused(
            f"{path} is not a whole zip ({_words(error)}). Nothing was imported: download the"
            " export again."
        ) from error
    if len(members) > MOST_MEMBERS:
        raise ExportRefused(
            f"{path} has {len(members):,} files, and no export of Spotify has more than"
            f" {MOST_MEMBERS:,}. Nothing was imported."
        )
    for member in members:
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts:
            raise ExportRefused(
                f"{path} has a file that leads out of it, which no export of Spotify has. Nothing"
                " was imported."
            )
        kind = kind_of(inside.name)
        if kind is None or member.is_dir():
            continue
        if member.file_size > MOST_COMPRESSED * max(member.compress_size, 1):
            raise ExportRefused(
                f"{inside.name} in {path} would become {member.file_size / 2**20:,.0f} MB out of"
                f" {member.compress_size:,} bytes, which no history does. Nothing was imported."
            )
        yield _fitting(Source(path, inside.name, kind, member.file_size, member.filename))


def _fitting(source: Source) -> Source:
    if source.size > MOST_BYTES:
        raise ExportRefused(
            f"{source.name} has {source.size / 2**20:,.0f} MB, and no file of an export has more"
            f" than {MOST_BYTES / 2**20:,.0f}. Nothing was imported."
        )
    return source


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
