"""Starts and stops a simulator.

async with-free use in tests: `running = await start(Options(port=0))`, `await running.stop()`
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
from songswap.dev.simulator.answer import Answer, api_error, json_answer
from songswap.dev.simulator.delivery import Handler, endpoint
from songswap.dev.simulator.origin import Hosts, refusal_of_host, refusal_of_page
from songswap.dev.simulator.recorded import RecordingError
from songswap.dev.simulator.simulation import Options, Simulation

_PATIENCE = 0.2  # seconds for answers under way when the simulator is stopped


class StartError(Exception):
    """The simulator cannot start; the text says why and what to do."""


class Running:
    """A simulator that listens at `url`. Its state is open to tests in the same process."""

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


async def start(options: Options) -> Running:
    """Start a simulator in this event loop.

    Raises:
        StartError: The port is taken, the host is not here, or a file cannot be used.
    """
    try:
        simulation = Simulation.of(options)
        if options.discord_log:
            options.discord_log.open("ab").close()
    except (RecordingError, OSError) as error:
        raise StartError(str(error)) from error
    runner = web.AppRunner(_application(simulation), access_log=None, shutdown_timeout=_PATIENCE)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        where = f"{options.host}:{options.port}"
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"{where} is in use by another program: stop it, or choose another --port"
            ) from error
        raise StartError(f"cannot listen on {where}: {error.strerror}") from error
    host = f"[{options.host}]" if ":" in options.host else options.host
    port = runner.addresses[0][1]
    return Running(f"http://{host}:{port}", simulation, runner)


def serve(options: Options) -> None:
    """Run a simulator until SIGTERM or SIGINT; print its address when it listens.

    Raises:
        SystemExit: With code 2 and a sentence on standard error, when it cannot start.
    """
    try:
        uvloop.run(_serve(options))
    except StartError as error:
        # A name in it may hold what a terminal acts on.
        text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(error))
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
    calls = (
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
        ("*", stranger.PATH + "/{path:.*}", "stranger", stranger.answer),
        ("*", "/{path:.*}", "unknown", _unknown),
    )
    for method, path, name, call in calls:
        handle = endpoint(sim, name, call)
        app.router.add_route(method, path, handle)
        if path.startswith("/v1/") and not path.endswith("}"):
            app.router.add_route(method, f"{path}/", handle)  # as spotipy writes some of them
    return app


def _guard(sim: Simulation) -> Middleware:
    """Return what refuses a page from elsewhere, before anything is done or counted.

    Spotify's Web API is open to every page that has a token, and so it is here.
    """
    hosts = Hosts.of(sim.options.host, sim.options.allowed_hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        problem = refusal_of_host(request.headers, hosts)
        if problem is None and not request.path.startswith("/v1/"):
            problem = refusal_of_page(request.method, request.headers)
        if problem is None:
            return await handler(request)
        answer = json_answer({"error": problem}, 403)
        return web.Response(status=403, body=answer.body, headers=answer.headers)

    return guard


async def _unknown(_sim: Simulation, _request: web.Request) -> Answer:
    raise api_error(404, "Service not found")
