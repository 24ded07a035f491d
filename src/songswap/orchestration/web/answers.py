"""Errors and headers of the answers below ``/songswap``."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from songswap.errors import SongSwapError
from songswap.orchestration.web.mount import Application, Message, Receive, Send
from songswap.orchestration.web.reader import CONNECTION

log = logging.getLogger(__name__)

_HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_NOT_KEPT = (b"cache-control", b"no-store")


class Headers:
    """Adds the headers that every answer has; what says nothing of being kept is not kept."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", []))
                missing = [] if any(name == _NOT_KEPT[0] for name, _ in own) else [_NOT_KEPT]
                message["headers"] = [*own, *missing, *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def answer_errors(app: FastAPI) -> None:
    """Have errors answered with a sentence, in the key ``detail`` as Airflow's own."""
    app.exception_handler(SongSwapError)(_unavailable)
    app.exception_handler(Exception)(_unforeseen)


def _unavailable(_request: Request, error: SongSwapError) -> JSONResponse:
    # Errors of the warehouse name the connection of the pipeline.
    sentence = re.sub(r"\bSongSwap_RDS\b", CONNECTION, str(error))
    log.warning("The page of SongSwap has no data: %s", sentence)
    return JSONResponse({"detail": sentence}, 503, {"Retry-After": "60"})


def _unforeseen(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "This failed; the log of the api-server says why."}, 500)
