"""Random draws by name: equal names give equal draws, in any order and in any process."""

from __future__ import annotations

import hashlib
from random import Random


def number(*names: str | int) -> int:
    """Return the 64-bit number of these names."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def share(*names: str | int) -> float:
    """Return the number in [0, 1) of these names."""
    return number(*names) / 2**64


def stream(*names: str | int) -> Random:
    """Return a random generator seeded by these names."""
    return Random(number(*names))  # noqa: S311 - protects nothing
