"""Find the files of a user's export: in the zip as Spotify sends it, a folder, or single files.

    zip, folder, file ──▶ each file in it, judged by its first rows ──▶ sources
                                                └──▶ files that may be a history, left out

All of it may be hostile: the number of files, their sizes and how much they are compressed are
bounded, and a file or link that leads out of the zip or the folder is refused.
"""

from collections.abc import Callable, Mapping, Sequence
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
from songswap.storage.export_zip import Member, Zip
from songswap.storage.own_export import OwnExport, own_exports
from songswap.storage.records import MOST_EXPORT_BYTES
from songswap.storage.unreadable import Unreadable
from songswap.transform.exports.kinds import (
    HEAD_BYTES,
    OWN,
    WITHOUT_TRACKS,
    Kind,
    Verdict,
    is_similar,
    judge,
    kind_of,
    own_kind_of,
)
from songswap.transform.handover import manifest

MOST_BYTES_IN_ALL = 4 * 2**30

MOST_COMPRESSED = 300
"""How many times larger than in the zip a file may be: histories pack to a fifteenth, and one song
day and night to a 156th."""

_MOST_INNER = 100
"""Zips in the zips of an export."""

PACKED = (".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
"""The suffixes of archives that are not read."""


class LabelledPath(NamedTuple):
    """A zip, a folder or a file, and its name in messages."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file with rows of an export; ``label`` is its name in messages, ``size`` its bytes.

    ``position`` is its position in the zip at ``path``; None where ``path`` is the file itself.
    ``rows`` is how many rows it has by the manifest of our own export.
    """

    path: Path
    name: str
    label: str
    kind: Kind
    size: int
    position: int | None = None
    rows: int | None = None

    def body(self) -> bytes:
        """Return the file's content.

        Raises:
            ExportRefused: it cannot be read, or differs from what the zip says.
        """
        try:
            if self.position is None:
                return whole(self.path, self.size)
            with Zip(self.path, self.label) as package:
                return package.body(self.position, self.size)
        except Unreadable as error:
            raise _refused(self.label, error) from error


@dataclass(slots=True)
class Sources:
    """The files of an export, and those that were left out although they may be a history.

    ``owner_digests`` are of the owners of our own exports among them, of which there are
    ``own_exports``.
    """

    files: list[Source] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    owner_digests: set[str] = field(default_factory=set)
    own_exports: int = 0


def find_sources(paths: Sequence[LabelledPath], folder: Path) -> Sources:
    """Find the files of an export in zips, folders and single files.

    Args:
        folder: inner zips are unpacked into it; it must exist until all sources are read.

    Raises:
        ExportRefused: one of them has none, or is hostile or broken.
    """
    search = _Search(folder)
    found = Sources()
    for given in paths:
        search.found = Sources()
        search.add(given)
        # A file that only names the owner may be given beside others.
        if given.path.is_dir() or is_zip(given.path) or not search.found.files:
            _require_history(given.label, search.found)
        found.files += search.found.files
        found.left_out += search.found.left_out
        found.owner_digests |= search.found.owner_digests
        found.own_exports += search.found.own_exports
    _require_history(", ".join(given.label for given in paths), found)
    _require_one_kind(found)
    _require_one_own(", ".join(given.label for given in paths), found)
    size = sum(source.size for source in found.files)
    if size > MOST_BYTES_IN_ALL:
        raise _too_large(size)
    found.files.sort(key=lambda source: (source.name, source.label, source.position or 0))
    return found


def _require_history(label: str, found: Sources) -> None:
    if all(source.kind is Kind.OWNER for source in found.files):
        instead = "".join(f" {problem}." for problem in found.left_out[:5])
        raise ExportRefused(
            f"There is no streaming history in {label}.{instead} Nothing was imported: give the zip"
            " as Spotify sent it, the folder that it unpacks to, or its files"
            " Streaming_History_Audio_….json, endsong_….json or StreamingHistory….json."
        )


def _require_one_kind(found: Sources) -> None:
    if len({source.kind in OWN for source in found.files}) > 1:
        raise ExportRefused(
            "One of these is an export of SongSwap's and another one Spotify's. Nothing was"
            " imported: import them one after the other, in any order."
        )


def _require_one_own(label: str, found: Sources) -> None:
    """Refuse several hand-overs: in each one a stream may be another play."""
    if found.own_exports > 1:
        raise ExportRefused(
            f"There are {found.own_exports} exports of SongSwap's in {label}. Nothing was imported:"
            " import them one after the other, the oldest first; in an inbox, leave one of a user."
        )


@dataclass(slots=True)
class _Search:
    """A search for sources, and the sources found so far."""

    folder: Path
    found: Sources = field(default_factory=Sources)
    unpacked: int = 0
    inner: int = 0

    def add(self, given: LabelledPath) -> None:
        path, label = given
        if not path.exists():
            raise ExportRefused(f"{label} does not exist. Nothing was imported.")
        path = path.resolve()
        if path.is_dir():
            self._add_folder(path, label)
        elif is_zip(path):
            self._add_zip(path, label)
        else:
            self._add_file(path, label)

    def _add_folder(self, root: Path, label: str) -> None:
        found = {path.relative_to(root).as_posix(): path for path in files(root, label)}
        # A link may lead out of the folder.
        regular = {name for name, path in found.items() if path.is_file() and not path.is_symlink()}
        own = own_exports(label, regular, lambda name: head(root / name, manifest.MOST_BYTES))
        for export in own:
            self._add_own_folder(export, root, label)
        named = {name for export in own for name in export.named}
        for inside, path in found.items():
            if inside in named:
                continue
            if path.is_symlink():
                # The target of a link inside the folder is read in its own place.
                require_inside(root, path, label)
            elif is_of_computer(inside):
                continue
            elif is_zip(path):
                self._add_zip(path, f"{label}/{shown(inside)}")
            else:
                self._add_file(path, f"{label}/{shown(inside)}")

    def _add_own_folder(self, own: OwnExport, root: Path, label: str) -> None:
        self.found.own_exports += 1
        self.found.owner_digests.add(own.owner_digest)
        for path, kind, rows in own.files:
            file, within = root / path, f"{label}/{shown(path)}"
            self._add_source(Source(file, file.name, within, kind, file.stat().st_size, rows=rows))

    def _add_file(self, path: Path, label: str) -> None:
        # Pipes and devices are never read. A folder comes here only as a download of Safari's.
        is_file = path.is_file()
        kind = self._kind(path.name, label, lambda: head(path) if is_file else b"")
        if kind and is_file:
            self._add_source(Source(path, path.name, label, kind, path.stat().st_size))
        elif kind:
            self.found.left_out.append(f"{label} is no file")

    def _add_zip(self, path: Path, label: str, is_inner: bool = False) -> None:
        try:
            with Zip(path, label) as package:
                members = package.members()
                by_path = {member.path: member for member in members}
                own = own_exports(
                    label, by_path, lambda name: package.head(by_path[name], manifest.MOST_BYTES)
                )
                for export in own:
                    self._add_own_zip(export, by_path, path, label)
                named = {name for export in own for name in export.named}
                for member in members:
                    within = f"{shown(member.path)} in {label}"
                    if member.path in named or is_of_computer(member.path):
                        continue
                    if member.name.lower().endswith(".zip"):
                        self._add_inner_zip(package, member, within, is_inner)
                        continue
                    kind = self._kind(
                        member.name, within, partial(package.head, member, HEAD_BYTES)
                    )
                    if kind:
                        self._require_plausible(member, within)
                        self._add_source(
                            Source(path, member.name, within, kind, member.size, member.position)
                        )
        except Unreadable as error:
            if path.suffix.lower() == ".zip":
                raise _refused(label, error) from error
            # Browsers and sync programs give unfinished files other suffixes.
            self.found.left_out.append(f"{label} {error}")

    def _add_own_zip(
        self, own: OwnExport, by_path: Mapping[str, Member], zipped: Path, label: str
    ) -> None:
        self.found.own_exports += 1
        self.found.owner_digests.add(own.owner_digest)
        for path, kind, rows in own.files:
            member, within = by_path[path], f"{shown(path)} in {label}"
            self._require_plausible(member, within)
            self._add_source(
                Source(zipped, member.name, within, kind, member.size, member.position, rows)
            )

    def _add_inner_zip(self, package: Zip, member: Member, label: str, is_inner: bool) -> None:
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
        self._add_zip(path, label, is_inner=True)

    def _kind(self, name: str, label: str, read_head: Callable[[], bytes]) -> Kind | None:
        """Return what a file holds; None where it is left out, named if it may be a history."""
        if name.lower().endswith(UNFINISHED):
            self.found.left_out.append(f"{label} is a download that was not finished")
            return None
        if name.lower().endswith(PACKED):
            self.found.left_out.append(f"{label} is packed in a way that is not read: unpack it")
            return None
        if own_kind_of(name):
            raise ExportRefused(
                f"{label} is a part of an export of SongSwap's, and no manifest names it. Nothing"
                " was imported: give the zip as 'songswap export' has written it, or the folder"
                " that it unpacks to."
            )
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

    def _add_source(self, source: Source) -> None:
        if source.size <= MOST_EXPORT_BYTES:
            self.found.files.append(source)
            return
        problem = (
            f"{source.label} has {source.size / 2**20:,.0f} MB, and no file of an export has more"
            f" than {MOST_EXPORT_BYTES / 2**20:,.0f}"
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
