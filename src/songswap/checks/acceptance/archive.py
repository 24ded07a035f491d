"""The proof that the pipeline's S3 key archives answers, and may do nothing else.

The key of the pipeline puts; that of the tests reads and removes. The objects are those of user 0,
who is nobody, in an hour that is past.
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
# Beside it, with the first 16 digits of the body's SHA-256: the same answer, and another one.
_AGAIN = "history/spotify/user0/user0_spotify_2026-11-02_04_dd593541ab1dc3a2.json"
_OTHER = "history/spotify/user0/user0_spotify_2026-11-02_04_eeb85c2675888473.json"
_OTHER_BODY = b'{"items": []}'
_OUTSIDE = "tests/user0_spotify_2026-11-02_04.json"
_KEYS = (_KEY, _AGAIN, _OTHER, _OUTSIDE)
_MODULE = "songswap/storage/archive.py and keys.py"


def put(archive: settings.Archive, folder: Path) -> None:
    """Archive an answer with the pipeline's key, the same twice again, and another of that hour.

    Raises:
        AcceptanceFailed: an answer has another key than it has to have.
        ArchiveError: S3 did not take it.
    """
    body = (folder / _DATA).read_bytes()
    for name, answer in (
        (_KEY, body),
        (_AGAIN, body),
        (_AGAIN, body),
        (_OTHER, _OTHER_BODY),
    ):
        expect("The key of an answer", name, _put(archive, answer), _MODULE)


def verify(tests: settings.Archive, folder: Path) -> None:
    """Read the objects with the tests' key: bodies and the time of the answer as they were given.

    Raises:
        AcceptanceFailed: they are not as they were given.
        ArchiveUnreadable: S3 does not give them.
    """
    store = open_store(tests)
    first = (folder / _DATA).read_bytes()
    for name, body in ((_KEY, first), (_AGAIN, first), (_OTHER, _OTHER_BODY)):
        with _translate_errors(f"GET {name}"):
            answer = obstore.get(store, name)
            packed = bytes(answer.bytes())
        expect(f"The body of {name}", body, gzip.decompress(packed), _MODULE)
        told = answer.attributes.get("observed-at")
        expect(f"observed-at of {name}", "2026-11-02T04:30:00.250+00:00", told, _MODULE)


def check_refusals(archive: settings.Archive) -> None:
    """Try with the pipeline's key what it must not do.

    Raises:
        AcceptanceFailed: it was allowed; says what.
        ArchiveUnreadable: S3 answered with something else than a refusal.
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
    """Remove all objects of this test with the tests' key, and see that they are gone.

    Raises:
        AcceptanceFailed: an object is left.
        ArchiveUnreadable: S3 does not let them be removed.
    """
    store = open_store(tests)
    for name in _KEYS:
        with _translate_errors(f"DELETE {name}"), suppress(FileNotFoundError):
            obstore.delete(store, name)
    left = [name for name in _KEYS if not _is_gone(store, name)]
    if left:
        raise AcceptanceFailed(
            f"{', '.join(left)} is still there after its own deletion: look at the rights of"
            " SongSwap_S3_TestPutGetDelete. It is no real user's; the next run removes it."
        )
    log.info("All %d objects of the test are removed.", len(_KEYS))


def _put(archive: settings.Archive, body: bytes) -> str:
    packed = gzip.compress(body, mtime=0)
    kept = RawResponse(0, keys.for_hour(0, _AT), _AT, packed)
    return asyncio.run(Archive(archive).put(kept))


@contextmanager
def _translate_errors(request: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise ArchiveUnreadable(
            f"S3 did not do {request}: {describe(error)} The objects of this test are no real"
            " user's; the next run removes them."
        ) from None  # whose text quotes S3's own, and that can quote a key


def _is_refused(request: str, attempt: Callable[[], object]) -> bool:
    with _translate_errors(request):
        try:
            attempt()
        except PermissionDeniedError:
            return True
    return False


def _is_gone(store: S3Store, name: str) -> bool:
    with _translate_errors(f"HEAD {name}"):
        try:
            obstore.head(store, name)
        except (FileNotFoundError, PermissionDeniedError):
            # A key that may not list the bucket is refused what is not there.
            return True
    return False
