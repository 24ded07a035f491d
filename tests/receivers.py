"""Services that take messages: over HTTP, as Slack does, and over SMTP."""

import datetime as dt
import email
import email.policy
import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Request(NamedTuple):
    """What a service was sent."""

    host: str
    path: str
    body: bytes


class HttpService:
    """Answers each POST alike, and keeps it; also as a proxy to hosts that it impersonates.

    Args:
        status, headers, body: of the response.
        hangs: never responds.
        certificate: a file with a key and a certificate of each host that it impersonates.
    """

    def __init__(
        self,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: bytes = b"ok",
        *,
        hangs: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self._ends = Event()
        outer, host_of = self, {"CONNECT": ""}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                assert certificate is not None
                host_of["CONNECT"] = self.path.partition(":")[0]
                self.send_response(200)
                self.end_headers()
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)
                self.close_connection = False

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append(Request(host_of["CONNECT"], self.path, data))
                if hangs:
                    outer._ends.wait()
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def finish(self) -> None:
                super().finish()
                self.connection.close()

            def log_message(self, *_: Any) -> None:
                """Nothing: the requests are kept."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Nothing: clients may go away."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it, and every request that hangs."""
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()


class Mail(NamedTuple):
    """An e-mail that was delivered, and the login of its sender."""

    login: str
    sender: str
    recipients: list[str]
    message: EmailMessage


class SmtpService:
    """A mail server without TLS that keeps what it takes.

    Args:
        refuses: it takes no login.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.mails: list[Mail] = []
        outer = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                login, sender, recipients = "", "", list[str]()
                self._say("220 mail.example ESMTP")
                while line := self.rfile.readline().decode().strip():
                    command, _, rest = line.partition(" ")
                    match command.upper():
                        case "EHLO":
                            self._say("250-mail.example", "250 AUTH PLAIN")
                        case "AUTH":
                            login = b64decode(rest.partition(" ")[2]).decode().strip("\0")
                            self._say("535 refused" if refuses else "235 welcome")
                        case "MAIL":
                            sender = rest.partition(":")[2].split()[0].strip("<>")
                            recipients = []
                            self._say("250 yes")
                        case "RCPT":
                            recipients.append(rest.partition(":")[2].strip("<>"))
                            self._say("250 yes")
                        case "DATA":
                            self._say("354 go on")
                            message = email.message_from_bytes(
                                b"".join(self._data()), policy=email.policy.default
                            )
                            assert isinstance(message, EmailMessage)
                            outer.mails.append(Mail(login, sender, recipients, message))
                            self._say("250 taken")
                        case "QUIT":
                            self._say("221 bye")
                            return
                        case _:
                            self._say("250 yes")

            def _data(self) -> Iterator[bytes]:
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    yield line.removeprefix(b".")

            def _say(self, *lines: str) -> None:
                self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        class Server(ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def http_service(**options: Any) -> Iterator[HttpService]:
    """Run an `HttpService`."""
    service = HttpService(**options)
    try:
        yield service
    finally:
        service.close()


@contextmanager
def smtp_service(**options: Any) -> Iterator[SmtpService]:
    """Run an `SmtpService`."""
    service = SmtpService(**options)
    try:
        yield service
    finally:
        service.close()


def make_certificate(folder: Path, host: str) -> Path:
    """Write a key and a certificate of a host, signed by itself, into a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{host}.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
