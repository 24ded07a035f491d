"""Find the files of our own export, which ``songswap export`` has written, by its manifest."""

from collections.abc import Callable, Collection
from pathlib import PurePosixPath
from typing import NamedTuple

from songswap.errors import ExportRefused
from songswap.storage.export_folder import is_of_computer, shown
from songswap.storage.unreadable import Unreadable
from songswap.transform.exports.kinds import Kind, own_kind_of
from songswap.transform.handover import manifest
from songswap.transform.handover.manifest import Manifest

_MOST_MANIFESTS = 100
"""Other programs write files of this name too."""


class OwnFile(NamedTuple):
    """A file that an import reads: its path in the zip or folder, what it holds, and its rows."""

    path: str
    kind: Kind
    rows: int


class OwnExport(NamedTuple):
    """The files of an export, the paths of all that its manifest names, and its owner's digest."""

    owner_digest: str
    files: list[OwnFile]
    named: frozenset[str]


def own_exports(
    label: str, paths: Collection[str], read: Callable[[str], bytes]
) -> list[OwnExport]:
    """Return our own exports in a zip or folder, at whatever depth.

    Args:
        label: the name of the zip or folder in messages.
        paths: of the files in it.
        read: returns the first `manifest.MOST_BYTES` of one of them, or raises `Unreadable`.

    Raises:
        ExportRefused: one is of a later version, its manifest is damaged, or it lacks a file.
    """
    places = [path for path in paths if PurePosixPath(path).name == manifest.NAME]
    exports = []
    for path in sorted(places, key=_depth)[:_MOST_MANIFESTS]:
        if is_of_computer(path):
            continue
        try:
            found = manifest.parse(f"{shown(path)} in {label}", read(path))
        except Unreadable:  # another program's; files of ours without a manifest are refused
            continue
        if found:
            exports.append(_files(label, path.removesuffix(manifest.NAME), found, paths))
    return exports


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


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
    return OwnExport(found.owner, files, frozenset(f"{folder}{name}" for name in found.rows))
