"""Rows of the spool: each carries a checksum of all that it says, which is verified on reading.

What an answer's row says of being archived or loaded is not part of it. That is `DONE`, a number
that no damage makes of another one, or it is not believed: doing it again changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from songswap.models import RotatedToken
from songswap.storage.records import RawResponse, SpooledResponse

DONE = 0x5A3C_96E1_0FB7_4D28
"""What ``archived`` and ``loaded`` hold where it was done."""

ANSWER = "id, run_id, batch, user_id, key, observed_ms, fingerprint, body, checksum"
"""The columns of an answer's row that its checksum covers, and it itself."""

ROTATED = "user_id, spent, access_token, refresh_token, expires_ms, checksum"
"""The same of a row of tokens."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_USER = 2**31 - 1


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The moment of `to_ms`.

    Raises:
        OverflowError: no date is that far away.
    """
    return EPOCH + timedelta(milliseconds=ms)


def answer_row(
    id_: int, run_id: str, batch: int, answer: RawResponse, packed: bytes
) -> tuple[Any, ...]:
    """An answer as a row of the columns `ANSWER`."""
    return sealed(
        id_,
        run_id,
        batch,
        answer.user_id,
        answer.key,
        to_ms(answer.observed_at),
        answer.fingerprint,
        packed,
    )


def sealed(*fields: object) -> tuple[Any, ...]:
    """Fields with their checksum behind them."""
    return (*fields, _checksum(fields))


def is_whole(row: Sequence[Any]) -> bool:
    """Whether a row of the columns `ANSWER` is as it was written.

    One without a checksum is of a version that wrote none: it is believed if its values can be.
    """
    *fields, checksum = row
    if checksum is not None:
        return bool(checksum == _checksum(fields))
    _, run_id, batch, user_id, key, observed_ms, fingerprint, packed = fields
    return (
        isinstance(run_id, str)
        and isinstance(batch, int)
        and isinstance(user_id, int)
        and isinstance(key, str)
        and _moment(observed_ms) is not None
        and isinstance(fingerprint, bytes | None)
        and isinstance(packed, bytes)
    )


def kept(row: Sequence[Any]) -> SpooledResponse:
    """The answer of a row of the columns `ANSWER`; whatever the row holds, nothing is raised."""
    id_, _, _, user_id, key, observed_ms, fingerprint, packed, _ = row
    if is_whole(row):
        return SpooledResponse(id_, user_id, key, from_ms(observed_ms), fingerprint, packed)
    observed_at = _moment(observed_ms) or EPOCH
    return SpooledResponse(
        id_, claimed_user(user_id), str(key), observed_at, None, b"", whole=False
    )


def claimed_user(value: object) -> int:
    """The user whom a damaged row names; 0 where it can be nobody."""
    return value if isinstance(value, int) and 0 < value <= _MOST_USER else 0


def token_row(token: RotatedToken) -> tuple[Any, ...]:
    """Tokens as a row of the columns `ROTATED`; any string is kept, lone surrogates and all."""
    texts = (
        blob(text) for text in (token.old_refresh_token, token.access_token, token.refresh_token)
    )
    return sealed(token.user_id, *texts, to_ms(token.expires_at))


def token_of(row: Sequence[Any]) -> RotatedToken | None:
    """The tokens of a row of the columns `ROTATED`; None where it is not as it was written."""
    *fields, checksum = row
    if checksum != _checksum(fields):
        return None
    user_id, spent, access, refresh, expires_ms = fields
    return RotatedToken(user_id, text(spent), text(access), text(refresh), from_ms(expires_ms))


def old_token_of(row: Sequence[Any]) -> RotatedToken | None:
    """The tokens of a row that a version without checksums wrote; None where they cannot be any."""
    match row:
        case (int(user_id), str(spent), str(access), str(refresh), ends) if claimed_user(user_id):
            # When they end is not worth losing them: an access token that has ended is refreshed.
            return RotatedToken(user_id, spent, access, refresh, _moment(ends) or EPOCH)
    return None


def blob(text: str) -> bytes:
    """Any string as the spool keeps it."""
    return text.encode("utf-8", "surrogatepass")


def text(blob: bytes) -> str:
    """The string that `blob` kept."""
    return blob.decode("utf-8", "surrogatepass")


def _moment(ms: object) -> datetime | None:
    try:
        return from_ms(ms) if isinstance(ms, int) else None
    except OverflowError:
        return None


def _checksum(fields: Sequence[object]) -> bytes:
    """The digest of values, their types and bounds."""
    digest = blake2b(digest_size=16)
    for field in fields:
        content = field if isinstance(field, bytes) else ascii(field).encode()
        digest.update(b"%c%d:" % (isinstance(field, bytes), len(content)))
        digest.update(content)
    return digest.digest()
