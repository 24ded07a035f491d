"""Check that the pipeline's key may do what it must, and nothing else: each right is tried.

The objects are those of user 0, who does not exist; the tests' key removes them.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from songswap.checks.sanity.context import CheckContext
from songswap.checks.sanity.s3_bucket import PIPELINE, TESTS, Bucket
from songswap.storage import keys

POLICY = 'its policy is in docs/deployment.md, "The keys of the archive"'
_NAME = "songswap-check.txt"
_REQUIRED = tuple(keys.folder(0, below) + _NAME for below in (keys.PREFIX, keys.EXPORTS))
_BESIDE = f"history/{_NAME}"
_BODY = b"Written by the check of what the pipeline's key may do.\n"


def rights(context: CheckContext) -> str:
    """Check that the pipeline's key may put responses and exports.

    Returns:
        What the key may do; a warning, where it may do more than it needs.

    Raises:
        Refused: the key may not do what it must; says which right is missing.
    """
    pipeline, tests = Bucket(context, PIPELINE), Bucket(context, TESTS)
    stored: list[str] = []
    put = partial(_put, pipeline, stored)
    try:
        for path in _REQUIRED:
            with pipeline.request(
                f"let the pipeline's key put {path}",
                f"allow the key of {PIPELINE} s3:PutObject on"
                f" {pipeline.name}/history/spotify/user* and"
                f" {pipeline.name}/history/export/user*: {POLICY}",
            ):
                put(path)
        is_wide = pipeline.may(lambda: put(_BESIDE))
        excess = [right for right, attempt in _forbidden(pipeline, put) if pipeline.may(attempt)]
    finally:
        left = [path for path in stored if not _is_removed(tests, path)]
    allowed = "history/, all of it" if is_wide else "history/spotify/ and history/export/"
    message = f"The key of {PIPELINE} may put below {allowed}"
    message += f"; it may also {', '.join(excess)}" if excess else ", and nothing else"
    if left:
        message += f". {', '.join(left)} stays there: the key of {TESTS} may not delete it"
    return f"Warning: {message}. Take that from it: {POLICY}." if excess else f"{message}."


def _put(bucket: Bucket, stored: list[str], path: str) -> None:
    """Put an object, and note its path in ``stored``."""
    # What an earlier run left there was put with the same right.
    with suppress(AlreadyExistsError):
        obstore.put(bucket.store, path, _BODY, mode="create")
    stored.append(path)


def _forbidden(
    bucket: Bucket, put: Callable[[str], None]
) -> list[tuple[str, Callable[[], object]]]:
    """What the key must not do; the last attempt deletes what the others read."""
    return [
        (f"PUT below another prefix ({bucket.FOLDER})", lambda: put(bucket.key("-outside"))),
        ("GET what it has put", lambda: obstore.get(bucket.store, _REQUIRED[0])),
        ("LIST the bucket", lambda: obstore.list_with_delimiter(bucket.store, "history/")),
        ("DELETE what it has put", lambda: obstore.delete(bucket.store, _REQUIRED[0])),
    ]


def _is_removed(tests: Bucket, path: str) -> bool:
    try:
        obstore.delete(tests.store, path)
    except (BaseError, OSError):
        return False
    return True
