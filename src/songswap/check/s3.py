"""Does the bucket take, give back and delete an object? With the tests' key, below `tests/`.

The pipeline's own key may only put below ``history/``, where a check has no business.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from songswap import settings
from songswap.check.given import Given, Step, connection_named, installed, variable_named
from songswap.errors import CheckFailed, SettingsError
from songswap.raw.archive import is_redirect, open_store

PIPELINE = "SongSwap_S3_PutOnly"
CONNECTION = "SongSwap_S3_TestPutGetDelete"
BUCKET = "bucket_name"
PREFIX = "tests/sanity/"

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_WRONG_KEY = f"correct login (the key's id) and password of {connection_named(CONNECTION)}"
_WRONG_REGION = f"correct region_name in the extra of {connection_named(CONNECTION)}"
_ADVICE = {
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "ExpiredToken": _WRONG_KEY,
    "InvalidToken": _WRONG_KEY,
    "NoSuchBucket": f"make the bucket, or correct {variable_named(BUCKET)}",
    "AccessDenied": f"allow the key of {CONNECTION} to PUT, GET and DELETE below {PREFIX}",
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
}


def provider(_given: Given) -> str:
    """The provider of the connections' type is installed, and the client of the pipeline."""
    return f"Installed: {installed('apache-airflow-providers-amazon', 'obstore')}."


def connections(given: Given) -> str:
    """The bucket and both connections are set."""
    bucket = given.variable(BUCKET)
    for name in (PIPELINE, CONNECTION):
        try:
            settings.archive_of(
                given.connection(name), bucket, given.environment, connection_named(name)
            )
        except SettingsError as error:
            raise CheckFailed(str(error)) from error
    return f"Set: {BUCKET} ({bucket}), {PIPELINE}, {CONNECTION}."


def put(given: Given) -> str:
    """An object is taken."""
    key, body = _object(given)
    with _naming_trouble("take an object"):
        obstore.put(_store(given), key, body)
    return f"{key} was taken."


def read(given: Given) -> str:
    """The object is given back as it was put."""
    key, body = _object(given)
    with _naming_trouble("give an object back"):
        found = obstore.get(_store(given), key).bytes()
    if bytes(found) != body:
        raise CheckFailed(
            f"{key} came back with other bytes than were put. Look at what lies between here and"
            f" the bucket: endpoint_url in the extra of {connection_named(CONNECTION)}."
        )
    return f"{key} came back as it was put."


def delete(given: Given) -> str:
    """The object is deleted."""
    key, _ = _object(given)
    with _naming_trouble(f"delete {key}, which is still there,"):
        obstore.delete(_store(given), key)
    return f"{key} was deleted."


def gone(given: Given) -> str:
    """The object is not given any more."""
    key, _ = _object(given)
    try:
        with _naming_trouble("answer for a deleted object"):
            obstore.get(_store(given), key)
    except _Refused as refusal:
        # To a key that may not list the bucket, S3 does not say that an object is not there.
        if refusal.code in ("NoSuchKey", "AccessDenied"):
            return f"{key} is gone."
        raise
    raise CheckFailed(f"{key} was deleted and is still given: delete it by hand.")


STEPS = (
    Step("provider", provider),
    Step("connections", connections),
    Step("put", put),
    Step("read", read),
    Step("delete", delete, undoes="put"),
    Step("gone", gone),
)


class _Refused(CheckFailed):
    """S3 refused; ``code`` is its own word for why, empty where it gave none."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _object(given: Given) -> tuple[str, bytes]:
    """The key and the body of a run's object: every step derives the same."""
    mark = hashlib.sha256(given.run.encode()).hexdigest()[:32]
    return f"{PREFIX}{mark}.txt", f"Sanity check {mark}\n".encode()


def _store(given: Given) -> S3Store:
    connections(given)
    connection, bucket = given.connection(CONNECTION), given.variable(BUCKET)
    where = settings.archive_of(connection, bucket, given.environment, CONNECTION)
    return open_store(where)


@contextmanager
def _naming_trouble(what: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        found = _CODE.search(str(error))
        code = (found[1] or found[2]) if found else ""
        advice = _ADVICE.get(
            code,
            "start it, open the way to it, or correct endpoint_url and region_name in the extra of"
            f" {connection_named(CONNECTION)}",
        )
        # Not as its cause: the whole text can quote the signed request, a session token included.
        raise _Refused(
            f"S3 did not {what} ({code or _without_code(error)}). What to do: {advice}.", code
        ) from None


def _without_code(error: Exception) -> str:
    return "a redirect, which is not followed" if is_redirect(error) else "no answer of S3"
