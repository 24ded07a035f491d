"""The application that the plugin mounts in Airflow's api-server; it is imported when it is used.

    first request ──▶ import `songswap.orchestration.web.app`, once ──▶ that and all later requests

Every process of Airflow imports plugins, each task too, and FastAPI takes longer to import than a
task to start.
"""

import logging
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_FAILED = b'{"detail": "The page cannot be loaded; the log of the api-server says why."}'


def create() -> Application:
    """Import the application and return it."""
    from songswap.orchestration.web.app import create_app

    return create_app()


class Mount:
    """An ASGI application that stands for another until its first request.

    Args:
        create: returns the other. If it fails, the request is answered with 503, and the next one
            tries again.
    """

    def __init__(self, create: Callable[[], Application] = create) -> None:
        self._create = create
        self._created: Application | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand a request to the application."""
        application = self._created
        if application is None:
            import asyncio

            try:
                # In a thread: the import takes about a second, in which Airflow serves others.
                application = await asyncio.to_thread(self._create_once)
            except Exception:
                log.exception("The page of SongSwap cannot be loaded.")
                if scope["type"] == "http":
                    await _refuse(send)
                return
        await application(scope, receive, send)

    def _create_once(self) -> Application:
        with self._lock:
            if self._created is None:
                self._created = self._create()
            return self._created


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _FAILED})
