"""Where exports of many users wait: a folder, or a prefix in S3, that says whose each one is.

exports/user12/my_spotify_data.zip      a folder of a user: zips, folders, files
exports/user13.zip                      a zip of a user; user13_2024.zip as well
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import obstore
from obstore.exceptions import BaseError

from songswap import settings
from songswap.errors import ArchiveUnreadable, ExportRefused, SettingsError
from songswap.raw.archive import open_store, said
from songswap.raw.export import MOST_BYTES_IN_ALL

_S3 = "s3://"
_USER = re.compile(r"user(\d{1,9})(?:[_.-].*)?")


class Package(NamedTuple):
    """An export of a user, or parts of one: a small reference, for whoever imports it.

    ``source`` is the folder or the prefix; ``names`` are paths below it.
    """

    user_id: int
    source: str
    names: tuple[str, ...]


def packages(source: str, library: settings.Archive | None) -> list[Package]:
    """The exports that wait in a folder or below ``s3://BUCKET/PREFIX``, by user.

    Args:
        library: the key that may read the bucket; None where there is none.

    Raises:
        ExportRefused: there is none.
        SettingsError: there is no key that may read.
        ArchiveUnreadable: S3 does not list.
    """
    named = _in_s3(source, library) if source.startswith(_S3) else _in_folder(source)
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name in named:
        if whose := _USER.fullmatch(name.partition("/")[0]):
            found[int(whose[1])].append(name)
    if not found:
        raise ExportRefused(
            f"No export waits in {source}. Nothing was imported: what is a user's has to be in a"
            " folder user12, or a zip user12.zip, by the user's id in the warehouse."
        )
    return [Package(user, source, tuple(sorted(found[user]))) for user in sorted(found)]


@contextmanager
def opened(package: Package, library: settings.Archive | None) -> Iterator[list[Path]]:
    """The package on this machine, for as long as it is needed.

    Raises:
        ExportRefused: it is too large for an export.
        SettingsError, ArchiveUnreadable: as `packages`.
    """
    if not package.source.startswith(_S3):
        yield [Path(package.source, name) for name in package.names]
        return
    store, prefix = _open(package.source, library)
    with tempfile.TemporaryDirectory(prefix="songswap-import-") as folder:
        paths, size = [], 0
        for number, name in enumerate(package.names):
            with _naming_trouble(package.source):
                found = obstore.get(store, f"{prefix}{name}")
                size += found.meta["size"]
                if size > MOST_BYTES_IN_ALL:
                    raise ExportRefused(
                        f"The export of user {package.user_id} has more than"
                        f" {MOST_BYTES_IN_ALL / 2**30:.0f} GB. It was not imported."
                    )
                # Two folders of one package may have files of the same name.
                path = Path(folder, str(number), PurePosixPath(name).name)
                path.parent.mkdir()
                with path.open("wb") as file:
                    for part in found.stream():
                        file.write(part)
            paths.append(path)
        yield paths


def _in_folder(source: str) -> Iterator[str]:
    folder = Path(source)
    if not folder.is_dir():
        raise ExportRefused(
            f"{source} is not a folder. Nothing was imported: name whose the files are with --user,"
            " or give the folder in which exports of many users wait."
        )
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.suffix.lower() == ".zip":
            yield path.name


def _in_s3(source: str, library: settings.Archive | None) -> Iterator[str]:
    store, prefix = _open(source, library)
    with _naming_trouble(source):
        for objects in obstore.list(store, prefix):
            for one in objects:
                yield one["path"].removeprefix(prefix)


def _open(source: str, library: settings.Archive | None) -> tuple[obstore.store.S3Store, str]:
    if library is None:
        raise SettingsError(
            "AIRFLOW_CONN_SONGSWAP_S3_READONLY (connection SongSwap_S3_ReadOnly) is not set, and"
            " exports in S3 are read with it. .env.example explains what it holds."
        )
    bucket, _, prefix = source.removeprefix(_S3).partition("/")
    if not bucket:
        raise SettingsError(f"{source} names no bucket: give s3://BUCKET/PREFIX.")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return open_store(replace(library, bucket=bucket)), prefix


@contextmanager
def _naming_trouble(source: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise ArchiveUnreadable(
            f"S3 (connection SongSwap_S3_ReadOnly) did not list or give {source}:"
            f" {said(error)} What was imported until then stays; start again when it is"
            " mended."
        ) from error
