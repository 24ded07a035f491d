"""The archive of raw answers in S3. It only ever puts: the pipeline's key may do nothing else.

A put is conditional (``If-None-Match: *``), so an object that is there is never overwritten;
another answer of the same hour is put beside it. Only status 412 says that an object is there: 409
says that another request for the same key was under way, and that nothing was stored.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from songswap import settings
from songswap.errors import ArchiveError, CorruptResponse
from songswap.storage import keys
from songswap.storage.records import SpooledResponse

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential  # of the stub alone

_NOWHERE = "http://127.0.0.1:0"
_AWS = ("amazonaws.com", "amazonaws.com.cn")
_OWN_MACHINE = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254")
"""Where AWS gives a machine or container the keys of its role."""

_CONFLICT_WAITS_S = (0.1, 0.3, 0.9)
"""Seconds before a put that met 409 is sent again; S3's client sends it again on 5xx alone."""

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_REDIRECTED = ("127.0.0.1:0", "error following redirect", "non-2xx status code: 3")
_ADDRESS = re.compile(r"https?://\S+")


class Outcome(NamedTuple):
    """By the answers' ids: the keys of those that are in S3 now, and why the others are not."""

    archived: dict[int, str]
    problems: dict[int, str]


class Archive:
    """The bucket that ``where`` names."""

    def __init__(self, where: settings.Archive) -> None:
        self._bucket = where.bucket
        self._store = open_store(where)

    async def put(self, kept: SpooledResponse) -> str:
        """Put an answer where it belongs, and return its key.

        The object is the gzipped body; ``observed-at`` in its metadata is when Spotify gave it, so
        that reading the archive again gives the same rows.

        Raises:
            ArchiveError: S3 did not take it.
            CorruptResponse: its place is taken, and without its body there is no other.
        """
        with self._translate_errors():
            if await self._put(kept.key, kept):
                return kept.key
            # Where it is refused here too, the very same answer was put by an attempt cut off.
            other = keys.beside(kept.key, kept.body)
            await self._put(other, kept)
        return other

    async def put_once(self, kept: SpooledResponse) -> None:
        """Put what has a key that tells its content: where there is an object, it is this one.

        Raises:
            ArchiveError: S3 did not take it.
        """
        with self._translate_errors():
            await self._put(kept.key, kept)

    async def put_all(self, kept: list[SpooledResponse]) -> Outcome:
        """Put many at once; what cannot be put is told, not raised."""
        results = await asyncio.gather(*(self.put(one) for one in kept), return_exceptions=True)
        outcome = Outcome({}, {})
        for one, result in zip(kept, results, strict=True):
            if isinstance(result, str):
                outcome.archived[one.id] = result
            elif isinstance(result, ArchiveError | CorruptResponse):
                outcome.problems[one.id] = str(result)
            else:
                raise result
        return outcome

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise ArchiveError(
                f"S3 (connection SongSwap_S3_PutOnly, bucket {self._bucket}) did not take an"
                f" answer: {said(error)}"
            ) from None

    async def _put(self, key: str, kept: SpooledResponse) -> bool:
        """Put an object; False when there is one already (412), which stays as it is.

        Raises:
            ArchiveError: S3 answers that the key is taken, with another status than 412, however
                often it is asked.
        """
        for wait_s in (*_CONFLICT_WAITS_S, None):
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    kept.packed,
                    mode="create",
                    attributes={
                        "Content-Type": "application/json",
                        "Content-Encoding": "gzip",
                        "observed-at": kept.observed_at.isoformat(timespec="milliseconds"),
                    },
                )
            except AlreadyExistsError as error:
                answered = status(error)
                if answered == 412:
                    return False
            else:
                return True
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        raise ArchiveError(
            f"S3 (connection SongSwap_S3_PutOnly, bucket {self._bucket}) did not take an answer: it"
            f" says {answered} to a conditional put, {len(_CONFLICT_WAITS_S) + 1} times, which"
            " proves neither that an object is there nor that this one was stored."
        )


def open_store(where: settings.Archive) -> S3Store:
    """The bucket itself, with the credentials of ``where``."""
    is_plain = (where.endpoint_url or "").startswith("http://")
    trusted: ClientConfig = {"allow_invalid_certificates": not where.verify}
    if where.root_certificate:
        trusted["root_certificate"] = where.root_certificate
    # Left out, AWS's own chain holds: the environment, then the machine's role.
    given: S3Config = {}
    if where.endpoint_url:
        given["endpoint"] = where.endpoint_url
    if where.region:
        given["region"] = where.region
    return S3Store(
        where.bucket,
        config=given,
        credential_provider=_its_key(where),
        virtual_hosted_style_request=where.endpoint_url is None,
        client_options={
            "allow_http": is_plain,
            **trusted,
            **_stay_there(where.endpoint_url),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=20),
        },
        # The spool holds what S3 does not take, so a run does not wait long for it.
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=15)},
    )


def _its_key(where: settings.Archive) -> "Callable[[], S3Credential] | None":
    """What gives the client the key of ``where``; None where it has none.

    Given as parts, the client would add a session's token of the environment to it.
    """
    if not where.access_key_id:
        return None
    key: S3Credential = {
        "access_key_id": where.access_key_id,
        "secret_access_key": where.secret_access_key or "",
        "token": where.session_token,
        "expires_at": None,
    }
    return lambda: key


def _stay_there(endpoint_url: str | None) -> "ClientConfig":
    """The client's options by which it reaches no other host than the endpoint.

    The client follows redirects, with the session token among its headers, and has no option
    against it. A proxy takes its place: what goes elsewhere is sent to a port that nobody has. An
    endpoint without TLS is its own proxy, so that what goes elsewhere ends there.
    """
    if endpoint_url is None:
        return {"proxy_url": _NOWHERE, "proxy_excludes": ",".join((*_AWS, *_OWN_MACHINE))}
    if endpoint_url.startswith("http://"):
        return {"proxy_url": endpoint_url, "proxy_excludes": ",".join(_OWN_MACHINE)}
    host = urlsplit(endpoint_url).hostname or ""
    return {"proxy_url": _NOWHERE, "proxy_excludes": ",".join((host, *_OWN_MACHINE))}


def said(error: BaseException) -> str:
    """What S3, or its client, says of an error, in short and without an address.

    Of S3's own document only its code is told: the rest can quote the signed request, with the
    token of a session. So whoever tells it leaves the error out of the causes too.
    """
    if is_redirect(error):
        return "it redirects to another address, which is not followed."
    text = str(error)
    first = (text.partition("<")[0].strip().splitlines() or [""])[0]
    code = _CODE.search(text)
    told = _ADDRESS.sub("…", first)[:300].strip() or type(error).__name__
    return f"{told} {code[1]}" if code else told


def status(error: BaseException) -> int | None:
    """The HTTP status with which S3 refused; None where no answer came.

    obstore maps 409, 412 and 304 to one class of error, and tells the status in the text alone.
    """
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def is_redirect(error: BaseException) -> bool:
    """Whether S3's client ended because it was sent to another address."""
    return any(sign in str(error) for sign in _REDIRECTED)
