"""The end of a consent on this machine: a server that accepts Spotify's redirect, and nothing else.

Any program can reach a port of this machine: a page in the same browser, an old tab, a port scan.
Only a request with the state of this consent is its redirect.
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

Query = Mapping[str, str]
"""The query of a redirect: ``state``, and ``code`` or ``error``."""

_MOST_FIELDS = 20
_SERVED = b"<!doctype html><title>SongSwap</title><p>The terminal says how it went."
_LEFT_ALONE = (
    b"<!doctype html><title>SongSwap</title><p>This is not what the terminal waits for."
    b" Open the address that it shows."
)


class Redirects:
    """Listens at an address for the redirect of one consent.

    Args:
        redirect_uri: an address of this machine by HTTP.
        state: a secret that the redirect has to carry.

    Raises:
        ConnectFailed: its port is in use.
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

    def wait(self, patience_s: float) -> Query:
        """Wait for the redirect, for so many seconds at most, and return its query.

        Raises:
            ConnectFailed: none was received; says whether others were.
        """
        try:
            return self._server.redirects.get(timeout=patience_s)
        except Empty as error:
            others = (
                " Redirects of other consents came, and were ignored."
                if self._server.strangers
                else ""
            )
            raise ConnectFailed(
                f"Nobody authorized the app within {patience_s / 60:.0f} minutes.{others} Nothing"
                " was stored: run the command again, and use the address that it prints."
            ) from error


class _Server(ThreadingHTTPServer):
    """Collects ``redirects``, and counts ``strangers``: those with another state."""

    def __init__(self, host: str, port: int, path: str, state: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.path, self.state = path, state
        self.redirects: SimpleQueue[Query] = SimpleQueue()
        self.strangers = 0
        super().__init__((host, port), _Handler)

    def note_stranger(self) -> None:
        """Count a stranger, and warn of the first: a person may wait for it."""
        self.strangers += 1
        if self.strangers == 1:
            log.warning(
                "A redirect came that is not of this consent: it has another state, as that of an"
                " old tab. It is ignored; open the address above."
            )

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: a request that is cut off is not the operator's concern."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        path, query = _parsed(self.path)
        if path != self.server.path or not query:
            self._reply(HTTPStatus.NOT_FOUND, b"")
        elif (redirect := _of_consent(query, self.server.state)) is None:
            self.server.note_stranger()
            self._reply(HTTPStatus.BAD_REQUEST, _LEFT_ALONE)
        else:
            self._reply(HTTPStatus.OK, _SERVED)
            self.server.redirects.put(redirect)

    def _reply(self, status: HTTPStatus, page: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Log nothing: the path holds the code."""


def _parsed(address: str) -> tuple[str, dict[str, list[str]]]:
    """Parse path and query of a request; both are empty where that fails."""
    try:
        parts = urlsplit(address)
        return parts.path, parse_qs(
            parts.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return "", {}


def _of_consent(query: Mapping[str, list[str]], state: str) -> Query | None:
    """The query of a redirect; None where it is not of the consent with this state."""
    redirect = {name: values[0] for name, values in query.items() if len(values) == 1}
    received = redirect.get("state", "").encode(errors="replace")
    if not hmac.compare_digest(received, state.encode()) or not redirect.keys() & {"code", "error"}:
        return None
    return redirect
