"""The simulator's command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from songswap.dev.simulator.clock import parse_iso


class ClockKind(StrEnum):
    """Whether time passes or stands still until it is set."""

    real = "real"
    frozen = "frozen"


class AppMode(StrEnum):
    """What Spotify allows the app."""

    extended = "extended"
    development = "development"


def _time(text: str) -> int:
    try:
        return parse_iso(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time") from error


def _recording(text: str) -> tuple[str, Path]:
    name, separator, file = text.partition("=")
    if not (name and separator and file):
        raise typer.BadParameter(f"{text!r} is not NAME=FILE")
    return name, Path(file)


def simulator(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")
    ] = 8010,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A host name to accept besides loopback and --host."),
    ] = None,
    users: Annotated[int, typer.Option(min=0, help="How many listeners to simulate.")] = 25,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 1,
    epoch: Annotated[
        str | None, typer.Option(help="When the first plays begin (ISO); 3 days before now.")
    ] = None,
    clock: Annotated[
        ClockKind, typer.Option(help="frozen: time moves only by POST /admin/clock.")
    ] = ClockKind.real,
    now: Annotated[str | None, typer.Option(help="The start of a frozen clock (ISO).")] = None,
    rate_limit: Annotated[
        int, typer.Option(min=0, help="Requests in any 30 s; 0 is no limit.")
    ] = 3_000,
    quota: Annotated[int, typer.Option(min=0, help="Requests in any 24 hours; 0 is no limit.")] = 0,
    mode: Annotated[AppMode, typer.Option(help="What Spotify allows the app.")] = AppMode.extended,
    client_id: Annotated[str, typer.Option(help="The app's id.")] = "songswap",
    client_secret: Annotated[str, typer.Option(help="The app's secret.")] = "simulated",  # noqa: S107 - of a simulated app
    recorded: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: a recorded response, a feed or metadata."),
    ] = None,
    rotate_refresh_tokens: Annotated[
        float, typer.Option(min=0, max=1, help="Share of refreshes with a new refresh token.")
    ] = 0.3,
    filtered: Annotated[
        float, typer.Option(min=0, max=1, help="Share of plays removed after paging.")
    ] = 0,
    discord_log: Annotated[
        Path | None, typer.Option(help="Append Discord messages to this file.")
    ] = None,
) -> None:
    """Run a simulated Spotify until Ctrl-C, and print its address."""
    # These imports take a third of a second, which other commands of the CLI save.
    from songswap.dev.simulator.server import serve
    from songswap.dev.simulator.simulation import OptionError, Options

    try:
        options = Options(
            host=host,
            port=port,
            allowed_hosts=tuple(allow_host or ()),
            users=users,
            seed=seed,
            epoch=None if epoch is None else _time(epoch),
            clock=clock.value,
            now=None if now is None else _time(now),
            rate_limit=rate_limit,
            quota=quota,
            mode=mode.value,
            client_id=client_id,
            client_secret=client_secret,
            recorded=tuple(map(_recording, recorded or [])),
            rotate_refresh_tokens=rotate_refresh_tokens,
            filtered=filtered,
            discord_log=discord_log,
        )
    except OptionError as error:
        raise typer.BadParameter(str(error)) from error
    serve(options)
