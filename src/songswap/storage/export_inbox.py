"""Where exports of many users wait: a folder, or a prefix in S3, that says whose each one is.

exports/user12/my_spotify_data.zip      a folder of a user: zips, folders, files
exports/user13.zip                      a zip of a user; user13_2024.zip as well
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from songswap import settings
from songswap.errors import FIND_ID, ExportRefused
from songswap.storage.export_files import PACKED, Given
from songswap.storage.export_folder import UNFINISHED, is_of_computer, require_inside, shown
from songswap.storage.export_inbox_s3 import SCHEME, S3Inbox, is_folder
from songswap.transform.exports.kinds import is_similar

_USER = re.compile(r"user(\d{1,9})(?:[ _.()-].*)?", re.IGNORECASE)


class Package(NamedTuple):
    """An export of a user, or parts of one: a small reference, for whoever imports it.

    ``source`` is the folder or the prefix; ``names`` are folders and zips in it.
    """

    user_id: int
    source: str
    names: tuple[str, ...]


class Waiting(NamedTuple):
    """What waits: the exports by user, and what else is there that may be an export."""

    packages: list[Package]
    skipped: list[str]


class _Entry(NamedTuple):
    """What lies directly in the inbox, and the names of it that a package has."""

    name: str
    is_folder: bool
    names: tuple[str, ...]


def look(source: str, library: settings.Archive | None) -> Waiting:
    """What waits in a folder or below ``s3://BUCKET/PREFIX``.

    Args:
        library: the key that may read the bucket; None where there is none.

    Raises:
        ExportRefused: no export waits there.
        SettingsError: there is no key that may read.
        ArchiveUnreadable: S3 does not list.
    """
    entries = _in_s3(source, library) if source.startswith(SCHEME) else _in_folder(source)
    found: defaultdict[int, list[str]] = defaultdict(list)
    skipped = []
    for entry in entries:
        if is_of_computer(entry.name):
            continue
        whose = _USER.fullmatch(entry.name)
        if problem := _problem(entry, is_users=bool(whose)):
            skipped.append(f"{shown(entry.name)} {problem}")
        elif whose and _is_export(entry):
            found[int(whose[1])] += entry.names
    if not found:
        instead = "".join(f" {what}." for what in skipped[:5])
        raise ExportRefused(
            f"No export waits in {source}.{instead} Nothing was imported: what is a user's has to"
            " be in a folder user12, or a zip user12.zip, by the user's id in the warehouse. If it"
            f" is the export of one user, say whose, with --user ID: {FIND_ID}"
        )
    waiting = [Package(user, source, tuple(sorted(found[user]))) for user in sorted(found)]
    return Waiting(waiting, sorted(skipped))


def packages(source: str, library: settings.Archive | None) -> list[Package]:
    """The exports that wait, by user; see `look`."""
    return look(source, library).packages


def package_of(user_id: int, source: str, library: settings.Archive | None) -> Package:
    """The export of one user among those that wait; in S3 also what itself is the export.

    Raises:
        ExportRefused: none of this user's does.
        SettingsError, ArchiveUnreadable: as `look`.
    """
    for package in packages(source, library) if _has_users(source, library) else ():
        if package.user_id == user_id:
            return package
    parent, _, name = source.rstrip("/").rpartition("/")
    if parent.startswith(SCHEME) and not _has_users(source, library):
        for entry in _in_s3(parent, library):
            if entry.name == name and entry.names:
                return Package(user_id, parent, entry.names)
    raise ExportRefused(
        f"No export of user {user_id} waits in {source}. Nothing was imported: put it into the"
        f" folder user{user_id} there, or give the zip itself."
    )


def is_inbox(source: str) -> bool:
    """Whether exports of users wait in what was given, rather than that it is one."""
    if source.startswith(SCHEME):
        return True
    with suppress(ExportRefused):  # who reads it says what is wrong with it
        return _has_users(source, None)
    return False


def _has_users(source: str, library: settings.Archive | None) -> bool:
    entries = _in_s3(source, library) if source.startswith(SCHEME) else _in_folder(source)
    return any(_is_export(entry) and _USER.fullmatch(entry.name) for entry in entries)


def fetched(package: Package, library: settings.Archive | None, folder: Path) -> list[Given]:
    """The package on this machine.

    Args:
        folder: takes what is in S3.

    Raises:
        ExportRefused: something of it cannot be got, is too large, or leads out of the inbox.
        SettingsError, ArchiveUnreadable: as `look`.
    """
    source = package.source.rstrip("/")
    here = Path(package.source)
    if source.startswith(SCHEME):
        here = folder
        S3Inbox(source, library).fetch(package.names, folder)
    entries = sorted({name.partition("/")[0] for name in package.names})
    for entry in entries:
        if (here / entry).is_symlink():
            require_inside(here, here / entry, source)
    return [Given(here / entry, f"{source}/{shown(entry)}") for entry in entries]


def _is_export(entry: _Entry) -> bool:
    return entry.is_folder or entry.name.lower().endswith(".zip")


def _problem(entry: _Entry, is_users: bool) -> str | None:
    """Why something that may be an export is nobody's."""
    name = entry.name.lower()
    if name.endswith(UNFINISHED):
        return "is a download that was not finished"
    if entry.is_folder and not entry.names:
        return "is empty"
    if _is_export(entry):
        return None if is_users else "names no user"
    if name.endswith((*PACKED, ".json")) or is_similar(name):
        return "is neither a zip nor in a user's folder"
    return None


def _in_folder(source: str) -> Iterator[_Entry]:
    folder = Path(source)
    if not folder.is_dir():
        raise ExportRefused(
            f"{source} is not a folder with exports of many users. Nothing was imported. Whose is"
            f" it? Say --user ID: {FIND_ID}"
        )
    try:
        for path in sorted(folder.iterdir()):
            is_folder = path.is_dir()
            is_empty = is_folder and not any(path.iterdir())
            yield _Entry(path.name, is_folder, () if is_empty else (path.name,))
    except OSError as error:
        raise ExportRefused(
            f"{source} cannot be read ({error.strerror}). Nothing was imported."
        ) from error


def _in_s3(source: str, library: settings.Archive | None) -> Iterator[_Entry]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    folders = set()
    for key, size in sorted(S3Inbox(source, library).keys().items()):
        entry, below, _ = key.partition("/")
        if below or is_folder(key, size):
            folders.add(entry)
        if not is_folder(key, size):
            names[entry].append(key)
    for entry in sorted(names.keys() | folders):
        yield _Entry(entry, entry in folders, tuple(names[entry]))
