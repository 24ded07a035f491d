"""MetadataFetcher Spotify: many users side by side over TLS, 80 ms away, in a process of its own.

A server in another process answers with pages that were packed before, so that what is measured is
the asking. Spool, S3 and warehouse are real.
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
from typing import NamedTuple

import aiohttp
import psycopg
import requests
import spotipy
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks import services
from benchmarks.figure import Figure, cost, medians, speed
from benchmarks.pages import pages
from benchmarks.size import size
from songswap import settings
from songswap.dev.stack.plan import simulated_spotify
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.spotify.client import open_client
from songswap.transform import recent_plays

_USERS = size(500, 10)
_ONE_BY_ONE = size(40, 2)
"""How many the previous way asks: one after another they take as long as all of ours."""
_ROUNDS = size(5, 1)
_LATENCY_S = 0.08


class _Taken(NamedTuple):
    """Of one user, in seconds: by the clock, and of the processor in the asking process."""

    clock: float
    cpu: float


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against the previous way, and against bare GETs of the same bodies."""
    told("making pages")
    certificate = _certify(folder)
    with (
        services.postgres(folder) as server,
        services.object_store(folder) as store,
        services.warehouse(server) as dsn,
        _serving(certificate) as url,
    ):
        _sign_up(dsn)
        there = settings.Settings(
            dsn, simulated_spotify(url), services.archive_of(store), folder / "spool"
        )
        # Who verifies reads it when it is imported.
        os.environ |= {"SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}
        told(f"{_USERS} users, {_ROUNDS} rounds")
        taken = _elsewhere(_measure, there)
    step, asked, bare, theirs = taken
    yield speed("asking, a user, against the previous way", asked.clock, theirs.clock, least=40)
    yield speed("the same, against bare GETs", asked.clock, bare.clock)
    yield cost(
        "asking, processor a user, against a bare GET",
        1000 * asked.cpu,
        1000 * bare.cpu,
        "ms",
        most=1.5,
    )
    yield cost(
        "the whole step with disk and S3, processor a user, against a bare GET",
        1000 * step.cpu,
        1000 * bare.cpu,
        "ms",
    )


def _measure(there: settings.Settings) -> list[_Taken]:
    """The step, the client alone, bare GETs, and the previous way: medians of each."""
    measures = [
        _timed(lambda: _step(there), _USERS),
        _timed(lambda: uvloop.run(_ask(there.spotify)), _USERS),
        _timed(lambda: uvloop.run(_get(there.spotify)), _USERS),
        _timed(lambda: _previously(there.spotify), _ONE_BY_ONE),
    ]
    found: list[list[_Taken]] = [[] for _ in measures]

    def clock(number: int) -> Callable[[], float]:
        def one() -> float:
            found[number].append(measures[number]())
            return found[number][-1].clock

        return one

    clocks = medians(_ROUNDS, *(clock(number) for number in range(len(measures))))
    middles = [sorted(one.cpu for one in column)[_ROUNDS // 2] for column in found]
    return [_Taken(*one) for one in zip(clocks, middles, strict=True)]


def _timed(deed: Callable[[], object], users: int) -> Callable[[], _Taken]:
    def measure() -> _Taken:
        clock, cpu = time.perf_counter(), time.process_time()
        deed()
        return _Taken((time.perf_counter() - clock) / users, (time.process_time() - cpu) / users)

    return measure


def _step(there: settings.Settings) -> None:
    run_id = f"run {time.monotonic_ns()}"
    # Each round is another hour, so that S3 takes every answer, and news, so that it is kept.
    hour = datetime.now(UTC) + timedelta(hours=time.monotonic_ns() // 1000 % 1_000_000)
    batches = hourly_load.plan(replace(there, batch_size=_USERS), run_id, lambda: hour)
    counts = fetch(there, run_id, batches[0], lambda: hour)
    if (counts["responses"], counts["archived"]) != (_USERS, _USERS):
        raise RuntimeError(f"Not all was fetched: {counts}")


async def _ask(where: settings.Spotify) -> None:
    async with open_client(where) as client:

        async def one(user: int) -> None:
            recent_plays.fingerprint((await client.recently_played(_token(user))).body)

        await asyncio.gather(*(one(user) for user in range(1, _USERS + 1)))


async def _get(where: settings.Spotify) -> None:
    url = f"{where.api_url}/me/player/recently-played?limit=50"
    places = asyncio.Semaphore(where.in_flight)
    # As aiohttp comes: ours has set another for the whole process.
    aiohttp.set_zlib_backend(zlib)
    async with aiohttp.ClientSession() as session:

        async def one(user: int) -> None:
            bearer = {"Authorization": f"Bearer {_token(user)}"}
            async with places, session.get(url, headers=bearer) as response:
                await response.read()

        await asyncio.gather(*(one(user) for user in range(1, _USERS + 1)))


def _previously(where: settings.Spotify) -> None:
    for user in range(1, _ONE_BY_ONE + 1):
        # spotipy closes a session that it is given when it is done: a new one each time.
        spotify = spotipy.Spotify(auth=_token(user), requests_session=requests.Session())
        spotify.prefix = f"{where.api_url}/"
        spotify.current_user_recently_played(limit=50)


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
    """A certificate of 127.0.0.1 and its key, in one file."""
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
    """A server of pages in a process of its own; its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(certificate, there), daemon=True)
    process.start()
    try:
        yield str(here.recv())
    finally:
        process.terminate()
        process.join()


def _serve(certificate: Path, told: Connection) -> None:
    packed = {f"Bearer {_token(page.user_id)}": page.gzipped for page in pages(_USERS, packed=True)}
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    # As out of a cache: the hour that is measured is none of the machine's clock.
    headers["Age"] = "1"

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(_LATENCY_S)
        return web.Response(body=packed[request.headers["Authorization"]], headers=headers)

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/v1/me/player/recently-played", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secured.load_cert_chain(certificate)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secured)
        await site.start()
        told.send(f"https://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    uvloop.run(main())


def _elsewhere(
    measure: Callable[[settings.Settings], list[_Taken]], there: settings.Settings
) -> list[_Taken]:
    """What a new process measures, which has read its environment anew."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (there,))
