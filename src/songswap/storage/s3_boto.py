"""boto3's client of S3, for what obstore lacks: versions of objects, and lifecycle policies."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from warnings import catch_warnings

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types
from botocore.exceptions import (  # type: ignore[import-untyped]  # it has no types
    BotoCoreError,
    ClientError,
)
from botocore.httpsession import get_cert_path  # type: ignore[import-untyped]  # it has no types
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # it has no types
from urllib3.exceptions import InsecureRequestWarning

from songswap import settings
from songswap.storage import s3

ERRORS: tuple[type[Exception], ...] = (BotoCoreError, ClientError, ResponseParserError)
"""What a request can raise. Leave them out of the causes: they can quote the signed request."""

REFUSED: type[Exception] = ClientError
"""The one among `ERRORS` with which S3 itself responded."""

_CODE = re.compile(r"\w{1,60}")
_LACKING = ("NotImplemented", "MethodNotAllowed", "501", "405")


@contextmanager
def open_client(where: settings.Archive) -> Iterator[Any]:
    """Open boto3's client with the credentials of ``where``, and close it in the end."""
    with ExitStack() as stack:
        client = boto3.Session().client(
            "s3",
            region_name=where.region,
            endpoint_url=where.endpoint_url,
            # A key in parts has no session token but its own: boto3 adds none of the environment.
            aws_access_key_id=where.access_key_id,
            aws_secret_access_key=where.secret_access_key,
            aws_session_token=where.session_token,
            verify=_trusted(where, stack),
            config=Config(
                connect_timeout=5,
                # A request deletes up to 1,000 objects.
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 3},
                # As obstore's client: no proxy of the environment.
                proxies={},
                s3={"addressing_style": "path" if where.endpoint_url else "virtual"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        stack.callback(client.close)
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
        yield client


def describe(error: Exception) -> str:
    """Return S3's or its client's reason, in short, without an address and a key of an object."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if 300 <= status < 400:
            return "it redirects to another address, which is not followed."
        return f"{error.operation_name}: {code(error)} (status {status})"
    if isinstance(error, ResponseParserError):
        return "what it responded is no document of S3"
    return s3.describe(error)


def code(error: Exception) -> str:
    """Return S3's own code of a refusal; without one, the status."""
    found = str(error.response.get("Error", {}).get("Code", ""))  # type: ignore[attr-defined]
    return known_code(found)


def known_code(text: str) -> str:
    """Return a code of S3 as it may be shown."""
    return text if _CODE.fullmatch(text) else "no code of S3"


def is_lacking(error: Exception) -> bool:
    """Return whether the server lacks an operation; a refusal to this key is not that."""
    return isinstance(error, ClientError) and code(error) in _LACKING


def _trusted(where: settings.Archive, stack: ExitStack) -> bool | str | None:
    """Return boto3's ``verify``; a certificate of ``where`` is trusted beside the usual ones."""
    if not where.verify:
        stack.enter_context(catch_warnings(action="ignore", category=InsecureRequestWarning))
        return False
    if not where.root_certificate:
        return None
    file = stack.enter_context(NamedTemporaryFile(suffix=".pem"))  # noqa: SIM115  # the stack closes it
    file.write(Path(get_cert_path(True)).read_bytes() + b"\n" + where.root_certificate)
    file.flush()
    return file.name


def _add_md5(request: Any, **_: object) -> None:
    """Send the MD5 of the body in place of its CRC32.

    AWS takes either; servers that know nothing of CRC32 refuse all requests without the MD5.
    """
    for name in [name for name in request.headers if _is_checksum(name)]:
        del request.headers[name]
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = b64encode(digest).decode()


def _is_checksum(name: str) -> bool:
    return name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))
