"""What the spool keeps: answers, and tokens that must not be lost; and what was saved of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from zlib_ng import zlib_ng

from songswap.errors import CorruptResponse
from songswap.web.bodies import LARGEST

# The window bits by which zlib knows a gzip file.
_GZIP = 31

# The level at which an answer becomes as small as with zlib's 6.
_LEVEL = 7


def pack(body: bytes) -> bytes:
    """An answer's body as a gzip file."""
    return zlib_ng.compress(body, _LEVEL, _GZIP)


def unpack(packed: bytes, largest: int = LARGEST) -> bytes:
    """The body of a gzip file, as it came.

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
    """A raw answer: ``body`` as it came, ``observed_at`` when it came, ``key`` where it belongs.

    ``fingerprint`` says what it tells of plays, see `songswap.transform.recent_plays.fingerprint`.
    """

    user_id: int
    key: str
    observed_at: datetime
    fingerprint: bytes | None
    body: bytes


class SpooledResponse(NamedTuple):
    """An answer in the spool, by its place there; ``packed`` is its body with gzip.

    Where it is not ``whole``, its checksum is not that of what the disk gives: whose it is and when
    it came is only what the row claims.
    """

    id: int
    user_id: int
    key: str
    observed_at: datetime
    fingerprint: bytes | None
    packed: bytes
    whole: bool = True

    @property
    def body(self) -> bytes:
        """The body as it came.

        Raises:
            CorruptResponse: the disk did not keep it whole.
        """
        try:
            return unpack(self.packed if self.whole else b"")
        except ValueError as error:
            raise CorruptResponse(
                f"The spool's answer {self.id} of user {self.user_id} is damaged: it can be neither"
                f" archived nor loaded. 'songswap spool drop {self.id}' takes it out."
            ) from error

    def damage(self) -> str | None:
        """What is wrong with the body; None where it is whole."""
        try:
            _ = self.body
        except CorruptResponse as error:
            return str(error)
        return None


class Entry(NamedTuple):
    """An answer in the spool as an operator sees it: everything but its body.

    ``size`` is the bytes of the gzipped body; ``problem`` why it could not leave when last tried.
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
    """A broken spool file that was put aside as ``file``, and what was saved from it.

    ``lost_answers`` counts those that can be seen but not read, by the user whom they claim, and
    ``lost_tokens`` are the users of such tokens; 0 is a user who cannot be read.
    """

    file: str
    found_at: datetime
    answers: int
    tokens: int
    lost_answers: Mapping[int, int]
    lost_tokens: tuple[int, ...]

    def __str__(self) -> str:
        lost = []
        if self.lost_answers:
            number = sum(self.lost_answers.values())
            lost.append(f"{number:,} answers{_of_users(self.lost_answers)}")
        if self.lost_tokens:
            lost.append(f"{len(self.lost_tokens):,} tokens{_of_users(self.lost_tokens)}")
        return (
            f"The spool was broken; it lies aside as {self.file}. {self.answers:,} answers and the"
            f" tokens of {self.tokens:,} users were saved from it, and go on. Lost:"
            f" {' and '.join(lost) or 'nothing that can be seen'}; what its unreadable parts held"
            " is not known. Check the disk. What Spotify still tells is asked for again; see"
            " 'songswap spool list'."
        )


def _of_users(users: Iterable[int]) -> str:
    """Whose something is, in words: the first ten."""
    known = sorted(user for user in users if user)
    if not known:
        return " (of users who cannot be read)"
    more = " and others" if len(known) > 10 or len(known) < len(list(users)) else ""
    return f" (of the users {', '.join(map(str, known[:10]))}{more})"
