"""List and get the objects of an inbox of exports in S3."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import BaseError

from songswap import settings
from songswap.errors import ArchiveUnreadable, ExportRefused, SettingsError
from songswap.storage.export_files import MOST_BYTES_IN_ALL
from songswap.storage.export_folder import is_of_computer, shown
from songswap.storage.export_zip import MOST_MEMBERS
from songswap.storage.s3 import describe, open_store, translate_errors
from songswap.transform.exports.kinds import is_no_data

SCHEME = "s3://"

_DATA = (".json", ".zip", ".txt")


class S3Inbox:
    """A prefix of a bucket, ``s3://BUCKET/PREFIX``.

    Args:
        library: the key that may list and get there; None where there is none.

    Raises:
        SettingsError: there is no key, or no bucket is named.
    """

    def __init__(self, source: str, library: settings.Archive | None) -> None:
        if library is None:
            raise SettingsError(
                "AIRFLOW_CONN_SONGSWAP_S3_READONLY (connection SongSwap_S3_ReadOnly) is not set,"
                " and exports in S3 are read with it. .env.example explains what it holds."
            )
        bucket, _, prefix = source.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise SettingsError(f"{source} names no bucket: give s3://BUCKET/PREFIX.")
        self._source = source.rstrip("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._store = open_store(replace(library, bucket=bucket))

    def keys(self) -> dict[str, int]:
        """Return the bytes of each object, by its key below the prefix.

        The client lists nothing where it cannot parse one key (``user12//a.json``, or a Mac's
        ``Icon`` with a line break): a folder with such a key is listed as ``user12/``, and cannot
        be fetched.

        Raises:
            ArchiveUnreadable: S3 does not list.
            SettingsError: the client cannot parse the prefix.
        """
        try:
            return dict(self._listed(self._prefix))
        except ValueError as error:
            raise SettingsError(
                f"{self._source} cannot be listed: a part of the prefix is empty or a dot alone, or"
                " it has a control character. Nothing was imported: move the exports below another"
                " prefix."
            ) from error
        except BaseError:
            # Where S3 is down, the next request fails too.
            pass
        with self._translate_errors():
            top = obstore.list_with_delimiter(self._store, self._prefix)
        found = {self._below(item["path"]): item["size"] for item in top["objects"]}
        for path in top["common_prefixes"]:
            try:
                found |= self._listed(f"{path}/")
            except BaseError:
                self._require_s3()
                found[f"{self._below(path)}/"] = 0
        return found

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        for objects in obstore.list(self._store, prefix):
            for item in objects:
                if item["path"].startswith(self._prefix):
                    yield self._below(item["path"]), item["size"]

    def _below(self, path: str) -> str:
        return path.removeprefix(self._prefix)

    def fetch(self, names: tuple[str, ...], folder: Path) -> None:
        """Get objects into a folder, under their keys, but those that cannot be data.

        Raises:
            ExportRefused: one of them cannot be read, or they are too large for an export.
            ArchiveUnreadable: S3 is down.
        """
        if len(names) > MOST_MEMBERS:
            raise ExportRefused(
                f"There are {len(names):,} objects in the folder of this user, and no export of"
                f" Spotify has more than {MOST_MEMBERS:,}. It was not imported."
            )
        size = 0
        for number, name in enumerate(names):
            if name.endswith("/"):
                raise self._refusal(
                    name,
                    "cannot be listed: one of its keys has an empty part, a dot"
                    " alone or a control character. Rename or delete that object",
                )
            if "/" in name:
                (folder / name.partition("/")[0]).mkdir(exist_ok=True)
            if not (is_of_computer(name) or is_no_data(name)):
                size += self._get(name, _place(folder, name, number), MOST_BYTES_IN_ALL - size)

    def _get(self, name: str, path: Path, most_bytes: int) -> int:
        """Write an object to the disk; returns its bytes."""
        try:
            found = obstore.get(self._store, f"{self._prefix}{name}")
            if found.meta["size"] > most_bytes:
                raise ExportRefused(
                    f"The export has more than {MOST_BYTES_IN_ALL / 2**30:.0f} GB. It was not"
                    " imported."
                )
            self._write(found, path)
        except FileNotFoundError as error:
            raise self._refusal(name, "was deleted meanwhile") from error
        except BaseError as error:
            self._require_s3()
            raise self._refusal(name, f"cannot be read: {describe(error)}") from None
        return found.meta["size"]

    def _write(self, found: "obstore.GetResult", path: Path) -> None:
        try:
            with path.open("wb") as file:
                for part in found.stream():
                    file.write(part)
        except BaseError:
            raise
        except OSError as error:
            raise ExportRefused(
                f"The disk takes no more of the export ({error.strerror}). It was not imported: set"
                " TMPDIR to a folder on a disk with room for the largest export."
            ) from error

    def _refusal(self, name: str, problem: str) -> ExportRefused:
        return ExportRefused(
            f"{self._source}/{shown(name)} {problem}. Nothing of this user was imported: start the"
            " import again when it is there."
        )

    def _require_s3(self) -> None:
        """Raise if S3 does not even list; else the failure is that of one object."""
        with self._translate_errors():
            obstore.list_with_delimiter(self._store, self._prefix)

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(
            ArchiveUnreadable,
            f"S3 (connection SongSwap_S3_ReadOnly) did not list or give {self._source}",
            " What was imported until then stays; start again when it is repaired.",
        )


def is_folder(key: str, size: int) -> bool:
    """Return whether an object is a folder, as consoles make them.

    Its key is ``user12/``, which the client shortens to ``user12``: it cannot be fetched.
    """
    return size == 0 and not key.lower().endswith((*_DATA, "/"))


def _place(folder: Path, name: str, number: int) -> Path:
    """Make the path of an object: its key where a disk can have that, else its number."""
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    try:
        if ".." in parts or "\0" in name or path.exists():
            raise FileExistsError
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        # Too long, or a folder and a file have one name.
        path = folder / parts[0] / str(number) / parts[-1][-60:]
        path.parent.mkdir(parents=True)
    return path
