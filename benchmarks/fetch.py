"""Polling Spotify: many users at once over TLS, 80 ms away, in a process of its own.

A server in another process responds with pages that were compressed before, so that only the client
is measured. Spool, S3 and warehouse are real.
"""

import asyncio
import multiprocessing
import os
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
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
from benchmarks.measurement import Measurement, OnProgress, cost, speedup
from benchmarks.pages import pages
from benchmarks.size import size
from songswap import settings
from songswap.dev.stack.plan import simulated_spotify
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.spotify.client import open_client
from songswap.transform import recent_plays

_USERS = size(500, 10)
_ROUNDS = size(5, 1)
_LATENCY_S = 0.08


class _Seconds(NamedTuple):
    """Seconds per user: by the clock, and of CPU in the polling process."""

    clock: float
    cpu: float


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare ours with bare GETs of the same bodies."""
    on_progress("making pages")
    certificate = _certify(folder)
    with (
        services.postgres(folder) as server,
        services.object_store(folder) as store,
        services.warehouse(server) as dsn,
        _serving(certificate) as url,
    ):
        _sign_up(dsn)
        pipeline = settings.Settings(
            dsn, simulated_spotify(url), services.archive_of(store), folder / "spool"
        )
        # The new process reads it when it imports ssl.
        os.environ["SSL_CERT_FILE"] = str(certificate)
        on_progress(f"{_USERS} users, {_ROUNDS} rounds")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            step, poll, bare = pool.apply(_measure, (pipeline,))
    yield speedup("a poll per user, against bare GETs", poll.clock, bare.clock)
    yield cost(
        "a poll, CPU per user, against a bare GET",
        1000 * poll.cpu,
        1000 * bare.cpu,
        "ms",
        at_most=1.5,
    )
    yield cost(
        "the whole step with disk and S3, CPU per user, against a bare GET",
        1000 * step.cpu,
        1000 * bare.cpu,
        "ms",
    )


def _measure(pipeline: settings.Settings) -> list[_Seconds]:
    """Return the medians of the step, of the client alone and of bare GETs, taken in turns."""
    works = (
        lambda: _step(pipeline),
        lambda: uvloop.run(_poll(pipeline.spotify)),
        lambda: uvloop.run(_get(pipeline.spotify)),
    )
    rounds = [[_sample(work) for work in works] for _ in range(_ROUNDS)]
    return [
        _Seconds(median(row.clock for row in column), median(row.cpu for row in column))
        for column in zip(*rounds, strict=True)
    ]


def _sample(work: Callable[[], object]) -> _Seconds:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return _Seconds((time.perf_counter() - clock) / _USERS, (time.process_time() - cpu) / _USERS)


def _step(pipeline: settings.Settings) -> None:
    run_id = f"run {time.monotonic_ns()}"
    # Each round is another hour, so that S3 accepts every response, and each response is new.
    hour = datetime.now(UTC) + timedelta(hours=time.monotonic_ns() // 1000 % 1_000_000)
    batches = hourly_load.plan(replace(pipeline, batch_size=_USERS), run_id, lambda: hour)
    counts = fetch(pipeline, run_id, batches[0], lambda: hour)
    if (counts["responses"], counts["archived"]) != (_USERS, _USERS):
        raise RuntimeError(f"Not all responses were fetched: {counts}")


async def _poll(spotify: settings.Spotify) -> None:
    async with open_client(spotify) as client:

        async def poll(user: int) -> None:
            recent_plays.fingerprint((await client.recently_played(_token(user))).body)

        await asyncio.gather(*(poll(user) for user in range(1, _USERS + 1)))


async def _get(spotify: settings.Spotify) -> None:
    url = f"{spotify.api_url}/me/player/recently-played?limit=50"
    slots = asyncio.Semaphore(spotify.in_flight)
    # aiohttp's default: our client has set another for the whole process.
    aiohttp.set_zlib_backend(zlib)
    async with aiohttp.ClientSession() as session:

        async def get(user: int) -> None:
            bearer = {"Authorization": f"Bearer {_token(user)}"}
            async with slots, session.get(url, headers=bearer) as response:
                await response.read()

        await asyncio.gather(*(get(user) for user in range(1, _USERS + 1)))


def _token(user: int) -> str:
    return f"access-{user}"


def _sign_up(dsn: str) -> None:
    services.add_users(dsn, _USERS)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO \"SpotifyTokens\" SELECT id, 'access-' || id, 'refresh-' || id"
            ' FROM "Users"'
        )


def _certify(folder: Path) -> Path:
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
def _serving(certificate: Path) -> Iterator[str]:
    """Serve pages from a process of its own, and yield its URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_serve, args=(certificate, sender), daemon=True)
    process.start()
    try:
        yield str(receiver.recv())
    finally:
        process.terminate()
        process.join()


def _serve(certificate: Path, started: Connection) -> None:
    bodies = {
        f"Bearer {_token(page.user_id)}": page.gzipped for page in pages(_USERS, compress=True)
    }
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    # As from a cache: the measured hour is not that of the machine's clock.
    headers["Age"] = "1"

    async def respond(request: web.Request) -> web.Response:
        await asyncio.sleep(_LATENCY_S)
        return web.Response(body=bodies[request.headers["Authorization"]], headers=headers)

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/v1/me/player/recently-played", respond)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        started.send(f"https://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    uvloop.run(main())
