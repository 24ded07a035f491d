"""The end of a consent on this machine: a server that takes Spotify's redirect, and nothing else.

Anybody can ask a port of this machine: a page in the same browser, an old tab, what looks for open
ports. Only a request that carries the state of this consent is its answer.
"""

import hmac
import logging
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from urllib.parse import parse_qs, urlsplit

from songswap.errors import ConnectFailed

log = logging.getLogger(__name__)

Answer = Mapping[str, str]
"""The query of a redirect: ``state``, and ``code`` or ``error``."""

_MOST_FIELDS = 20
_SERVED = b"<!doctype html><title>SongSwap</title><p>The terminal says how it went."
_LEFT_ALONE = (
    b"<!doctype html><title>SongSwap</title><p>This is no answer to what the terminal asks for."
    b" Open the address that it shows."
)


class Redirects:
    """Listens at a redirect address for the answer to one consent.

    Args:
        redirect_uri: an address of this machine by HTTP.
        state: what the answer carries, known to nobody else.

    Raises:
        ConnectFailed: its port cannot be listened at.
    """

    def __init__(self, redirect_uri: str, state: str) -> None:
        parts = urlsplit(redirect_uri)
        host, port = parts.hostname or "", parts.port or 80
        try:
            self._server = _Server(host, port, parts.path or "/", state)
        except OSError as error:
            raise ConnectFailed(
                f"Port {port} of {host} cannot be listened at ({error.strerror}). End what uses it,"
                " or give another with --port: the app has to allow that redirect."
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))

    def __enter__(self) -> "Redirects":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, patience_s: float) -> Answer:
        """Wait for the answer, for so many seconds at most.

        Raises:
            ConnectFailed: none came; says whether others did.
        """
        try:
            return self._server.answers.get(timeout=patience_s)
        except Empty as error:
            others = (
                " Answers to other requests came, and were left alone."
                if self._server.strangers
                else ""
            )
            raise ConnectFailed(
                f"Nobody authorized the app within {patience_s / 60:.0f} minutes.{others} Nothing"
                " was stored: run the command again, and use the address that it prints."
            ) from error


class _Server(ThreadingHTTPServer):
    """Has what came: the ``answers``, and how many ``strangers`` there were."""

    def __init__(self, host: str, port: int, path: str, state: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.path, self.state = path, state
        self.answers: SimpleQueue[Answer] = SimpleQueue()
        self.strangers = 0
        super().__init__((host, port), _Handler)

    def note_stranger(self) -> None:
        """Count one, and say so of the first: a person may wait for it."""
        self.strangers += 1
        if self.strangers == 1:
            log.warning(
                "An answer came that is not to this request: its state is another's, as that of an"
                " old tab. It is left alone; open the address above."
            )

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: who hangs up in the middle of a request is no trouble of the operator's."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        path, query = _parsed(self.path)
        if path != self.server.path or not query:
            self._reply(HTTPStatus.NOT_FOUND, b"")
        elif (answer := _answer(query, self.server.state)) is None:
            self.server.note_stranger()
            self._reply(HTTPStatus.BAD_REQUEST, _LEFT_ALONE)
        else:
            self._reply(HTTPStatus.OK, _SERVED)
            self.server.answers.put(answer)

    def _reply(self, status: HTTPStatus, page: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nothing: the path holds the code."""


def _parsed(address: str) -> tuple[str, dict[str, list[str]]]:
    """Path and query of a request; both empty where they cannot be read."""
    try:
        parts = urlsplit(address)
        return parts.path, parse_qs(
            parts.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return "", {}


def _answer(query: Mapping[str, list[str]], state: str) -> Answer | None:
    """The query as an answer; None where it is none to the consent of this state."""
    answer = {name: values[0] for name, values in query.items() if len(values) == 1}
    told = answer.get("state", "").encode(errors="replace")
    if not hmac.compare_digest(told, state.encode()) or not answer.keys() & {"code", "error"}:
        return None
    return answer
