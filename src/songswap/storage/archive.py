"""Put raw responses into the archive in S3. The pipeline's key may only put.

A put is conditional (``If-None-Match: *``), so an existing object is never overwritten; another
response of the same hour is put beside it. Only status 412 means that the object exists: 409 means
that another request for the same key was under way, and that nothing was stored.
"""

import asyncio
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError

from songswap import settings
from songswap.durations import timed
from songswap.errors import ArchiveError, CorruptResponse
from songswap.storage import keys
from songswap.storage.records import RawExport, RawResponse
from songswap.storage.s3 import open_store, status, translate_errors

_CONFLICT_WAITS_S = (0.1, 0.3, 0.9)
"""Seconds before a put that met 409 is sent again; S3's client retries 5xx alone."""


class PutResult(NamedTuple):
    """By the responses' ids: the keys of those that are in S3, and why the others are not."""

    archived: dict[int, str]
    problems: dict[int, str]


class Archive:
    """The bucket that ``where`` names."""

    def __init__(self, where: settings.Archive) -> None:
        self._failed = (
            f"S3 (connection SongSwap_S3_PutOnly, bucket {where.bucket}) did not take a response"
        )
        self._store = open_store(where)

    async def put(self, response: RawResponse) -> str:
        """Put a response under its key, or beside it where another has that key; return the key.

        The object is the gzipped body; ``observed-at`` in its metadata is when Spotify returned it,
        so that reading the archive again gives the same rows.

        Raises:
            ArchiveError: S3 did not take it.
            CorruptResponse: its key is taken, and without its body there is no other.
        """
        with self._translate_errors(), timed("s3"):
            if await self._put(response.key, response.packed, response.observed_at):
                return response.key
            # Where this key is taken too, an earlier try put the very same response.
            other = keys.beside(response.key, response.body)
            await self._put(other, response.packed, response.observed_at)
        return other

    async def put_export(self, export: RawExport) -> None:
        """Put rows of an export. Their key has their digest: an existing object is this one.

        Raises:
            ArchiveError: S3 did not take it.
        """
        with self._translate_errors():
            await self._put(export.key, export.packed, export.imported_at)

    async def put_all(self, responses: list[RawResponse]) -> PutResult:
        """Put many at once; failures are returned, not raised."""
        puts = (self.put(response) for response in responses)
        results = await asyncio.gather(*puts, return_exceptions=True)
        put = PutResult({}, {})
        for response, result in zip(responses, results, strict=True):
            if isinstance(result, str):
                put.archived[response.id] = result
            elif isinstance(result, ArchiveError | CorruptResponse):
                put.problems[response.id] = str(result)
            else:
                raise result
        return put

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(ArchiveError, self._failed)

    async def _put(self, key: str, packed: bytes, observed_at: datetime) -> bool:
        """Put an object; False when the key is taken (412), whose object stays as it is.

        Raises:
            ArchiveError: S3 says that the key is taken, with another status than 412, on every try.
        """
        for wait_s in (*_CONFLICT_WAITS_S, None):
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    packed,
                    mode="create",
                    attributes={
                        "Content-Type": "application/json",
                        "Content-Encoding": "gzip",
                        "observed-at": observed_at.isoformat(timespec="milliseconds"),
                    },
                )
            except AlreadyExistsError as error:
                refused = status(error)
                if refused == 412:
                    return False
            else:
                return True
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        raise ArchiveError(
            f"{self._failed}: it returned {refused} to a conditional put,"
            f" {len(_CONFLICT_WAITS_S) + 1} times, which proves neither that the object exists nor"
            " that this one was stored."
        )
