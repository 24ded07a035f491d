"""What the spool and the archive hold: raw responses, rows of exports, and how both are packed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from zlib_ng import zlib_ng

from songswap.errors import CorruptResponse
from songswap.web.bodies import LARGEST

MOST_EXPORT_BYTES = 256 * 2**20
"""The largest file of an export: Spotify begins a new one at about 12 MB."""

# The window bits that stand for a gzip file in zlib.
_GZIP = 31

# The level that packs a response as small as zlib's 6.
_LEVEL = 7

# Packs rows of an export, which resemble each other, nearly as small in half of the time.
_LEVEL_OF_EXPORTS = 5


def pack(body: bytes) -> bytes:
    """Pack a body as a gzip file."""
    return zlib_ng.compress(body, _LEVEL, _GZIP)


def pack_export(body: bytes) -> bytes:
    """Pack rows of an export as a gzip file."""
    return zlib_ng.compress(body, _LEVEL_OF_EXPORTS, _GZIP)


def unpack(packed: bytes, largest: int = LARGEST) -> bytes:
    """Unpack the body of a gzip file.

    Raises:
        ValueError: it is not a whole one, or has more than ``largest`` bytes, of which no more are
            unpacked.
    """
    unpacker = zlib_ng.decompressobj(_GZIP)
    try:
        body = unpacker.decompress(packed, largest + 1)
    except zlib_ng.error as error:  # type: ignore[misc]  # the stub has it as an instance
        raise ValueError("not a whole gzip file") from error
    if len(body) > largest:
        raise ValueError(f"a gzip file of more than {largest // 2**20} MiB")
    if not unpacker.eof:
        raise ValueError("not a whole gzip file")
    return body


class RawResponse(NamedTuple):
    """A response with its user, key and time; ``packed`` is its body with gzip.

    ``observed_at`` is when Spotify returned it. ``fingerprint`` is that of
    `songswap.transform.recent_plays.fingerprint`, None where it was not computed. ``id`` is its
    number in the spool, 0 elsewhere. Where it is not ``is_intact``, its row in the spool is
    damaged: there is no body, and the user, key and time may be wrong.
    """

    user_id: int
    key: str
    observed_at: datetime
    packed: bytes
    fingerprint: bytes | None = None
    id: int = 0
    is_intact: bool = True

    @property
    def body(self) -> bytes:
        """The body as it came.

        Raises:
            CorruptResponse: it is damaged, or larger than any response.
        """
        try:
            return unpack(self.packed if self.is_intact else b"")
        except ValueError as error:
            if not self.id:
                raise CorruptResponse(f"{self.key} is {error}") from error
            raise CorruptResponse(
                f"The spool's response {self.id} of user {self.user_id} is damaged: it can be"
                f" neither archived nor loaded. 'songswap spool drop {self.id}' removes it."
            ) from error

    def damage(self) -> str | None:
        """Return what is wrong with the body; None where it is whole."""
        try:
            _ = self.body
        except CorruptResponse as error:
            return str(error)
        return None


class RawExport(NamedTuple):
    """Rows of a user's export as the archive holds them; ``packed`` is a JSON list with gzip."""

    user_id: int
    key: str
    kind: str
    imported_at: datetime
    packed: bytes

    @property
    def body(self) -> bytes:
        """The rows, a JSON list.

        Raises:
            CorruptResponse: it is damaged, or larger than any file of an export.
        """
        try:
            return unpack(self.packed, MOST_EXPORT_BYTES)
        except ValueError as error:
            raise CorruptResponse(f"{self.key} is {error}") from error


class Entry(NamedTuple):
    """A response in the spool, for an operator: everything but its body.

    ``size`` is the bytes of the gzipped body; ``problem`` is why the last try to archive or load it
    failed.
    """

    id: int
    run_id: str
    user_id: int
    key: str
    observed_at: datetime
    size: int
    archived: bool
    loaded: bool
    problem: str | None


class Recovery(NamedTuple):
    """A broken spool file that was renamed to ``file``, and what was recovered from it.

    ``lost_responses`` counts, by the user that they name, those that can be seen but not read, and
    ``lost_tokens`` are the users of such tokens; 0 is a user whose id cannot be read.
    """

    file: str
    found_at: datetime
    responses: int
    tokens: int
    lost_responses: Mapping[int, int]
    lost_tokens: tuple[int, ...]

    def __str__(self) -> str:
        lost = []
        if self.lost_responses:
            number = sum(self.lost_responses.values())
            lost.append(f"{number:,} responses{_of_users(self.lost_responses)}")
        if self.lost_tokens:
            lost.append(f"{len(self.lost_tokens):,} tokens{_of_users(self.lost_tokens)}")
        return (
            f"The spool was broken; its file was renamed to {self.file}. {self.responses:,}"
            f" responses and the tokens of {self.tokens:,} users were recovered from it and are"
            f" loaded as usual. Lost: {' and '.join(lost) or 'nothing that can be seen'}; what its"
            " unreadable parts held is not known. Check the disk. Plays that Spotify still returns"
            " are loaded by the next run; see 'songswap spool list'."
        )


def _of_users(users: Iterable[int]) -> str:
    """Name the first ten users."""
    known = sorted(user for user in users if user)
    if not known:
        return " (of users whose ids cannot be read)"
    more = " and others" if len(known) > 10 or len(known) < len(list(users)) else ""
    return f" (of the users {', '.join(map(str, known[:10]))}{more})"
