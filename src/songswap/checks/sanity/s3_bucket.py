"""The bucket as the checks open it, with errors that say what to set where."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import S3Store

from songswap import settings
from songswap.checks.sanity.context import CheckContext, connection_named, variable_named
from songswap.errors import CheckFailed, SettingsError
from songswap.storage.s3 import is_redirect, open_store

PIPELINE = "SongSwap_S3_PutOnly"
TESTS = "SongSwap_S3_TestPutGetDelete"
ERASE = "SongSwap_S3_Erase"
VARIABLE = "bucket_name"

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")


class Refused(CheckFailed):
    """S3 refused a request.

    Args:
        code: S3's own code for the reason; empty where it gave none.
        is_denied: the key lacks the right.
    """

    def __init__(self, message: str, code: str, *, is_denied: bool) -> None:
        super().__init__(message)
        self.code = code
        self.is_denied = is_denied


class Bucket:
    """The bucket, opened with the key of one connection.

    Args:
        connection: `PIPELINE`, `TESTS` or `ERASE`.

    Raises:
        CheckFailed: the bucket or the connection is not set, or cannot be read.
    """

    FOLDER = "tests/sanity/"

    def __init__(self, context: CheckContext, connection: str) -> None:
        self.name = context.variable(VARIABLE)
        self._connection = connection
        self.name_of_run = hashlib.sha256(context.run_id.encode()).hexdigest()[:32]
        found, named = context.connection(connection), connection_named(connection)
        try:
            self.archive = settings.archive_of(found, self.name, context.environment, named)
        except SettingsError as error:
            raise CheckFailed(str(error)) from error

    @cached_property
    def store(self) -> S3Store:
        """The client; its errors are the client's own."""
        return open_store(self.archive)

    def key(self, suffix: str = "") -> str:
        """Return the key of this run's object: every step derives the same."""
        return f"{self.FOLDER}{self.name_of_run}{suffix}.txt"

    @contextmanager
    def request(self, action: str, denied: str = "") -> Iterator[S3Store]:
        """Open the store for a request, and turn the client's errors into a message.

        Args:
            action: what S3 failed to do, after "S3 did not".
            denied: what to do where the key lacks a right; by default, that of the tests' key.

        Raises:
            Refused: the request failed.
        """
        try:
            yield self.store
        except (BaseError, OSError) as error:
            found = _CODE.search(str(error))
            code = (found[1] or found[2]) if found else ""
            advice = self._advice(denied).get(
                code,
                "start it, open the route to it, or correct endpoint_url and region_name in the"
                f" extra of {connection_named(self._connection)}",
            )
            # Not as its cause: its text can quote the signed request with a session token.
            raise Refused(
                f"S3 did not {action} ({code or _without_code(error)}). What to do: {advice}.",
                code,
                is_denied=isinstance(error, PermissionDeniedError) or code == "AccessDenied",
            ) from None

    def may(self, attempt: Callable[[], object]) -> bool:
        """Return whether the key has the right to an attempt.

        Raises:
            Refused: it failed for another reason.
        """
        try:
            with self.request("answer as a server of S3"):
                attempt()
        except Refused as refused:
            if refused.is_denied:
                return False
            raise
        return True

    def _advice(self, denied: str) -> dict[str, str]:
        named = connection_named(self._connection)
        wrong_key = f"correct login (the key's id) and password of {named}"
        wrong_region = f"correct region_name in the extra of {named}"
        return {
            "InvalidAccessKeyId": wrong_key,
            "SignatureDoesNotMatch": wrong_key,
            "ExpiredToken": wrong_key,
            "InvalidToken": wrong_key,
            "NoSuchBucket": f"create the bucket, or correct {variable_named(VARIABLE)}",
            "AccessDenied": denied
            or f"allow the key of {self._connection} to PUT, GET and DELETE below {self.FOLDER}",
            "PermanentRedirect": wrong_region,
            "AuthorizationHeaderMalformed": wrong_region,
            "NotImplemented": "use a server that supports conditional puts, as AWS S3 does; see the"
            " release notes of yours",
        }


def _without_code(error: Exception) -> str:
    return "a redirect, which is not followed" if is_redirect(error) else "no answer of S3"
