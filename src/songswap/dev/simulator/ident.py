"""Spotify-like ids of 22 base62 characters, which encode an index.

An id is a four-round Feistel cipher over 128 bits: the index in one half, a mark of the kind in the
other. It looks random and never collides, and an id that was not made here fails the mark.
"""

from __future__ import annotations

import hashlib
import re
import string

_ALPHABET = string.digits + string.ascii_lowercase + string.ascii_uppercase
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_SHAPE = re.compile(r"[0-9A-Za-z]{22}")
_HALF = 2**64


def is_well_formed(text: str) -> bool:
    """Return whether a text has the format of a Spotify id."""
    return _SHAPE.fullmatch(text) is not None


class Ids:
    """The ids of one kind ("track", "artist" ...) under one seed."""

    def __init__(self, seed: int, kind: str) -> None:
        self._keys = [f"{seed}/{kind}/{turn}".encode() for turn in range(4)]
        mark = hashlib.blake2b(f"{seed}/{kind}".encode(), digest_size=8)
        self._mark = int.from_bytes(mark.digest(), "big")

    def of(self, index: int) -> str:
        """Return the id of an index."""
        left, right = index, self._mark
        for key in self._keys:
            left, right = right, left ^ _turn(key, right)
        value = left * _HALF + right
        pairs = []
        for _ in range(11):
            value, digits = divmod(value, 62 * 62)
            pairs.append(_PAIRS[digits])
        return "".join(reversed(pairs))

    def index(self, ident: str) -> int | None:
        """Return the index of an id, or None if the id was not made here."""
        if not is_well_formed(ident):
            return None
        value = 0
        for letter in ident:
            value = value * 62 + _VALUE[letter]
        if value >= _HALF * _HALF:
            return None
        left, right = divmod(value, _HALF)
        for key in reversed(self._keys):
            left, right = right ^ _turn(key, left), left
        return left if right == self._mark else None


def _turn(key: bytes, half: int) -> int:
    digest = hashlib.blake2b(half.to_bytes(8, "big"), digest_size=8, key=key[:64])
    return int.from_bytes(digest.digest(), "big")
