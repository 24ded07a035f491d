"""A user's export on this machine: the zip as Spotify sends it, a folder, or single files.

    zip, folder, file ──▶ each file in it, judged by its first rows ──▶ sources
                                                └──▶ what may be a history and is left out

All of it may be hostile: how many files there are, how large they become and how much they were
compressed is bounded, and what leads out of the zip or the folder is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from songswap.errors import ExportRefused
from songswap.storage.export_folder import (
    UNFINISHED,
    files,
    head,
    is_of_computer,
    is_zip,
    require_inside,
    shown,
    whole,
)
from songswap.storage.export_zip import Member, Unreadable, Zip
from songswap.transform.exports.kinds import (
    HEAD_BYTES,
    WITHOUT_TRACKS,
    Kind,
    Verdict,
    is_similar,
    judge,
    kind_of,
)

MOST_BYTES = 256 * 2**20
"""What one file may hold: Spotify begins a new one at about 12 MB."""

MOST_BYTES_IN_ALL = 4 * 2**30

MOST_COMPRESSED = 300
"""How many times larger than in the zip a file may be: histories shrink to a fifteenth, and one
song day and night to a 156th."""

_MOST_INNER = 100
"""Zips in the zips of an export."""

PACKED = (".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
"""What other archives are called."""


class Given(NamedTuple):
    """A zip, a folder or a file, and its name for whoever gave it."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is of use: where it is, its name and where that is, what it holds, its bytes.

    ``place`` is that within the zip at ``path``; None where ``path`` is the file itself.
    """

    path: Path
    name: str
    label: str
    kind: Kind
    size: int
    place: int | None = None

    def body(self) -> bytes:
        """The file's content.

        Raises:
            ExportRefused: it cannot be read, or is not what the zip says of it.
        """
        try:
            if self.place is None:
                return whole(self.path, self.size)
            with Zip(self.path, self.label) as package:
                return package.body(self.place, self.size)
        except Unreadable as error:
            raise _refused(self.label, error) from error


@dataclass(slots=True)
class Found:
    """What an export has: the files of use, and what is left out although it may be a history."""

    sources: list[Source] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def sources(given: Sequence[Given], folder: Path) -> Found:
    """Look for the files of use among zips, folders and single files.

    Args:
        folder: takes what has to be unpacked to be read; it has to stay until that is done.

    Raises:
        ExportRefused: one of them has none, or is hostile or broken.
    """
    search = _Search(folder)
    for one in given:
        before, search.found = search.found, Found()
        search.look(one)
        # A file that only tells whose export it is may be given beside others.
        if one.path.is_dir() or is_zip(one.path) or not search.found.sources:
            _require_history(one.label, search.found)
        before.sources += search.found.sources
        before.left_out += search.found.left_out
        search.found = before
    _require_history(", ".join(one.label for one in given), search.found)
    found = search.found
    size = sum(source.size for source in found.sources)
    if size > MOST_BYTES_IN_ALL:
        raise _too_large(size)
    found.sources.sort(key=lambda source: (source.name, source.label, source.place or 0))
    return found


def _require_history(label: str, found: Found) -> None:
    if all(source.kind is Kind.OWNER for source in found.sources):
        instead = "".join(f" {what}." for what in found.left_out[:5])
        raise ExportRefused(
            f"There is no streaming history in {label}.{instead} Nothing was imported: give the zip"
            " as Spotify sent it, the folder that it unpacks to, or its files"
            " Streaming_History_Audio_….json, endsong_….json or StreamingHistory….json."
        )


@dataclass(slots=True)
class _Search:
    """A search for the files of use, and what it found until now."""

    folder: Path
    found: Found = field(default_factory=Found)
    unpacked: int = 0
    inner: int = 0

    def look(self, given: Given) -> None:
        path, label = given
        if not path.exists():
            raise ExportRefused(f"{label} is not there. Nothing was imported.")
        path = path.resolve()
        if path.is_dir():
            self._look_in_folder(path, label)
        elif is_zip(path):
            self._look_in_zip(path, label)
        else:
            self._look_at(path, label)

    def _look_in_folder(self, root: Path, label: str) -> None:
        for path in files(root, label):
            inside = path.relative_to(root).as_posix()
            if path.is_symlink():
                # One that stays inside leads to what is read where it lies.
                require_inside(root, path, label)
            elif is_of_computer(inside):
                continue
            elif is_zip(path):
                self._look_in_zip(path, f"{label}/{shown(inside)}")
            else:
                self._look_at(path, f"{label}/{shown(inside)}")

    def _look_at(self, path: Path, label: str) -> None:
        # Pipes and devices are never read, and a folder is here only as a download of Safari's.
        is_file = path.is_file()
        kind = self._kind(path.name, label, lambda: head(path) if is_file else b"")
        if kind and is_file:
            self._take(Source(path, path.name, label, kind, path.stat().st_size))
        elif kind:
            self.found.left_out.append(f"{label} is no file")

    def _look_in_zip(self, path: Path, label: str, is_inner: bool = False) -> None:
        try:
            with Zip(path, label) as package:
                for member in package.members():
                    within = f"{shown(member.path)} in {label}"
                    if is_of_computer(member.path):
                        continue
                    if member.name.lower().endswith(".zip"):
                        self._look_at_inner_zip(package, member, within, is_inner)
                        continue
                    kind = self._kind(
                        member.name, within, partial(package.head, member, HEAD_BYTES)
                    )
                    if kind:
                        self._require_plausible(member, within)
                        self._take(
                            Source(path, member.name, within, kind, member.size, member.place)
                        )
        except Unreadable as error:
            if path.suffix.lower() == ".zip":
                raise _refused(label, error) from error
            # Browsers and sync programs have other names for what they have in hand.
            self.found.left_out.append(f"{label} {error}")

    def _look_at_inner_zip(self, package: Zip, member: Member, label: str, is_inner: bool) -> None:
        if is_inner:
            self.found.left_out.append(f"{label} is a zip in a zip in a zip: unpack it")
            return
        self._require_plausible(member, label)
        self.inner += 1
        self.unpacked += member.size
        if self.unpacked > MOST_BYTES_IN_ALL:
            raise _too_large(self.unpacked)
        if self.inner > _MOST_INNER:
            raise ExportRefused(
                f"{label} is one of more than {_MOST_INNER} zips in zips. Nothing was imported:"
                " unpack them."
            )
        path = self.folder / f"inner{self.inner}.zip"
        try:
            package.copy(member, path)
        except Unreadable as error:
            raise _refused(label, error) from error
        self._look_in_zip(path, label, is_inner=True)

    def _kind(self, name: str, label: str, read_head: Callable[[], bytes]) -> Kind | None:
        """What a file holds; what is of no use is named where it may be a history."""
        if name.lower().endswith(UNFINISHED):
            self.found.left_out.append(f"{label} is a download that was not finished")
            return None
        if name.lower().endswith(PACKED):
            self.found.left_out.append(f"{label} is packed in a way that is not read: unpack it")
            return None
        try:
            verdict = judge(name, read_head())
        except Unreadable as error:
            named = kind_of(name)
            if named and named not in WITHOUT_TRACKS:
                raise _refused(label, error) from error
            is_json = name.lower().endswith(".json")
            verdict = Verdict(None, str(error) if is_json or is_similar(name) else None)
        if verdict.problem:
            self.found.left_out.append(f"{label}: {verdict.problem}")
        return verdict.kind

    def _require_plausible(self, member: Member, label: str) -> None:
        if member.size > MOST_COMPRESSED * max(member.packed, 1):
            raise ExportRefused(
                f"{label} would become {member.size / 2**20:,.0f} MB out of {member.packed:,}"
                " bytes, which no history does. Nothing was imported."
            )

    def _take(self, source: Source) -> None:
        if source.size <= MOST_BYTES:
            self.found.sources.append(source)
            return
        problem = (
            f"{source.label} has {source.size / 2**20:,.0f} MB, and no file of an export has more"
            f" than {MOST_BYTES / 2**20:,.0f}"
        )
        if source.kind not in WITHOUT_TRACKS:
            raise ExportRefused(f"{problem}. Nothing was imported.")
        self.found.left_out.append(problem)


def _refused(label: str, error: Unreadable) -> ExportRefused:
    return ExportRefused(
        f"{label} {error}. Nothing was imported: download the export again, and give it as Spotify"
        " sent it."
    )


def _too_large(size: int) -> ExportRefused:
    return ExportRefused(
        f"The files hold {size / 2**30:.1f} GB, which is no user's history. Nothing was imported:"
        " give the zip as Spotify sent it."
    )
