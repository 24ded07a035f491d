"""What a fault makes of a response, where it does not break the connection."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import responses

import msgspec
from multidict import CIMultiDict

from songswap.dev.simulator.fault import Fault, mutated
from songswap.dev.simulator.response import JSON_TYPE, Response
from songswap.dev.simulator.token import with_suffixes

SPACES = b" " * 2**16


def substitute(fault: Fault, status: int, now: int) -> Response:
    """Return the response that a fault sends instead; without a body, an error of the Web API."""
    if isinstance(fault.body, str):
        body = fault.body.encode()
    elif fault.body is not None:
        body = msgspec.json.encode(fault.body)
    else:
        phrase = responses.get(status, "Error")
        body = msgspec.json.encode({"error": {"status": status, "message": phrase}})
    return Response(status, body, merged({"Content-Type": JSON_TYPE}, _headers(fault, now)))


def changed(response: Response, fault: Fault, path: str, now: int) -> Response:
    """Return a true response as a fault changes it.

    A page of recently-played that is not true any more counts as not returned, and a refresh token
    that the client cannot read as not delivered.
    """
    headers = merged(response.headers, _headers(fault, now))
    if path == "/api/token" and (fault.access_suffix or fault.refresh_suffix):
        suffixes = {"access_token": fault.access_suffix, "refresh_token": fault.refresh_suffix}
        response = replace(response, body=with_suffixes(response.body, suffixes))
    if fault.is_truthful:
        return replace(response, headers=headers)
    body, refresh_token = response.body, response.refresh_token
    if fault.action == "truncate":
        body, refresh_token = body[: len(body) // 2], None
    if fault.action == "bomb":
        headers["Content-Encoding"] = "gzip"
        body, refresh_token = _bomb(body, fault.size_mb), None
    if fault.mutate:
        body = mutated(body, fault.mutate)
        if any(patch.path == "refresh_token" for patch in fault.mutate.json_patch):
            refresh_token = None
    return Response(fault.status or response.status, body, headers, refresh_token=refresh_token)


def merged(headers: Mapping[str, str], over: Mapping[str, str]) -> CIMultiDict[str]:
    """Return headers of which those in `over` replace those of the same name."""
    both = CIMultiDict(headers)
    both.update(over)
    return both


def http_date(ms: int) -> str:
    """Return a time in ms in the format of the header `Date`."""
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)


def _headers(fault: Fault, now: int) -> dict[str, str]:
    """Return the headers that a fault sets."""
    if not fault.date_offset_s:
        return fault.headers
    return {"Date": http_date(now + 1000 * fault.date_offset_s), **fault.headers}


def _bomb(body: bytes, size_mb: int) -> bytes:
    """Return a body and `size_mb` MB of spaces as a gzip file, a thousandth of that size."""
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(body), *(packer.compress(SPACES) for _ in range(16 * size_mb))]
    return b"".join([*parts, packer.flush()])
