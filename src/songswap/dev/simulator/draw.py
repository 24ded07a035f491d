"""Randomness by name: the same seed and names give the same draws, in any order, in any process."""

from __future__ import annotations

import hashlib
from random import Random


def number(*names: str | int) -> int:
    """Return the 64-bit number that belongs to these names."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def share(*names: str | int) -> float:
    """Return the number in [0, 1) that belongs to these names."""
    return number(*names) / 2**64


def stream(*names: str | int) -> Random:
    """Return the random stream that belongs to these names."""
    return Random(number(*names))  # noqa: S311 - a simulated world, nothing is protected by it
