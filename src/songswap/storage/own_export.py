"""Find the files of our own export, which ``songswap export`` has written, by its manifest."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from songswap.errors import ExportRefused
from songswap.storage.export_folder import head
from songswap.storage.export_zip import Member, Zip
from songswap.transform.exports.kinds import Kind, own_kind_of
from songswap.transform.handover import manifest
from songswap.transform.handover.manifest import Manifest


class OwnFile(NamedTuple):
    """A file that an import reads: its path in the zip or folder, what it holds, and its rows."""

    path: str
    kind: Kind
    rows: int


class OwnExport(NamedTuple):
    """The files of an export, and the digest of its owner."""

    owner_digest: str
    files: list[OwnFile]


def own_in_zip(package: Zip, members: Sequence[Member], label: str) -> OwnExport | None:
    """Return our own export in a zip, or in the one folder of a zip; None where it is none.

    Args:
        members: of the zip.
        label: its name in messages.

    Raises:
        ExportRefused: it is of a later version, or lacks a file.
        Unreadable: a manifest cannot be read.
    """
    paths = {member.path for member in members}
    for member in sorted(members, key=_depth):
        folder = member.path.removesuffix(manifest.NAME)
        is_manifest = member.name == manifest.NAME and folder.count("/") <= 1
        if is_manifest and member.size <= manifest.MOST_BYTES:
            found = manifest.parse(package.body(member.position, member.size))
            if found:
                return _files(label, folder, found, paths)
    return None


def _depth(member: Member) -> tuple[int, str]:
    return member.path.count("/"), member.path


def own_in_folder(root: Path, label: str) -> OwnExport | None:
    """Return our own export in a folder; None where it is none. Raises as `own_in_zip`."""
    path = root / manifest.NAME
    if path.is_symlink() or not path.is_file() or path.stat().st_size > manifest.MOST_BYTES:
        return None
    found = manifest.parse(head(path, manifest.MOST_BYTES))
    # A link may lead out of the folder.
    inside = {file.name for file in root.iterdir() if file.is_file() and not file.is_symlink()}
    return _files(label, "", found, inside) if found else None


def _files(label: str, folder: str, found: Manifest, paths: Collection[str]) -> OwnExport:
    if found.version > manifest.VERSION:
        raise ExportRefused(
            f"{label} was exported by a later version of SongSwap (format {found.version}, known is"
            f" {manifest.VERSION}). Nothing was imported: import it with that version."
        )
    files = [
        OwnFile(f"{folder}{name}", kind, rows)
        for name, rows in found.rows.items()
        if (kind := own_kind_of(name))
    ]
    for file in files:
        if file.path not in paths:
            raise ExportRefused(
                f"{label} lacks {file.path}, which its manifest names. Nothing was imported: export"
                " the data again."
            )
    return OwnExport(found.owner, files)
