"""Read the archive: which users and hours it has, raw responses, and rows of exports.

It needs a key that may list and get below ``history/``; that of the pipeline may only put.
"""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

import obstore

from songswap import settings
from songswap.errors import ArchiveUnreadable
from songswap.storage import keys, previous
from songswap.storage.records import MOST_EXPORT_BYTES, RawExport, RawResponse, pack
from songswap.storage.s3 import open_store, translate_errors
from songswap.web.bodies import LARGEST

if TYPE_CHECKING:
    from obstore import ObjectMeta  # of the stub alone

_NEVER = datetime.max.replace(tzinfo=UTC)

_CONCURRENT_GETS = 16
_CONCURRENT_LISTS = 16

_LISTED_AT_ONCE = 1000
"""Objects that S3 lists in a request, at most."""

_TOO_LARGE = "is larger than anything that the pipeline puts there"

_PART_SIZE = 1024
"""Objects read into memory together; a little more, to the end of a user's hour."""


class ObjectRef(NamedTuple):
    """An object of the archive, by its key: its user, hour and bytes."""

    key: str
    user_id: int
    hour: datetime
    size: int


class Damaged(NamedTuple):
    """An object that is no response or export, and why."""

    key: str
    problem: str


class Unusable(NamedTuple):
    """An object that is whole but has no plays, and what it is instead."""

    key: str
    problem: str


ReadResult = RawResponse | Damaged | Unusable
"""What a get returns. Without ``observed-at``, a response's time is approximate: see `previous`."""


class ArchiveReader:
    """The bucket that ``where`` names; ``foreign`` counts objects that belong to no user.

    Raises:
        ArchiveUnreadable: from every method, when S3 does not list or give.
    """

    def __init__(self, where: settings.Archive) -> None:
        self._bucket = where.bucket
        self._store = open_store(where)
        self.foreign: Counter[str] = Counter()

    def users(self) -> list[int]:
        """Return the ids, sorted, of all users who have responses or exports."""
        known: set[int] = set()
        for prefix in (keys.PREFIX, keys.EXPORTS):
            with self._translate_errors():
                found = obstore.list_with_delimiter(self._store, prefix)
            users = {folder: keys.user_of(folder) for folder in found["common_prefixes"]}
            self.foreign.update(object_["path"] for object_ in found["objects"])
            self.foreign.update(folder for folder, user in users.items() if user is None)
            known |= {user for user in users.values() if user is not None}
        return sorted(known)

    def responses(
        self, user_id: int, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[ObjectRef]:
        """Yield a user's responses hour by hour; those of one hour are in no order.

        Args:
            since: the first hour; all from the beginning, if None.
            until: the hour before which it ends; all to the end, if None.
        """
        folder = keys.folder(user_id)
        offset = keys.before(user_id, since) if since else None
        last: datetime | None = None
        with self._translate_errors():
            listing = obstore.list(self._store, folder, offset=offset, chunk_size=_LISTED_AT_ONCE)
            for objects in listing:
                for found in objects:
                    place = keys.parse(found["path"])
                    if place is None or place.user_id != user_id:
                        self.foreign[folder] += 1
                    elif until is not None and place.hour >= until:
                        return
                    elif last is not None and place.hour < last:
                        raise self._not_in_order()
                    else:
                        last = place.hour
                        yield ObjectRef(found["path"], user_id, place.hour, found["size"])

    def responses_of(
        self, users: Iterable[int], since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[ObjectRef]:
        """Return the responses of users hour by hour, each user's of an hour together."""
        streams = [self.responses(user, since, until) for user in users]
        # Which is the first is known once all have begun: with a request each.
        with ThreadPoolExecutor(_CONCURRENT_LISTS) as lists:
            begun = list(lists.map(lambda stream: next(stream, None), streams))
        pairs = zip(begun, streams, strict=True)
        return heapq.merge(
            *(chain([first], rest) for first, rest in pairs if first), key=_user_hour
        )

    def exports_of(self, users: Iterable[int]) -> Iterator[tuple[int, list[RawExport | Damaged]]]:
        """Yield the users who have exports, and their rows in the order of their imports."""
        for user_id, sizes in self.export_sizes(users):
            with self._translate_errors():
                read = [self._get_export(path, user_id) for path, _ in sizes]
            yield user_id, sorted(read, key=_imported_at)

    def export_sizes(self, users: Iterable[int]) -> list[tuple[int, list[tuple[str, int]]]]:
        """Return the users who have exports, and the keys and bytes of their rows."""
        sizes: dict[int, list[tuple[str, int]]] = {user: [] for user in users}
        folders = [keys.folder(user, keys.EXPORTS) for user in sizes]
        with self._translate_errors():
            for found in self._list_folders(keys.EXPORTS, folders):
                place = keys.parse_export(found["path"])
                if place is None:
                    self.foreign[keys.EXPORTS] += 1
                else:
                    sizes[place[0]].append((found["path"], found["size"]))
        return [(user, found) for user, found in sizes.items() if found]

    def _list_folders(self, prefix: str, folders: Iterable[str]) -> "Iterator[ObjectMeta]":
        """Yield the objects in these folders below a prefix.

        A request lists 1,000 objects, of as many folders as have them: most have none.
        """
        remaining = deque(sorted(folders))
        last = ""
        while remaining:
            listing = obstore.list(
                self._store, prefix, offset=remaining[0], chunk_size=_LISTED_AT_ONCE
            )
            for objects in listing:
                for found in objects:
                    # The object of a folder itself is listed without its slash.
                    if found["path"] < last and not last.startswith(found["path"]):
                        raise self._not_in_order()
                    last = found["path"]
                    while remaining and _is_after(last, remaining[0]):
                        remaining.popleft()
                    if remaining and last.startswith(remaining[0]):
                        yield found
                if not remaining:
                    return
                if len(objects) == _LISTED_AT_ONCE and last < remaining[0]:
                    break  # and go on there, not with what is between
            else:
                return

    def _get_export(self, path: str, user_id: int) -> RawExport | Damaged:
        _, kind = keys.parse_export(path) or (user_id, "")
        got = obstore.get(self._store, path)
        if got.meta["size"] > MOST_EXPORT_BYTES:
            return Damaged(path, _TOO_LARGE)
        packed = bytes(got.bytes())
        imported_at = _parse_time(got.attributes.get("observed-at", ""))
        if imported_at is None:
            return Damaged(path, "has no observed-at in its metadata")
        return RawExport(user_id, path, kind, imported_at, packed)

    def read_all(self, refs: Iterable[ObjectRef]) -> Iterator[list[ReadResult]]:
        """Get objects part by part; the next part is read while one is used.

        A part fits into memory, and a user's hour is never split.
        """
        with ThreadPoolExecutor(1) as ahead:
            reading = None
            for part in _parts(refs):
                before, reading = reading, ahead.submit(self.read, part)
                if before:
                    yield before.result()
            if reading:
                yield reading.result()

    def read(self, refs: Sequence[ObjectRef]) -> list[ReadResult]:
        """Get objects, some concurrently."""
        return asyncio.run(self._read(refs))

    async def _read(self, refs: Sequence[ObjectRef]) -> list[ReadResult]:
        turns = asyncio.Semaphore(_CONCURRENT_GETS)

        async def in_turn(ref: ObjectRef) -> ReadResult:
            async with turns:
                return await self._get(ref)

        with self._translate_errors():
            return await asyncio.gather(*map(in_turn, refs))

    async def _get(self, ref: ObjectRef) -> ReadResult:
        try:
            got = await obstore.get_async(self._store, ref.key)
            if got.meta["size"] > LARGEST:
                return Damaged(ref.key, _TOO_LARGE)
            packed = bytes(await got.bytes_async())
        except FileNotFoundError:
            return Damaged(ref.key, "was deleted meanwhile")
        text = got.attributes.get("observed-at")
        if text is None:
            return _without_metadata(ref, packed, got.meta["last_modified"])
        observed_at = _parse_time(text)
        hour = keys.before(ref.user_id, ref.hour)
        if observed_at is None or keys.before(ref.user_id, observed_at) != hour:
            return Damaged(ref.key, "has an observed-at that is not of its hour")
        return RawResponse(ref.user_id, ref.key, observed_at, packed)

    def _not_in_order(self) -> ArchiveUnreadable:
        return ArchiveUnreadable(
            f"The bucket {self._bucket} does not list its keys in their order, so that responses"
            " cannot be read in the order of time, nor all exports be found. Nothing was changed:"
            " use a bucket that does, as S3's general ones do."
        )

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(
            ArchiveUnreadable,
            f"S3 (connection SongSwap_S3_ReadOnly, bucket {self._bucket}) did not list or give"
            " responses",
            " What was loaded until then stays; start again when it is repaired.",
        )


def _without_metadata(ref: ObjectRef, content: bytes, last_modified: datetime) -> ReadResult:
    """Read an object of the system before this one, or of a copy that lost its metadata."""
    try:
        body = previous.response(content)
    except previous.NoPlays as error:
        return Unusable(ref.key, str(error))
    except ValueError as error:
        return Damaged(ref.key, f"is {error}")
    observed_at = previous.observed_at(ref.hour, last_modified)
    return RawResponse(ref.user_id, ref.key, observed_at, pack(body))


def _is_after(key: str, folder: str) -> bool:
    """Return whether a key is behind all that a folder may have."""
    return key > folder and not key.startswith(folder)


def _user_hour(ref: ObjectRef) -> tuple[datetime, int]:
    return ref.hour, ref.user_id


def _imported_at(read: RawExport | Damaged) -> datetime:
    return read.imported_at if isinstance(read, RawExport) else _NEVER


def _parts(refs: Iterable[ObjectRef]) -> Iterator[list[ObjectRef]]:
    part: list[ObjectRef] = []
    for _, of_hour in groupby(refs, key=_user_hour):
        part += of_hour
        if len(part) >= _PART_SIZE:
            yield part
            part = []
    if part:
        yield part


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else None
