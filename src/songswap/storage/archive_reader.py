"""Reading the archive of raw answers: which users, which hours, and the answers themselves.

It needs a key that may list and get below ``history/``; that of the pipeline may only put.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import obstore
from obstore.exceptions import BaseError

from songswap import settings
from songswap.errors import ArchiveUnreadable, CorruptResponse
from songswap.storage import keys, previous
from songswap.storage.archive import open_store, said
from songswap.storage.export_files import MOST_BYTES
from songswap.storage.records import pack, unpack
from songswap.web.bodies import LARGEST

_NEVER = datetime.max.replace(tzinfo=UTC)

_AT_ONCE = 16
"""Objects that are asked for side by side."""

_TOO_LARGE = "is larger than anything that the pipeline puts there"

_IN_A_PART = 256
"""Objects that are read into memory together; a little more, to the end of a user's hour."""


class ObjectRef(NamedTuple):
    """An object of the archive by its key: whose answer it is, of which hour, its bytes."""

    key: str
    user_id: int
    hour: datetime
    size: int


class ArchivedResponse(NamedTuple):
    """An answer as the archive holds it; ``packed`` is its body with gzip.

    Where the object has no ``observed-at``, that is approximate: see `songswap.storage.previous`.
    """

    user_id: int
    key: str
    hour: datetime
    observed_at: datetime
    packed: bytes

    @property
    def body(self) -> bytes:
        """The body as it came from Spotify.

        Raises:
            CorruptResponse: it is not whole, or larger than any answer.
        """
        return _whole(self.key, self.packed, LARGEST)


class ArchivedExport(NamedTuple):
    """Rows of a user's export as the archive holds them; ``told_at`` is when it was imported."""

    user_id: int
    key: str
    kind: str
    told_at: datetime
    packed: bytes

    @property
    def body(self) -> bytes:
        """The rows, a JSON list.

        Raises:
            CorruptResponse: it is not whole, or larger than any file of an export.
        """
        return _whole(self.key, self.packed, MOST_BYTES)


class Damaged(NamedTuple):
    """An object that is no answer, and why."""

    key: str
    problem: str


class Unusable(NamedTuple):
    """An object that is whole and tells of no plays, and what it is instead."""

    key: str
    problem: str


ReadResult = ArchivedResponse | Damaged | Unusable
"""What getting an object gives."""


class ArchiveReader:
    """The bucket that ``where`` names; ``foreign`` counts what in it is no answer of a user.

    Raises:
        ArchiveUnreadable: from every method, when S3 does not list or give.
    """

    def __init__(self, where: settings.Archive) -> None:
        self._bucket = where.bucket
        self._store = open_store(where)
        self.foreign: Counter[str] = Counter()

    def users(self) -> list[int]:
        """The ids of all users of whom there are answers or exports, in their order."""
        known: set[int] = set()
        for prefix in (keys.PREFIX, keys.EXPORTS):
            with self._translate_errors():
                found = obstore.list_with_delimiter(self._store, prefix)
            users = {folder: keys.user_of(folder) for folder in found["common_prefixes"]}
            self.foreign.update(one["path"] for one in found["objects"])
            self.foreign.update(folder for folder, user in users.items() if user is None)
            known |= {user for user in users.values() if user is not None}
        return sorted(known)

    def answers(
        self, user_id: int, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[ObjectRef]:
        """A user's answers, hour by hour; those of one hour are in no order.

        Args:
            since: the first hour; all from the beginning, if None.
            until: the hour before which it ends; all to the end, if None.
        """
        folder = keys.folder(user_id)
        offset = keys.before(user_id, since) if since else None
        last: datetime | None = None
        with self._translate_errors():
            for objects in obstore.list(self._store, folder, offset=offset, chunk_size=1000):
                for one in objects:
                    place = keys.parse(one["path"])
                    if place is None or place.user_id != user_id:
                        self.foreign[folder] += 1
                    elif until is not None and place.hour >= until:
                        return
                    elif last is not None and place.hour < last:
                        raise ArchiveUnreadable(
                            f"The bucket {self._bucket} does not list its keys in their order, so"
                            " that answers cannot be read in the order of time. Nothing was"
                            " changed: use a bucket that does, as S3's general ones do."
                        )
                    else:
                        last = place.hour
                        yield ObjectRef(one["path"], user_id, place.hour, one["size"])

    def found(
        self, users: Iterable[int], since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[ObjectRef]:
        """The answers of users, hour by hour, each user's of an hour beside each other."""
        return heapq.merge(*(self.answers(one, since, until) for one in users), key=_user_hour)

    def exports(self, user_id: int) -> list["ArchivedExport | Damaged"]:
        """The rows of a user's exports, in the order in which they were imported."""
        with self._translate_errors():
            read = [self._get_export(path, user_id) for path, _ in self.export_sizes(user_id)]
        return sorted(
            read, key=lambda one: one.told_at if isinstance(one, ArchivedExport) else _NEVER
        )

    def export_sizes(self, user_id: int) -> list[tuple[str, int]]:
        """The keys of the rows of a user's exports, and their bytes."""
        folder = keys.folder(user_id, keys.EXPORTS)
        found = []
        with self._translate_errors():
            for objects in obstore.list(self._store, folder):
                for one in objects:
                    place = keys.parse_export(one["path"])
                    if place is None or place[0] != user_id:
                        self.foreign[folder] += 1
                    else:
                        found.append((one["path"], one["size"]))
        return found

    def _get_export(self, path: str, user_id: int) -> "ArchivedExport | Damaged":
        _, kind = keys.parse_export(path) or (user_id, "")
        given = obstore.get(self._store, path)
        if given.meta["size"] > MOST_BYTES:
            return Damaged(path, _TOO_LARGE)
        packed = bytes(given.bytes())
        told_at = _moment(given.attributes.get("observed-at", ""))
        if told_at is None:
            return Damaged(path, "has no observed-at in its metadata")
        return ArchivedExport(user_id, path, kind, told_at, packed)

    def read_all(self, found: Iterable[ObjectRef]) -> Iterator[list[ReadResult]]:
        """Get what was `found`, part by part; the next is read while one is used.

        A part fits into memory, and what a user was told in an hour is not torn apart.
        """
        with ThreadPoolExecutor(1) as ahead:
            reading = None
            for part in _parts(found):
                before, reading = reading, ahead.submit(self.read, part)
                if before:
                    yield before.result()
            if reading:
                yield reading.result()

    def read(self, found: Sequence[ObjectRef]) -> list[ReadResult]:
        """Get objects, some side by side."""
        return asyncio.run(self._read(found))

    async def _read(self, found: Sequence[ObjectRef]) -> list[ReadResult]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(one: ObjectRef) -> ReadResult:
            async with turns:
                return await self._get(one)

        with self._translate_errors():
            return await asyncio.gather(*(in_turn(one) for one in found))

    async def _get(self, found: ObjectRef) -> ReadResult:
        try:
            given = await obstore.get_async(self._store, found.key)
            if given.meta["size"] > LARGEST:
                return Damaged(found.key, _TOO_LARGE)
            packed = bytes(await given.bytes_async())
        except FileNotFoundError:
            return Damaged(found.key, "was deleted meanwhile")
        told = given.attributes.get("observed-at")
        if told is None:
            return _without_metadata(found, packed, given.meta["last_modified"])
        observed_at = _moment(told)
        if observed_at is None or keys.before(found.user_id, observed_at) != keys.before(
            found.user_id, found.hour
        ):
            return Damaged(found.key, "has an observed-at that is not of its hour")
        return ArchivedResponse(found.user_id, found.key, found.hour, observed_at, packed)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise ArchiveUnreadable(
                f"S3 (connection SongSwap_S3_ReadOnly, bucket {self._bucket}) did not list or give"
                f" answers: {said(error)} What was loaded until then stays; start again when"
                " it is mended."
            ) from None


def _without_metadata(found: ObjectRef, content: bytes, last_modified: datetime) -> ReadResult:
    """An answer of the system before this one, or of a bucket whose copy lost the metadata."""
    try:
        body = previous.answer(content)
    except previous.OfNoUse as error:
        return Unusable(found.key, str(error))
    except ValueError as error:
        return Damaged(found.key, f"is {error}")
    observed_at = previous.observed(found.hour, last_modified)
    return ArchivedResponse(found.user_id, found.key, found.hour, observed_at, pack(body))


def _user_hour(found: ObjectRef) -> tuple[datetime, int]:
    return found.hour, found.user_id


def _parts(found: Iterable[ObjectRef]) -> Iterator[list[ObjectRef]]:
    part: list[ObjectRef] = []
    for _, of_hour in groupby(found, key=_user_hour):
        part += of_hour
        if len(part) >= _IN_A_PART:
            yield part
            part = []
    if part:
        yield part


def _whole(path: str, packed: bytes, largest: int) -> bytes:
    try:
        return unpack(packed, largest)
    except ValueError as error:
        raise CorruptResponse(f"{path} is {error}") from error


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
