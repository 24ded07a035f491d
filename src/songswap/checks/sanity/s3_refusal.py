"""What S3 refused to a check, as a sentence that says what to set where."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError

from songswap.checks.sanity.given import Given, connection_named, variable_named
from songswap.errors import CheckFailed
from songswap.storage.s3 import is_redirect

PIPELINE = "SongSwap_S3_PutOnly"
CONNECTION = "SongSwap_S3_TestPutGetDelete"
BUCKET = "bucket_name"
PREFIX = "tests/sanity/"

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")


class Refused(CheckFailed):
    """S3 refused; ``code`` is its own word for why, empty where it gave none.

    Where it ``is_denied``, S3 says that the key may not do it.
    """

    def __init__(self, message: str, code: str, *, is_denied: bool) -> None:
        super().__init__(message)
        self.code = code
        self.is_denied = is_denied


def mark(given: Given) -> str:
    """What names the objects of a run: every step derives the same."""
    return hashlib.sha256(given.run.encode()).hexdigest()[:32]


@contextmanager
def refusals(what: str, connection: str = CONNECTION, denied: str = "") -> Iterator[None]:
    """Turn what S3's client raises into a sentence.

    Args:
        what: what S3 did not do.
        connection: whose key it was.
        denied: what to do where the key lacks a right; that of the tests' key if empty.

    Raises:
        Refused: S3 did not do it.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        found = _CODE.search(str(error))
        code = (found[1] or found[2]) if found else ""
        advice = _advice(connection, denied).get(
            code,
            "start it, open the way to it, or correct endpoint_url and region_name in the extra of"
            f" {connection_named(connection)}",
        )
        # Not as its cause: the whole text can quote the signed request, a session token included.
        raise Refused(
            f"S3 did not {what} ({code or _without_code(error)}). What to do: {advice}.",
            code,
            is_denied=isinstance(error, PermissionDeniedError) or code == "AccessDenied",
        ) from None


def _advice(connection: str, denied: str) -> dict[str, str]:
    named = connection_named(connection)
    wrong_key = f"correct login (the key's id) and password of {named}"
    wrong_region = f"correct region_name in the extra of {named}"
    return {
        "InvalidAccessKeyId": wrong_key,
        "SignatureDoesNotMatch": wrong_key,
        "ExpiredToken": wrong_key,
        "InvalidToken": wrong_key,
        "NoSuchBucket": f"make the bucket, or correct {variable_named(BUCKET)}",
        "AccessDenied": denied
        or f"allow the key of {connection} to PUT, GET and DELETE below {PREFIX}",
        "PermanentRedirect": wrong_region,
        "AuthorizationHeaderMalformed": wrong_region,
        "NotImplemented": "use a server that supports conditional puts, as AWS S3 does; see the"
        " release notes of yours",
    }


def _without_code(error: Exception) -> str:
    return "a redirect, which is not followed" if is_redirect(error) else "no answer of S3"
