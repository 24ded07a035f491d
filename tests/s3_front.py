"""A front of an S3 endpoint that answers in its place, as other servers and bad moments do."""

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit


class Sent(NamedTuple):
    """A request: its method, its path without the query, its headers in lower case, and more."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str
    body: bytes


Reply = tuple[int, bytes] | None


def refusal(code: str) -> bytes:
    """S3's error document with this code."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()


class S3Front:
    """A front of the endpoint at ``url``; a context manager, and then ``url`` is its own address.

    ``reply`` is asked at each request for a status and a body; where it gives None, the request is
    passed on as it came, so that its signature holds. ``seen`` are the requests that came. With a
    ``certificate``, a file that has its key too, it speaks TLS.
    """

    def __init__(
        self,
        url: str,
        reply: Callable[[Sent], Reply] = lambda _: None,
        certificate: Path | None = None,
    ) -> None:
        self.reply = reply
        self.seen: list[Sent] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(urlsplit(url).netloc))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        scheme = "http"
        if certificate:
            scheme, tls = "https", ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self, behind: str) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                split = urlsplit(self.path)
                sent = Sent(self.command, split.path, headers, split.query, body)
                front.seen.append(sent)
                reply = front.reply(sent)
                if reply is None:
                    self._pass_on(body, headers)
                else:
                    self._send(*reply, {"ETag": '"0"'})

            def _pass_on(self, body: bytes, headers: Mapping[str, str]) -> None:
                connection = http.client.HTTPConnection(behind)
                connection.request(self.command, self.path, body or None, dict(headers))
                response = connection.getresponse()
                content = response.read()
                self._send(response.status, content, dict(response.getheaders()))
                connection.close()

            def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "date", "server"):
                        self.send_header(name, value)
                # What answers HEAD has a length, and no body.
                length = {name.lower(): value for name, value in headers.items()}
                has = str(len(body)) if body else length.get("content-length", "0")
                self.send_header("Content-Length", has)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

        return Handler
