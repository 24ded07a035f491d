"""The S3 client: opening a bucket, and its errors in words that may be shown."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from songswap import settings
from songswap.errors import SongSwapError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential  # of the stub alone

_NOWHERE = "http://127.0.0.1:0"
_AWS = ("amazonaws.com", "amazonaws.com.cn")
_OWN_MACHINE = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254")
"""Addresses at which AWS gives a machine or container the keys of its role."""

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_REDIRECTED = ("127.0.0.1:0", "error following redirect", "non-2xx status code: 3")
_ADDRESS = re.compile(r"[\"']?https?://\S+")


def open_store(where: settings.Archive) -> S3Store:
    """Open a bucket with the credentials of ``where``."""
    is_plain = (where.endpoint_url or "").startswith("http://")
    trusted: ClientConfig = {"allow_invalid_certificates": not where.verify}
    if where.root_certificate:
        trusted["root_certificate"] = where.root_certificate
    # Without them, AWS's own chain decides: the environment, then the machine's role.
    config: S3Config = {}
    if where.endpoint_url:
        config["endpoint"] = where.endpoint_url
    if where.region:
        config["region"] = where.region
    return S3Store(
        where.bucket,
        config=config,
        credential_provider=_credential_provider(where),
        virtual_hosted_style_request=where.endpoint_url is None,
        client_options={
            "allow_http": is_plain,
            **trusted,
            **_refuse_redirects(where.endpoint_url),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=20),
        },
        # The spool holds what S3 does not take, so a run does not wait long for it.
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=15)},
    )


def _credential_provider(where: settings.Archive) -> "Callable[[], S3Credential] | None":
    """Return a function that gives the client the key of ``where``; None where it has none.

    Were the key passed in parts, the client would add a session token of the environment to it.
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


def _refuse_redirects(endpoint_url: str | None) -> "ClientConfig":
    """Return the options with which the client reaches no other host than the endpoint.

    The client follows redirects, with the session token among its headers, and cannot be told not
    to. So requests to any other host are sent to a proxy: a port that nobody has, or an endpoint
    without TLS itself, at which they end.
    """
    if endpoint_url is None:
        return {"proxy_url": _NOWHERE, "proxy_excludes": ",".join((*_AWS, *_OWN_MACHINE))}
    if endpoint_url.startswith("http://"):
        return {"proxy_url": endpoint_url, "proxy_excludes": ",".join(_OWN_MACHINE)}
    host = urlsplit(endpoint_url).hostname or ""
    return {"proxy_url": _NOWHERE, "proxy_excludes": ",".join((host, *_OWN_MACHINE))}


@contextmanager
def translate_errors(kind: type[SongSwapError], failed: str, advice: str = "") -> Iterator[None]:
    """Raise errors of S3 as ``kind``, in a sentence: what failed, S3's reason, what to do.

    The original error is left out of the causes: it can quote the signed request.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        raise kind(f"{failed}: {describe(error)}{advice}") from None


def describe(error: BaseException) -> str:
    """Return S3's or its client's reason, in short and without an address.

    Only the code of S3's own document is quoted: the rest can quote the signed request, with the
    token of a session. Leave the error itself out of the causes too.
    """
    if is_redirect(error):
        return "it redirects to another address, which is not followed."
    text = str(error)
    first = (text.partition("<")[0].strip().splitlines() or [""])[0]
    code = _CODE.search(text)
    reason = _ADDRESS.sub("…", first)[:300].strip() or type(error).__name__
    return f"{reason} {code[1]}" if code else reason


def status(error: BaseException) -> int | None:
    """Return the HTTP status with which S3 refused; None without a response.

    obstore maps 409, 412 and 304 to one class of error, and has the status only in the text.
    """
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def is_redirect(error: BaseException) -> bool:
    """Return whether S3's client failed because it was redirected to another address."""
    return any(sign in str(error) for sign in _REDIRECTED)
