"""Erase a user's objects from the archive: responses and exports, all versions, delete markers.

It needs a key that may list and delete below the users' folders; see docs/deployment.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from songswap import settings
from songswap.errors import ArchiveNotErased, ArchiveUnreadable
from songswap.storage import keys, s3_boto

CONNECTION = "SongSwap_S3_Erase"

_BATCH_SIZE = 1000
"""S3 deletes no more in one request."""

_ROUNDS = 3
"""How often all is listed and deleted until a listing is empty: a put may have been under way, and
S3 refuses single objects for a moment (SlowDown, InternalError)."""

_DENIED = (
    'so its key lacks a right (docs/deployment.md, "The keys of the archive"), or Object Lock, a'
    " legal hold or MFA delete protects them"
)
_GONE = ("NoSuchKey", "NoSuchVersion")
_NOT_IN_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Removed(NamedTuple):
    """What was removed, or would be.

    Args:
        objects: distinct keys.
        versions: versions and delete markers beyond one a key.
        bytes: of all of them.
        unlisted: objects whose other versions, if there are any, the server cannot list.
    """

    objects: int
    versions: int
    bytes: int
    unlisted: int = 0


class _Found(NamedTuple):
    """An object, a version or a delete marker; without a version where the server lists none."""

    key: str
    version: str | None
    size: int


class _Wanted(NamedTuple):
    """What is to be removed: how errors name it, and the prefixes of its keys."""

    name: str
    prefixes: tuple[str, ...]


class ArchiveEraser:
    """The bucket that ``where`` names, with the key that may list and delete."""

    def __init__(self, where: settings.Archive) -> None:
        self._where = where

    def users(self) -> list[int]:
        """Return the ids, sorted, of all users of whom there is anything now.

        Raises:
            ArchiveUnreadable: S3 does not list it.
        """
        found: set[int | None] = set()
        try:
            with s3_boto.open_client(self._where) as client:
                for below in (keys.PREFIX, keys.EXPORTS):
                    # The key may list from there on, and not the folders above.
                    where = {"Bucket": self._where.bucket, "Prefix": f"{below}user"}
                    pages = client.get_paginator("list_objects_v2").paginate(**where, Delimiter="/")
                    for page in pages:
                        folders = (each["Prefix"] for each in page.get("CommonPrefixes", ()))
                        found.update(map(keys.user_of, folders))
        except s3_boto.ERRORS as error:
            raise ArchiveUnreadable(
                f"S3 (connection {CONNECTION}, bucket {self._where.bucket}) did not list the users:"
                f" {s3_boto.describe(error)}. Nothing was changed."
            ) from None
        return sorted(user for user in found if user is not None)

    def count(self, user_id: int) -> Removed:
        """Count what `erase` would remove.

        Raises:
            ArchiveNotErased: S3 does not list it.
        """
        with self._translate_errors(_of(user_id), []), s3_boto.open_client(self._where) as client:
            return _sum(self._find(client, _of(user_id)))

    def erase(self, user_id: int, on_progress: Callable[[int], None] = lambda _: None) -> Removed:
        """Remove all of a user, until a listing finds nothing; what is gone already is no error.

        Args:
            on_progress: gets the number of objects and versions that were removed until then.

        Raises:
            ArchiveNotErased: something is left, or S3 cannot be reached; has what was removed.
        """
        return self._erase(_of(user_id), on_progress)

    def erase_object(self, key: str) -> Removed:
        """Remove an object with all its versions, and what has a longer key that begins alike.

        Raises:
            ArchiveNotErased: as `erase`.
        """
        return self._erase(_Wanted(f"the object {key}", (key,)), lambda _: None)

    def _erase(self, wanted: _Wanted, on_progress: Callable[[int], None]) -> Removed:
        reported: list[_Found] = []
        problems: Counter[str] = Counter()
        seen: dict[_Found, None] = {}
        with self._translate_errors(wanted, reported), s3_boto.open_client(self._where) as client:
            found = self._find(client, wanted)
            for _ in range(_ROUNDS):
                if not found:
                    break
                seen |= dict.fromkeys(found)
                problems.clear()
                for batch in _batches(found):
                    deleted, refused = self._delete(client, batch)
                    reported += deleted
                    problems += refused
                    on_progress(len(reported))
                found = self._find(client, wanted)
        # By the listings, not by what the server reported.
        removed = seen.keys() - found
        if found:
            raise self._failure(wanted, _left(found, problems), removed)
        return _sum(removed)

    def _find(self, client: Any, wanted: _Wanted) -> list[_Found]:
        """List all of it: each key's oldest version first, and delete markers last.

        In that order, nothing that a newer version or a marker hides appears meanwhile.
        """
        versions: list[_Found] = []
        markers: list[_Found] = []
        for prefix in wanted.prefixes:
            where = {"Bucket": self._where.bucket, "Prefix": prefix}
            # The current ones first: whatever is put between the listings is in the second.
            pages = client.get_paginator("list_objects_v2").paginate(**where)
            current = [_found(item) for page in pages for item in page.get("Contents", ())]
            for page in _version_pages(client, where):
                versions += map(_found, page.get("Versions", ()))
                markers += map(_found, page.get("DeleteMarkers", ()))
            listed = {item.key for item in (*versions, *markers)}
            versions += (item for item in current if item.key not in listed)
        found = [*reversed(versions), *markers]
        if not all(item.key.startswith(wanted.prefixes) for item in found):
            raise self._failure(wanted, "it listed objects that it was not asked for")
        return found

    def _delete(self, client: Any, batch: Sequence[_Found]) -> tuple[list[_Found], Counter[str]]:
        """Delete up to 1,000; returns those that S3 deleted, and how often it refused why."""
        if _NOT_IN_XML.search(batch[0].key):
            return self._delete_one(client, batch[0])
        objects = [_named(item) for item in batch]
        response = client.delete_objects(
            Bucket=self._where.bucket, Delete={"Objects": objects, "Quiet": True}
        )
        # A response with status 200 can have refusals of all objects in it.
        errors = response.get("Errors", ())
        refused = {(error.get("Key"), error.get("VersionId")) for error in errors}
        codes = (s3_boto.known_code(str(error.get("Code"))) for error in errors)
        deleted = [
            item for item in batch if not {(item.key, item.version), (item.key, None)} & refused
        ]
        return deleted, Counter(code for code in codes if code not in _GONE)

    def _delete_one(self, client: Any, item: _Found) -> tuple[list[_Found], Counter[str]]:
        """Delete an object whose key no document can carry: here it is in the address."""
        try:
            client.delete_object(Bucket=self._where.bucket, **_named(item))
        except s3_boto.REFUSED as error:
            return [], Counter([s3_boto.code(error)])
        return [item], Counter()

    @contextmanager
    def _translate_errors(self, wanted: _Wanted, reported: Collection[_Found]) -> Iterator[None]:
        try:
            yield
        except s3_boto.ERRORS as error:
            raise self._failure(wanted, s3_boto.describe(error), reported) from None

    def _failure(
        self, wanted: _Wanted, problem: str, removed: Iterable[_Found] = ()
    ) -> ArchiveNotErased:
        gone = _sum(removed)
        return ArchiveNotErased(
            f"S3 (connection {CONNECTION}, bucket {self._where.bucket}) may have {wanted.name}"
            f" left: {problem}. {gone.objects + gone.versions:,} objects and versions were removed"
            " now. Start the erasure again when it is repaired: it removes the rest.",
            gone,
        )


def _of(user_id: int) -> _Wanted:
    folders = tuple(keys.folder(user_id, below) for below in (keys.PREFIX, keys.EXPORTS))
    return _Wanted(f"objects of user {user_id}", folders)


def _version_pages(client: Any, where: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield pages of versions and delete markers; none, where the server lacks such a listing.

    Some servers respond with the listing of current objects instead: it has no versions in it.
    """
    try:
        yield from client.get_paginator("list_object_versions").paginate(**where)
    except s3_boto.REFUSED as error:
        if not s3_boto.is_lacking(error):
            raise


def _found(item: dict[str, Any]) -> _Found:
    return _Found(item["Key"], item.get("VersionId"), item.get("Size", 0))


def _batches(found: Sequence[_Found]) -> Iterator[Sequence[_Found]]:
    """Yield what can be deleted in one request each; a key that XML cannot carry is alone."""
    plain = [item for item in found if not _NOT_IN_XML.search(item.key)]
    for start in range(0, len(plain), _BATCH_SIZE):
        yield plain[start : start + _BATCH_SIZE]
    yield from ([item] for item in found if _NOT_IN_XML.search(item.key))


def _named(item: _Found) -> dict[str, str]:
    return {"Key": item.key} | ({"VersionId": item.version} if item.version else {})


def _sum(items: Iterable[_Found]) -> Removed:
    listed = list(items)
    objects = len({item.key for item in listed})
    unlisted = sum(item.version is None for item in listed)
    return Removed(objects, len(listed) - objects, sum(item.size for item in listed), unlisted)


def _left(found: Sequence[_Found], problems: Counter[str]) -> str:
    """Say how much is left, and why as far as S3 said it."""
    codes = ", ".join(f"{code} ({count:,})" for code, count in problems.most_common())
    reason = f"it refused with {codes}" if codes else "it reported no refusal"
    hint = f", {_DENIED}" if "AccessDenied" in problems else ""
    return f"{len(found):,} objects and versions are there; {reason}{hint}"
