"""Reads the bodies of HTTP answers, up to a size: an endless one must not fill the memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse

LARGEST = 16 * 2**20
"""Bytes, unpacked; the largest true answer, a page of 50 plays, has about 100 KB."""

_STEP = 2**20
"""Bytes that are unpacked at once: one step for any true answer."""


class BodyTooLarge(Exception):
    """A body has more bytes than anything that the service is asked for."""


async def read(response: "ClientResponse", largest: int = LARGEST) -> bytes:
    """The whole body, unpacked.

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
