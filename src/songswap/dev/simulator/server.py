"""Start and stop a simulator.

In tests: `running = await start(Options(port=0))`, then `await running.stop()`.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import sys

import uvloop
from aiohttp import web
from aiohttp.typedefs import Middleware

from songswap.dev.simulator import accounts, admin, discord, reccobeats, stranger, web_api
from songswap.dev.simulator.delivery import Handler, make_handler
from songswap.dev.simulator.origin import Hosts, check_host, check_origin
from songswap.dev.simulator.recorded import RecordingError
from songswap.dev.simulator.response import Response, api_error, json_response
from songswap.dev.simulator.simulation import Options, Simulation

_SHUTDOWN_TIMEOUT_S = 0.2  # for requests in progress


class StartError(Exception):
    """The simulator cannot start; the message says why and what to do."""


class RunningSimulator:
    """A simulator that listens at `url`. Tests in the same process read its state."""

    def __init__(self, url: str, simulation: Simulation, runner: web.AppRunner) -> None:
        self.url = url
        self.simulation = simulation
        self._runner = runner

    @property
    def webhook(self) -> str:
        """The URL of the Discord webhook."""
        return f"{self.url}/discord/webhooks/{discord.WEBHOOK_ID}/{discord.WEBHOOK_TOKEN}"

    async def stop(self) -> None:
        """Close every connection and the port."""
        await self._runner.cleanup()


async def start(options: Options) -> RunningSimulator:
    """Start a simulator in this event loop.

    Raises:
        StartError: The port is taken, the address is not this machine's, or a file is unusable.
    """
    try:
        simulation = Simulation.of(options)
        if options.discord_log:
            options.discord_log.open("ab").close()
    except (RecordingError, OSError) as error:
        raise StartError(str(error)) from error
    runner = web.AppRunner(
        _application(simulation), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        address = f"{options.host}:{options.port}"
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"{address} is in use by another program: stop it, or choose another --port"
            ) from error
        raise StartError(f"cannot listen on {address}: {error.strerror}") from error
    host = f"[{options.host}]" if ":" in options.host else options.host
    port = runner.addresses[0][1]
    return RunningSimulator(f"http://{host}:{port}", simulation, runner)


def serve(options: Options) -> None:
    """Run a simulator until SIGTERM or SIGINT, and print its address once it listens.

    Raises:
        SystemExit: It cannot start; code 2, and a sentence on standard error.
    """
    try:
        uvloop.run(_serve(options))
    except StartError as error:
        # Names of files may contain control characters of the terminal.
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(error))
        sys.stderr.write(f"The simulator cannot start: {text}.\n")
        raise SystemExit(2) from error


async def _serve(options: Options) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    running = await start(options)
    sys.stdout.write(f"{running.url}\n")
    sys.stdout.flush()
    await stopped.wait()
    await running.stop()


def _application(sim: Simulation) -> web.Application:
    app = web.Application(middlewares=[_guard(sim)])
    app[admin.SIMULATION] = sim
    app.add_routes(admin.routes)
    endpoints = (
        ("GET", "/authorize", "authorize", accounts.authorize),
        ("POST", "/api/token", "token", accounts.token),
        ("GET", "/v1/me", "me", web_api.me),
        ("GET", "/v1/me/player/recently-played", "recently-played", web_api.recently_played),
        ("GET", "/v1/tracks", "tracks", web_api.tracks),
        ("GET", "/v1/tracks/{id}", "track", web_api.track),
        ("GET", "/v1/artists", "artists", web_api.artists),
        ("GET", "/v1/artists/{id}", "artist", web_api.artist),
        ("GET", "/v1/audio-features", "audio-features", web_api.several_features),
        ("GET", "/v1/audio-features/{id}", "audio-feature", web_api.features),
        ("GET", "/reccobeats/v1/audio-features", "reccobeats", reccobeats.several_features),
        ("POST", "/discord/webhooks/{id}/{token}", "discord", discord.execute),
        ("*", "/discord/webhooks/{id}/{token}/messages/{message}", "discord", discord.message),
        ("*", stranger.PATH + "/{path:.*}", "stranger", stranger.respond),
        ("*", "/{path:.*}", "unknown", _unknown),
    )
    for method, path, name, endpoint in endpoints:
        handle = make_handler(sim, name, endpoint)
        app.router.add_route(method, path, handle)
        if path.startswith("/v1/") and not path.endswith("}"):
            app.router.add_route(method, f"{path}/", handle)  # spotipy appends a slash to some
    return app


def _guard(sim: Simulation) -> Middleware:
    """Return the middleware that rejects pages of other sites before anything is counted.

    The Web API is open to every page that has a token, like Spotify's.
    """
    hosts = Hosts.of(sim.options.host, sim.options.allowed_hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        problem = check_host(request.headers, hosts)
        if problem is None and not request.path.startswith("/v1/"):
            problem = check_origin(request.method, request.headers)
        if problem is None:
            return await handler(request)
        response = json_response({"error": problem}, 403)
        return web.Response(status=403, body=response.body, headers=response.headers)

    return guard


async def _unknown(_sim: Simulation, _request: web.Request) -> Response:
    raise api_error(404, "Service not found")
