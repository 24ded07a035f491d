"""The responses of the simulated services, before a fault changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from songswap.dev.simulator.play import SimulatedPlay

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A page of recently-played: the plays that were reachable, and those that it returns."""

    user: str
    reachable: Sequence[SimulatedPlay]
    returned: Sequence[SimulatedPlay]


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a body and headers, and what the ledger needs to know once it is sent.

    page: the plays in a body of recently-played, which is sent as gzip where that is accepted.
    refresh_token: the refresh token in the body.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    page: FeedPage | None = None
    refresh_token: str | None = None


class ErrorResponse(Exception):
    """Ends the handling of a request with a response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response."""
    return Response(
        status, msgspec.json.encode(value), {"Content-Type": JSON_TYPE, **(headers or {})}
    )


def text_error(status: int, text: str) -> ErrorResponse:
    """Return an error of the gateway before the Web API: a bare line of text."""
    return ErrorResponse(Response(status, text.encode(), {"Content-Type": TEXT_TYPE}))


def api_error(
    status: int, message: str | None, headers: Mapping[str, str] | None = None
) -> ErrorResponse:
    """Return an error of the Web API; a few of its errors have no message."""
    error = {"status": status} if message is None else {"status": status, "message": message}
    return ErrorResponse(json_response({"error": error}, status, headers))
