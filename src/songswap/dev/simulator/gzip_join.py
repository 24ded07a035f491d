"""Gzip bodies joined from parts that were compressed before.

Fifty full tracks are 170 kB; compressing them for every response would cost more than all else.
A full flush ends a deflate stream at a byte border, so that parts can be joined.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x01\x00\x00\xff\xff"
_STORED = struct.Struct("<BHH")  # a flag (not the last block), its length, the length inverted
_BLOCK = 65_535  # the largest stored block


class Part(NamedTuple):
    """Bytes, and their deflate blocks that end at a byte border."""

    raw: bytes
    deflated: bytes


def compressed(raw: bytes) -> Part:
    """Return bytes with their compressed form; for parts that are used again."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Part(raw, deflater.compress(raw) + deflater.flush(zlib.Z_FULL_FLUSH))


def stored(raw: bytes) -> Part:
    """Return bytes with deflate blocks that only wrap them; for parts that are used once."""
    starts = range(0, len(raw), _BLOCK)
    return Part(raw, b"".join([_stored_block(raw[start : start + _BLOCK]) for start in starts]))


def joined(parts: Iterable[Part]) -> tuple[bytes, bytes]:
    """Return the parts as one body: plain, and as a gzip file."""
    raws, deflated = zip(*parts, strict=True)
    body = b"".join(raws)
    trailer = struct.pack("<II", zlib.crc32(body), len(body) % 2**32)
    return body, b"".join((_HEADER, *deflated, _LAST_BLOCK, trailer))


def _stored_block(raw: bytes) -> bytes:
    return _STORED.pack(0, len(raw), len(raw) ^ 0xFFFF) + raw
