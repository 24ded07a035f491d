"""The check that the pipeline's S3 key archives responses, and may do nothing else.

The pipeline's key puts; the tests' key reads and removes. The objects belong to user 0, who does
not exist, in a past hour.
"""

import asyncio
import gzip
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import S3Store

from songswap import settings
from songswap.checks.acceptance.expectation import expect
from songswap.errors import AcceptanceFailed, ArchiveUnreadable
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse
from songswap.storage.s3 import describe, open_store

log = logging.getLogger(__name__)

_DATA = "user_spotify.json"
_AT = datetime.fromisoformat("2026-11-02T04:30:00.250Z")
_KEY = "history/spotify/user0/user0_spotify_2026-11-02_04.json"
# Later responses of the same hour have the first 16 digits of their body's SHA-256 in the key.
_AGAIN = "history/spotify/user0/user0_spotify_2026-11-02_04_dd593541ab1dc3a2.json"
_OTHER = "history/spotify/user0/user0_spotify_2026-11-02_04_eeb85c2675888473.json"
_OTHER_BODY = b'{"items": []}'
_OUTSIDE = "tests/user0_spotify_2026-11-02_04.json"
_KEYS = (_KEY, _AGAIN, _OTHER, _OUTSIDE)
_MODULE = "songswap/storage/archive.py and keys.py"


def put(archive: settings.Archive, folder: Path) -> None:
    """Archive a response with the pipeline's key, twice again, and another one of that hour.

    Raises:
        AcceptanceFailed: a response has a wrong key.
        ArchiveError: S3 did not take it.
    """
    body = (folder / _DATA).read_bytes()
    puts = ((_KEY, body), (_AGAIN, body), (_AGAIN, body), (_OTHER, _OTHER_BODY))
    for key, response in puts:
        expect("The key of a response", key, _put(archive, response), _MODULE)


def verify(tests: settings.Archive, folder: Path) -> None:
    """Read the objects with the tests' key, and check their bodies and times.

    Raises:
        AcceptanceFailed: a body or a time differs.
        ArchiveUnreadable: S3 did not return them.
    """
    store = open_store(tests)
    first = (folder / _DATA).read_bytes()
    for name, body in ((_KEY, first), (_AGAIN, first), (_OTHER, _OTHER_BODY)):
        with _translated_errors(f"GET {name}"):
            found = obstore.get(store, name)
            packed = bytes(found.bytes())
        expect(f"The body of {name}", body, gzip.decompress(packed), _MODULE)
        observed_at = found.attributes.get("observed-at")
        expect(f"observed-at of {name}", "2026-11-02T04:30:00.250+00:00", observed_at, _MODULE)


def check_refusals(archive: settings.Archive) -> None:
    """Try what the pipeline's key must not do.

    Raises:
        AcceptanceFailed: S3 allowed it; says what.
        ArchiveUnreadable: the request failed in another way than by a refusal.
    """
    store = open_store(archive)
    attempts: dict[str, Callable[[], object]] = {
        f"PUT {_OUTSIDE}": lambda: obstore.put(store, _OUTSIDE, b"{}"),
        f"GET {_KEY}": lambda: obstore.get(store, _KEY),
        f"DELETE {_KEY}": lambda: obstore.delete(store, _KEY),
    }
    allowed = [name for name, attempt in attempts.items() if not _is_refused(name, attempt)]
    if allowed:
        raise AcceptanceFailed(
            f"The key of SongSwap_S3_PutOnly was allowed to {', '.join(allowed)}. It must only PUT"
            " below history/: take the other rights from it. Nothing real was touched; the rest of"
            " the test removes its objects."
        )


def remove(tests: settings.Archive) -> None:
    """Remove all objects of this test with the tests' key, and check that they are gone.

    Raises:
        AcceptanceFailed: an object is left.
        ArchiveUnreadable: S3 did not remove them.
    """
    store = open_store(tests)
    for name in _KEYS:
        with _translated_errors(f"DELETE {name}"), suppress(FileNotFoundError):
            obstore.delete(store, name)
    left = [name for name in _KEYS if not _is_gone(store, name)]
    if left:
        raise AcceptanceFailed(
            f"{', '.join(left)} is still there after its own deletion: look at the rights of"
            " SongSwap_S3_TestPutGetDelete. It belongs to no real user; the next run removes it."
        )
    log.info("All %d objects of the test are removed.", len(_KEYS))


def _put(archive: settings.Archive, body: bytes) -> str:
    packed = gzip.compress(body, mtime=0)
    spooled = RawResponse(0, keys.for_hour(0, _AT), _AT, packed)
    return asyncio.run(Archive(archive).put(spooled))


@contextmanager
def _translated_errors(request: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise ArchiveUnreadable(
            f"S3 did not do {request}: {describe(error)} The objects of this test belong to no real"
            " user; the next run removes them."
        ) from None  # the cause quotes S3's text, which can quote a key


def _is_refused(request: str, attempt: Callable[[], object]) -> bool:
    with _translated_errors(request):
        try:
            attempt()
        except PermissionDeniedError:
            return True
    return False


def _is_gone(store: S3Store, name: str) -> bool:
    with _translated_errors(f"HEAD {name}"):
        try:
            obstore.head(store, name)
        except (FileNotFoundError, PermissionDeniedError):
            # Without the right to list, S3 denies access to an object that does not exist.
            return True
    return False
