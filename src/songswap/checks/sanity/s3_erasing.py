"""Check that the key which erases users may list and delete their objects, and nothing else."""

from collections.abc import Callable
from contextlib import suppress

import obstore
from obstore.exceptions import BaseError

from songswap.checks.sanity.context import CheckContext
from songswap.checks.sanity.s3_bucket import ERASE, TESTS, Bucket
from songswap.checks.sanity.s3_rights import POLICY
from songswap.errors import ArchiveNotErased, CheckFailed
from songswap.storage import keys
from songswap.storage.archive_eraser import ArchiveEraser

_BODY = b"Written by the check of what the key may do that erases users.\n"


def erasing(context: CheckContext) -> str:
    """Erase an object of user 0, who does not exist, and try what the key must not do.

    Returns:
        What the key may do; a warning, where it may do more than it needs.

    Raises:
        CheckFailed: it may not do what it must.
    """
    if context.find_connection(ERASE) is None:
        return f"Not checked: {ERASE} is not set. Without it no user's objects can be erased."
    bucket, tests = Bucket(context, ERASE), Bucket(context, TESTS)
    eraser = ArchiveEraser(bucket.archive)
    paths = [keys.folder(0, below) + bucket.name_of_run for below in (keys.PREFIX, keys.EXPORTS)]
    excess: dict[str, None] = {}
    for path in paths:
        with tests.request(f"let the tests' key put {path}") as store:
            obstore.put(store, path, _BODY)
        attempts = _forbidden(bucket, path)
        excess |= {right: None for right, attempt in attempts if bucket.may(attempt)}
        try:
            removed = eraser.erase_object(path)
        except ArchiveNotErased as error:
            with suppress(BaseError, OSError):
                obstore.delete(tests.store, path)
            raise CheckFailed(f"{error} What to do: {POLICY}.") from None
    unlisted = ", though the server lists no older versions" if removed.unlisted else ""
    message = f"The key of {ERASE} may list and delete users' objects{unlisted}"
    if excess:
        return f"Warning: {message}; it may also {', '.join(excess)}. Take that from it: {POLICY}."
    return f"{message}, and nothing else."


def _forbidden(bucket: Bucket, path: str) -> list[tuple[str, Callable[[], object]]]:
    """What the key must not do."""
    store = bucket.store
    return [
        ("PUT", lambda: obstore.put(store, path, _BODY)),
        ("GET", lambda: obstore.get(store, path)),
        ("LIST below another prefix", lambda: obstore.list_with_delimiter(store, bucket.FOLDER)),
        ("DELETE below another prefix", lambda: obstore.delete(store, bucket.key("-outside"))),
    ]
