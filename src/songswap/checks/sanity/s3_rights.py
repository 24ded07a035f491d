"""May the pipeline's key do what it must, and nothing else? Its rights are tried one by one.

It tries as user 0, who is nobody, and removes with the tests' key what it has put.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from songswap import settings
from songswap.checks.sanity.given import Given
from songswap.checks.sanity.s3_refusal import (
    BUCKET,
    CONNECTION,
    PIPELINE,
    PREFIX,
    Refused,
    mark,
    refusals,
)
from songswap.storage import keys
from songswap.storage.s3 import open_store

POLICY = 'its policy stands in docs/deployment.md, "The keys of the archive"'
_NAME = "songswap-check.txt"
_MUST = tuple(keys.folder(0, below) + _NAME for below in (keys.PREFIX, keys.EXPORTS))
_BESIDE = f"history/{_NAME}"
_BODY = b"Written by the check of what the pipeline's key may do.\n"


def rights(given: Given) -> str:
    """The pipeline's key may put answers and exports, and nothing else.

    Returns:
        What it may do; as a warning, where it may do more than it needs.

    Raises:
        Refused: it may not do what it must; says which right is missing.
    """
    bucket = given.variable(BUCKET)
    pipeline, tests = (_store(given, bucket, name) for name in (PIPELINE, CONNECTION))
    tried = _Tried(pipeline, [])
    try:
        for path in _MUST:
            with refusals(
                f"let the pipeline's key put {path}",
                PIPELINE,
                f"allow the key of {PIPELINE} s3:PutObject on {bucket}/history/spotify/user* and"
                f" {bucket}/history/export/user*: {POLICY}",
            ):
                tried.put(path)
        is_wide = _may(lambda: tried.put(_BESIDE))
        more = [name for name, attempt in _attempts(tried, given) if _may(attempt)]
    finally:
        left = [path for path in tried.there if not _is_removed(tests, path)]
    what = "below history/, all of it" if is_wide else "below history/spotify/ and history/export/"
    told = f"The key of {PIPELINE} may put {what}"
    told += f"; it may also {', '.join(more)}" if more else ", and nothing else"
    if left:
        told += f". {', '.join(left)} stays there: the key of {CONNECTION} may not delete it"
    if not more:
        return f"{told}."
    return f"Warning: {told}. Take that from it: {POLICY}."


class _Tried(NamedTuple):
    """The bucket as the pipeline's key opens it, and the paths of what it has put there."""

    store: S3Store
    there: list[str]

    def put(self, path: str) -> None:
        # What an earlier run left there was put with the same right.
        with suppress(AlreadyExistsError):
            obstore.put(self.store, path, _BODY, mode="create")
        self.there.append(path)


def _attempts(tried: _Tried, given: Given) -> list[tuple[str, Callable[[], object]]]:
    """What the key must not be able to do; the last one takes away what the others read."""
    store, outside = tried.store, f"{PREFIX}{mark(given)}-outside.txt"
    return [
        (f"PUT below another prefix ({PREFIX})", lambda: tried.put(outside)),
        ("GET what it has put", lambda: obstore.get(store, _MUST[0])),
        ("LIST the bucket", lambda: obstore.list_with_delimiter(store, "history/")),
        ("DELETE what it has put", lambda: obstore.delete(store, _MUST[0])),
    ]


def _store(given: Given, bucket: str, name: str) -> S3Store:
    return open_store(settings.archive_of(given.connection(name), bucket, given.environment, name))


def _may(attempt: Callable[[], object]) -> bool:
    """Whether the key may do it; what is refused for another reason than its rights is trouble."""
    try:
        with refusals("answer as a server of S3", PIPELINE):
            attempt()
    except Refused as refused:
        if refused.is_denied:
            return False
        raise
    return True


def _is_removed(tests: S3Store, path: str) -> bool:
    try:
        obstore.delete(tests, path)
    except (BaseError, OSError):
        return False
    return True
