"""What the spool keeps: answers, and tokens that must not be lost."""

from datetime import datetime
from typing import NamedTuple

from zlib_ng import zlib_ng

from songswap.bodies import LARGEST
from songswap.errors import AnswerDamaged

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


class Answer(NamedTuple):
    """A raw answer: ``body`` as it came, ``observed_at`` when it came, ``key`` where it belongs.

    ``fingerprint`` says what it tells of plays, see `songswap.transform.history.fingerprint`.
    """

    user_id: int
    key: str
    observed_at: datetime
    fingerprint: bytes | None
    body: bytes


class Kept(NamedTuple):
    """An answer in the spool, by its place there; ``packed`` is its body with gzip."""

    id: int
    user_id: int
    key: str
    observed_at: datetime
    fingerprint: bytes | None
    packed: bytes

    @property
    def body(self) -> bytes:
        """The body as it came.

        Raises:
            AnswerDamaged: the disk did not keep it whole.
        """
        try:
            return unpack(self.packed)
        except ValueError as error:
            raise AnswerDamaged(
                f"The spool's answer {self.id} of user {self.user_id} is damaged: it can be neither"
                f" archived nor loaded. 'songswap spool drop {self.id}' takes it out."
            ) from error

    def damage(self) -> str | None:
        """What is wrong with the body; None where it is whole."""
        try:
            _ = self.body
        except AnswerDamaged as error:
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


class RotatedToken(NamedTuple):
    """Tokens that Spotify gave in exchange for ``spent`` and that the warehouse did not take."""

    user_id: int
    spent: str
    access_token: str
    refresh_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"RotatedToken(user_id={self.user_id})"
