"""``GET /songswap/health``: whether the hourly load stands still, for monitors outside Airflow.

It decides as ``songswap check --fresh`` does. A monitor has no login at Airflow, but a token of its
own; it gets a sentence and figures, and no names.
"""

import hmac
import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from songswap.clock import utc_now
from songswap.errors import SettingsError, SongSwapError
from songswap.orchestration.connections import read_read_only_warehouse
from songswap.orchestration.web.reader import Reader
from songswap.pipelines import freshness
from songswap.pipelines.freshness import Verdict
from songswap.warehouse.freshness import read

log = logging.getLogger(__name__)

TOKEN = "SONGSWAP_HEALTH_TOKEN"  # noqa: S105 - its name in the environment
"""Without it in the environment of the api-server there is no such page."""

router = APIRouter()


# Not the page's: those who look at that do not keep a monitor waiting.
_reader = Reader(read_read_only_warehouse)


@router.api_route("/health", methods=["GET", "HEAD"])
def read_health(request: Request, fresh: str = "90m") -> JSONResponse:
    """Answer with 200 or 503 and a sentence.

    Args:
        fresh: the limit, as ``90m`` or ``2h``.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        return _answer(404, f"There is no such page until {TOKEN} is set for the api-server.")
    if not _has_token(request.headers, token):
        sentence = f"Send the header 'Authorization: Bearer …' with the value of {TOKEN}."
        return _answer(401, sentence, headers={"WWW-Authenticate": "Bearer"})
    try:
        limit = freshness.parse_limit(fresh)
    except SettingsError as error:
        return _answer(400, str(error))
    try:
        verdict = _reader.read(lambda connection: _decide(connection, limit))
    except SongSwapError as error:
        # Its text may name hosts; the log is for those who may know them.
        log.warning("The health of SongSwap is not known: %s", error)
        kind = type(error).__name__
        return _answer(
            503, f"The warehouse cannot be asked ({kind}); the api-server's log has why."
        )
    status = 200 if verdict.is_fresh else 503
    return _answer(status, verdict.sentence, {"fresh": verdict.is_fresh, **verdict.figures})


def _decide(connection: psycopg.Connection, limit: timedelta) -> Verdict:
    now = utc_now()
    return freshness.decide(read(connection, now), limit, now)


def _has_token(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    is_same = hmac.compare_digest(given.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and is_same


def _answer(
    status: int,
    sentence: str,
    figures: Mapping[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = {"sentence": sentence, **(figures or {})}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})
