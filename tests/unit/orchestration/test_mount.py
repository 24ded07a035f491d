"""The mount: the application is made once, at the first request, and again if that failed."""

import asyncio
import json
import threading
from typing import Any

from songswap.orchestration.web.mount import Application, Message, Mount, Receive, Send


async def answer(scope: Message, receive: Receive, send: Send) -> None:
    """An application that answers 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Maker:
    """Makes the application; the first ``failures`` times it fails."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self.threads: set[int] = set()
        self._failures = failures

    def __call__(self) -> Application:
        self.calls += 1
        self.threads.add(threading.get_ident())
        if self.calls <= self._failures:
            raise ImportError("a module is missing")
        return answer


async def request(mount: Mount, kind: str = "http") -> list[Message]:
    """Send a request; return what was sent back."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{kind}.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await mount({"type": kind, "path": "/"}, receive, send)
    return sent


def status(sent: list[Message]) -> Any:
    """The status of an answer."""
    return sent[0]["status"]


async def test_application_is_made_at_the_first_request_and_once() -> None:
    """Requests at the same time wait for the one that makes it, and not in the event loop."""
    maker = Maker()
    mount = Mount(maker)
    assert maker.calls == 0
    answers = await asyncio.gather(*(request(mount) for _ in range(20)))
    assert {status(sent) for sent in answers} == {200}
    assert maker.calls == 1
    assert threading.get_ident() not in maker.threads


async def test_failed_import_is_answered_and_tried_again() -> None:
    """The answer is a sentence that the page can show."""
    mount = Mount(Maker(failures=1))
    start, body = await request(mount)
    assert start["status"] == 503
    assert "log of the api-server" in json.loads(body["body"])["detail"]
    assert status(await request(mount)) == 200


async def test_failed_import_ends_a_websocket_without_an_answer() -> None:
    """What is no HTTP request gets no HTTP response."""
    assert await request(Mount(Maker(failures=1)), "websocket") == []
