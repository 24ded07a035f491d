"""Reads the bodies of HTTP responses up to a size, so that an endless one fills no memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse

LARGEST = 16 * 2**20
"""Bytes, decompressed; the largest real response, a page of 50 plays, has about 100 KB."""

_STEP = 2**20
"""Bytes that are decompressed at once: one step for any real response."""


class BodyTooLarge(Exception):
    """A body is larger than any real response of the service."""


async def read(response: "ClientResponse", largest: int = LARGEST) -> bytes:
    """Read the whole body, decompressed.

    Raises:
        BodyTooLarge: it has more than ``largest`` bytes; the rest was not read.
    """
    response.content.set_read_chunk_size(_STEP)
    parts: list[bytes] = []
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > largest:
            raise BodyTooLarge
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
