"""Exports that wait below a prefix in S3: which objects there are, and getting them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import BaseError

from songswap import settings
from songswap.errors import ArchiveUnreadable, ExportRefused, SettingsError
from songswap.storage.export_files import MOST_BYTES_IN_ALL
from songswap.storage.export_folder import is_of_computer, shown
from songswap.storage.export_zip import MOST_MEMBERS
from songswap.storage.s3 import describe, open_store
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
        """The bytes of each object, by its key below the prefix.

        The client lists nothing where one key is none of its kind (``user12//a.json``, or a Mac's
        ``Icon`` with a line break): a folder in which there is such a one stands for itself,
        ``user12/``, and cannot be fetched.

        Raises:
            ArchiveUnreadable: S3 does not list.
            SettingsError: the prefix is none that the client can ask for.
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
            # S3 may be away as well: then this does not get far either.
            pass
        with self._translate_errors():
            top = obstore.list_with_delimiter(self._store, self._prefix)
        found = {self._below(one["path"]): one["size"] for one in top["objects"]}
        for path in top["common_prefixes"]:
            try:
                found |= self._listed(f"{path}/")
            except BaseError:
                self._require_there()
                found[f"{self._below(path)}/"] = 0
        return found

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        for objects in obstore.list(self._store, prefix):
            for one in objects:
                if one["path"].startswith(self._prefix):
                    yield self._below(one["path"]), one["size"]

    def _below(self, path: str) -> str:
        return path.removeprefix(self._prefix)

    def fetch(self, names: tuple[str, ...], folder: Path) -> None:
        """Get what may be of use into a folder, as it lies below the prefix.

        Raises:
            ExportRefused: one of them cannot be got, or they are too large for an export.
            ArchiveUnreadable: S3 is away.
        """
        if len(names) > MOST_MEMBERS:
            raise ExportRefused(
                f"There are {len(names):,} objects in the folder of this user, and no export of"
                f" Spotify has more than {MOST_MEMBERS:,}. It was not imported."
            )
        size = 0
        for number, name in enumerate(names):
            if name.endswith("/"):
                raise self._lost(
                    name,
                    "cannot be listed: one of its keys has an empty part, a dot"
                    " alone or a control character. Rename or delete that object",
                )
            if "/" in name:
                (folder / name.partition("/")[0]).mkdir(exist_ok=True)
            if is_of_computer(name) or is_no_data(name):
                continue
            try:
                found = obstore.get(self._store, f"{self._prefix}{name}")
                size += found.meta["size"]
                if size > MOST_BYTES_IN_ALL:
                    raise ExportRefused(
                        f"The export has more than {MOST_BYTES_IN_ALL / 2**30:.0f} GB. It was not"
                        " imported."
                    )
                self._write(found, _place(folder, name, number))
            except FileNotFoundError as error:
                raise self._lost(name, "was deleted meanwhile") from error
            except BaseError as error:
                self._require_there()
                raise self._lost(name, f"cannot be got: {describe(error)}") from None

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

    def _lost(self, name: str, problem: str) -> ExportRefused:
        return ExportRefused(
            f"{self._source}/{shown(name)} {problem}. Nothing of this user was imported: start the"
            " import again when it is there."
        )

    def _require_there(self) -> None:
        """What cannot be got while S3 lists is the trouble of that object."""
        with self._translate_errors():
            obstore.list_with_delimiter(self._store, self._prefix)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise ArchiveUnreadable(
                f"S3 (connection SongSwap_S3_ReadOnly) did not list or give {self._source}:"
                f" {describe(error)} What was imported until then stays; start again when it is"
                " mended."
            ) from None  # whose text quotes S3's own, and that can quote a key


def is_folder(key: str, size: int) -> bool:
    """Whether an object stands for a folder, as consoles make them.

    Its key is ``user12/``, of which the client gives ``user12``: it cannot be got.
    """
    return size == 0 and not key.lower().endswith((*_DATA, "/"))


def _place(folder: Path, name: str, number: int) -> Path:
    """Where an object goes: as its key says where a disk can have that, else by its number."""
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
