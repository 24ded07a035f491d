"""What the simulator answers, before any fault spoils it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from songswap.dev.simulator.play import Play

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """The plays behind an answer of recently-played: those that could be told, those it carries."""

    user: str
    newest: Sequence[Play]
    told: Sequence[Play]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and headers. `gzipped` is the body as a gzip file where one is at hand.

    `refresh_token` is the one that the body gives.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    gzipped: bytes | None = None
    page: Page | None = None
    refresh_token: str | None = None


class Refusal(Exception):
    """An answer that ends the handling of a request; raised by whoever cannot go on."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a JSON answer."""
    return Answer(
        status, msgspec.json.encode(value), {"Content-Type": JSON_TYPE, **(headers or {})}
    )


def text_error(status: int, text: str) -> Refusal:
    """Return an error as what stands before the Web API words it: a bare line of text."""
    return Refusal(Answer(status, text.encode(), {"Content-Type": TEXT_TYPE}))


def api_error(
    status: int, message: str | None, headers: Mapping[str, str] | None = None
) -> Refusal:
    """Return an error as the Web API words it; a few of its errors have no message."""
    said = {"status": status} if message is None else {"status": status, "message": message}
    return Refusal(json_answer({"error": said}, status, headers))
