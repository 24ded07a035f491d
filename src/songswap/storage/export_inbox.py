"""List and fetch the exports of many users, in a folder or below a prefix in S3.

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
from songswap.storage.export_files import PACKED, LabelledPath
from songswap.storage.export_folder import UNFINISHED, is_of_computer, require_inside, shown
from songswap.storage.export_inbox_s3 import SCHEME, S3Inbox, is_folder
from songswap.transform.exports.kinds import is_similar
from songswap.transform.values import INTEGER_MAX

_USER = re.compile(r"user(\d{1,10})(?:[ _.()-].*)?", re.IGNORECASE)


class Package(NamedTuple):
    """A reference to an export of a user, or to parts of one.

    ``source`` is the inbox; ``names`` are folders and zips in it, or keys below it in S3.
    """

    user_id: int
    source: str
    names: tuple[str, ...]


class Waiting(NamedTuple):
    """The exports in an inbox by user, and why others that may be an export were skipped."""

    packages: list[Package]
    skipped: list[str]


class _Entry(NamedTuple):
    """A file or folder directly in the inbox, and its names in a package."""

    name: str
    is_folder: bool
    names: tuple[str, ...]


def find_exports(source: str, library: settings.Archive | None) -> Waiting:
    """List the exports in a folder or below ``s3://BUCKET/PREFIX``.

    Args:
        library: the key that may read the bucket; None where there is none.

    Raises:
        ExportRefused: it has none.
        SettingsError: there is no key that may read.
        ArchiveUnreadable: S3 does not list.
    """
    entries = _in_s3(source, library) if source.startswith(SCHEME) else _in_folder(source)
    found: defaultdict[int, list[str]] = defaultdict(list)
    skipped = []
    for entry in entries:
        if is_of_computer(entry.name):
            continue
        user_id = _user_id(entry.name)
        if problem := _problem(entry, has_user=user_id is not None):
            skipped.append(f"{shown(entry.name)} {problem}")
        elif user_id is not None and _is_export(entry):
            found[user_id] += entry.names
    if not found:
        instead = "".join(f" {problem}." for problem in skipped[:5])
        raise ExportRefused(
            f"No export waits in {source}.{instead} Nothing was imported: put the export of a user"
            " into a folder user12, or a zip user12.zip, by the user's id in the warehouse. If it"
            f" is the export of one user, name the user with --user ID: {FIND_ID}"
        )
    waiting = [Package(user, source, tuple(sorted(found[user]))) for user in sorted(found)]
    return Waiting(waiting, sorted(skipped))


def packages(source: str, library: settings.Archive | None) -> list[Package]:
    """Return the exports in an inbox, by user; see `find_exports`."""
    return find_exports(source, library).packages


def package_of(user_id: int, source: str, library: settings.Archive | None) -> Package:
    """Return the export of one user in an inbox; in S3, ``source`` may be the export itself.

    Raises:
        ExportRefused: there is none of this user.
        SettingsError, ArchiveUnreadable: as `find_exports`.
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
    """Return whether a path is an inbox with exports of users, rather than an export."""
    if source.startswith(SCHEME):
        return True
    with suppress(ExportRefused):  # reading it as an export says what is wrong
        return _has_users(source, None)
    return False


def _has_users(source: str, library: settings.Archive | None) -> bool:
    entries = _in_s3(source, library) if source.startswith(SCHEME) else _in_folder(source)
    return any(_is_export(entry) and _user_id(entry.name) is not None for entry in entries)


def _user_id(name: str) -> int | None:
    """Return whose an entry is by its name; None where that is no id of a user."""
    named = _USER.fullmatch(name)
    user_id = int(named[1]) if named else None
    return user_id if user_id is not None and user_id <= INTEGER_MAX else None


def fetch_package(
    package: Package, library: settings.Archive | None, folder: Path
) -> list[LabelledPath]:
    """Return the paths of a package on this machine.

    Args:
        folder: takes the objects of an inbox in S3.

    Raises:
        ExportRefused: a part cannot be read, is too large, or leads out of the inbox.
        SettingsError, ArchiveUnreadable: as `find_exports`.
    """
    source = package.source.rstrip("/")
    inbox = Path(package.source)
    if source.startswith(SCHEME):
        inbox = folder
        S3Inbox(source, library).fetch(package.names, folder)
    entries = sorted({name.partition("/")[0] for name in package.names})
    for entry in entries:
        if (inbox / entry).is_symlink():
            require_inside(inbox, inbox / entry, source)
    return [LabelledPath(inbox / entry, f"{source}/{shown(entry)}") for entry in entries]


def _is_export(entry: _Entry) -> bool:
    return entry.is_folder or entry.name.lower().endswith(".zip")


def _problem(entry: _Entry, has_user: bool) -> str | None:
    """Return why an entry that may be an export cannot be imported for any user."""
    name = entry.name.lower()
    if name.endswith(UNFINISHED):
        return "is a download that was not finished"
    if entry.is_folder and not entry.names:
        return "is empty"
    if _is_export(entry):
        return None if has_user else "names no user"
    if name.endswith((*PACKED, ".json")) or is_similar(name):
        return "is neither a zip nor in a user's folder"
    return None


def _in_folder(source: str) -> Iterator[_Entry]:
    folder = Path(source)
    if not folder.is_dir():
        raise ExportRefused(
            f"{source} is not a folder with exports of many users. Nothing was imported. Whose is"
            f" it? Name the user with --user ID: {FIND_ID}"
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
