"""Rows of the spool: each has a checksum of its other columns, which is verified on reading.

Only ``archived``, ``loaded`` and ``problem`` are outside of it. The first two hold `DONE` once it
is done, a number that damage does not produce; any other value means that it is done again, which
changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from songswap.models import RotatedToken
from songswap.storage.records import Entry, RawResponse
from songswap.storage.spool_workers import Work

DONE = 0x5A3C_96E1_0FB7_4D28
"""The value of ``archived`` and ``loaded`` once it is done."""

RESPONSE = "id, run_id, batch, user_id, key, observed_ms, fingerprint, body, checksum"
"""The columns of a response's row that its checksum covers, and the checksum."""

ROTATED = "user_id, spent, access_token, refresh_token, expires_ms, checksum"
"""The same of a row of tokens."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_USER = 2**31 - 1


def to_ms(moment: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the time of `to_ms`.

    Raises:
        OverflowError: no date is that far away.
    """
    return EPOCH + timedelta(milliseconds=ms)


def response_row(run_id: str, batch: int, response: RawResponse) -> tuple[Any, ...]:
    """Return a response as a row of the columns `RESPONSE`."""
    return with_checksum(
        response.id,
        run_id,
        batch,
        response.user_id,
        response.key,
        to_ms(response.observed_at),
        response.fingerprint,
        response.packed,
    )


def with_checksum(*fields: object) -> tuple[Any, ...]:
    """Return fields with their checksum behind them."""
    return (*fields, _checksum(fields))


def is_intact(row: Sequence[Any]) -> bool:
    """Return whether a row of the columns `RESPONSE` is as it was written.

    A row without a checksum is of a version that wrote none: the types of its values decide.
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
        and _time(observed_ms) is not None
        and isinstance(fingerprint, bytes | None)
        and isinstance(packed, bytes)
    )


def response(row: Sequence[Any]) -> RawResponse:
    """Return the response of a row of the columns `RESPONSE`; never raises."""
    id_, _, _, user_id, key, observed_ms, fingerprint, packed, _ = row
    if is_intact(row):
        return RawResponse(user_id, key, from_ms(observed_ms), packed, fingerprint, id_)
    observed_at = _time(observed_ms) or EPOCH
    return RawResponse(claimed_user(user_id), str(key), observed_at, b"", None, id_, False)


def entry(row: Sequence[Any]) -> Entry:
    """Return the entry of a row of `RESPONSE`, ``archived``, ``loaded`` and ``problem``."""
    *columns, archived, loaded, problem = row
    found = response(columns)
    return Entry(
        found.id,
        str(columns[1]),
        found.user_id,
        found.key,
        found.observed_at,
        len(found.packed),
        archived == DONE,
        loaded == DONE,
        (None if found.is_intact else found.damage()) or (problem and str(problem)),
    )


def left_out(without: Collection[Work], untried: bool = False) -> tuple[str, tuple[object, ...]]:
    """Return a condition, with its parameters, that leaves out the responses of batches.

    Args:
        untried: it leaves out those that could not be archived or loaded, too.
    """
    tried = " AND problem IS NULL" if untried else ""
    if not without:
        return tried, ()
    places = ", ".join(["(?, ?)"] * len(without))
    of = tuple(value for work in without for value in (work.run_id, work.batch))
    return f"{tried} AND (run_id, batch) NOT IN (VALUES {places})", of


def claimed_user(value: object) -> int:
    """Return the user id in a damaged row; 0 where it is no user id."""
    return value if isinstance(value, int) and 0 < value <= _MOST_USER else 0


def token_row(token: RotatedToken) -> tuple[Any, ...]:
    """Return tokens as a row of the columns `ROTATED`; they may be any strings."""
    texts = (
        blob(text) for text in (token.old_refresh_token, token.access_token, token.refresh_token)
    )
    return with_checksum(token.user_id, *texts, to_ms(token.expires_at))


def token_of(row: Sequence[Any]) -> RotatedToken | None:
    """Return the tokens of a row of the columns `ROTATED`; None where it is damaged."""
    *fields, checksum = row
    if checksum != _checksum(fields):
        return None
    user_id, spent, access, refresh, expires_ms = fields
    return RotatedToken(user_id, text(spent), text(access), text(refresh), from_ms(expires_ms))


def old_token_of(row: Sequence[Any]) -> RotatedToken | None:
    """Return the tokens of a row that a version without checksums wrote; None if it has none."""
    match row:
        case (int(user_id), str(spent), str(access), str(refresh), ends) if claimed_user(user_id):
            # A damaged expiry is no reason to lose them: an expired access token is refreshed.
            return RotatedToken(user_id, spent, access, refresh, _time(ends) or EPOCH)
    return None


def blob(text: str) -> bytes:
    """Encode any string as the spool stores it."""
    return text.encode("utf-8", "surrogatepass")


def text(blob: bytes) -> str:
    """Decode a string of `blob`."""
    return blob.decode("utf-8", "surrogatepass")


def _time(ms: object) -> datetime | None:
    try:
        return from_ms(ms) if isinstance(ms, int) else None
    except OverflowError:
        return None


def _checksum(fields: Sequence[object]) -> bytes:
    """Return the digest of values, their types and lengths."""
    digest = blake2b(digest_size=16)
    for field in fields:
        content = field if isinstance(field, bytes) else ascii(field).encode()
        digest.update(b"%c%d:" % (isinstance(field, bytes), len(content)))
        digest.update(content)
    return digest.digest()
