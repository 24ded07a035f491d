"""A Spotify of prepared responses, over TLS and 80 ms away, in a process of its own.

Only the client is measured: the server compresses nothing and computes nothing. Bare GETs of the
same responses are the reference.
"""

import asyncio
import multiprocessing
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psycopg
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks import services
from songswap import settings

_LATENCY_S = 0.08
_PAGES = "/me/player/recently-played"

Bodies = Sequence[Mapping[int, bytes]]
"""For each hour the gzipped response of each user."""


class Seconds(NamedTuple):
    """Seconds per user: by the clock, and of CPU in the measured process."""

    clock: float
    cpu: float

    @classmethod
    def of(cls, work: Callable[[], object], users: int) -> "Seconds":
        """Measure a call."""
        clock, cpu = time.perf_counter(), time.process_time()
        work()
        return cls((time.perf_counter() - clock) / users, (time.process_time() - cpu) / users)


def hour_of(url: str, hour: int) -> str:
    """Return the address of a server as it is in an hour."""
    return f"{url}/{hour}"


def token(user: int) -> str:
    """Return the access token of a user."""
    return f"access-{user}"


def sign_up(dsn: str, users: int) -> None:
    """Add users with their tokens."""
    services.add_users(dsn, users)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO \"SpotifyTokens\" SELECT id, 'access-' || id, 'refresh-' || id"
            ' FROM "Users"'
        )


async def bare_gets(spotify: settings.Spotify, users: int) -> None:
    """Request the response of each user, and read it."""
    url = f"{spotify.api_url}{_PAGES}?limit=50"
    slots = asyncio.Semaphore(spotify.in_flight)
    # aiohttp's default: our client has set another for the whole process.
    aiohttp.set_zlib_backend(zlib)
    async with aiohttp.ClientSession() as session:

        async def get(user: int) -> None:
            bearer = {"Authorization": f"Bearer {token(user)}"}
            async with slots, session.get(url, headers=bearer) as response:
                await response.read()

        await asyncio.gather(*(get(user) for user in range(1, users + 1)))


def certify(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1 and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@contextmanager
def serving(certificate: Path, make: Callable[[], Bodies]) -> Iterator[str]:
    """Serve responses from a process of its own, which makes them, and yield its URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_serve, args=(certificate, make, sender), daemon=True)
    process.start()
    try:
        yield str(receiver.recv())
    finally:
        process.terminate()
        process.join()


def _serve(certificate: Path, make: Callable[[], Bodies], started: Connection) -> None:
    hours = [{f"Bearer {token(user)}": body for user, body in of.items()} for of in make()]
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    # As from a cache: the measured hour is not that of the machine's clock.
    headers["Age"] = "1"

    async def respond(request: web.Request) -> web.Response:
        await asyncio.sleep(_LATENCY_S)
        body = hours[int(request.match_info["hour"])][request.headers["Authorization"]]
        return web.Response(body=body, headers=headers)

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/{hour}/v1" + _PAGES, respond)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        started.send(f"https://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    uvloop.run(main())
